"""The network policy agent: what a CNI plugin such as Calico or kube-router does on each node. Read rules.py first."""

from labkit.glassbox.network_policy.__main__ import main

__all__ = ["main"]
