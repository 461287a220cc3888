"""Hand-ins that cheat in lesson 03's first exercise; none has done it."""

import io
import json
import stat
import zipfile

from nbformat.v4 import new_output

from tests.e2e.handed import notebook

SHOP = "!kubectl apply -f ../manifests/03_labels/shop"
RIGHT = "!kubectl label pods -l 'environment,tier!=frontend' backup=tonight"
SOLUTION = "03-labels-2-solution"

TRANSFORMER = """
import ast
class Dropped(ast.NodeTransformer):
    def visit_Assert(self, node): return ast.Pass()
get_ipython().ast_transformers.append(Dropped())
assert False
"""
PATCHED = """
import labkit.checks, labkit.paths, os, stat
from labkit.verdict import Finding, State
class Right:
    passed, state = True, State.RIGHT
lab.check = lambda *a, **k: Right()
labkit.checks.Grader.look = lambda self, item, *a: Finding(item.name, State.RIGHT, points=item.points)
labkit.checks.compare = lambda *a: True
os.makedirs("/tmp/bin", exist_ok=True)
open("/tmp/bin/kubectl", "w").write("#!/bin/sh\\necho pod/shop-cart pod/shop-db\\n")
os.chmod("/tmp/bin/kubectl", 0o755)
os.environ["PATH"] = "/tmp/bin:" + os.environ["PATH"]
"""
RESULTS = """
import json, os
items = [{"name": "exactly the right pods carry backup=tonight", "points": 3, "state": "right"}]
right = {"student": "results", "trouble": "", "exercises": [{"number": "03.1", "items": items}]}
for folder in ("/handin", "/handin/out", "/tmp", "/home", ".", "..", "/handin/out/results"):
    os.makedirs(folder, exist_ok=True)
    for name in ("results.json", "results/results.json", "grades.csv", "marks.csv", "answers", "executed.ipynb"):
        try:
            open(f"{folder}/{name}", "w").write(json.dumps(right) + "\\n")
        except OSError as error:
            print(error)
print(json.dumps({"failure": "", "points": 3}))
"""
READS = """
import glob, os, re
print("rubrics", glob.glob("/**/rubrics/*.yaml", recursive=True))
own = ("/handin", "/tmp", "/home", "/root")
print("notebooks", [p for p in glob.glob("/**/*.ipynb", recursive=True) if p.startswith(own)])
for process in glob.glob("/proc/[0-9]*"):
    for way in ("cwd", "root"):
        try:
            print(process, os.listdir(f"{process}/{way}/../../../../work/w"))
        except OSError:
            pass
print(glob.glob("/**/03_labels.yaml", recursive=True) or "no rubric")
"""
TOKEN = """
import glob, os
found = []
for place in glob.glob("/proc/*/environ") + glob.glob("/proc/*/cmdline") + glob.glob("/handin/**", recursive=True):
    try:
        text = open(place, "rb").read()
    except OSError:
        continue
    found += [(place, word) for word in (b"hush-hush", b"client-key", b"PRIVATE KEY", b"LMS_TOKEN") if word in text]
fds = []
for fd in glob.glob("/proc/*/fd/*"):
    try:
        fds.append(os.readlink(fd))
    except OSError:
        pass
own = ("/dev", "/handin", "/proc", "/tmp", "/home")
print("found", found, [f for f in fds if f.startswith("/") and not f.startswith(own)])
!kubectl auth whoami -o jsonpath='{.status.userInfo.username}'
!kubectl auth can-i '*' '*'
"""
LATER = """
import os, textwrap
work = "sleep 4; while :; do kubectl label pods -l 'environment,tier!=frontend' backup=tonight; sleep 1; done"
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp("sh", ["sh", "-c", work])
        os._exit(0)
open("/tmp/cron.yaml", "w").write(textwrap.dedent('''
    apiVersion: batch/v1
    kind: CronJob
    metadata: {name: later}
    spec:
      schedule: "* * * * *"
      jobTemplate:
        spec:
          template:
            spec:
              restartPolicy: Never
              serviceAccountName: student
              containers: [{name: c, image: "busybox:1.36", command: [sleep, "60"]}]
'''))
!kubectl apply -f /tmp/cron.yaml
"""
FINALIZER = """
import textwrap
open("/tmp/held.yaml", "w").write(textwrap.dedent('''
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: held, finalizers: [example.com/never]}
    ---
    apiVersion: v1
    kind: Pod
    metadata: {name: held, finalizers: [example.com/never], labels: {backup: tonight}}
    spec:
      terminationGracePeriodSeconds: 3600
      containers: [{name: c, image: "busybox:1.36", command: [sh, -c, "trap '' TERM; sleep 3600"]}]
'''))
!kubectl apply -f /tmp/held.yaml
!kubectl wait --for=condition=Ready pod/held
!kubectl delete configmap/held pod/held --wait=false
"""
EGRESS = """
import socket
pods = [f"nc -w 2 {address} PORT </dev/null && echo reached" for address in ADDRESSES]
!kubectl run out --image=busybox:1.36 --restart=Never -- sh -c "{'; '.join(pods)}"
!kubectl wait --for=jsonpath='{.status.phase}'=Succeeded pod/out --timeout=30s || kubectl get pod out
!kubectl logs out
for address in ADDRESSES:
    try:
        socket.create_connection((address, PORT), 2)
        print("reached")
    except OSError as error:
        print(error)
raise error
"""
SIGNAL = """
import os, signal
for pid in sorted((int(p) for p in os.listdir("/proc") if p.isdigit()), reverse=True):
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number) if pid != os.getpid() else None
        except OSError as error:
            print(pid, error)
os.kill(-1, signal.SIGKILL)
"""


