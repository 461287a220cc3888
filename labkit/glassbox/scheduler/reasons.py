"""Why a node does not fit, in the words that people read in events."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """One reason; `resolvable` when the node could fit if other pods left it."""

    text: str
    resolvable: bool = False
