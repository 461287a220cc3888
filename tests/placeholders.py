"""What a recorded text's placeholders stand for: one stands for the same value within a file, some for anything."""

import re

from tests.normalise import SAFE

PLACEHOLDER = re.compile(r"<(?:uid|rv|hash|rand|pod-ip|cluster-ip|port|continue|digest|event|id)(?:-\d+)?>")
ANYTHING = re.compile(r"<(?:rv|time|age|token|pem|pem-base64|log-time|etag|id|own)>")


def matches(given, wanted: str, bound: dict) -> bool:
    """Tell whether a value is what a recorded text, placeholders and all, stands for."""
    if PLACEHOLDER.fullmatch(wanted) and not isinstance(given, dict | list | None.__class__):
        return bound.setdefault(wanted, given) == given
    if not isinstance(given, str):
        return False
    pattern, names = "", []
    for part in re.split(r"(<[a-z0-9-]+>)", wanted):
        if part == "<suffix>":
            pattern += rf"[{SAFE}]{{5}}"
        elif ANYTHING.fullmatch(part):
            pattern += r"[\s\S]*?"
        elif PLACEHOLDER.fullmatch(part):
            known = bound.get(part)
            pattern += re.escape(str(known)) if known is not None else r"([\w.:-]+?)"
            names += [] if known is not None else [part]
        else:
            pattern += re.escape(part)
    found = re.fullmatch(pattern, given)
    if found:
        bound.update(zip(names, found.groups(), strict=False))
    return found is not None


def alike(given: list[str], wanted: list[str], bound: dict) -> bool:
    """Tell whether lines are what was recorded; if so, learn what placeholders stand for."""
    learnt = dict(bound)
    same = len(given) == len(wanted) and all(matches(*pair, learnt) for pair in zip(given, wanted, strict=True))
    bound.update(learnt if same else {})
    return same


def unknown(lines: list[str], bound: dict) -> int:
    """Return how many placeholders stand in the lines whose value is not known."""
    return len(set(PLACEHOLDER.findall("\n".join(lines))) - bound.keys())
