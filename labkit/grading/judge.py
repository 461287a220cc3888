"""The marks of one hand-in: the rubric against the cluster that it left behind, with the grader's own credentials.

What still converges is waited for, as long as its item allows. Spec and status items of all exercises are looked at
before the first trial, since trials change what they try; between the two the cluster's objects are kept.

What the cluster could not be asked, and what waits for an image that this cluster lacks, is "could not check": no
points yet, and never a zero; a person marks it, or another cluster. What came after in the notebook may have failed for
it too, so all that is not right is open; but for an item that judges the image itself.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from labkit.checks import Grader, is_hopeless
from labkit.checks import hints as hints_of
from labkit.checks import judge as verdict_of
from labkit.errors import ClusterError
from labkit.rubric import MANUAL, Exercise, Item, Rubric
from labkit.trials.faults import ROLLS_OUT, is_rolled_out
from labkit.trials.probe import is_unschedulable
from labkit.verdict import Finding, State

LOOK_SECONDS, SETTLE_SECONDS = 0.5, 30.0
IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff")
LACKS = "the grading cluster lacks the image"
RERUN = "its trial is new or has changed: only another run can tell"
Findings = dict[tuple[str, int], Finding]  # by exercise and the item's place in it


def settle(api: Any, namespace: str, seconds: float = SETTLE_SECONDS) -> None:
    """Wait until what the hand-in rolls out is there: its last cell may not have; never for what no time cures."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        owners = [each for kind in ROLLS_OUT for each in api.items(f"{kind.lower()}s", namespace)]
        stuck = any(is_hopeless(pod) or is_unschedulable(pod) for pod in api.items("pods", namespace))
        if stuck or all(map(is_rolled_out, owners)):
            return
        threading.Event().wait(LOOK_SECONDS)


def judge(api: Any, namespace: str, rubric: Rubric, answers: dict[str, Any],
          keep: Callable[[], None] = lambda: None) -> list[dict[str, Any]]:  # fmt: skip
    """Look at every item of every exercise; return the exercises, each with its items' findings and points."""
    grader = Grader(api, namespace, rubric.lesson)
    exercises = sorted(rubric.exercises.values(), key=lambda e: e.number)
    found = {
        (e.number, place): _settled(grader, item, answers.get(e.number))
        for e in exercises
        for place, item in enumerate(e.items)
        if not item.trial and item.type != MANUAL
    }
    lacking = images_lacking(api, namespace)
    keep()
    for e in exercises:
        found |= _tried(grader, e)
    return [weigh(e, found, lacking) for e in exercises]


def _settled(grader: Grader, item: Item, answer: Any) -> Finding:
    """Look until the item no longer converges: it says itself how long that may last."""
    finding = grader.look(item, answer)
    while finding.state is State.CONVERGING:
        threading.Event().wait(min(LOOK_SECONDS, finding.left))
        finding = grader.look(item, answer)
    return finding


def _tried(grader: Grader, exercise: Exercise) -> Findings:
    places = [(place, item) for place, item in enumerate(exercise.items) if item.trial]
    with grader.trials(exercise) as trials:
        return {(exercise.number, place): grader.look(item, trials=trials) for place, item in places}


def recheck(kept: Any, namespace: str, rubric: Rubric, result: dict[str, Any]) -> list[dict[str, Any]]:
    """Judge again after a change of the rubric, from the objects that were kept.

    An item that is defined as before keeps its finding: what it was looked at has not changed.
    """
    grader = Grader(kept, namespace, rubric.lesson, clock=lambda: float("inf"))  # nothing converges any more
    lacking = images_lacking(kept, namespace)
    before = {(e["number"], i["defined"]): i for e in result["exercises"] for i in e["items"]}
    exercises = sorted(rubric.exercises.values(), key=lambda e: e.number)
    found: Findings = {}
    for e in exercises:
        for place, item in enumerate(e.items):
            if former := before.get((e.number, definition(e, item))):
                found[e.number, place] = replace(
                    _blank(item), state=State(former["state"]), found=former["found"], expected=former["expected"]
                )
            elif item.trial:
                found[e.number, place] = replace(_blank(item), found=RERUN)
            elif item.type != MANUAL:
                found[e.number, place] = grader.look(item, result.get("answers", {}).get(e.number))
    return [weigh(e, found, lacking) for e in exercises]