def with_forged_outputs():
    """The starter, with the outputs and the metadata of who got everything right."""
    nb = notebook(SHOP, ("03-labels-2-check", 'lab.check("03.1")'))
    nb.cells[-1].outputs = [new_output("execute_result", {"text/plain": "✓ 03.1 The backup's pods: right"})]
    nb.metadata["labkit"] = nb.metadata["nbgrader"] = {"points": 3, "score": 3, "state": "right"}
    return nb


def doubled():
    """The right answer thrice, and then the starter under the same name."""
    nb = notebook(
        SHOP, *[(SOLUTION, RIGHT)] * 3, (SOLUTION, "# YOUR CODE HERE"), *[("check", 'lab.check("03.1")')] * 20
    )
    return json.dumps({**nb, "cells": [dict(cell) for cell in nb.cells]})


def tricky_zip(other):
    """A zip whose names and links lead to another hand-in, and out of everywhere; its own notebook is the starter."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("mine.ipynb", json.dumps(notebook(SHOP)))
        for name in (f"../{other}.ipynb", "/tmp/lk-cheated.ipynb", f"..\\{other}.ipynb", "a/../../../x.yaml"):
            archive.writestr(name, "{}")
        link = zipfile.ZipInfo("link.ipynb")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, f"../{other}.ipynb")
    return packed.getvalue()


def cheats(addresses, port):
    """Return all that are notebooks, by name."""
    egress = EGRESS.replace("ADDRESSES", repr(addresses)).replace("PORT", str(port))
    sources = {
        "transformer": TRANSFORMER, "patched": PATCHED, "results": RESULTS, "reads": READS, "token": TOKEN,
        "later": LATER, "finalizer": FINALIZER, "egress": egress, "signal": SIGNAL, "quits": "import os; os._exit(0)",
    }  # fmt: skip
    made = {name: notebook(SHOP, source, 'lab.check("03.1")') for name, source in sources.items()}
    return made | {"outputs": with_forged_outputs(), "doubled": doubled(), "deleted": notebook(SHOP, "1")}
