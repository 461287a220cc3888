"""kube-proxy: makes each service's virtual address work on one node. Read services.py, rules.py, then proxy.py.

Upstream: pkg/proxy
"""
