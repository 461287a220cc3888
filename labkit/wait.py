"""Wait for the cluster: list, then watch from there, until what is named holds. Nothing is polled.

Prints two lines, the same on every run: what is waited for and how long that usually takes, and that it is so. Between
them, where somebody looks on, the seconds go by (progress.py).
When the time is over, WaitTimeout tells what was seen last (state, reason, latest events) and where to look.

Conditions: a condition's type (Ready, Available, PodScheduled), a pod's phase (Running, Succeeded), Exists, Deleted,
or PATH=VALUE with PATH as kubectl's jsonpath without braces, e.g. ".status.readyReplicas=3". A number before it, as in
"3 Ready", asks that there are exactly so many: right after a change that a controller has yet to answer, "Ready" alone
may still hold.

Upstream: staging/src/k8s.io/kubectl/pkg/cmd/wait/wait.go
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from labkit.api import Api, Object
from labkit.errors import ApiFailure, LabError, WaitTimeout
from labkit.paths import find_values, parse_path
from labkit.progress import elapsed
from labkit.say import say

COUNTED = re.compile(r"(\d+) (\S+)")
PHASES = ("Pending", "Running", "Succeeded", "Failed", "Active", "Terminating")

# What is usual, as a student is told before a wait; the first line that fits holds.
USUAL = {
    ("pod", "Ready"): "a second or two; longer when an image must be fetched",
    ("pod", "Deleted"): "a second or two; up to 30 s when the program ignores SIGTERM",
    ("deployment", "Available"): "a second or two a pod",
    ("namespace", "Deleted"): "a few seconds",
}


@dataclass(frozen=True)
class Target:
    """What is waited for: one object by name, or all of a kind that a selector picks."""

    resource: str
    name: str = ""
    selector: str = ""

    def __str__(self) -> str:
        return f"{self.resource}/{self.name}" if self.name else f"{self.resource} {self.selector}".rstrip()

    def selectors(self) -> dict[str, str]:
        """Return the query that lists exactly these objects."""
        return {"field_selector": f"metadata.name={self.name}"} if self.name else {"label_selector": self.selector}


@dataclass(frozen=True)
class Condition:
    """A name and a test over the objects found."""

    text: str
    holds: Callable[[list[Object]], bool]

    def sentence(self) -> str:
        """Say it after "is" or "are": "Ready", "gone", ".status.replicas=3", "3, all Ready"."""
        if counted := COUNTED.fullmatch(self.text):
            return counted[1] if counted[2] == "Exists" else f"{counted[1]}, all {counted[2]}"
        return {"Deleted": "gone", "Exists": "there"}.get(self.text, self.text)


class Waiter:
    """Waits in one namespace; `clock` gives seconds."""

    def __init__(self, api: Api, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.api, self.namespace, self.clock = api, namespace, clock

    def wait(self, target: str, condition: str, *, timeout: float = 60, namespace: str | None = None) -> None:
        """Wait and say so in two lines; raises WaitTimeout, or LabError when target or condition make no sense."""
        what, until = parse_target(target), parse_condition(condition)
        words = f"{what} {'is' if what.name else 'are'} {until.sentence()}"
        say(f"• waiting until {words} ({usual(what, until)}; at most {timeout:g} s)")
        self.until(what, until, timeout=timeout, namespace=namespace or self.namespace)
        say(f"✓ {words}")

    def gone(self, resource: str, name: str, *, timeout: float) -> None:
        """Wait, without a word, until the object is no more."""
        self.until(Target(resource, name), parse_condition("Deleted"), timeout=timeout, namespace=self.namespace)

    def until(self, target: Target, condition: Condition, *, timeout: float, namespace: str) -> None:
        """Return when the condition holds; raises WaitTimeout after `timeout` seconds."""
        deadline = self.clock() + timeout
        seen: list[Object] = []
        with elapsed(timeout):
            for seen in self._states(target, namespace, deadline):
                if condition.holds(seen):
                    return
        raise self._timeout(target, condition, timeout, namespace, seen)

    def _states(self, target: Target, namespace: str, deadline: float) -> Iterator[list[Object]]:
        """Yield the objects, then again after each change, until the deadline; lists again when a watch ends."""
        while True:
            found = self.api.list(target.resource, namespace, **target.selectors())
            state = {o["metadata"]["uid"]: o for o in found.get("items") or []}
            yield list(state.values())
            left = deadline - self.clock()
            if left <= 0:
                return
            for event, obj in self._changes(target, namespace, found["metadata"]["resourceVersion"], left):
                if event == "DELETED":
                    state.pop(obj["metadata"]["uid"], None)
                else:
                    state[obj["metadata"]["uid"]] = obj
                yield list(state.values())
                if self.clock() >= deadline:
                    return

    def _changes(self, target: Target, namespace: str, since: str, seconds: float) -> Iterator[tuple[str, Object]]:
        try:
            for event, obj in self.api.watch(
                target.resource, namespace, since=since, seconds=seconds, **target.selectors()
            ):
                if event != "BOOKMARK":
                    yield event, obj
        except ApiFailure as failure:
            if failure.code != 410:  # compacted meanwhile: list again
                raise

    def _timeout(
        self, target: Target, condition: Condition, timeout: float, namespace: str, seen: list[Object]
    ) -> WaitTimeout:
        lines = [describe(o) for o in seen] or [f"no {target.resource} of that name or label in namespace {namespace}"]
        names = {o["metadata"]["name"] for o in seen} or ({target.name} if target.name else set())
        lines += latest_events(self.api, namespace, names)
        look = f"kubectl describe {target.resource} {target.name or '-l ' + target.selector}"
        return WaitTimeout(
            f"{target} {'is' if target.name else 'are'} not {condition.sentence()} after {timeout:g} s",
            value="\n            ".join(lines),
            next_step=f"{look} -n {namespace}; kubectl get events -n {namespace}",
        )


def parse_target(text: str) -> Target:
    """Read "pod/web" or "pods app=web,tier!=db"; raises LabError for anything else."""
    if " " in text.strip():
        resource, _, selector = text.strip().partition(" ")
        return Target(resource, selector=selector.strip().removeprefix("-l").strip())
    resource, slash, name = text.strip().partition("/")
    if not slash or not name:
        raise LabError("this names nothing to wait for", value=repr(text), expected='"pod/NAME" or "pods LABEL=VALUE"')
    return Target(resource, name)


def parse_condition(text: str) -> Condition:
    """Turn a condition's text into a test; raises LabError for a path that cannot be read."""
    if counted := COUNTED.fullmatch(text):
        each, number = parse_condition(counted[2]), int(counted[1])
        return Condition(text, lambda objects: len(objects) == number and each.holds(objects))
    if text == "Deleted":
        return Condition(text, lambda objects: not objects)
    if text == "Exists":
        return Condition(text, bool)
    if text in PHASES:
        return Condition(text, _all(lambda o: (o.get("status") or {}).get("phase") == text))
    if "=" in text:
        path, _, value = text.partition("=")
        steps = parse_path(path)
        return Condition(text, _all(lambda o: value in [_text(v) for v in find_values(o, steps)]))
    return Condition(text, _all(lambda o: _is_true(o, text)))


