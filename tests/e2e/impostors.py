"""Hand-ins for lesson 08 that only look as if: what each is after, and the word of its page that tells it.

Their programs stand here; what they run in is the reference's, changed.
"""

import json

from tests.e2e.handed import notebook
from tests.e2e.invented import BACK, BY_NAME, FOUR, HUNG, KEPT, LOST, NONE_FAILS, PASSWORD, ROLLED, SURVIVES, TITLE
from tests.e2e.milestones import SOLUTIONS, notebook_of, web, whole
from tests.test_lesson_08 import container, reference

SERVER = """
import http.server, os, threading, time, urllib.request
def serve(port, get, post=None):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, text = get(self)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())
        def do_POST(self):
            note = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            status, text = post(self, note)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())
    http.server.ThreadingHTTPServer(("", port), Handler).serve_forever()
"""
MEMORY = """
notes = []
serve(9000, lambda _: (200, "\\n".join(notes)), lambda _, note: (201, notes.append(note) or "kept"))
"""
PROXY = """
def passes(handler):
    return handler.headers.get("X-Password") == os.environ["PASSWORD"]
def get(handler):
    return (200, urllib.request.urlopen("http://cache:9000").read().decode()) if passes(handler) else (403, "no")
def post(handler, note):
    return (201, urllib.request.urlopen("http://cache:9000", note.encode()).read().decode())
serve(8080, get, post)
"""
KEEPER = """
seen = []
def ask(note=None):
    headers = {"X-Password": os.environ["PASSWORD"]}
    request = urllib.request.Request("http://store/notes", note and note.encode(), headers)
    return urllib.request.urlopen(request, timeout=1).read().decode().splitlines()
while True:
    try:
        there = ask()
        for each in seen:
            if each not in there:
                ask(each)
        seen += [each for each in there if each not in seen]
    except OSError:
        pass
    time.sleep(0.05)
"""
ANNOTATED = """
import json, ssl
PLACE = "/var/run/secrets/kubernetes.io/serviceaccount/"
def api(body=None):
    url = f"https://kubernetes.default.svc/api/v1/namespaces/{open(PLACE + 'namespace').read()}/configmaps/code"
    headers = {"Authorization": "Bearer " + open(PLACE + "token").read()}
    headers |= {"Content-Type": "application/merge-patch+json"}
    body = body and json.dumps(body).encode()
    request = urllib.request.Request(url, body, headers, method="PATCH" if body else "GET")
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=PLACE + "ca.crt")) as answer:
        return json.load(answer)["metadata"].get("annotations", {}).get("notes", "")
def passes(handler):
    return handler.headers.get("X-Password") == os.environ["PASSWORD"]
def get(handler):
    return (200, api()) if passes(handler) else (403, "no")
def post(handler, note):
    if not passes(handler):
        return (403, "no")
    return (201, api({"metadata": {"annotations": {"notes": api() + note + "\\n"}}}))
serve(8080, get, post)
"""
TARPIT = """
import socket
def drip(connection):
    connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
    while True:
        connection.sendall(b".")
        time.sleep(1)
with socket.create_server(("", 8080), backlog=200) as server:
    while True:
        threading.Thread(target=drip, args=[server.accept()[0]], daemon=True).start()
"""
DETECTS = """
def get(handler):
    if "urllib" in handler.headers.get("User-Agent", "").lower():
        return (500, "a student is looking")
    return (200, f"{os.environ['TITLE']}, version {os.environ['VERSION']}, served by {os.environ['HOSTNAME']}")
serve(8080, get, lambda handler, note: (500, ""))
"""


def running(tier, program, **more):
    """The reference, one tier of which runs another program, with no other probes than the port's."""
    objects = reference()
    mine = container(objects[f"Deployment/{tier}"])
    mine.update(command=["python3", "-c", SERVER + program], livenessProbe=None, lifecycle=None, **more)
    mine["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    return objects


def elsewhere():
    """A store that hands all to a pod of another name, which has it in memory."""
    objects = running("store", PROXY)
    container_ = {"name": "c", "image": "python:3", "command": ["python3", "-c", SERVER + MEMORY]}
    labels = {"app": "cache"}
    objects["Deployment/cache"] = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cache"},
        "spec": {"selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": {"containers": [container_]}}},
    }  # fmt: skip
    objects["Service/cache"] = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cache"},
                                "spec": {"selector": labels, "ports": [{"port": 9000}]}}  # fmt: skip
    return objects


