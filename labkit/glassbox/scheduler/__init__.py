"""kube-scheduler: picks a node for each pod that has none. Read filters.py, then scheduler.py.

Upstream: pkg/scheduler
"""
