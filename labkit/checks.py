"""Check an exercise: look at the cluster as a student does, compare with the rubric, say how it stands.

Reads through the API alone, and writes nothing but what a trial does and takes back. `lab.check` is advice to the
student; marking is another process's work.

From items to a verdict, in this order: could not check (the cluster did not answer: never the student's fault), right,
was right and broke again, not tried, still converging, wrong.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from labkit import rubric
from labkit.api import Api, Object
from labkit.errors import ApiFailure, ClusterError
from labkit.paths import find_values, parse_path
from labkit.rubric import Exercise, Item
from labkit.trials.trial import Trials
from labkit.verdict import Finding, State, Verdict
from labkit.wait import describe

__all__ = ["Grader", "State", "Verdict", "judge"]

MAX_HINTS = 3

# No time will cure these: a container that waits for one of these reasons is wrong, not converging.
HOPELESS = {
    "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CrashLoopBackOff", "CreateContainerConfigError",
    "CreateContainerError", "RunContainerError",
}  # fmt: skip


class Grader:
    """Checks one lesson's exercises in one namespace; remembers what was right, to say when it broke."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        lesson: str,
        *,
        rubrics: Path = rubric.FOLDER,
        clock: Callable[[], float] = time.time,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.api, self.namespace, self.lesson = api, namespace, lesson
        self.rubrics, self.clock, self.tell = rubrics, clock, tell
        self._was_right: set[str] = set()
        self._first_seen: dict[tuple[Any, ...], float] = {}

    def check(self, number: str, *, answer: object = None) -> Verdict:
        """Return how the exercise stands; raises LabError for an exercise that the lesson has not."""
        exercise = rubric.load(rubric.find(self.lesson, self.rubrics)).exercise(number).checked
        with self.trials(exercise) as trials:
            findings = tuple(self.look(item, answer, trials) for item in exercise.items)
        state = judge(findings, was_right=number in self._was_right)
        if state is State.RIGHT:
            self._was_right.add(number)
        return Verdict(number, exercise.title, state, findings, hints(exercise, findings, state))

    def titles(self) -> dict[str, str]:
        """Return the lesson's exercises, each with its title."""
        exercises = rubric.load(rubric.find(self.lesson, self.rubrics)).exercises
        return {number: exercise.title for number, exercise in sorted(exercises.items())}

    def trials(self, exercise: Exercise) -> Trials:
        """Return the exercise's trials, none run yet; `tell` hears of each that is run."""
        return Trials(self.api, self.namespace, exercise.trials, self.tell, exercise.leads)

    def look(self, item: Item, answer: object = None, trials: Trials | None = None) -> Finding:
        """Look at one item; what keeps us from looking is a finding too. A trial's item needs the exercise's trials."""
        item = fill_in(item, self.namespace)
        try:
            if item.trial and trials:
                return judge_trial(item, trials.result(item.trial))
            return self._looked(item, answer)
        except ClusterError as error:
            if isinstance(error, ApiFailure) and error.code == 400 and item.answer:
                return _finding(item, State.WRONG, error.what)  # the API refused the student's selector: its words
            return _finding(item, State.UNCHECKED, str(error).replace("\n", " "))

    def _looked(self, item: Item, answer: object) -> Finding:
        if item.answer and is_blank(answer):
            return _finding(item, State.NOT_TRIED, "no answer yet")
        objects = [] if item.answer == "value" else self._objects(item, answer)
        seen = Seen([answer], ["your answer"]) if item.answer == "value" else see(item, objects)
        if compare(item.operator, item.value, seen, item.of):
            return _finding(item, State.RIGHT, seen.text())
        if _is_untried(item, seen, objects):
            return _finding(item, State.NOT_TRIED, seen.text())
        left = self._seconds_left(item, objects)
        return _finding(item, State.CONVERGING if left > 0 else State.WRONG, self._found(item, seen, objects), left)

    def _objects(self, item: Item, answer: object) -> list[Object]:
        label_selector = str(answer) if item.answer == "labelSelector" else item.select.get("labelSelector", "")
        field_selector = str(answer) if item.answer == "fieldSelector" else item.select.get("fieldSelector", "")
        namespace = item.select.get("namespace", self.namespace)
        if name := item.select.get("name"):
            found = self.api.get(item.resource, name, namespace)
            return [found] if found else []
        return self.api.items(item.resource, namespace, label_selector=label_selector, field_selector=field_selector)

    def _found(self, item: Item, seen: "Seen", objects: list[Object]) -> str:
        if item.type == "status" and objects:
            return "; ".join(describe(o) for o in objects)
        return seen.text()

    def _seconds_left(self, item: Item, objects: list[Object]) -> float:
        """Return how long a status may still take: from creation, or from when this generation was first seen."""
        if item.type != "status" or not objects or any(is_hopeless(o) for o in objects):
            return 0.0
        return max(0.0, max(self._begun(o) for o in objects) + item.within - self.clock())

    def _begun(self, obj: Object) -> float:
        meta = obj["metadata"]
        if meta.get("generation", 1) == 1 and not meta.get("deletionTimestamp"):
            return datetime.fromisoformat(meta["creationTimestamp"]).timestamp()
        key = (meta["uid"], meta.get("generation"), meta.get("deletionTimestamp"))
        return self._first_seen.setdefault(key, self.clock())


