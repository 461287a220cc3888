"""How an exercise stands, in one of six words, and how that is shown: as text, and as HTML with the same words.

A verdict says what was expected, what was found and where to look; it never says that all is done, since it knows
only the checks that a student may see.
"""

from dataclasses import dataclass
from enum import Enum
from html import escape


class State(Enum):
    """The six verdicts."""

    NOT_TRIED = "not tried"
    CONVERGING = "still converging"
    WRONG = "wrong"
    RIGHT = "right"
    BROKE = "was right and broke again"
    UNCHECKED = "could not check"


MARKS = {
    State.NOT_TRIED: "○", State.CONVERGING: "◐", State.WRONG: "✗", State.RIGHT: "✓", State.BROKE: "↯",
    State.UNCHECKED: "?",
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """What one item of the rubric found; `left` is the seconds that it may still take."""

    name: str
    state: State
    expected: str = ""
    found: str = ""
    look: str = ""
    left: float = 0.0
    guard: bool = False
    points: float = 1.0

    @property
    def holds(self) -> bool:
        """Tell whether it is right now."""
        return self.state is State.RIGHT


@dataclass(frozen=True)
class Verdict:
    """How an exercise stands; shows itself in a notebook, str() gives the same as text."""

    number: str
    title: str
    state: State
    findings: tuple[Finding, ...]
    hints: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Tell whether the visible checks pass."""
        return self.state is State.RIGHT

    def headline(self) -> str:
        """Say it in a line."""
        passing = sum(f.holds for f in self.findings)
        left = max((f.left for f in self.findings if f.state is State.CONVERGING), default=0)
        tail = {
            State.RIGHT: "visible checks pass",
            State.CONVERGING: f"up to {left:.0f} s left: run this cell again",
            State.UNCHECKED: "not your fault, no points lost: run this cell again",
            State.NOT_TRIED: "nothing found to check",
        }.get(self.state, f"{passing} of {len(self.findings)} visible checks pass")
        return f"{MARKS[self.state]} {self.number} {self.title}: {self.state.value} · {tail}"

    def __str__(self) -> str:
        lines = [self.headline()]
        for finding in self.findings:
            lines.append(f"  {MARKS[finding.state]} {finding.name}")
            if not finding.holds:
                lines += [f"      {label:<8} {text}" for label, text in _details(finding)]
        lines += [f"  hint: {hint}" for hint in self.hints]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(_row(finding) for finding in self.findings)
        hints = "".join(f"<p {_HINT}>hint: {escape(hint)}</p>" for hint in self.hints)
        return _card(COLOURS[self.state], escape(self.headline()), rows, hints)


# Chosen to keep a contrast of 3:1 and more on a white and on a dark page.
COLOURS = {
    State.NOT_TRIED: "#7a828e", State.CONVERGING: "#b7791f", State.WRONG: "#d1453b", State.RIGHT: "#2c8f4f",
    State.BROKE: "#c2571a", State.UNCHECKED: "#6b7fd7",
}  # fmt: skip

# Styles stand in the elements: a notebook that is not trusted yet, and a page that is not Jupyter's, keep them so.
_LIST = "style='list-style:none;margin:.3em 0;padding:0'"
_GRID = "style='display:grid;grid-template-columns:max-content 1fr;gap:0 1em;margin:.1em 0 .4em 1.5em'"
_LABEL = "style='float:none;width:auto;margin:0;padding:0;font-weight:normal;opacity:.75'"
_VALUE = "style='float:none;width:auto;margin:0;padding:0;font-family:monospace;white-space:pre-wrap'"
_HINT = "style='margin:.3em 0;font-style:italic'"


def _card(colour: str, headline: str, rows: str, hints: str) -> str:
    """Return the card of a verdict: framed and tinted in its colour, which the mark and the word say as well."""
    frame = f"border:1px solid {colour}66;border-left:6px solid {colour};border-radius:8px;background:{colour}0f"
    return (
        f"<div class='labkit-verdict' role='status' style='{frame};padding:.5em 1em;margin:.4em 0;max-width:62em'>"
        f"<p style='margin:.1em 0'><strong>{headline}</strong></p><ul {_LIST}>{rows}</ul>{hints}</div>"
    )


def _details(finding: Finding) -> list[tuple[str, str]]:
    pairs = [("expected", finding.expected), ("found", finding.found), ("look", finding.look)]
    return [(label, text) for label, text in pairs if text]


def _row(finding: Finding) -> str:
    mark = f"<span style='color:{COLOURS[finding.state]}'>{MARKS[finding.state]}</span> {escape(finding.name)}"
    if finding.holds:
        return f"<li>{mark}</li>"
    details = "".join(f"<dt {_LABEL}>{label}</dt><dd {_VALUE}>{escape(text)}</dd>" for label, text in _details(finding))
    return f"<li>{mark}<dl {_GRID}>{details}</dl></li>"
