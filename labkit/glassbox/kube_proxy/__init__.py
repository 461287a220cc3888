"""kube-proxy: makes each service's virtual address work on one node. Read services.py, rules.py, then proxy.py.

Upstream: pkg/proxy
"""

from labkit.glassbox.kube_proxy.__main__ import main

__all__ = ["main"]
