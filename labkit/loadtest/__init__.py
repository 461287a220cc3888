"""A comparative load test: a plan, a generator that keeps to it, samples without loss, statistics over runs, a report.

    plan → generator (a process of its own, or a Job in the cluster) → samples → stats, charts, report

What runs in pods (plan, generator, pace, http1, noise; service) imports nothing but the standard library: a ConfigMap
carries it into a public Python image. The rest runs in the notebook or terminal. Nothing knows which cluster it is on.

Invariants: every result has two clocks, response (from the intended time) and service (from the time of sending);
raw samples are kept, percentiles are never merged; a run that the generator spoilt is void, and says so.
"""
