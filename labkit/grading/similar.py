"""Answers that are alike: flagged for a person to look at, never judged.

Compared is what students wrote themselves: without what the starter and the course's files hold, without comments,
case and spacing. Short answers are alike by nature, and so is what is like the model's; what many wrote is common.
"""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from typing import Any

SHORTEST = 60  # characters of an answer that say something about who wrote it
LEAST = 90.0  # per cent
COMMON = 3  # hand-ins, or a quarter of the class: what more than these have word for word is a common answer
COMMENT = re.compile(r"(^|\s)#.*")


def own(source: str, given: set[str]) -> str:
    """Return the lines of an answer that were not given to all."""
    return "\n".join(line for line in source.splitlines() if line.strip() not in given)


def lines_given(sources: Iterable[str]) -> set[str]:
    """Return the lines, stripped, that every student has."""
    return {line.strip() for source in sources for line in source.splitlines()}


def plain(source: str) -> str:
    """Return an answer without comments, case and spacing."""
    return " ".join(word for line in source.splitlines() for word in COMMENT.sub("", line).casefold().split())


def pairs(results: list[dict[str, Any]], model: dict[str, str]) -> list[dict[str, Any]]:
    """Return who wrote alike where, the most alike first; `model` are the reference's answers."""
    from rapidfuzz import fuzz

    found, most = [], max(COMMON, len(results) // 4)
    for cell in sorted({cell for r in results for cell in r.get("work", {})}):
        wrote = {r["student"]: plain(r["work"][cell]) for r in results if cell in r.get("work", {})}
        often = Counter(wrote.values())
        like = plain(model.get(cell, ""))
        telling = {
            student: text
            for student, text in wrote.items()
            if len(text) >= SHORTEST and often[text] <= most and fuzz.ratio(text, like) < LEAST
        }
        for (one, first), (other, second) in combinations(sorted(telling.items()), 2):
            if alike := fuzz.ratio(first, second, score_cutoff=LEAST):
                found.append({"students": [one, other], "cell": cell, "alike": round(alike)})
    return sorted(found, key=lambda each: (-each["alike"], each["students"], each["cell"]))
