"""More hand-ins for lesson 08: right ones that are written otherwise, and likely mistakes.

`right()` make the same service by other means, or write it down in another way. `wrong()` lack one thing each; the
items that this must cost are named, and nothing else may.
"""

import json
import textwrap

import yaml
from nbformat.v4 import new_code_cell, new_notebook

from tests.e2e.handed import PARAMETERS
from tests.e2e.milestones import CODE, READY, notebook_of, whole
from tests.test_lesson_08 import container, reference

LAB = "from labkit import Lab\nlab = Lab(cluster=cluster, namespace=namespace, student=student, lesson='08')"
KEPT = "a note is there when the pod has been killed"
BACK = "the notes are there again when the store is back"
TITLE, WEB_PASSWORD = "a new title reaches the page from the settings", "and the web tier"
PASSWORD = "a new password reaches the store from the secret"
BY_NAME = "it finds the store by name, wherever that is"
SURVIVES = "another pod takes the place of a killed one, and most visitors never notice"
ROLLOUT = "a rollout has one writer at a time"
HUNG, LOST = "a pod that hangs is started again", "no request is lost meanwhile"
ROLLED = "a rollout brings another version into every page"
FOUR, NONE_FAILS = "four of them serve when four are asked for", "and none of them fails"


def cells(*sources, parameters=PARAMETERS, lab=LAB):
    return new_notebook(cells=[new_code_cell(parameters, metadata={"tags": ["parameters"]}), new_code_cell(lab),
                               *(new_code_cell(source) for source in sources)])  # fmt: skip


def applied(text, *more):
    """Write the manifests to a file and apply them, once the programs are there."""
    return cells(CODE, f"%%writefile mine.yaml\n{text}", "!kubectl apply -f mine.yaml", *more)


def spanish():
    """The reference as one text, with comments in Spanish, in a heredoc; nothing waits for what it makes."""
    text = yaml.safe_dump_all(reference().values()).replace("---", "---\n# Servicio: ñandú, «almacén», café ☕")
    return cells(f"%%bash\nset -e\n{CODE[1:]}\nkubectl apply -f - <<'FIN'\n# Añá\n{text}\nFIN")


def one_cell():
    """All in one cell, Windows' line ends, a cluster that it names itself, and the clean-up at its end."""
    source = f"from labkit import Lab\nlab = Lab(lesson='08')\n{CODE}\n"
    source += f"open('/tmp/all.yaml', 'w').write({yaml.safe_dump_all(reference().values())!r})\n"
    source += f"!kubectl apply \\\n   -f /tmp/all.yaml\n{READY}\nlab.check('08.1')\nlab.cleanup()"
    cell = {"cell_type": "code", "source": source.replace("\n", "\r\n"), "metadata": {"tags": ["cleanup"]}}
    return {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}


def named():
    """What names its namespace everywhere, as it was called on the student's cluster."""
    objects = reference()
    for each in objects.values():
        each["metadata"]["namespace"] = "lab-08-ana-maria"
    objects["ConfigMap/settings"]["data"]["STORE_URL"] = "http://store.lab-08-ana-maria"
    make = [f"{CODE} -n lab-08-ana-maria", f"%%writefile mine.yaml\n{yaml.safe_dump_all(objects.values())}"]
    return cells(*make, "!kubectl apply -n lab-08-ana-maria -f mine.yaml",
                 parameters=PARAMETERS.replace('student = ""', 'student = "Ana María"'))  # fmt: skip


def client():
    """The kubernetes client in the place of kubectl; names that the server makes where the task leaves them free."""
    objects = reference()
    for key in ("Deployment/web", "Deployment/store"):
        objects[key]["metadata"] = {"generateName": f"{objects[key]['metadata']['name']}-"}
    return cells(
        f"import json\nobjects = json.loads({json.dumps(list(objects.values()))!r})",
        textwrap.dedent("""
            import pathlib
            from kubernetes import client, config
            config.load_kube_config()
            core, apps = client.CoreV1Api(), client.AppsV1Api()
            programs = {p.name: p.read_text() for p in pathlib.Path("../manifests/08_milestone/app").glob("*.py")}
            core.create_namespaced_config_map(lab.namespace, {"metadata": {"name": "code"}, "data": programs})
            make = {"Deployment": apps.create_namespaced_deployment, "Service": core.create_namespaced_service,
                    "ConfigMap": core.create_namespaced_config_map, "Secret": core.create_namespaced_secret,
                    "PersistentVolumeClaim": core.create_namespaced_persistent_volume_claim}
            for each in objects:
                make[each["kind"]](lab.namespace, each)
        """),
    )


