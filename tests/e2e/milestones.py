"""A class of forty for lesson 08, the milestone: what each hands in, the points it is worth, what its page says.

Most do the first exercise alone, a right store, and get its points in spite of all that is odd about them: a fault
costs only itself. What others lose is named by the rubric's items.
"""

import io
import json
import os
import zipfile
from dataclasses import dataclass

import nbformat
import yaml

from labkit import rubric
from labkit.release import for_students
from tests.e2e.handed import notebook
from tests.lessons import ROOT
from tests.test_lesson_08 import container, differently, reference

CODE = "!kubectl create configmap code --from-file=../manifests/08_milestone/app"
READY = "!kubectl wait --for=condition=Available deployment --all --timeout=60s"
SOLUTIONS = [f"08-milestone-{number}-solution" for number in range(1, 5)]
STORE_KEYS = ("Deployment/store", "Service/store", "Secret/store", "PersistentVolumeClaim/notes")
ITEMS = [(e.number, i) for e in rubric.load(rubric.find("08")).exercises.values() for i in e.items]
ALL = sum(item.points for _, item in ITEMS)
FIRST = sum(item.points for number, item in ITEMS if number == "08.1")
LIMITS = ("--cell-seconds", "60", "--seconds", "200")


@dataclass(frozen=True)
class Pupil:
    """One hand-in: path below the folder → content; its points (None: a person must look); words of its page."""

    files: dict
    points: float | None
    says: str = ""


def without(*names):
    """Return the points that are left when these items are lost."""
    lost = {item.name: item.points for _, item in ITEMS if item.name in names}
    assert len(lost) == len(names)
    return -sum(lost.values())


def sources(objects, *more):
    """The cells that make the objects, under the names of the exercises' cells."""
    write = f"open('/tmp/mine.yaml', 'w').write({yaml.safe_dump_all(objects.values())!r})"
    made = "\n".join([CODE, write, "!kubectl apply -f /tmp/mine.yaml", READY])
    return [(SOLUTIONS[0], made), *((name, "1") for name in SOLUTIONS[1:]), *more]


def notebook_of(objects, *more):
    return notebook(*sources(objects, *more), lesson="08")


def store(change=lambda objects: None):
    """The reference's store, changed."""
    objects = {key: reference()[key] for key in STORE_KEYS}
    change(objects)
    return objects


def whole(change):
    objects = reference()
    change(objects)
    return objects


def web(objects):
    return container(objects["Deployment/web"])


def different():
    """The other right answer; its address of the store holds the grader's namespace."""
    objects = differently()
    data = objects["ConfigMap/settings"]["data"]
    data["STORE_URL"] = data["STORE_URL"].format(namespace="lab-08")
    return objects


def pod_of(objects):
    template = objects.pop("Deployment/store")["spec"]["template"]
    template["metadata"]["name"] = "store"
    objects["Pod/store"] = {"apiVersion": "v1", "kind": "Pod", **template}


def bare():
    """What an editor leaves that drops all it does not know: no ids, no tags, no kernel."""
    cells = [{"cell_type": "code", "source": cell.source.splitlines(keepends=True)}
             for cell in notebook_of(store()).cells]  # fmt: skip
    return {"cells": cells, "nbformat": 4, "nbformat_minor": 4}


def twice():
    nb = dict(notebook_of(store()))
    nb["cells"] = [*nb["cells"], *nb["cells"][2:]]
    return nb


def zipped():
    """A notebook, and the manifest that it names, as `labkit submit` packs them."""
    packed = io.BytesIO()
    apply = "\n".join([CODE, "!kubectl apply -f ../manifests/08_milestone/mine/store.yaml", READY])
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("08_milestone.ipynb", json.dumps(notebook((SOLUTIONS[0], apply), lesson="08")))
        archive.writestr("manifests/08_milestone/mine/store.yaml", yaml.safe_dump_all(store().values()))
    return packed.getvalue()


def answers():
    """Those whose service is looked at as a whole."""
    no_hook = whole(lambda o: web(o).pop("lifecycle"))
    greedy = whole(lambda o: web(o)["resources"]["requests"].pop("memory"))
    no_liveness = whole(lambda o: web(o).pop("livenessProbe"))
    old = whole(lambda o: o["ConfigMap/settings"]["data"].update(VERSION="1"))
    asleep = whole(lambda o: web(o).update(command=["sleep", "3600"], readinessProbe=None, livenessProbe=None))
    stores = "a new password reaches the store from the secret"
    spec = sum(i.points for n, i in ITEMS if n == "08.1" or i.type == "spec" or i.name == stores)
    return {
        "right": (reference(), ALL, ""),
        "differently": (different(), ALL, ""),
        "no-hook": (no_hook, ALL + without("no request is lost meanwhile"), "requests failed"),
        "no-memory": (greedy, ALL - 1, "a request for memory"),
        "no-liveness": (no_liveness, ALL + without("a pod that hangs is started again"), "not restarted after 20 s"),
        "version-one": (old, ALL + without("every page is of version 2"), "version 1"),
        "asleep": (asleep, spec, "requests failed"),
    }


