"""Batch grading: hand-ins in, marks out.

Reading order: submit (how a student makes one file) → handins (what was handed in) → batch (workers, results kept by
hash) → worker (one hand-in, a process of its own: network, cluster, sandbox, judge) → sandbox (where the hand-in's code
runs) → judge → results → pages.

Never: the hand-in's kernel judges nothing, holds no credential of the grader, and has ended before the judge looks.
Left out so far: a real cluster in the place of the embedded one, several machines, marks given by hand, `--recheck`, a
comparison of recorded outputs with the new run.
"""
