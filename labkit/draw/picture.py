"""A picture and its text twin: the same facts twice, so that nobody needs to see it and nbval can compare it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Picture:
    """Shows itself as SVG in a notebook and as text elsewhere; str() gives the text."""

    svg: str
    text: str

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": self.text}
