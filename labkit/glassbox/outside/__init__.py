"""What lies beyond the cluster: a host that stands for the internet, and the real host's loopback.

host_ports.py answers node ports on 127.0.0.1; web.py is what the host outside serves.

Upstream: none; the internet, and the port mapping of kind's node containers
"""
