"""Bars: how often each answer came. Counts differ from run to run; nbval_sanitize.cfg makes them alike."""

from collections import Counter
from collections.abc import Iterable
from html import escape

from labkit.draw.card import CHARACTER, COLOURS, MARGIN, TOP, card
from labkit.draw.picture import Picture

WIDEST = 48  # characters of an answer that are shown
LINE, LONGEST, BLOCKS = 30, 320, 36  # pixels: a bar's place, a bar that is everything; characters: the same


def bars(answers: Iterable[str], title: str) -> Picture:
    """Draw a bar for each answer, in the order of their names."""
    counts = sorted(Counter(shortened(answer) for answer in answers).items())
    total = sum(count for _, count in counts)
    words = f"{len(counts)} different among {total} answers"
    return Picture(svg(counts, total, title, words), text(counts, total, title, words))


def shortened(answer: str) -> str:
    """Return a long answer's beginning."""
    return answer if len(answer) <= WIDEST else f"{answer[: WIDEST - 1].rstrip()}…"


def text(counts: list[tuple[str, int]], total: int, title: str, words: str) -> str:
    """Write a line an answer."""
    widest = max((len(name) for name, _ in counts), default=0)
    lines = [f"  {name:{widest}}  {'█' * max(1, round(BLOCKS * count / total))} {count} of {total} answers"
             for name, count in counts]  # fmt: skip
    return "\n".join([f"{title} ({words})", *lines])


def svg(counts: list[tuple[str, int]], total: int, title: str, words: str) -> str:
    """Draw name, count and bar side by side."""
    first = MARGIN + max((len(name) for name, _ in counts), default=0) * CHARACTER + 16
    start = first + len(f"{total} of {total} answers") * CHARACTER + 8
    body = [
        f"<text class='name' x='{MARGIN}' y='{TOP + LINE * row + 15}'>{escape(name)}</text>"
        f"<text x='{first:.0f}' y='{TOP + LINE * row + 15}'>{count} of {total} answers</text>"
        f"<rect x='{start:.0f}' y='{TOP + LINE * row}' height='20' rx='3' fill='{COLOURS[2]}' class='bar' "
        f"width='{max(2, LONGEST * count / total):.0f}'/>"
        for row, (name, count) in enumerate(counts)
    ]
    told = "; ".join([words, *(f"{name}: {count} of {total} answers" for name, count in counts)])
    return card(title, words, told, (start + LONGEST + MARGIN, TOP + LINE * len(counts) + 8), "".join(body))
