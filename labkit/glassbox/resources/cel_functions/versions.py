"""Semantic versions in CEL.

Upstream: staging/src/k8s.io/apiserver/pkg/cel/library/semverlib.go, github.com/blang/semver, https://semver.org
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import total_ordering

NAMES = ("major", "minor", "patch")
IDENTIFIER = re.compile(r"[0-9A-Za-z-]+")


@total_ordering
@dataclass(frozen=True, eq=False)
class Version:
    """A version without its build, which means nothing when versions are compared."""

    major: int
    minor: int
    patch: int
    before: tuple[str, ...] = field(default=())  # the identifiers of a pre-release

    def _key(self) -> tuple:
        identifiers = [(0, int(each), "") if each.isdecimal() else (1, 0, each) for each in self.before]
        return self.major, self.minor, self.patch, not self.before, identifiers

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Version) else NotImplemented

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}" + ("-" + ".".join(self.before) if self.before else "")


def parse(text: str, is_tolerant: bool = False) -> Version:
    """Return a version; a tolerant reader takes "v1" too. Raises ValueError in upstream's words."""
    if is_tolerant:
        text = _completed(text)
    if not text:
        raise ValueError("Version string empty")
    numbers = text.split(".", 2)
    if len(numbers) != 3:
        raise ValueError("No Major.Minor.Patch elements found")
    rest, plus, build = numbers[2].partition("+")
    numbers[2], dash, before = rest.partition("-")
    identifiers = before.split(".") if dash else []
    for each in identifiers + (build.split(".") if plus else []):
        if not IDENTIFIER.fullmatch(each):
            raise ValueError(f'Invalid character(s) found in prerelease "{each}"' if each else "Prerelease is empty")
    for each in identifiers:
        if each.isdecimal() and len(each) > 1 and each[0] == "0":
            raise ValueError(f'Numeric PreRelease version must not contain leading zeroes "{each}"')
    major, minor, patch = map(_number, NAMES, numbers)
    return Version(major, minor, patch, tuple(identifiers))


def is_one(text: str, is_tolerant: bool = False) -> bool:
    try:
        parse(text, is_tolerant)
    except ValueError:
        return False
    return True


def _number(name: str, text: str) -> int:
    if not re.fullmatch("[0-9]+", text):
        raise ValueError(f'Invalid character(s) found in {name} number "{text}"')
    if len(text) > 1 and text[0] == "0":
        raise ValueError(f'{name.capitalize()} number must not contain leading zeroes "{text}"')
    return int(text)


def _completed(text: str) -> str:
    """Return a version without its "v" and leading zeros, with the numbers that it lacks."""
    parts = text.removeprefix("v").split(".", 2)
    if len(parts) < 3 and re.search("[+-]", parts[-1]):
        raise ValueError("short version cannot contain PreRelease/Build meta data")
    shorter = [re.sub(r"^0+(?=[0-9])", "", each) for each in parts]
    return ".".join(shorter + ["0"] * (3 - len(shorter)))
