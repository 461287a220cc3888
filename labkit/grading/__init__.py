"""Batch grading: hand-ins in, marks out.

Reading order: submit (how a student makes one file) → handins (what was handed in) → batch (workers, results kept by
hash) → worker (one hand-in, a process of its own: network, cluster, sandbox, judge) → sandbox (where the hand-in's code
runs) → judge → results → pages.

Beside it: borrowed (a cluster that somebody else runs), kept and again (what was left there, judged again), marks
(given by hand).

Never: the hand-in's kernel judges nothing, holds no credential of the grader, and has ended before the judge looks.
Left out so far: several machines.
"""
