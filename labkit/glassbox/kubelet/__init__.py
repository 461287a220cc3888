"""The kubelet: the agent of one node.

Read kubelet (what wakes it), pod_worker (one pod), actions and status (the pure decisions), then runtime, zygote,
sandbox and container (how a pod becomes processes), rootfs and images (what those see).
"""