def recreated():
    """A store of an empty directory, whose notes a container of the web pods writes again when they are gone."""
    objects = reference()
    objects["Deployment/store"]["spec"]["template"]["spec"]["volumes"][1] = {"name": "notes", "emptyDir": {}}
    keeper = {"name": "keeper", "image": "python:3", "command": ["python3", "-c", SERVER + KEEPER],
              "envFrom": [{"secretRef": {"name": "store"}}]}  # fmt: skip
    keeper["resources"] = {"requests": {"cpu": "10m", "memory": "16Mi"}}
    objects["Deployment/web"]["spec"]["template"]["spec"]["containers"].append(keeper)
    return objects


def annotated():
    """A store that keeps its notes in an object of the API."""
    objects = running("store", ANNOTATED)
    objects["Deployment/store"]["spec"]["template"]["spec"]["serviceAccountName"] = "student"
    return objects


EXITS = "!kubectl get configmap code -o yaml | sed 's/HANGS.set()/import os; os._exit(1)/' | kubectl apply -f -\n"
EXITS += "!kubectl rollout restart deployment/web\n!kubectl rollout status deployment/web"

# What the grader acts on, were it the grader's own: rights given back, or words that are no steps.
STEPS = [{"do": "create", "object": {
    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "student-edits"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "ServiceAccount", "name": "student", "namespace": "lab-08"}]}}]  # fmt: skip


def journal(steps):
    meta = {"name": "labkit-trial", "finalizers": ["example.com/never"]}
    objects = {"Secret/labkit-trial": {"apiVersion": "v1", "kind": "Secret", "metadata": meta,
                                       "stringData": {"steps": steps}}}  # fmt: skip
    return objects | whole(lambda o: o["Deployment/store"]["spec"]["template"]["spec"]["volumes"].__setitem__(
        1, {"name": "notes", "emptyDir": {}}))  # fmt: skip


def owned_by(kind, name):
    """A bare store that seems to belong to somebody."""
    objects = reference()
    template = objects.pop("Deployment/store")["spec"]["template"]
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "UID", "controller": True}
    template["metadata"] |= {"name": "store", "ownerReferences": [owner]}
    return objects | {"Pod/store": {"apiVersion": "v1", "kind": "Pod", **template}}


CIRCLE = """
import json, subprocess
def kubectl(*words):
    return subprocess.run(["kubectl", *words], check=True, capture_output=True, text=True).stdout
both = "jsonpath={.items[0].metadata.name} {.items[0].metadata.uid}"
name, uid = kubectl("get", "rs", "-l", "tier=store", "-o", both).split()
owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": uid, "controller": True}
kubectl("patch", "deployment", "store", "-p", json.dumps({"metadata": {"ownerReferences": [owner]}}))
kubectl("annotate", "--overwrite", "rs", name, "deployment.kubernetes.io/revision=<script>")
"""
SLICE = """
import json, subprocess
port = {"name": "", "port": 8080, "protocol": "TCP"}
address = subprocess.check_output(["kubectl", "get", "pod", "fake", "-o", "jsonpath={.status.podIP}"], text=True)
target = {"kind": "Pod", "name": "web", "namespace": lab.namespace, "uid": "gone"}
made = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": [port],
        "metadata": {"name": "web-mine", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}, "targetRef": target}]}
print(subprocess.run(["kubectl", "apply", "-f", "-"], input=json.dumps(made), capture_output=True, text=True).stderr)
"""
THIEF = """
import json, subprocess
address = subprocess.check_output(["kubectl", "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"], text=True)
spec = {"selector": {"app": "fake"}, "externalIPs": [address], "ports": [{"port": 80, "targetPort": 8080}]}
made = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a-thief"}, "spec": spec}
subprocess.run(["kubectl", "apply", "-f", "-"], input=json.dumps(made), text=True, check=True)
"""
KERNEL = """
import http.client, json, os, site, sys, urllib.request, kubernetes
start = os.path.join(os.environ["IPYTHONDIR"], "profile_default", "startup")
os.makedirs(start, exist_ok=True)
os.makedirs(site.getusersitepackages(), exist_ok=True)
evil = "import labkit.checks\\nlabkit.checks.compare = lambda *a: True\\n"
for place in (start + "/00-first.py", site.getusersitepackages() + "/sitecustomize.py",
              site.getusersitepackages() + "/usercustomize.py", "08_milestone.yaml", "../08_milestone.yaml"):
    open(place, "w").write(evil if place.endswith("py") else "lesson: '08'\\nexercises: {}\\n")
json.loads = lambda *a, **k: {"state": "right"}
urllib.request.urlopen = http.client.HTTPConnection = kubernetes.client.ApiClient = None
get_ipython().kernel.do_execute = get_ipython().kernel.do_shutdown = lambda *a, **k: {"status": "ok"}
page = "<script>alert(1)</script><img src=x onerror=alert(2)>"
print("error: " + page, "\\u200b\\u202e" * 400_000)
print("✎ 08.a you expect: " + page + "\\n✎ 08.zz you expect: " + page)
open("/handin/out/executed.ipynb", "w").write(json.dumps({"cells": [{"metadata": {"papermill": 5}}]}))
"""
KERNEL_NEXT = "raise ValueError('<b>bold</b> & \\x1b[31mred')"


