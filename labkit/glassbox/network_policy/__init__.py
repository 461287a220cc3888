"""The network policy agent: what a CNI plugin such as Calico or kube-router does on each node. Read rules.py first."""