TEMPLATE = """
    import string, subprocess
    tier = string.Template('''
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: $tier}
    spec:
      replicas: $replicas
      strategy: $strategy
      selector: {matchLabels: {tier: $tier}}
      template:
        metadata: {labels: {tier: $tier}}
        spec:
          volumes: [{name: code, configMap: {name: code}}, $volume]
          containers:
          - name: $tier
            image: docker.io/library/python:3
            command: [python3, -u, /code/$tier.py]
            envFrom: [$env]
            resources: {requests: {cpu: 20m, memory: 32Mi}, limits: {memory: 256Mi}}
            volumeMounts: [{name: code, mountPath: /code}, {name: data, mountPath: /data}]
            $probes
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: $tier}
    spec: {selector: {tier: $tier}, ports: [{port: 80, targetPort: 8080}]}
    ''')
    asked = "{httpGet: {path: /%s, port: 8081}, periodSeconds: 1}"
    probes = "readinessProbe: " + asked % "ready" + "\\n        livenessProbe: " + asked % "alive"
    probes += "\\n        lifecycle: {preStop: {exec: {command: [sleep, '3']}}}"
    store = dict(tier="store", replicas=1, strategy="{type: Recreate}", env="{secretRef: {name: store}}", probes="",
                 volume="{name: data, persistentVolumeClaim: {claimName: data}}")
    web = dict(tier="web", replicas=2, strategy="{}", probes=probes, volume="{name: data, emptyDir: {}}",
               env="{configMapRef: {name: settings}}, {secretRef: {name: store}}")
    for values in (store, web):
        subprocess.run(["kubectl", "apply", "-f", "-"], input=tier.substitute(values), text=True, check=True)
"""
CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
"""


def templates():
    """Manifests made of one template; settings and password by commands."""
    make = "!kubectl create configmap settings --from-literal=TITLE='The board' --from-literal=VERSION=2 "
    make += "--from-literal=STORE_URL=http://store.$(kubectl config view --minify -o jsonpath={..namespace}).svc\n"
    make += '!kubectl create secret generic store --from-literal=PASSWORD="$(head -c 9 /dev/urandom | base64)"'
    return cells(
        CODE, make, f"%%writefile claim.yaml\n{CLAIM}", "!kubectl apply -f claim.yaml", textwrap.dedent(TEMPLATE)
    )


def recommended(objects):
    """Labels as Kubernetes recommends them, beside those that the task fixes; Services that pick by both."""
    for tier in ("web", "store"):
        labels = {"tier": tier, "app.kubernetes.io/name": "board", "app.kubernetes.io/component": tier}
        spec = objects[f"Deployment/{tier}"]["spec"]
        spec["selector"] = {
            "matchExpressions": [{"key": "app.kubernetes.io/component", "operator": "In", "values": [tier]}]
        }
        spec["template"]["metadata"]["labels"] = labels
        objects[f"Service/{tier}"]["spec"]["selector"] = labels


def scaled_by_load(objects):
    """An autoscaler, a disruption budget, spread over nodes, a start probe, and a start that waits for the store."""
    pod = objects["Deployment/web"]["spec"]["template"]["spec"]
    del objects["Deployment/web"]["spec"]["replicas"]
    objects["Deployment/web"]["spec"] |= {"minReadySeconds": 1, "strategy": {"rollingUpdate": {"maxUnavailable": 0}}}
    container(objects["Deployment/web"])["startupProbe"] = {
        "httpGet": {"path": "/ready", "port": 8081}, "periodSeconds": 1, "failureThreshold": 20}  # fmt: skip
    container(objects["Deployment/web"])["resources"] = {"requests": {"cpu": "100m"}, "limits": {"memory": "128Mi"}}
    resources = {"requests": {"cpu": "10m", "memory": "8Mi"}}
    pod["initContainers"] = [{"name": "first", "image": "busybox:1.36", "command": ["true"], "resources": resources}]
    pod["topologySpreadConstraints"] = [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
                                         "whenUnsatisfiable": "ScheduleAnyway",
                                         "labelSelector": {"matchLabels": {"tier": "web"}}}]  # fmt: skip
    objects["HorizontalPodAutoscaler/web"] = yaml.safe_load("""
        apiVersion: autoscaling/v2
        kind: HorizontalPodAutoscaler
        metadata: {name: web}
        spec:
          scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
          minReplicas: 2
          maxReplicas: 6
          metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
    """)
    objects["PodDisruptionBudget/web"] = yaml.safe_load("""
        apiVersion: policy/v1
        kind: PodDisruptionBudget
        metadata: {name: web}
        spec: {minAvailable: 1, selector: {matchLabels: {tier: web}}}
    """)


def projected(objects):
    """All settings as files of one projected volume, the programs from a ConfigMap of another name."""
    for tier in ("web", "store"):
        pod = objects[f"Deployment/{tier}"]["spec"]["template"]["spec"]
        pod["containers"][0].pop("envFrom")
        sources = [{"secret": {"name": "store"}}, *([{"configMap": {"name": "settings"}}] if tier == "web" else [])]
        pod["volumes"] += [{"name": "all", "projected": {"sources": sources}}]
        pod["containers"][0]["volumeMounts"] += [{"name": "all", "mountPath": "/etc/settings", "readOnly": True}]
        pod["automountServiceAccountToken"] = False


KUSTOMIZE = """
    import pathlib, shutil
    place = pathlib.Path("/tmp/k")
    shutil.copytree("../manifests/08_milestone/app", place / "app")
    (place / "all.yaml").write_text(OBJECTS)
    (place / "kustomization.yaml").write_text('''
    apiVersion: kustomize.config.k8s.io/v1beta1
    kind: Kustomization
    resources: [all.yaml]
    generatorOptions: {disableNameSuffixHash: true}
    configMapGenerator:
    - {name: settings, literals: [TITLE=The board, VERSION=2, STORE_URL=http://store]}
    - {name: code, files: [app/settings.py, app/store.py, app/web.py]}
    secretGenerator:
    - {name: store, literals: [PASSWORD=sésamo]}
    ''')
