"""Steps as swim lanes: a lane for each component, time going down, an arrow into the API server for each write."""

from dataclasses import dataclass
from html import escape

from labkit.draw.card import CHARACTER, COLOURS, MARGIN, TOP, card
from labkit.draw.picture import Picture

API_SERVER = "API server"
TITLE = "who wrote what, in the order of cause and effect"
LANE, ROW = 98, 30  # pixels


@dataclass(frozen=True)
class Step:
    """What one component did to one or more objects of a kind."""

    actor: str
    words: str


def lanes(done: list[Step]) -> Picture:
    """Draw what was done, first to last."""
    words = f"{len(done)} step{'s' * (len(done) != 1)}, each a write to the API server" if done else "nothing yet"
    width = max((len(each.actor) for each in done), default=0)
    lines = [f"{TITLE} ({words})", *(f"  {each.actor:{width}}  {each.words}" for each in done)]
    return Picture(svg(done, words), "\n".join(lines))


def svg(done: list[Step], words: str) -> str:
    """Return the picture alone."""
    actors = list(dict.fromkeys([API_SERVER, *(each.actor for each in done)]))
    left = {actor: MARGIN + LANE * number + LANE / 2 for number, actor in enumerate(actors)}
    bottom = TOP + 34 + ROW * len(done)
    body = [_lane(actor, left[actor], bottom) for actor in actors]
    edge = MARGIN + LANE * len(actors)
    for number, each in enumerate(done):
        colour = COLOURS[(actors.index(each.actor) - 1) % len(COLOURS)]
        body.append(_write(number, each, (left[API_SERVER], left[each.actor], edge), colour))
    size = edge + max((len(each.words) for each in done), default=0) * CHARACTER + 40, bottom + 14
    return card(TITLE, words, "; ".join(f"{each.actor} {each.words}" for each in done), size, "".join(body), _STYLE)


def _lane(actor: str, x: float, bottom: float) -> str:
    first, _, last = actor.rpartition(" ")
    heads = [(first, TOP), (last, TOP + 15)] if first else [(last, TOP + 15)]
    label = "".join(f"<text class='head' x='{x:.0f}' y='{y}' text-anchor='middle'>{escape(w)}</text>" for w, y in heads)
    look = "rail" if actor == API_SERVER else "lane"
    return f"{label}<line class='{look}' x1='{x:.0f}' y1='{TOP + 26}' x2='{x:.0f}' y2='{bottom:.0f}'/>"


def _write(number: int, step: Step, places: tuple[float, float, float], colour: str) -> str:
    """Draw one step: who (a numbered disc), the arrow into the API server, and the words at the right."""
    server, actor, edge = places
    y = TOP + 46 + ROW * number
    head = server + 7
    return (
        f"<path class='write' stroke='{colour}' d='M{actor:.0f} {y}H{head:.0f}m7 -4l-7 4l7 4'/>"
        f"<circle cx='{actor:.0f}' cy='{y}' r='10' fill='{colour}'/>"
        f"<text class='number' x='{actor:.0f}' y='{y + 4}' text-anchor='middle'>{number + 1}</text>"
        f"<text x='{edge + 8:.0f}' y='{y + 4}'>{escape(step.words)}</text>"
    )


_STYLE = (
    ".head{font-size:12px;font-weight:600}.lane{stroke:#9aa3b5;stroke-dasharray:2 4}"
    ".rail{stroke:#6c7689;stroke-width:7}.write{fill:none;stroke-width:1.6}.number{fill:#fff;font-size:11px;font-weight:600}"
    "@media(prefers-color-scheme:dark){.number{fill:#fff}}"
)
