"""Hand-ins for lesson 08 by unusual means: right ones that a fair person would give all points, and mistakes of theirs.

As in invented.py: `right()` lack nothing, of `wrong()` the items are named that are lost, and nothing else may.
"""

import yaml

from tests.e2e.invented import FOUR, HUNG, LOST, NONE_FAILS, applied, cells, change, kustomized, spec
from tests.e2e.milestones import CODE, notebook_of, web, whole
from tests.test_lesson_08 import container, reference

REQUESTS = {"requests": {"cpu": "10m", "memory": "16Mi"}}


def pod_of(objects, tier):
    return objects[f"Deployment/{tier}"]["spec"]["template"]["spec"]


def headless():
    """A store without an address of its own: it listens on the Service's port itself, in a set with its own claims."""
    objects = reference()
    claim = objects.pop("PersistentVolumeClaim/notes")
    store = objects.pop("Deployment/store")
    pod = store["spec"]["template"]["spec"]
    pod["volumes"] = pod["volumes"][:1]
    pod["containers"][0]["command"] = ["sh", "-c", "sed s/8080/80/ /code/store.py > /tmp/s.py; exec python3 /tmp/s.py"]
    pod["containers"][0]["env"] = [{"name": "PYTHONPATH", "value": "/code"}]
    spec_ = {key: value for key, value in store["spec"].items() if key != "strategy"}
    store |= {"kind": "StatefulSet", "spec": {**spec_, "serviceName": "store", "volumeClaimTemplates": [claim]}}
    objects["Service/store"]["spec"] = {"clusterIP": "None", "selector": {"tier": "store"}, "ports": [{"port": 80}]}
    return notebook_of(objects | {"StatefulSet/store": store})


def prepared(objects):
    """A job lays a first note on the claim, and init containers look whether all is there; both carry the label."""
    first = {"name": "first", "image": "busybox:1.36", "resources": REQUESTS,
             "command": ["sh", "-c", "test -e /data/notes || echo welcome > /data/notes"],
             "volumeMounts": [{"name": "notes", "mountPath": "/data"}]}  # fmt: skip
    volume = {"name": "notes", "persistentVolumeClaim": {"claimName": "notes"}}
    template = {"metadata": {"labels": {"tier": "store"}},
                "spec": {"restartPolicy": "Never", "containers": [first], "volumes": [volume]}}  # fmt: skip
    objects["Job/first"] = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "first"},
                            "spec": {"template": template}}  # fmt: skip
    waits = {**first, "name": "waits", "command": ["sh", "-c", "until test -e /data/notes; do sleep 0.2; done"]}
    pod_of(objects, "store")["initContainers"] = [waits]
    pod_of(objects, "web")["initContainers"] = [{"name": "log", "image": "busybox:1.36", "restartPolicy": "Always",
                                                 "resources": REQUESTS, "command": ["sleep", "inf"]}]  # fmt: skip


def two_webs(objects):
    """Two Deployments of a pod each behind one Service, which is open on the nodes too."""
    blue = objects.pop("Deployment/web")
    blue["spec"]["replicas"] = 1
    for colour in ("blue", "green"):
        made = yaml.safe_load(yaml.safe_dump(blue))
        made["metadata"]["name"] = f"web-{colour}"
        labels = {"tier": "web", "colour": colour}
        made["spec"]["selector"] = {"matchLabels": labels}
        made["spec"]["template"]["metadata"]["labels"] = labels
        objects[f"Deployment/{colour}"] = made
    objects["Service/web"]["spec"]["type"] = "NodePort"


def unprivileged(objects):
    """Nobody is root; the password is a file that its group alone may read; the claim belongs to a group."""
    for tier in ("web", "store"):
        pod, mine = pod_of(objects, tier), container(objects[f"Deployment/{tier}"])
        mine["envFrom"] = [source for source in mine["envFrom"] if "secretRef" not in source]
        pod["volumes"].append({"name": "pw", "secret": {"secretName": "store", "defaultMode": 0o400}})
        mine["volumeMounts"].append({"name": "pw", "mountPath": "/etc/secret", "readOnly": True})
        pod["securityContext"] = {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000,
                                  "seccompProfile": {"type": "RuntimeDefault"}}  # fmt: skip
        mine["securityContext"] = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                   "capabilities": {"drop": ["ALL"]}}  # fmt: skip
        pod |= {"automountServiceAccountToken": False, "enableServiceLinks": False}


def wrapped(objects):
    """The web tier in a shell that stays; probes by command and by port; a hook by command."""
    ask = ["sh", "-c", "python3 -c \"import urllib.request as u; u.urlopen('http://localhost:8081/$0')\""]
    web(objects).update(
        command=["sh", "-c", "cd /code && python3 -u web.py 2>&1 | tee /tmp/log"],
        startupProbe={"tcpSocket": {"port": 8081}, "periodSeconds": 1, "failureThreshold": 30},
        readinessProbe={"exec": {"command": [*ask, "ready"]}, "periodSeconds": 1, "timeoutSeconds": 3},
        livenessProbe={"exec": {"command": [*ask, "alive"]}, "periodSeconds": 2, "timeoutSeconds": 3},
        lifecycle={"preStop": {"exec": {"command": ["sh", "-c", "sleep 3"]}}},
    )
    pod_of(objects, "web").update(
        terminationGracePeriodSeconds=5,
        topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
                                    "whenUnsatisfiable": "ScheduleAnyway",
                                    "labelSelector": {"matchLabels": {"tier": "web"}}}],
        affinity={"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname",
                                              "labelSelector": {"matchLabels": {"tier": "web"}}}}]}},
    )  # fmt: skip
    objects["PodDisruptionBudget/web"] = yaml.safe_load(
        "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: web},"
        " spec: {maxUnavailable: 1, selector: {matchLabels: {tier: web}}}}"
    )