def usual(target: Target, condition: Condition) -> str:
    """Say how long such a wait usually is."""
    return USUAL.get((target.resource.removesuffix("s"), condition.text.split()[-1]), "a few seconds")


def describe(obj: Object) -> str:
    """Say in one line how an object stands: phase, reasons of containers that wait, conditions not as they should be.

    A condition should be true, but for what still keeps a namespace that is to go (NamespaceContentRemaining …).
    """
    status = obj.get("status") or {}
    words = [f"{obj.get('kind', 'object').lower()}/{obj['metadata']['name']}"]
    words += [status["phase"]] if status.get("phase") else []
    for c in status.get("containerStatuses") or []:
        for state, detail in (c.get("state") or {}).items():
            if state != "running":
                words.append(f"container {c['name']} {state}: {detail.get('reason', '?')} {detail.get('message', '')}")
    for c in status.get("conditions") or []:
        if (c.get("status") != "True" or c["type"].endswith("Remaining")) and c.get("message"):
            words.append(f"{c['type']}: {c['message']}")
    return " · ".join(w.strip() for w in words)


def latest_events(api: Api, namespace: str, names: set[str], *, limit: int = 3) -> list[str]:
    """Return the newest events of these objects, oldest first, a line each."""
    try:
        events = api.items("events", namespace)
    except ApiFailure:
        return []
    about = [e for e in events if (e.get("involvedObject") or {}).get("name") in names]
    about.sort(key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "")
    return [f"event {e.get('type')} {e.get('reason')}: {e.get('message')}" for e in about[-limit:]]


def _all(test: Callable[[Object], bool]) -> Callable[[list[Object]], bool]:
    return lambda objects: bool(objects) and all(test(o) for o in objects)


def _is_true(obj: Object, condition: str) -> bool:
    """Tell whether a condition is True for the object as it is now, not for an earlier generation."""
    status = obj.get("status") or {}
    generation = obj["metadata"].get("generation")
    if generation and status.get("observedGeneration", generation) < generation:
        return False
    return any(c.get("type") == condition and c.get("status") == "True" for c in status.get("conditions") or [])


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
