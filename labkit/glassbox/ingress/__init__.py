"""The Ingress controller: from a host name and a path to a pod. Read routes.py, proxy.py, then controller.py.

Stands for ingress-nginx and its like. Left out: HTTP/2 and so gRPC, redirects to HTTPS, rewriting of paths, sticky
sessions, and all annotations.

Upstream: github.com/kubernetes/ingress-nginx
"""
