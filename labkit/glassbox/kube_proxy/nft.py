"""The node's nftables, by the `nft` binary: one call, one transaction.

Upstream: sigs.k8s.io/knftables
"""

from __future__ import annotations

import os
import shutil
import subprocess

PLACES = ("/usr/sbin", "/sbin", "/usr/local/sbin")  # which an ordinary user's PATH lacks


class NftError(Exception):
    """The kernel, or nft, refused a transaction; nothing of it was done."""


def binary() -> str | None:
    """Return where nft is, None where there is none."""
    return shutil.which("nft", path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))


def run(commands: str) -> None:
    """Do all of the commands or none. Raises NftError."""
    path = binary()
    if path is None:
        raise NftError("there is no nft")
    done = subprocess.run([path, "-f", "-"], input=commands, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NftError(done.stderr.strip() or f"nft ended with {done.returncode}")
