"""Hands out the node's pod addresses: the kubelet's own host-local IPAM.

The first address after the last one given, so that an address rests before it is used again. Nothing is stored: at
start the addresses of the sandboxes that still run are taken.

Upstream: github.com/containernetworking/plugins plugins/ipam/host-local
"""

import ipaddress
import threading


class NoAddress(Exception):
    """Every address of the node's range is in use."""


class Addresses:
    """The addresses of one pod CIDR, .2 to .254 of a /24; used by many threads."""

    def __init__(self, cidr: str) -> None:
        self.cidr = cidr
        self._all = [str(address) for address in ipaddress.ip_network(cidr).hosts()][1:]
        self._owners: dict[str, str] = {}
        self._next = 0
        self._lock = threading.Lock()

    def take(self, uid: str, address: str = "") -> str:
        """Return an address for a pod: the one it has, `address` if given, else the next free; raises NoAddress."""
        with self._lock:
            for held, owner in self._owners.items():
                if owner == uid:
                    return held
            chosen = address or self._free()
            self._owners[chosen] = uid
            return chosen

    def release(self, uid: str) -> None:
        """Let another pod have a pod's address."""
        with self._lock:
            self._owners = {address: owner for address, owner in self._owners.items() if owner != uid}

    def _free(self) -> str:
        for step in range(len(self._all)):
            index = (self._next + step) % len(self._all)
            if self._all[index] not in self._owners:
                self._next = index + 1
                return self._all[index]
        raise NoAddress(f"no IP addresses available in range set: {self._all[0]}-{self._all[-1]}")