def stores():
    """Those that did the first exercise alone, not all of them well."""
    empty = store(lambda o: o["Deployment/store"]["spec"]["template"]["spec"]["volumes"].__setitem__(
        1, {"name": "notes", "emptyDir": {}}))  # fmt: skip
    no_cpu = store(lambda o: container(o["Deployment/store"])["resources"]["requests"].pop("cpu"))
    stray = store(lambda o: o["Service/store"]["spec"].update(selector={"tier": "stroe"}))
    image = store(lambda o: container(o["Deployment/store"]).update(image="ghcr.io/me/store:1"))
    kept = "a note is there when the pod has been killed"
    rollout = "a rollout has one writer at a time"
    asked = [i.name for n, i in ITEMS if n == "08.1" and i.trial and i.name != rollout]
    return {
        "store": (store(), FIRST, ""),
        "empty-dir": (empty, FIRST + without(kept), "an answer without"),
        "bare-pod": (store(pod_of), FIRST + without(kept, rollout), "belongs to nobody"),
        "no-cpu": (no_cpu, FIRST + without("the container asks for CPU"), "a request for CPU"),
        "stray-service": (stray, FIRST + without(*asked), "requests failed"),
        "other-image": (image, None, "lacks the image"),
    }


# What comes after a right store; each costs only what it does itself.
FAULTS = {
    "loops": ("while True: pass", "no end after 60 s"),
    "dies": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "the kernel died"),
    "exits": ("import os; os._exit(3)", "the kernel died"),
    "memory": ("held = [bytearray(1 << 26) for _ in range(1000)]", "MemoryError"),
    "forks": ("import os\nwhile True:\n    os.fork()", ""),
    "threads": (
        "import threading as t, time\nwhile True:\n    t.Thread(target=time.sleep, args=(99,)).start()",
        "thread",
    ),
    "disk": ("for n in range(99):\n    open(f'/tmp/{n}', 'wb').write(bytes(1 << 25))", "No space left on device"),
    "shouts": ("for _ in range(40):\n    print('x' * (1 << 20))", ""),
    "asks": ("input('your name? ')", "StdinNotImplementedError"),
    "recursion": ("def again(): return again()\nagain()", "RecursionError"),
    "late": ("import subprocess; subprocess.Popen(['sleep', '9999'], start_new_session=True)", ""),
}


def pupils():
    """Return all forty, by name."""
    one = {name: ({f"{name}.ipynb": json.dumps(notebook_of(objects))}, points, says)
           for name, (objects, points, says) in {**answers(), **stores()}.items()}  # fmt: skip
    faults = {name: ({f"{name}.ipynb": json.dumps(notebook_of(store(), source))}, FIRST, says)
              for name, (source, says) in FAULTS.items()}  # fmt: skip
    starter = for_students(nbformat.read(ROOT / "notebooks" / "08_milestone.ipynb", as_version=4), "08")
    shapes = {
        "renamed": ({"renamed/final FINAL (2).ipynb": json.dumps(notebook_of(store()))}, FIRST, ""),
        "bare": ({"bare.ipynb": json.dumps(bare())}, FIRST, "not found"),
        "twice": ({"twice.ipynb": json.dumps(twice())}, FIRST, "stand there twice"),
        "zipped": ({"zipped.zip": zipped()}, FIRST, ""),
        "Añá-Pérez": ({"Añá Pérez.ipynb": json.dumps(notebook_of(store()))}, FIRST, ""),
        "newest": ({"newest/old.ipynb": "{}", "newest/z.ipynb": json.dumps(notebook_of(store()))}, FIRST, "the newest"),
        "doubtful": ({"doubtful.ipynb": json.dumps(notebook(*sources(store())[:1], "1/0", lesson="08"))}, FIRST,
                     "ZeroDivisionError"),
        "untouched": ({"untouched.ipynb": nbformat.writes(starter)}, 3.0, ""),
        "other-lesson": ({"other-lesson.ipynb": json.dumps(notebook("1", lesson="03"))}, 0.0, "not found"),
    }  # fmt: skip
    unreadable = {
        "empty-file": ({"empty-file.ipynb": ""}, 0.0, "is not a notebook"),
        "no-cells": ({"no-cells.ipynb": json.dumps({**notebook(), "cells": []})}, 0.0, "not found"),
        "no-notebook": ({"no-notebook/readme.yaml": "a: 1"}, 0.0, "no notebook was handed in"),
        "broken": ({"broken.ipynb": '{"cells": ['}, 0.0, "is not a notebook"),
        "list": ({"list.ipynb": "[1, 2]"}, 0.0, "is not a notebook"),
        "binary": ({"binary.ipynb": bytes(range(256))}, 0.0, "is not a notebook"),
        "not-a-zip": ({"not-a-zip.zip": b"PK\x03\x04 and no more"}, 0.0, "cannot be unpacked"),
    }
    return {name: Pupil(*each) for name, each in {**one, **faults, **shapes, **unreadable}.items()}


def hand_in(folder, chosen):
    """Write the hand-ins of some pupils."""
    for each in chosen.values():
        for number, (name, content) in enumerate(each.files.items()):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            os.utime(path, (1e9 + number, 1e9 + number))
