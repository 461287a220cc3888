"""Trials: what a rubric tries out on a living service, instead of reading its fields.

A trial is a list of steps, with or without a steady load beside them: ask the service, kill a pod, roll out, scale.
What it finds is a plain object, and a rubric's items of type `traffic` and `perturb` read that as others read a pod.

    visitor.py   runs inside the cluster, in a pod, and asks
    probe.py     that pod, and the line to it
    admitted.py  these pods, as a namespace admits them
    claims.py    what lies on the claims that pods mount
    faults.py    what is done to the service, and undone
    journal.py   what is still to be undone, kept in the cluster
    trial.py     the steps in their order

Whatever a trial does, it takes back before it ends, or the next one does. Asks that add something use a mark of their
own (`{nonce}`).
"""
