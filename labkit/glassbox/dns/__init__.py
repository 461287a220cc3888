"""DNS: the names of services and pods, as CoreDNS serves them. Read zone.py, then server.py; wire.py is the format.

Upstream: github.com/coredns/coredns plugin/kubernetes, with kubeadm's Corefile
"""
