"""The node's nftables, by the `nft` binary: one call, one transaction.

`Ruleset` is what a table ought to hold, `transaction` the way there from another, `Table` the one that is kept so. All
changes go into one transaction, so that no packet ever meets half a table. LABKIT_NFT names another binary; set but
empty it says that there is none, for a whole cluster when it is set for `labkit up`.

Upstream: sigs.k8s.io/knftables
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass, field

TOO_LONG = "Message too long"
PLACES = ("/usr/sbin", "/sbin", "/usr/local/sbin")  # which an ordinary user's PATH lacks


class NftError(Exception):
    """The kernel, or nft, refused a transaction; nothing of it was done."""


def binary() -> str | None:
    """Return where nft is, None where there is none."""
    if (named := os.environ.get("LABKIT_NFT")) is not None:
        return named or None
    return shutil.which("nft", path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))


def run(commands: str) -> None:
    """Do all of the commands or none; in two parts, and so on, where they do not fit into one message. Raises NftError.

    How long a message may be is the host's to say (net.core.wmem_max): some three hundred services at once.
    """
    path = binary()
    if path is None:
        raise NftError("there is no nft")
    done = subprocess.run([path, "-f", "-"], input=commands, capture_output=True, text=True, check=False)
    if not done.returncode:
        return
    lines = commands.splitlines(keepends=True)
    if TOO_LONG not in done.stderr or len(lines) < 2:
        raise NftError(done.stderr.strip() or f"nft ended with {done.returncode}")
    for part in (lines[: len(lines) // 2], lines[len(lines) // 2 :]):
        run("".join(part))


@dataclass
class Ruleset:
    """Chains with their rules, the maps' entries, and the sets in which clients are remembered."""

    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    entries: dict[tuple[str, str], str] = field(default_factory=dict)  # (map, key) -> verdict
    sets: dict[str, int] = field(default_factory=dict)  # name -> seconds


class Table:
    """A table, made anew with `base` at first and after an error; between, only what changed is told to the kernel."""

    def __init__(self, name: str, base: str) -> None:
        self.name, self.base = name, base
        self.held: Ruleset | None = None  # None: what it holds is not known

    def become(self, wanted: Ruleset) -> None:
        """Bring the kernel's table to what is wanted. Raises NftError."""
        commands = transaction(self.name, self.held or Ruleset(), wanted)
        if self.held is None:
            anew = f"add table {self.name}\ndelete table {self.name}\nadd table {self.name}"
            commands = f"{anew}\n{self.base}\n{commands}"
        if commands:
            self.held = None
            run(commands + "\n")
        self.held = wanted

    def vanish(self) -> None:
        """Take the table away, if there is one. Raises NftError."""
        run(f"add table {self.name}\ndelete table {self.name}\n")
        self.held = None


def short_hash(text: str) -> str:
    """Return eight letters that tell chains apart whose names are cut short or alike."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest())[:8].decode()


def transaction(table: str, old: Ruleset, new: Ruleset) -> str:
    """Return the commands that change the table from `old` to `new`; "" when there is nothing to do."""
    gone = [name for name in old.chains if name not in new.chains]
    fresh = {name: rules for name, rules in new.chains.items() if name not in old.chains}
    changed = {name: rules for name, rules in new.chains.items() if name in old.chains and old.chains[name] != rules}
    sets_gone = [name for name in old.sets if old.sets[name] != new.sets.get(name)]
    sets_new = {name: seconds for name, seconds in new.sets.items() if old.sets.get(name) != seconds}
    out = [each for each in old.entries if old.entries[each] != new.entries.get(each)]
    come = {each: verdict for each, verdict in new.entries.items() if old.entries.get(each) != verdict}
    return "\n".join(
        [
            *(f"delete element {table} {name} {{ {key} }}" for name, key in out),
            *(f"flush chain {table} {name}" for name in [*gone, *changed]),
            *(f"delete set {table} {name}" for name in sets_gone),
            *(_set(table, name, seconds) for name, seconds in sets_new.items()),
            *(f"add chain {table} {name}" for name in fresh),
            *fill(table, fresh),
            *fill(table, changed),
            *(f"add element {table} {name} {{ {key} : {verdict} }}" for (name, key), verdict in come.items()),
            *(f"delete chain {table} {name}" for name in gone),
        ]
    )


def _set(table: str, name: str, seconds: int) -> str:
    return f"add set {table} {name} {{ type ipv4_addr; flags dynamic,timeout; timeout {seconds}s; }}"


def fill(table: str, chains: dict[str, tuple[str, ...]]) -> list[str]:
    return [f"add rule {table} {name} {rule}" for name, rules in chains.items() for rule in rules]