def weigh(exercise: Exercise, found: Findings, lacking: list[str]) -> dict[str, Any]:
    """Make verdict, hints and points of what was found."""
    findings = tuple(found.get((exercise.number, place)) or _blank(item) for place, item in enumerate(exercise.items))
    checked = tuple(f for f, i in zip(findings, exercise.items, strict=True) if i.type != MANUAL)
    state = verdict_of(checked, was_right=False) if checked else State.UNCHECKED
    if lacking and state is not State.RIGHT:
        findings = tuple(_unless_right(f, i, lacking) for f, i in zip(findings, exercise.items, strict=True))
        checked = tuple(f for f, i in zip(findings, exercise.items, strict=True) if i.type != MANUAL)
        state = verdict_of(checked, was_right=False)
    return {
        "number": exercise.number, "title": exercise.title, "state": state.value,
        "hints": list(hints_of(exercise.checked, checked, state)),
        "items": [_item(exercise, i, f, state) for i, f in zip(exercise.items, findings, strict=True)],
    }  # fmt: skip


def unjudged(rubric: Rubric, why: str, points: float | None) -> list[dict[str, Any]]:
    """Return the exercises of a hand-in that could not be judged: None for the points that a person gives."""
    state = State.UNCHECKED if points is None else State.NOT_TRIED
    return [
        {"number": e.number, "title": e.title, "state": state.value, "hints": [],
         "items": [_item(e, i, replace(_blank(i), state=state, found=why), state) for i in e.items]}
        for e in sorted(rubric.exercises.values(), key=lambda e: e.number)
    ]  # fmt: skip


def _blank(item: Item) -> Finding:
    return Finding(item.name, State.UNCHECKED, item.expected, "a person judges this", item.look, 0.0, item.guard)


def _item(exercise: Exercise, item: Item, finding: Finding, state: State) -> dict[str, Any]:
    """Return what is kept of an item; a guard that holds in what was never tried is no merit."""
    earned = finding.state is State.RIGHT and state is not State.NOT_TRIED
    points: float | None = item.points if earned else 0.0
    if finding.state is State.UNCHECKED and item.points:
        points = None
    return {
        "name": item.name, "type": item.type, "state": finding.state.value, "points": points, "of": item.points,
        "expected": finding.expected, "found": finding.found, "look": finding.look,
        "defined": definition(exercise, item),
    }  # fmt: skip


def definition(exercise: Exercise, item: Item) -> str:
    """Return what tells an item's meaning from another's: all but its points and its words."""
    plain = replace(item, points=0, expected="", look="", hints=(), guard=False)
    trial = exercise.trials.get(item.trial)
    return hashlib.sha256(repr((plain, trial and replace(trial, about=""))).encode()).hexdigest()[:16]


def _unless_right(finding: Finding, item: Item, lacking: list[str]) -> Finding:
    if item.path.endswith(".image") or finding.state in (State.RIGHT, State.UNCHECKED):
        return finding
    said = f"{LACKS} {', '.join(lacking)}: {finding.found}"
    return replace(finding, state=State.UNCHECKED, found=said, left=0.0)


def images_lacking(api: Any, namespace: str) -> list[str]:
    """Return the images that pods of the namespace wait for in vain."""
    try:
        pods = api.items("pods", namespace)
    except ClusterError:
        return []
    return sorted({image for pod in pods if is_hopeless(pod) for image in _waited_for(pod)})


def _waited_for(pod: dict[str, Any]) -> Iterator[str]:
    for status in pod["status"].get("containerStatuses") or []:
        if (status.get("state") or {}).get("waiting", {}).get("reason") in IMAGE_REASONS:
            yield status["image"]


def read_answers(file: Path) -> dict[str, Any]:
    """Return the last answer to each exercise; what the hand-in wrote there besides is passed over."""
    found: dict[str, Any] = {}
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        try:
            entry = json.loads(line)
            found[str(entry["exercise"])] = entry["answer"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return found
