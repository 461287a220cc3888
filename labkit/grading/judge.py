"""The marks of one hand-in: the rubric against the cluster that it left behind, with the grader's own credentials.

What still converges is waited for, as long as its item allows. What the cluster could not be asked, and what waits for
an image that this cluster lacks, is "could not check": no points yet, and never a zero; a person marks it, or another
cluster. Status and spec items are looked at before the trials, which change what they try.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from labkit.api import Api
from labkit.checks import Grader, is_hopeless
from labkit.checks import hints as hints_of
from labkit.checks import judge as verdict_of
from labkit.errors import ClusterError
from labkit.rubric import Exercise, Item, Rubric
from labkit.trials.trial import Trials
from labkit.verdict import Finding, State

LOOK_SECONDS = 0.5
IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff")
RECHECKED = ("spec", "status")


def judge(api: Api, namespace: str, rubric: Rubric, answers: dict[str, Any]) -> list[dict[str, Any]]:
    """Look at every item of every exercise; return the exercises, each with its items' findings and points."""
    grader = Grader(api, namespace, rubric.lesson)
    lacking = images_lacking(api, namespace)
    with_trials = sorted(rubric.exercises.values(), key=lambda e: (bool(e.trials), e.number))
    found = [_exercise(grader, each, answers.get(each.number), lacking) for each in with_trials]
    return sorted(found, key=lambda e: str(e["number"]))


def _exercise(grader: Grader, exercise: Exercise, answer: Any, lacking: list[str]) -> dict[str, Any]:
    with grader.trials(exercise) as trials:
        findings = tuple(_settled(grader, item, answer, trials) for item in exercise.items)
    state = verdict_of(findings, was_right=False)
    if lacking and state is not State.RIGHT:
        findings = tuple(_unless_right(f, lacking) for f in findings)
        state = verdict_of(findings, was_right=False)
    hints = hints_of(exercise, findings, state)
    items = [_item(item, finding, state) for item, finding in zip(exercise.items, findings, strict=True)]
    about = {"number": exercise.number, "title": exercise.title, "state": state.value}
    return {**about, "hints": list(hints), "items": items}


def _settled(grader: Grader, item: Item, answer: Any, trials: Trials) -> Finding:
    """Look until the item no longer converges: it says itself how long that may last."""
    finding = grader.look(item, answer, trials)
    while finding.state is State.CONVERGING:
        threading.Event().wait(min(LOOK_SECONDS, finding.left))
        finding = grader.look(item, answer, trials)
    return finding


def _item(item: Item, finding: Finding, state: State) -> dict[str, Any]:
    """Return what is kept of an item; a guard that holds in what was never tried is no merit."""
    earned = finding.state is State.RIGHT and state is not State.NOT_TRIED
    points: float | None = item.points if earned else 0.0
    if finding.state is State.UNCHECKED:
        points = None
    return {
        "name": item.name, "type": item.type, "state": finding.state.value, "points": points, "of": item.points,
        "expected": finding.expected, "found": finding.found, "look": finding.look,
    }  # fmt: skip


def _unless_right(finding: Finding, lacking: list[str]) -> Finding:
    if finding.state is State.RIGHT:
        return finding
    said = f"this cluster lacks the image {', '.join(lacking)}: {finding.found}"
    return replace(finding, state=State.UNCHECKED, found=said, left=0.0)


def images_lacking(api: Api, namespace: str) -> list[str]:
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