POLICIES = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: nobody}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: within}
spec:
  podSelector: {}
  ingress: [{from: [{podSelector: {}}], ports: [{port: 8080}]}]
  egress:
  - to: [{podSelector: {}}]
  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
    ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
"""


def guarded(objects):
    """All is forbidden but what must be: port 8080 within the namespace, and DNS."""
    for each in yaml.safe_load_all(POLICIES):
        objects[f"NetworkPolicy/{each['metadata']['name']}"] = each


IMPERATIVE = r"""
%%bash
set -e
kubectl create configmap code --from-file=../manifests/08_milestone/app
kubectl create configmap settings --from-literal=TITLE='The board' --from-literal=VERSION=2 --from-literal=STORE_URL=http://store
kubectl create secret generic store --from-literal=PASSWORD="$(date +%s%N)"
for tier in web store; do
  kubectl create deployment $tier --image=python:3 --dry-run=client -o yaml -- python3 /code/$tier.py |
    sed "s/app: $tier\$/tier: $tier/" > $tier.yaml
  kubectl create -f $tier.yaml
done
kubectl scale deployment web --replicas=2
kubectl create -f - <<END
{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
 "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "$(kubectl get storageclass -o name | cut -d/ -f2)",
 "resources": {"requests": {"storage": "1Gi"}}}}
END
kubectl patch deployment store -p '{"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}'
for tier in web store; do
  kubectl set resources deployment/$tier --requests=cpu=20m,memory=32Mi
  kubectl set env deployment/$tier --from=secret/store
  kubectl expose deployment $tier --port=80 --target-port=8080
  kubectl patch deployment $tier -p '{"spec": {"template": {"spec": {
    "volumes": [{"name": "code", "configMap": {"name": "code"}}],
    "containers": [{"name": "python", "volumeMounts": [{"name": "code", "mountPath": "/code"}]}]}}}}'
done
kubectl set env deployment/web --from=configmap/settings
kubectl patch deployment store -p '{"spec": {"template": {"spec": {
  "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
  "containers": [{"name": "python", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}}}}'
kubectl patch deployment web -p '{"spec": {"template": {"spec": {"containers": [{"name": "python",
  "readinessProbe": {"httpGet": {"path": "/ready", "port": 8081}, "periodSeconds": 1},
  "livenessProbe": {"httpGet": {"path": "/alive", "port": 8081}, "periodSeconds": 1},
  "lifecycle": {"preStop": {"sleep": {"seconds": 2}}}}]}}}}'
kubectl rollout status deployment/web
"""


def in_files():
    """A file a manifest, written by cells beside the starters, applied as a folder; programs by a generator."""
    made = [f"%%writefile ../manifests/08_milestone/{n}-{key.split('/')[0].lower()}.yml\n{yaml.safe_dump(each)}"
            for n, (key, each) in enumerate(reference().items())]  # fmt: skip
    apply = "%cd ../manifests/08_milestone\nfrom pathlib import Path\nfor each in sorted(Path('.').glob('*.yml')):\n"
    return cells(CODE, *made, f"{apply}    !kubectl create -f {{each}} --save-config\n%cd -")


def right():
    """Return the right ones, by name."""
    changes = {"prepared": prepared, "two-webs": two_webs, "unprivileged": unprivileged, "wrapped": wrapped,
               "guarded": guarded}  # fmt: skip
    made = {name: notebook_of(whole(each)) for name, each in changes.items()}
    return made | {"headless": headless(), "imperative": cells(IMPERATIVE.strip()), "in-files": in_files()}


def as_kind(kind, **fields):
    def change_(objects):
        web_ = objects["Deployment/web"]
        web_["kind"] = kind
        for field in ("replicas",) if kind == "DaemonSet" else ():
            web_["spec"].pop(field)
        web_["spec"].update(fields)

    return change_


def closed(objects):
    """A store that admits the web tier alone, which the task excludes."""
    objects["NetworkPolicy/store"] = yaml.safe_load("""
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: store}
        spec:
          podSelector: {matchLabels: {tier: store}}
          ingress: [{from: [{podSelector: {matchLabels: {tier: web}}}]}]
    """)


def hashed():
    """A kustomization whose names end in a hash: the task fixes them."""
    nb = kustomized()
    for cell in nb.cells:
        cell.source = cell.source.replace("generatorOptions: {disableNameSuffixHash: true}\n", "")
    return nb


def wrong():
    """Return who lacks something: notebook, names of the items that are lost (None: more than can be told), words."""
    sticky = whole(lambda o: o["Service/web"]["spec"].update(sessionAffinity="ClientIP"))
    removed = applied(yaml.safe_dump_all(reference().values()), "!kubectl delete -f mine.yaml --wait")
    slow = change("web", lifecycle={"preStop": {"exec": {"command": ["sleep", "25"]}}})
    return {
        "daemon": (notebook_of(whole(as_kind("DaemonSet"))), [FOUR, NONE_FAILS], "cannot be scaled"),
        "replica-set": (notebook_of(whole(as_kind("ReplicaSet"))), None, "cannot roll out"),
        "closed": (notebook_of(whole(closed)), None, "no answer within"),
        "hashed": (hashed(), None, "no configmap settings"),
        "sticky": (notebook_of(sticky), [FOUR], "answered well"),
        "removed": (removed, None, "no such object"),
        "recreated": (notebook_of(whole(spec("web", strategy={"type": "Recreate"}))), [LOST], "requests failed"),
        "slow-end": (notebook_of(whole(slow)), [HUNG], "is not restarted after 20 s"),
    }  # fmt: skip
