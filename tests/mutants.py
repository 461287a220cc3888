"""Mutants of a right answer: each differs from it in one field, removed or changed sensibly; a rubric must tell.

A mutant that the API refuses never lived, and of those that it stores alike only the first counts. One that a rubric
takes for right survives: it may be equivalent (nobody can tell), or it shows what the rubric does not look at.
"""

import copy
import json
import re
import uuid
from dataclasses import dataclass

from labkit import rubric
from labkit.api import Api
from labkit.checks import Grader, State

IDENTITY = re.compile(r"apiVersion|kind|metadata|metadata\.name|.*containers\[\d+\]\.name")  # of what another thing is
SETTLE_SECONDS = 12

# What a field may sensibly be instead, where a value's type does not tell.
INSTEAD = {
    "replicas": 1, "type": "RollingUpdate", "image": "busybox:1.36", "seconds": 0, "ReadWriteOnce": "ReadOnlyMany",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One changed object of an answer; `name` says which field, and how."""

    name: str
    key: str
    obj: dict


def mutants(objects):
    """Yield every mutant of an answer's objects: a field removed, or a value changed."""
    for key, obj in objects.items():
        for path, value in fields(obj):
            if IDENTITY.fullmatch(text(path)):
                continue
            yield Mutant(f"{key} without {text(path)}", key, with_value(obj, path, None))
            if not isinstance(value, (dict, list)):
                new = changed(str(path[-1]), value)
                yield Mutant(f"{key} with {text(path)}={new}", key, with_value(obj, path, new))


def fields(obj, path=()):
    """Yield the path and value of every field and every element of a list, outermost first."""
    entries = obj.items() if isinstance(obj, dict) else enumerate(obj) if isinstance(obj, list) else ()
    for step, value in entries:
        yield (*path, step), value
        yield from fields(value, (*path, step))


def changed(field, value):
    """Return another value of the same kind."""
    if field in INSTEAD or value in INSTEAD:
        return INSTEAD.get(field, INSTEAD.get(value))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value * 10 if field.endswith("Seconds") else value + 1
    if quantity := re.fullmatch(r"(\d+)(m|Mi|Gi)", value):
        return f"{quantity[1]}000{quantity[2]}"
    return f"{value}x"


def with_value(obj, path, value):
    """Return a copy with a field set, or removed for None."""
    made = copy.deepcopy(obj)
    parent = made
    for step in path[:-1]:
        parent = parent[step]
    if value is None:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return made


def text(path):
    """Write a path as kubectl's errors do: spec.ports[0].port."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def born(cluster, namespace, candidates):
    """Yield the mutants that the API takes, without those that it would store as it stores an earlier one."""
    seen = set()
    for mutant in candidates:
        options = ("--validate=strict", "--dry-run=server", "-n", namespace, "-o", "json", "-f", "-")
        made = cluster.kubectl("apply", *options, input=json.dumps(mutant.obj), check=False)
        if made.returncode:
            continue
        stored = json.loads(made.stdout)
        content = json.dumps([mutant.key, {k: v for k, v in stored.items() if k not in ("metadata", "status")}])
        if content not in seen:
            seen.add(content)
            yield mutant


def judged(cluster, lesson, objects, programs):
    """Deploy an answer in a namespace of its own; return what killed it, "" when it survives."""
    namespace = f"mutant-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", namespace)
    try:
        cluster.kubectl("create", "configmap", "code", f"--from-file={programs}", "-n", namespace)
        documents = "\n---\n".join(map(json.dumps, objects))  # in a List kubectl itself would refuse some mutants
        cluster.kubectl("apply", "-n", namespace, "-f", "-", input=documents)
        wait = ("wait", "--for=condition=Available", "deployment", "--all", f"--timeout={SETTLE_SECONDS}s")
        cluster.kubectl(*wait, "-n", namespace, check=False)  # a mutant may never become so
        return killer(Grader(Api(cluster.kubeconfig), namespace, lesson))
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")
        cluster.kubectl("delete", "pods", "--all", "-n", namespace, "--grace-period=1", "--wait=false")


def killer(grader):
    """Return the first item that is not right, the cheapest looked at first; "" when all are."""
    exercises = rubric.load(rubric.find(grader.lesson)).exercises.values()
    items = [(exercise, item) for exercise in exercises for item in exercise.items]
    order = {"spec": 0, "status": 0, "traffic": 1, "perturb": 2}
    opened = {exercise.number: grader.trials(exercise) for exercise in exercises}
    try:
        for exercise, item in sorted(items, key=lambda pair: order[pair[1].type]):
            finding = grader.look(item, None, opened[exercise.number])
            if finding.state is not State.RIGHT:
                return f"{exercise.number} {item.name}: {finding.found}"
        return ""
    finally:
        for trials in opened.values():
            trials.__exit__()