def judge_trial(item: Item, found: Object) -> Finding:
    """Compare what a trial found; what kept it from going on counts as found."""
    seen = see(item, [found])
    step = find_values(found, parse_path(item.path)[:1])
    said = step[0]["said"] if step else found.get("trouble", seen.text())
    if compare(item.operator, item.value, seen, item.of):
        return _finding(item, State.RIGHT, said)
    untried = found.get("nothing") or _is_untried(item, seen, [found])
    return _finding(item, State.NOT_TRIED if untried else State.WRONG, said)


@dataclass(frozen=True)
class Seen:
    """The values that an item's path gave, each with where it was; `names` are the objects looked at."""

    values: list[Any]
    where: list[str]
    names: tuple[str, ...] = ()
    path: str = ""

    def text(self) -> str:
        """Say what was seen, in a line."""
        if not self.path and self.where != ["your answer"]:
            return f"{len(self.names)}: {', '.join(self.names)}" if self.names else "nothing"
        if not self.values:
            return f"{self.path} is absent" if self.names else "no such object"
        return ", ".join(f"{show(v)} ({w})" for v, w in zip(self.values, self.where, strict=True))


def see(item: Item, objects: list[Object]) -> Seen:
    """Read the item's path in each object; an object without it gives None, so that "all" means all."""
    steps = parse_path(item.path)
    values, where = [], []
    for obj in objects:
        name = f"{obj.get('kind', item.resource).lower()}/{obj['metadata']['name']}"
        for value in find_values(obj, steps) or [None]:
            values.append(value)
            where.append(name)
    return Seen(values, where, tuple(o["metadata"]["name"] for o in objects), item.path)


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "exists": lambda found, _: found is not None,
    "absent": lambda found, _: found is None,
    "equals": lambda found, value: found == value,
    "notEquals": lambda found, value: found != value,
    "in": lambda found, value: found in value,
    "notIn": lambda found, value: found not in value,
    "matches": lambda found, value: found is not None and re.fullmatch(value, str(found)) is not None,
    "contains": lambda found, value: _contains(found, value),
    "atLeast": lambda found, value: _is_number(found) and found >= value,
    "atMost": lambda found, value: _is_number(found) and found <= value,
}

COUNTERS: dict[str, Callable[[tuple[str, ...], Any], bool]] = {
    "count": lambda names, value: len(names) == value,
    "countAtLeast": lambda names, value: len(names) >= value,
    "countAtMost": lambda names, value: len(names) <= value,
    "names": lambda names, value: sorted(names) == sorted(value),
}


def compare(operator: str, value: Any, seen: Seen, of: str = "all") -> bool:
    """Tell whether what was seen is as the item wants it.

    An empty selection satisfies counts, and "absent" of objects; an absent field is one of an object that is there.
    """
    if operator in COUNTERS:
        return COUNTERS[operator](seen.names, value)
    results = [OPERATORS[operator](found, value) for found in seen.values]
    if not results:
        return operator == "absent" and not seen.path
    return all(results) if of == "all" else any(results)


def judge(findings: tuple[Finding, ...], *, was_right: bool) -> State:
    """Make one verdict of all findings; a guard holds from the start and so does not tell whether one has begun."""
    states = {f.state for f in findings}
    if State.UNCHECKED in states:
        return State.UNCHECKED
    if states == {State.RIGHT}:
        return State.RIGHT
    if was_right:
        return State.BROKE
    if all(f.state is State.NOT_TRIED for f in findings if not f.guard) and not any(
        f.state is State.WRONG for f in findings
    ):
        return State.NOT_TRIED
    if states <= {State.RIGHT, State.CONVERGING}:
        return State.CONVERGING
    return State.WRONG