"""

# Programs of the student's own, of the same habits: another store with a data base, another web tier.
OWN_STORE = """
import os, signal, sqlite3
from http.server import BaseHTTPRequestHandler, HTTPServer
db = sqlite3.connect("/var/lib/notes/db")
db.execute("create table if not exists notes (text)")
class Store(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("X-Password") != os.environ["STORE_PASSWORD"]:
            return self.send_error(403)
        if self.command == "POST":
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            with db:
                db.execute("insert into notes values (?)", [text])
        self.send_response(201 if self.command == "POST" else 200)
        self.end_headers()
        self.wfile.write("\\n".join(row[0] for row in db.execute("select text from notes")).encode())
    do_POST = do_GET
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
HTTPServer(("", 5000), Store).serve_forever()
"""


def own_store():
    """Another program for the store, with a data base on the claim, on another port and under other variables."""
    objects = reference()
    objects["ConfigMap/mine"] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"},
                                 "data": {"s.py": OWN_STORE}}  # fmt: skip
    pod = objects["Deployment/store"]["spec"]["template"]["spec"]
    pod["volumes"][0] = {"name": "mine", "configMap": {"name": "mine"}}
    secret = {"secretKeyRef": {"name": "store", "key": "PASSWORD"}}
    pod["containers"][0] |= {
        "command": ["python3", "/srv/s.py"], "env": [{"name": "STORE_PASSWORD", "valueFrom": secret}],
        "ports": [{"name": "http", "containerPort": 5000}],
        "volumeMounts": [{"name": "mine", "mountPath": "/srv"}, {"name": "notes", "mountPath": "/var/lib/notes"}],
    }  # fmt: skip
    del pod["containers"][0]["envFrom"]
    objects["Service/store"]["spec"]["ports"] = [{"port": 80, "targetPort": "http"}]
    return objects


def kustomized():
    """What a kustomization makes; it generates settings, programs and password."""
    objects = reference()
    del objects["ConfigMap/settings"], objects["Secret/store"]
    return cells(textwrap.dedent(KUSTOMIZE).replace("OBJECTS", repr(yaml.safe_dump_all(objects.values()))),
                 "!kubectl apply -k /tmp/k")  # fmt: skip


def right():
    """Return the right ones, by name: the notebook, or the objects that a usual one makes."""
    objects = {"recommended": whole(recommended), "autoscaled": whole(scaled_by_load), "projected": whole(projected),
               "own-store": own_store()}  # fmt: skip
    return {
        "spanish": spanish(), "one-cell": one_cell(), "named": named(), "client": client(), "templates": templates(),
        "kustomize": kustomized(), **{name: notebook_of(each) for name, each in objects.items()},
    }  # fmt: skip


def in_env(*tiers):
    def change(objects):
        for tier in tiers:
            container(objects[f"Deployment/{tier}"])["env"] = [{"name": "PASSWORD", "value": "open sesame"}]

    return change


def in_config_map(objects):
    objects["ConfigMap/password"] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "password"},
                                     "data": {"PASSWORD": "open sesame"}}  # fmt: skip
    for tier in ("web", "store"):
        sources = [s for s in container(objects[f"Deployment/{tier}"])["envFrom"] if "secretRef" not in s]
        container(objects[f"Deployment/{tier}"])["envFrom"] = [*sources, {"configMapRef": {"name": "password"}}]


PATCH = """
!kubectl patch configmap settings -p '{"data": {"STORE_URL": "http://'$(ADDRESS)'PORT"}}'
!kubectl rollout restart deployment/web
!kubectl rollout status deployment/web
"""


def address(of, port=""):
    """The cell that follows writes an address of the moment into the settings."""
    return notebook_of(reference(), PATCH.replace("ADDRESS", of).replace("PORT", port))


def change(tier, **fields):
    return lambda objects: container(objects[f"Deployment/{tier}"]).update(fields)


def spec(tier, **fields):
    return lambda objects: objects[f"Deployment/{tier}"]["spec"].update(fields)


def lives_at(port):
    return {"httpGet": {"path": "/alive", "port": port}, "periodSeconds": 1, "failureThreshold": 1}


def url_in_manifest(objects):
    container(objects["Deployment/web"])["env"] = [{"name": "STORE_URL", "value": "http://store"}]


def wrong():
    """Return who lacks something: notebook, names of the items that are lost (None: more than can be told), words."""
    everything, late = {"rollingUpdate": {"maxUnavailable": "100%"}}, {"httpGet": {"path": "/ready", "port": 8081}}
    changes = {
        "typo": (lambda o: o["Service/web"]["spec"].update(selector={"tier": "wbe"}), None, "requests failed"),
        "port": (lambda o: o["Service/web"]["spec"].update(ports=[{"port": 80}]), None, "connection refused"),
        "unready": (change("web", readinessProbe=None), None, "HTTP 503"),
        "killer": (change("web", livenessProbe=lives_at(8080)), None, "requests failed"),
        "slow-probe": (change("web", readinessProbe=late | {"initialDelaySeconds": 20}), None, "not rolled out"),
        "env": (in_env("web", "store"), [PASSWORD, WEB_PASSWORD], "HTTP 403"),
        "config-map": (in_config_map, [PASSWORD, WEB_PASSWORD], "HTTP 403"),
        "one": (spec("web", replicas=1), [SURVIVES], "requests failed"),
        "all-at-once": (spec("web", strategy=everything), [LOST], "requests failed"),
        "greedy": (change("web", resources={"requests": {"cpu": "64", "memory": "1Mi"}}), None, "Insufficient cpu"),
        "two-writers": (spec("store", replicas=2), ["one pod alone writes", ROLLOUT], "store-"),
        "url": (url_in_manifest, ["and another address of the store"], "HTTP 200"),
    }  # fmt: skip
    made = {name: (notebook_of(whole(each)), lost, says) for name, (each, lost, says) in changes.items()}
    cluster_ip = "kubectl get service store -o jsonpath={.spec.clusterIP}"
    pod_ip = "kubectl get pods -l tier=store -o jsonpath={.items[0].status.podIP}"
    return made | {
        "address": (address(cluster_ip), [BY_NAME], "HTTP 502"),
        "pod-address": (address(pod_ip, ":8080"), None, "requests failed"),
    }
