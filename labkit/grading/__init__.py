"""Batch grading: hand-ins in, marks out.

Reading order: submit (how a student makes one file) → handins, cells (what was handed in) → batch (results kept by
hash) → crew, remote (workers here and elsewhere) → worker (one hand-in, a process of its own: network, cluster,
sandbox, judge) → sandbox (where the hand-in's code runs) → judge → results → pages.

Beside it: borrowed (a cluster that somebody else runs), kept and again (what was left there, judged again), marks
(given by hand), shown and similar (what is flagged and never judged).

Never: the hand-in's kernel judges nothing, holds no credential of the grader, and has ended before the judge looks.
"""
