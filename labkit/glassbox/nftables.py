"""The node's nftables, by the `nft` binary: what a table ought to hold, and the way there from what it holds.

A chain bears the hash of its rules in its name: so it never changes, and after a restart a table is taken over by the
names found in it. A change makes the new chains, which nothing leads to yet; switches the maps' entries and the base
chains over, all at once; and takes away the chains that nothing leads to any more. It is one transaction where the
kernel takes so much in one message (net.core.wmem_max says how much: some three hundred services) and several
otherwise, of which the switch is one: no packet ever meets half a change. LABKIT_NFT names another binary; set but
empty it says that there is none, for a whole cluster when it is set for `labkit up`.

Left out: more than some two thousand entries that change at once; the kernel refuses them.

Upstream: sigs.k8s.io/knftables
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

TOO_LONG = "Message too long"
PLACES = ("/usr/sbin", "/sbin", "/usr/local/sbin")  # which an ordinary user's PATH lacks
NAMED_BY_CONTENT = re.compile(r"-[A-Z2-7]{8}-")
Rules = tuple[str, ...]


class NftError(Exception):
    """The kernel, or nft, refused a transaction; nothing of it was done."""


def binary() -> str | None:
    """Return where nft is, None where there is none."""
    if (named := os.environ.get("LABKIT_NFT")) is not None:
        return named or None
    return shutil.which("nft", path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))


def run(steps: list[str]) -> None:
    """Do all of the steps in one transaction; in two parts, and so on, where they do not fit. Raises NftError."""
    done = _nft("-f", "-", told="\n".join([*steps, ""]))
    if not done.returncode:
        return
    if TOO_LONG not in done.stderr or len(steps) < 2:
        raise NftError(done.stderr.strip() or f"nft ended with {done.returncode}")
    for part in (steps[: len(steps) // 2], steps[len(steps) // 2 :]):
        run(part)


def _nft(*arguments: str, told: str = "") -> subprocess.CompletedProcess[str]:
    path = binary()
    if path is None:
        raise NftError("there is no nft")
    return subprocess.run([path, *arguments], input=told, capture_output=True, text=True, check=False)


@dataclass
class Ruleset:
    """Chains with their rules, the maps' entries, and the sets in which clients are remembered."""

    chains: dict[str, Rules] = field(default_factory=dict)  # a chain after those that it leads to
    entries: dict[tuple[str, str], str] = field(default_factory=dict)  # (map, key) -> verdict
    sets: dict[str, int] = field(default_factory=dict)  # name -> seconds

    def chain(self, kind: str, key: str, rules: Rules) -> str:
        """Hold a chain; return the name under which it is led to."""
        name = f"{kind}-{short_hash(key, *rules)}-{key}"
        self.chains[name] = rules
        return name

    def add(self, other: Ruleset) -> None:
        """Hold what another holds, too."""
        self.chains |= other.chains
        self.entries |= other.entries
        self.sets |= other.sets


@dataclass(frozen=True)
class Base:
    """The part of a table that stays: its maps and chains, and the rules of these chains."""

    definitions: Rules
    rules: Mapping[str, Rules]


class Table:
    """A table that is kept as wanted: at first and after an error taken over as it is, then told what changes."""

    def __init__(self, name: str, base: Base) -> None:
        self.name, self.base, self.gone = name, base, f"add table {name}\ndelete table {name}"
        self.held: Ruleset | None = None  # None: what it holds is not known

    def become(self, wanted: Ruleset) -> None:
        """Bring the kernel's table to what is wanted. Raises NftError."""
        held, self.held = self.held, None
        if held is None:
            there = found(self.name)
            begin = [f"add table {self.name}"] if there else [self.gone, f"add table {self.name}"]
            todo = [*begin, *self.base.definitions, *steps(self.name, there or Ruleset(), wanted, self.base)]
        else:
            todo = steps(self.name, held, wanted)
        if todo:
            run(todo)
        self.held = wanted

    def vanish(self) -> None:
        """Take the table away, if there is one. Raises NftError."""
        run([self.gone])
        self.held = None


def found(table: str) -> Ruleset | None:
    """Return what a table holds beside its base, the chains without their rules; None where nft cannot tell."""
    told = _nft("-j", "list", "table", *table.split())
    if told.returncode:
        return None
    held = Ruleset()
    for [(kind, what)] in (each.items() for each in json.loads(told.stdout)["nftables"]):
        if kind == "map":
            held.entries |= {(what["name"], _key(key)): _verdict(verdict) for key, verdict in what.get("elem", ())}
        elif kind == "chain" and NAMED_BY_CONTENT.search(what["name"]):
            held.chains[what["name"]] = ()
        elif kind == "set":
            held.sets[what["name"]] = what["timeout"]
    return held


def _key(told: object) -> str:
    return " . ".join(map(str, told["concat"])) if isinstance(told, dict) else str(told)


def _verdict(told: dict[str, dict[str, str] | None]) -> str:
    [(verdict, to)] = told.items()
    return f"{verdict} {to['target']}" if to else verdict


def short_hash(*texts: str) -> str:
    """Return eight letters that tell chains apart whose names are cut short or alike."""
    return base64.b32encode(hashlib.sha256("\n".join(texts).encode()).digest())[:8].decode()


def steps(table: str, old: Ruleset, new: Ruleset, base: Base | None = None) -> list[str]:
    """Return the way from `old` to `new`, each step whole in itself; with `base`, all rules are told once more."""
    out = [each for each, verdict in old.entries.items() if verdict != new.entries.get(each)]
    come = [each for each, verdict in new.entries.items() if verdict != old.entries.get(each)]
    switch = [
        *(f"flush chain {table} {name}" for name in (base.rules if base else ())),
        *_fill(table, base.rules if base else {}),
        *(f"delete element {table} {name} {{ {', '.join(keys)} }}" for name, keys in _by_map(out).items()),
        *(f"add element {table} {name} {{ {', '.join(f'{key} : {new.entries[name, key]}' for key in keys)} }}"
          for name, keys in _by_map(come).items()),
    ]  # fmt: skip
    return [
        *(f"add set {table} {name} {{ type ipv4_addr; flags dynamic,timeout; timeout {seconds}s; }}"
          for name, seconds in new.sets.items() if name not in old.sets),
        *("\n".join([f"add chain {table} {name}", f"flush chain {table} {name}", *_fill(table, {name: rules})])
          for name, rules in new.chains.items() if base or name not in old.chains),
        *(["\n".join(switch)] if switch else []),
        *(f"flush chain {table} {name}\ndelete chain {table} {name}"
          for name in reversed(old.chains) if name not in new.chains),
        *(f"delete set {table} {name}" for name in old.sets if name not in new.sets),
    ]  # fmt: skip


def _by_map(entries: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    sorted_: dict[str, list[str]] = {}
    for name, key in entries:
        sorted_.setdefault(name, []).append(key)
    return sorted_


def _fill(table: str, chains: Mapping[str, Rules]) -> Iterator[str]:
    return (f"add rule {table} {name} {rule}" for name, rules in chains.items() for rule in rules)
