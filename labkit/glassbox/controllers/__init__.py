"""kube-controller-manager: all controllers in one process, each a loop of its own.

Upstream: cmd/kube-controller-manager/app/controllermanager.go
"""
