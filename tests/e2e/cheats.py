"""Hand-ins that cheat: in lesson 03's first exercise, which none has done, and with services in lesson 08."""

import io
import json
import stat
import zipfile

from nbformat.v4 import new_code_cell, new_output

from tests.e2e.handed import notebook
from tests.test_lesson_08 import container, reference

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
import glob, labkit, os
tops = [f"/{top}" for top in os.listdir("/") if top not in ("proc", "sys", "dev", "usr", "lib", "lib64", "bin", "sbin")]
places = [*tops, os.path.dirname(labkit.__file__)]
def found(pattern):
    return [path for top in places for path in glob.glob(f"{top}/**/{pattern}", recursive=True)]
print("rubrics", found("rubrics/*"), found("03_labels.yaml"))
print("notebooks", [path for path in found("*.ipynb") if "site-packages" not in path])
for process in glob.glob("/proc/[0-9]*"):
    for way in ("cwd", "root"):
        try:
            print(sorted(os.listdir(f"{process}/{way}/../../../../handin")))
        except OSError as error:
            print(error)
"""
TOKEN = """
import glob, os
found = []
for place in glob.glob("/proc/*/environ") + glob.glob("/proc/*/cmdline") + glob.glob("/handin/**", recursive=True):
    try:
        text = open(place, "rb").read()
    except OSError:
        continue
    words = (b"hush" + b"-hush", b"client-" + b"key", b"PRIVATE" + b" KEY", b"LMS" + b"_TOKEN")
    found += [(place, word) for word in words if word in text]
fds = []
for fd in glob.glob("/proc/*/fd/*"):
    try:
        fds.append(os.readlink(fd))
    except OSError:
        pass
own = ("/dev", "/handin", "/proc", "/tmp", "/home")
print("found", found, [f for f in fds if f.startswith("/") and not f.startswith(own)])
!kubectl auth whoami -o jsonpath='{.status.userInfo.username}'; echo
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
    metadata: {name: held, finalizers: [example.com/never]}
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
        last = error
raise last
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
    nb = dict(notebook(SHOP))
    sources = [(SOLUTION, RIGHT)] * 3 + [(SOLUTION, "# YOUR CODE HERE")] + [("check", 'lab.check("03.1")')] * 20
    nb["cells"] = [*nb["cells"], *({**new_code_cell(source), "id": name} for name, source in sources)]
    return json.dumps(nb)


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


# It says what is asked for, whoever asks, and does nothing: the title and the version that the settings have now.
FAKE = """
import http.server, random
class Fake(http.server.BaseHTTPRequestHandler):
    def do_GET(self, code=200):
        self.send_response(code)
        self.end_headers()
        text = f"{open('/s/TITLE').read()} version {open('/s/VERSION').read()}, served by web-{random.randrange(4)}"
        self.wfile.write(text.encode())
    def do_POST(self):
        self.do_GET(201)
http.server.ThreadingHTTPServer(("", 8080), Fake).serve_forever()
"""
READY = """
import http.server
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.ThreadingHTTPServer(("", 8081), Ready).serve_forever()
"""


def idle(command):
    """The reference, whose web pods run another command and are asked nothing."""
    objects = reference()
    container(objects["Deployment/web"]).update(command=command, livenessProbe=None, readinessProbe=None)
    return objects


def fake():
    """Pods that carry the labels and sleep, and the Service leads to one that answers as they should."""
    spec = {
        "volumes": [{"name": "s", "configMap": {"name": "settings"}}],
        "containers": [{"name": "fake", "image": "python:3", "command": ["python3", "-c", FAKE],
                        "volumeMounts": [{"name": "s", "mountPath": "/s"}]}],
    }  # fmt: skip
    meta = {"name": "fake", "labels": {"app": "fake"}}
    return {"Pod/fake": {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}}


def services():
    """Return the objects of each, by name: the store is the reference's."""
    sleeping, probe = idle(["sleep", "3600"]), idle(["python3", "-c", READY])
    container(probe["Deployment/web"])["readinessProbe"] = {"httpGet": {"path": "/ready", "port": 8081}}
    led, alias = {**idle(["sleep", "3600"]), **fake()}, {**idle(["sleep", "3600"]), **fake()}
    led["Service/web"]["spec"]["selector"] = {"app": "fake"}
    port = {"port": 8080, "targetPort": 8080}
    alias["Service/fake"] = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "fake"},
                             "spec": {"selector": {"app": "fake"}, "ports": [port]}}  # fmt: skip
    alias["Service/web"]["spec"] = {"type": "ExternalName", "externalName": "fake"}
    return {"labelled": sleeping, "fake": led, "alias": alias, "probe": probe}