def hints(exercise: Exercise, findings: tuple[Finding, ...], state: State) -> tuple[str, ...]:
    """Choose at most three hints that fit the state found."""
    chosen = []
    for item, finding in zip(exercise.items, findings, strict=True):
        if finding.state in (State.RIGHT, State.UNCHECKED):
            continue
        chosen += [h.text for h in item.hints if h.fits(_hint_state(finding.state, state), finding.found)]
    if state not in (State.RIGHT, State.UNCHECKED):
        seen = "\n".join(f.found for f in findings)
        chosen += [h.text for h in exercise.hints if h.fits(_hint_state(state, state), seen)]
    return tuple(dict.fromkeys(chosen))[:MAX_HINTS]


def _hint_state(finding: State, whole: State) -> str:
    if whole is State.BROKE:
        return "broke"
    return {State.NOT_TRIED: "missing", State.CONVERGING: "converging"}.get(finding, "wrong")


def fill_in(item: Item, namespace: str) -> Item:
    """Put the namespace in for {namespace}."""

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{namespace}", namespace)
        return [fill(v) for v in value] if isinstance(value, list) else value

    select = {key: fill(value) for key, value in item.select.items()}
    return replace(item, select=select, value=fill(item.value), look=fill(item.look), expected=fill(item.expected))


def is_blank(answer: object) -> bool:
    """Tell whether nothing was answered: None, "", "..." or Ellipsis."""
    return answer is None or answer is ... or (isinstance(answer, str) and answer.strip() in ("", "...", "…"))


def is_hopeless(obj: Object) -> bool:
    """Tell whether a container of the pod waits for what time does not cure."""
    statuses = (obj.get("status") or {}).get("containerStatuses") or []
    return any((s.get("state") or {}).get("waiting", {}).get("reason") in HOPELESS for s in statuses)


def show(value: Any) -> str:
    """Write a value as YAML readers know it."""
    return {None: "absent", True: "true", False: "false"}.get(value, str(value)) if _is_plain(value) else str(value)


def _is_untried(item: Item, seen: Seen, objects: list[Object]) -> bool:
    if item.answer:
        return False
    if not objects:
        return True
    return item.untried is not None and compare(item.untried["operator"], item.untried.get("value"), seen, "all")


def _finding(item: Item, state: State, found: str, left: float = 0.0) -> Finding:
    expected = item.expected or expectation(item)
    look = item.look or where_to_look(item)
    return Finding(item.name, state, expected, found, look, left, item.guard, item.points)


def expectation(item: Item) -> str:
    """Say what an item wants, from its operator and value."""
    subject = item.path or item.resource or "your answer"
    if item.operator in ("exists", "absent"):
        return f"{subject} {'is there' if item.operator == 'exists' else 'is absent'}"
    words = {
        "equals": "is", "notEquals": "is not", "in": "is one of", "notIn": "is none of", "matches": "matches",
        "contains": "contains", "atLeast": "is at least", "atMost": "is at most", "count": "number exactly",
        "countAtLeast": "number at least", "countAtMost": "number at most", "names": "are exactly",
    }  # fmt: skip
    value = ", ".join(map(show, item.value)) if isinstance(item.value, list) else show(item.value)
    return f"{subject} {words[item.operator]} {value}"


def where_to_look(item: Item) -> str:
    """Return the kubectl command that shows what the item looks at."""
    if item.answer == "value" or not item.resource:
        return ""
    words = ["kubectl get", item.resource, item.select.get("name", "")]
    words += [f"-l '{item.select['labelSelector']}'"] if "labelSelector" in item.select else []
    words += [f"-n {item.select['namespace']}"] if "namespace" in item.select else []
    words += ["--show-labels"] if item.path.startswith(".metadata.labels") else ["-o yaml"] if item.path else []
    return " ".join(word for word in words if word)


def _contains(found: Any, value: Any) -> bool:
    if isinstance(found, dict) and isinstance(value, dict):
        return all(found.get(key) == wanted for key, wanted in value.items())
    return found is not None and value in found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, str))
