"""The marks as pages that need nothing else: one a student (feedback/NAME.html), one of the class (index.html).

A page shows what was judged, what the cluster looked like when the run had ended (from the objects that were kept), and
what only a person should weigh: differing outputs, similar answers. Pictures are images with their text twin beside.
"""

import base64
import math
import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labkit.draw import Draw, Picture
from labkit.draw.bars import bars
from labkit.errors import ClusterError
from labkit.grading import kept
from labkit.grading.results import Result, total
from labkit.grading.worker import write_whole
from labkit.predict import spelled_alike
from labkit.rubric import Rubric
from labkit.verdict import COLOURS, MARKS, State

MOST_EVENTS = 40
STATES = [State.RIGHT, State.CONVERGING, State.WRONG, State.NOT_TRIED, State.UNCHECKED]


def write(out: Path, rubric: Rubric, results: list[Result], alike: list[dict[str, Any]]) -> None:
    """Write all pages."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    pages = Environment(
        loader=PackageLoader("labkit.grading", "."), autoescape=select_autoescape(default=True), trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    pages.globals |= {
        "mark": mark,
        "colour": colour,
        "total": total,
        "of": worth,
        "so_far": so_far,
        "plain": "{:g}".format,
    }
    one, whole = pages.get_template("feedback.html.j2"), pages.get_template("class.html.j2")
    for result in results:
        shown = cluster(out, result)
        write_whole(out / "feedback" / f"{result['student']}.html", one.render(r=result, **shown))
    shown = {
        "lesson": rubric.lesson, "results": results, "similar": alike, "exercises": sorted(rubric.exercises),
        "items": difficulty(results), "bars": distribution(results), "figures": figures(results),
        "times": times(results), "predictions": predictions(results),
    }  # fmt: skip
    write_whole(out / "index.html", whole.render(**shown))


def mark(state: str) -> str:
    """Return a state's sign."""
    return MARKS[State(state)]


def colour(state: str) -> str:
    """Return a state's colour."""
    return COLOURS[State(state)]


def worth(result: Result, number: str = "") -> tuple[float | None, float]:
    """Return the points that a hand-in has of those there are, in all or in one exercise; None when some are open."""
    items = [item for e in result["exercises"] if number in ("", e["number"]) for item in e["items"]]
    points = [item["points"] for item in items]
    return None if None in points else sum(points), sum(item["of"] for item in items)


def so_far(result: Result) -> float:
    """Return the points that do not wait for anybody."""
    return float(sum(item["points"] or 0 for e in result["exercises"] for item in e["items"]))


def cluster(out: Path, result: Result) -> dict[str, Any]:
    """Return what the hand-in's cluster looked like: pictures and events."""
    try:
        held = kept.read(out / "objects" / f"{result['student']}.json.gz")
        mine = [name for name in namespaces(held) if name.startswith(result["namespace"])]
        return {
            "pictures": [image(p) | {"of": name} for name in mine for p in pictures(held, name)],
            "events": events(held, mine),
        }
    except ClusterError:
        return {"pictures": [], "events": []}
    except Exception as error:  # a hand-in's objects may be such as no picture was made for
        return {"pictures": [], "events": [], "unseen": f"{type(error).__name__}: {error}"}


def namespaces(held: kept.Kept) -> list[str]:
    return [o["metadata"]["name"] for o in held.items("namespaces")]


def pictures(held: kept.Kept, name: str) -> Iterator[Picture]:
    """Draw what there is to be seen in a namespace: owners, services, volumes, policies."""
    draw = Draw(held, name)  # type: ignore[arg-type]  # reads alone
    if held.items("pods", name) or held.items("deployments", name):
        yield draw.owners()
    if held.items("services", name):
        yield draw.services()
    if held.items("persistentvolumeclaims", name):
        yield draw.volumes()
    if held.items("networkpolicies", name):
        yield draw.policies()


def image(picture: Picture) -> dict[str, str]:
    """Return a picture as an image's address, which no style or script can leave, and its words."""
    return {"src": f"data:image/svg+xml;base64,{base64.b64encode(picture.svg.encode()).decode()}", "text": picture.text}


def events(held: kept.Kept, names: list[str]) -> list[dict[str, Any]]:
    """Return the last events, oldest first: when, kind, reason, about what, words, how often."""
    found = [
        {
            "at": e.get("lastTimestamp") or e.get("eventTime") or e["metadata"].get("creationTimestamp") or "",
            "type": e.get("type", ""), "reason": e.get("reason", ""), "message": e.get("message", ""),
            "about": "/".join((e["involvedObject"].get("kind", "").lower(), e["involvedObject"].get("name", ""))),
            "count": e.get("count") or 1,
        }
        for name in names for e in held.items("events", name)
    ]  # fmt: skip
    return sorted(found, key=lambda e: (e["at"], e["about"], e["message"]))[-MOST_EVENTS:]


def difficulty(results: list[Result]) -> list[dict[str, Any]]:
    """Return how many stand how at each item, hardest first; what could not be checked says nothing of difficulty."""
    seen: dict[tuple[str, str], Counter[str]] = {}
    for result in results:
        for exercise in result["exercises"]:
            for item in exercise["items"]:
                seen.setdefault((exercise["number"], item["name"]), Counter())[item["state"]] += 1
    items = [{"number": number, "name": name, "right": count[State.RIGHT.value],
              "of": sum(count.values()) - count[State.UNCHECKED.value],
              "states": [(s.value, count[s.value]) for s in STATES if count[s.value]]}
             for (number, name), count in seen.items()]  # fmt: skip
    return sorted(items, key=lambda i: (i["right"] / i["of"] if i["of"] else 1.0, i["number"], i["name"]))


def distribution(results: list[Result]) -> list[tuple[str, int]]:
    """Return how many have how many points, in as many as ten steps from none to all."""
    points = [t for t in map(total, results) if t is not None]
    return steps(points, 0.0, max((worth(r)[1] for r in results), default=0.0), 10, "{:g} to {:g}")


def times(results: list[Result]) -> list[tuple[str, int]]:
    """Return how many hand-ins took how many seconds."""
    seconds = [float(r["seconds"]) for r in results if r["seconds"]]
    return steps(seconds, min(seconds, default=0.0), max(seconds, default=0.0), 8, "{:.0f} to {:.0f} s")


def steps(values: list[float], low: float, high: float, most: int, write: str) -> list[tuple[str, int]]:
    """Count values in steps of equal width, at least 1; what is at the end counts with the last."""
    if not values:
        return []
    width = max(1.0, (high - low) / most)
    last = max(1, math.ceil((high - low) / width))
    places = Counter(min(int((value - low) / width), last - 1) for value in values)
    return [(write.format(low + n * width, low + (n + 1) * width), places[n]) for n in range(last)]


def predictions(results: list[Result]) -> list[dict[str, str]]:
    """Return a histogram a prediction: what the class expected."""
    found: dict[str, list[str]] = {}
    for result in results:
        for number, answer in result.get("predictions", {}).items():
            found.setdefault(number, []).append(answer)
    return [image(bars(spelled_alike(found[n]), f"what was expected in {n}")) for n in sorted(found)]


def figures(results: list[Result]) -> dict[str, float]:
    """Return mean and median of the points, and the median of the seconds."""
    points = [t for t in map(total, results) if t is not None] or [0.0]
    seconds = [r["seconds"] for r in results] or [0.0]
    return {"mean": statistics.mean(points), "median": statistics.median(points), "seconds": statistics.median(seconds)}
