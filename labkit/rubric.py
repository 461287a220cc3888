"""A rubric: what a check looks at, as data that an instructor can edit (labkit/rubrics/NN_*.yaml, schema.json).

An exercise has items. An item picks objects (resource, select), reads a path in each and compares (operator, value),
or looks at the answer that the student gave (`answer`: as a value, or as a selector that is then tried on the cluster),
or reads what a trial found (`trial`; see labkit/trials/): then it is of type traffic, or of type perturb when the trial
does more than ask. An item of type manual is a person's to judge: no check looks at it.

    untried   what the starter shows: an item that still shows it has not been tried
    guard     must hold, but holds from the start: it does not tell whether the student has begun
    within    seconds in which a status item may still be converging

In select and value, {namespace} stands for the lesson's namespace. A rubric is checked when it is loaded; an error
names file, line and field.
"""

import json
import re
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from labkit.errors import LabError, RubricError
from labkit.paths import parse_path

FOLDER = Path(__file__).parent / "rubrics"
MANUAL = "manual"  # the type of what a person judges
TRIED = {True: "traffic", False: "perturb"}  # the type of an item, by whether its trial only asks


@dataclass(frozen=True)
class Hint:
    """A nudge for one state; `found` narrows it to what was seen (a regular expression)."""

    text: str
    when: str = "any"
    found: str = ""

    def fits(self, state: str, found: str) -> bool:
        """Tell whether it speaks about this state and what was found."""
        return self.when in ("any", state) and bool(re.search(self.found, found))


@dataclass(frozen=True)
class Item:
    """One thing that must hold."""

    name: str
    type: str
    operator: str = ""
    value: Any = None
    resource: str = ""
    select: dict[str, str] = field(default_factory=dict)
    answer: str = ""
    trial: str = ""
    path: str = ""
    of: str = "all"
    untried: dict[str, Any] | None = None
    guard: bool = False
    within: float = 30.0
    points: float = 1.0
    expected: str = ""
    look: str = ""
    hints: tuple[Hint, ...] = ()


@dataclass(frozen=True)
class Trial:
    """What is tried on the service: steps, a load beside them, and the seconds in which each step must settle."""

    name: str
    about: str
    steps: tuple[dict[str, Any], ...]
    load: dict[str, Any] | None = None
    within: float = 15.0

    @property
    def only_asks(self) -> bool:
        """Tell whether the trial leaves the service as it is."""
        return all("ask" in step for step in self.steps)


@dataclass(frozen=True)
class Exercise:
    """What `lab.check(number)` looks at; `leads`: Services, each with the selector of the pods that it must lead to."""

    number: str
    title: str
    items: tuple[Item, ...]
    hints: tuple[Hint, ...] = ()
    trials: dict[str, Trial] = field(default_factory=dict)
    leads: dict[str, str] = field(default_factory=dict)

    @property
    def checked(self) -> "Exercise":
        """The exercise without what a person judges."""
        return replace(self, items=tuple(item for item in self.items if item.type != MANUAL))


@dataclass(frozen=True)
class Rubric:
    """All exercises of one lesson."""

    lesson: str
    exercises: dict[str, Exercise]

    def exercise(self, number: str) -> Exercise:
        """Return one exercise; raises LabError naming those that there are."""
        if number in self.exercises:
            return self.exercises[number]
        raise LabError(
            f"lesson {self.lesson} has no exercise {number!r}", expected="one of " + ", ".join(sorted(self.exercises))
        )


def find(lesson: str, folder: Path = FOLDER) -> Path:
    """Return the file of a lesson's rubric; raises LabError when there is none."""
    files = sorted(folder.glob(f"{lesson}_*.yaml")) if lesson else []
    if files:
        return files[0]
    raise LabError(
        f"lesson {lesson!r} has no rubric", value=f"no {lesson}_*.yaml in {folder}", next_step='Lab(lesson="03")'
    )


@cache
def load(path: Path) -> Rubric:
    """Read and check a rubric; raises RubricError naming file, line and field."""
    node = _compose(path)
    data = yaml.safe_load(path.read_text()) or {}
    _check_schema(path, node, data)
    _check_meaning(path, node, data)
    return Rubric(data["lesson"], {number: _exercise(number, e) for number, e in data["exercises"].items()})


def _exercise(number: str, data: dict[str, Any]) -> Exercise:
    items = tuple(Item(**{**item, "hints": _hints(item)}) for item in data["items"])
    trials = {name: _trial(name, trial) for name, trial in (data.get("trials") or {}).items()}
    return Exercise(number, data["title"], items, _hints(data), trials, data.get("leads") or {})


def _trial(name: str, data: dict[str, Any]) -> Trial:
    return Trial(name, **{**data, "steps": tuple(data["steps"])})


def _hints(data: dict[str, Any]) -> tuple[Hint, ...]:
    return tuple(Hint(**hint) for hint in data.get("hints") or ())


def _compose(path: Path) -> Any:
    try:
        return yaml.compose(path.read_text())
    except yaml.YAMLError as error:
        raise RubricError(f"{path} is not YAML", value=str(error)) from None


def _check_schema(path: Path, node: Any, data: Any) -> None:
    from jsonschema import Draft202012Validator

    schema = json.loads((FOLDER / "schema.json").read_text())
    errors = Draft202012Validator(schema).iter_errors(data)
    # A misspelt field is two errors, unknown and missing: name the one that stands in the file.
    for error in sorted(errors, key=lambda e: e.validator != "additionalProperties"):
        raise _error(path, node, list(error.absolute_path), error.message)


def _check_meaning(path: Path, node: Any, data: dict[str, Any]) -> None:
    """Check what a schema cannot say: types of a later version, paths, something to look at."""
    for number, exercise in data["exercises"].items():
        for index, item in enumerate(exercise["items"]):
            where = ["exercises", number, "items", index]
            if item["type"] == MANUAL:
                continue
            if [bool(item.get("resource")), item.get("answer") == "value", "trial" in item].count(True) != 1:
                raise _error(path, node, where, "an item looks at a resource, at the answer's value, or at a trial")
            if item["type"] in TRIED.values() or "trial" in item:
                _check_trial(path, node, where, item, exercise.get("trials") or {})
            try:
                parse_path(item.get("path", ""))
            except LabError as error:
                raise _error(path, node, [*where, "path"], str(error)) from None


def _check_trial(path: Path, node: Any, where: list[Any], item: dict[str, Any], trials: dict[str, Any]) -> None:
    if item.get("trial") not in trials:
        there = ", ".join(trials) or "none"
        raise _error(path, node, where, f"no trial named {item.get('trial')!r}; this exercise has: {there}")
    kind = TRIED[_trial(item["trial"], trials[item["trial"]]).only_asks]
    if item["type"] != kind:
        raise _error(path, node, [*where, "type"], f"an item that reads the trial {item['trial']} is of type {kind}")


def _error(path: Path, node: Any, where: list[Any], message: str) -> RubricError:
    line = _line(node, where)
    field_name = ".".join(str(step) for step in where) or "the whole file"
    return RubricError(
        f"{path}:{line}: {field_name}: {message}", next_step="labkit/rubrics/schema.json says what may stand there"
    )


def _line(node: Any, where: list[Any]) -> int:
    """Find the line on which a field stands."""
    for step in where:
        if isinstance(node, yaml.MappingNode):
            node = next((v for k, v in node.value if k.value == str(step)), node)
        elif isinstance(node, yaml.SequenceNode):
            node = node.value[step]
    return node.start_mark.line + 1 if node is not None else 1