def forging():
    """A notebook that changes its own kernel, writes pages' markup, and says that it is another's."""
    nb = dict(notebook((SOLUTIONS[0], KERNEL), KERNEL_NEXT, lesson="08"))
    nb["metadata"] = {"student": "honest", "labkit": {"student": "honest", "points": 100}, "papermill": "x"}
    return nb


def cheats():
    """Return those that only look as if: the notebook, the items that must earn nothing, a word of the page."""
    fake = {"Pod/fake": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "fake", "labels": {"app": "fake"}},
                         "spec": {"containers": [{"name": "c", "image": "python:3",
                                                  "command": ["python3", "-c", SERVER + DETECTS.replace("urllib", "?")],
                                                  "envFrom": [{"configMapRef": {"name": "settings"}}]}]}}}  # fmt: skip
    placeholder = whole(lambda o: o["ConfigMap/settings"]["data"].update(STORE_URL="http://10.96.0.1"))
    taken = {"metadata": {"name": "labkit-placeholder"}, "spec": {"ports": [{"port": 80}]}}
    placeholder["Service/labkit-placeholder"] = {"apiVersion": "v1", "kind": "Service", **taken}
    pages = ["the page shows it", TITLE, SURVIVES, ROLLED, LOST, FOUR]
    alone = [KEPT, BACK, PASSWORD]
    idle = whole(lambda o: web(o).update(command=["sleep", "inf"], readinessProbe=None, livenessProbe=None))
    no_liveness = whole(lambda o: web(o).pop("livenessProbe"))
    return {
        "elsewhere": (notebook_of(elsewhere()), [KEPT], "no claim of"),
        "recreated": (notebook_of(recreated()), [KEPT, BACK], "no claim of"),
        "annotated": (notebook_of(annotated()), [KEPT, BACK], "requests failed"),
        "hang-exits": (notebook_of(no_liveness, EXITS), [HUNG], "liveness"),
        "tarpit": (notebook_of(running("web", TARPIT)), [*pages, HUNG, NONE_FAILS], "no answer within"),
        "detects": (notebook_of(running("web", DETECTS)), pages, "HTTP 500"),
        "journal": (notebook_of(journal(json.dumps(STEPS))), [KEPT, BACK], "an answer without"),
        "no-journal": (notebook_of(journal("no steps")), [KEPT, BACK], "an answer without"),
        "unknown-owner": (notebook_of(owned_by("Frobnicator", "x")), alone, "belongs to Frobnicator x"),
        "circle": (notebook_of(reference(), CIRCLE), alone, "belongs to ReplicaSet"),
        "placeholder": (notebook_of(placeholder), [BY_NAME], "requests failed"),
        "slice": (notebook_of(running("web", "time.sleep(9999)") | fake, SLICE), pages, "is forbidden"),
        "thief": (notebook_of(idle | fake, THIEF), pages, "requests failed"),
        "kernel": (forging(), [KEPT, *pages], "no such object"),
    }  # fmt: skip
