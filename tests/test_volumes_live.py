"""Volumes of running pods: what outlives them, what follows the API, and who may touch what."""

import base64
import json

import pytest

from tests.embedded import eventually
from tests.live import events, field, fresh_namespace, logs, make, pod, wait

pytestmark = pytest.mark.cluster
FOREVER = "sleep 1000"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.fixture
def namespace(cluster):
    with fresh_namespace(cluster) as name:
        yield name


def claim(name="data", size="1Mi", **spec):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def on_claim(name, command, claim_name="data", **spec):
    """A pod with a claim at /data."""
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}]
    return mounting(pod(name, command, volumes=volumes, **spec), "data", "/data")


def mounting(obj, volume, path, **mount):
    container = obj["spec"]["containers"][0]
    mounts = [*container.get("volumeMounts", []), {"name": volume, "mountPath": path, **mount}]
    container["volumeMounts"] = mounts
    return obj


def of(cluster, namespace, kind, name, path):
    return cluster.kubectl("get", kind, name, "-n", namespace, "-o", f"jsonpath={{{path}}}")


def disks(cluster, volume):
    """The places where a volume's data lies on the nodes' disks."""
    return list(cluster.root.glob(f"nodes/*/host/var/lib/glassbox/volumes/{volume}"))


# claims


def test_a_claim_s_data_survives_its_pod_and_not_its_reclaim(cluster, namespace):
    make(cluster, namespace, claim(), on_claim("first", f"echo kept > /data/file; {FOREVER}"))
    volume = of(cluster, namespace, "pvc", "data", ".spec.volumeName")
    cluster.kubectl("delete", "pod", "first", "-n", namespace)
    make(cluster, namespace, on_claim("second", f"cat /data/file; {FOREVER}"))
    eventually(lambda: logs(cluster, namespace, "second") == "kept\n")
    assert len(disks(cluster, volume)) == 1
    cluster.kubectl("delete", "pod/second", "pvc/data", "-n", namespace)
    cluster.kubectl("wait", "--for=delete", f"pv/{volume}", "--timeout=20s")
    assert disks(cluster, volume) == []


def test_a_claim_in_use_waits_for_its_pod_before_it_goes(cluster, namespace):
    make(cluster, namespace, claim(), on_claim("user", FOREVER))
    cluster.kubectl("delete", "pvc", "data", "-n", namespace, "--wait=false")
    assert of(cluster, namespace, "pvc", "data", ".metadata.finalizers") == '["kubernetes.io/pvc-protection"]'
    cluster.kubectl("delete", "pod", "user", "-n", namespace)
    cluster.kubectl("wait", "--for=delete", "pvc/data", "-n", namespace, "--timeout=20s")


def test_a_static_volume_is_bound_by_class_and_size_and_not_deleted_while_it_is(cluster, namespace):
    spec = {"storageClassName": namespace, "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"]}
    spec["hostPath"] = {"path": f"/{namespace}"}
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": namespace}, "spec": spec}
    make(cluster, namespace, volume, claim(size="1Gi", storageClassName=namespace))
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/data", "-n", namespace, "--timeout=20s")
    assert of(cluster, namespace, "pvc", "data", ".status.capacity.storage") == "2Gi"
    cluster.kubectl("delete", "pv", namespace, "--wait=false")
    assert "kubernetes.io/pv-protection" in of(cluster, namespace, "pv", namespace, ".metadata.finalizers")
    cluster.kubectl("delete", "pvc", "data", "-n", namespace)
    cluster.kubectl("wait", "--for=delete", f"pv/{namespace}", "--timeout=20s")


def test_a_claim_that_cannot_be_served_says_why(cluster, namespace):
    make(cluster, namespace, claim("unknown", storageClassName="none"), claim(accessModes=["ReadWriteMany"]))
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(on_claim("asks", FOREVER)))
    eventually(lambda: 'storageclass.storage.k8s.io "none" not found' in events(cluster, namespace))
    eventually(lambda: "NodePath only supports ReadWriteOnce" in events(cluster, namespace))
    assert field(cluster, namespace, "asks", ".status.phase") == "Pending"


def test_a_claim_does_not_grow(cluster, namespace):
    make(cluster, namespace, claim(), on_claim("user", FOREVER))
    patch = json.dumps({"spec": {"resources": {"requests": {"storage": "1Gi"}}}})
    refused = cluster.kubectl("patch", "pvc", "data", "-n", namespace, "-p", patch, check=False)
    assert "the storageclass that provisions the pvc must support resize" in refused.stderr


def test_an_ephemeral_volume_s_claim_comes_and_goes_with_its_pod(cluster, namespace):
    template = {"volumeClaimTemplate": {"spec": claim()["spec"]}}
    scratch = mounting(pod("scratch", FOREVER, volumes=[{"name": "tmp", "ephemeral": template}]), "tmp", "/tmp/it")
    make(cluster, namespace, scratch)
    assert of(cluster, namespace, "pvc", "scratch-tmp", ".status.phase") == "Bound"
    cluster.kubectl("delete", "pod", "scratch", "-n", namespace)
    cluster.kubectl("wait", "--for=delete", "pvc/scratch-tmp", "-n", namespace, "--timeout=20s")


# hostPath


def test_a_host_path_lies_in_the_node_s_own_tree_and_is_shared_by_its_pods(cluster, namespace):
    volumes = [{"name": "host", "hostPath": {"path": f"/srv/{namespace}", "type": "DirectoryOrCreate"}}]
    where = {"volumes": volumes, "nodeSelector": {"kubernetes.io/hostname": "node1"}}
    make(
        cluster,
        namespace,
        mounting(pod("one", f"echo seen > /srv/file; {FOREVER}", **where), "host", "/srv"),
        mounting(pod("two", "until cat /srv/file; do sleep 0.1; done; sleep 1000", **where), "host", "/srv"),
    )
    eventually(lambda: "seen" in logs(cluster, namespace, "two"))
    assert (cluster.root / f"nodes/node1/host/srv/{namespace}/file").read_text() == "seen\n"


def test_a_host_path_never_shows_the_host(cluster, namespace):
    volumes = [{"name": "host", "hostPath": {"path": "/etc/passwd", "type": "File"}}]
    asks = mounting(pod("asks", FOREVER, volumes=volumes), "host", "/mnt")
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(asks))
    eventually(lambda: "hostPath type check failed: /etc/passwd is not a file" in events(cluster, namespace))


def test_a_link_in_a_host_path_leads_nowhere_else(cluster, namespace):
    def host(path):
        return [{"name": "host", "hostPath": {"path": path}}]

    node = {"nodeSelector": {"kubernetes.io/hostname": "node1"}}
    plants = pod("plants", f"ln -s /etc /srv/way-out; {FOREVER}", volumes=host(f"/{namespace}"), **node)
    make(cluster, namespace, mounting(plants, "host", "/srv"))
    follows = pod("follows", FOREVER, volumes=host(f"/{namespace}/way-out"), **node)
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(mounting(follows, "host", "/mnt")))
    eventually(lambda: f"hostPath /{namespace}/way-out leads out of the node's own tree" in events(cluster, namespace))


# what shows the API


def test_a_changed_configmap_reaches_a_running_pod(cluster, namespace):
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"}, "data": {"word": "old\n"}}
    shows = pod("shows", "while true; do cat /config/word; sleep 0.1; done")
    shows["spec"]["volumes"] = [{"name": "config", "configMap": {"name": "config"}}]
    make(cluster, namespace, config, mounting(shows, "config", "/config"))
    eventually(lambda: "old" in logs(cluster, namespace, "shows"))
    cluster.kubectl("patch", "configmap", "config", "-n", namespace, "-p", '{"data": {"word": "new\\n"}}')
    eventually(lambda: "new" in logs(cluster, namespace, "shows", "--tail=1"))


def test_what_a_pod_was_shown_stays_when_the_configmap_is_deleted(cluster, namespace):
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"}, "data": {"word": "kept\n"}}
    again = pod("again", "until [ -e /now/die ]; do sleep 0.1; done")
    again["spec"]["volumes"] = [{"name": "config", "configMap": {"name": "config"}}, {"name": "now", "emptyDir": {}}]
    mounting(mounting(again, "config", "/config"), "now", "/now")
    again["spec"]["containers"][0]["command"][2] += "; rm /now/die; cat /config/word"
    make(cluster, namespace, config, again)
    cluster.kubectl("delete", "configmap", "config", "-n", namespace)
    eventually(lambda: 'volume "config" : configmap "config" not found' in events(cluster, namespace))
    cluster.kubectl("exec", "again", "-n", namespace, "--", "touch", "/now/die")
    wait(cluster, namespace, "again", "jsonpath={.status.containerStatuses[0].restartCount}=1")
    wait(cluster, namespace, "again", "condition=Ready")
    assert logs(cluster, namespace, "again", "-p") == "kept\n"


def test_a_pod_waits_for_its_secret_and_starts_when_it_comes(cluster, namespace):
    waits = pod("waits", f"cat /secret/key; {FOREVER}", volumes=[{"name": "s", "secret": {"secretName": "late"}}])
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(mounting(waits, "s", "/secret")))
    told = 'MountVolume.SetUp failed for volume "s" : secret "late" not found'
    eventually(lambda: told in events(cluster, namespace))
    cluster.kubectl("create", "secret", "generic", "late", "-n", namespace, "--from-literal=key=here")
    wait(cluster, namespace, "waits", "condition=Ready")


def test_a_secret_in_a_pod_is_on_no_disk(cluster, namespace):
    hidden = "b7c1-on-no-disk"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"key": hidden}}
    reads = f"cat /secret/key; grep ' /secret ' /proc/mounts; {FOREVER}"
    reader = mounting(pod("reader", reads, volumes=[{"name": "s", "secret": {"secretName": "s"}}]), "s", "/secret")
    make(cluster, namespace, secret, reader)
    told = logs(cluster, namespace, "reader")
    assert told.startswith(hidden)
    assert " tmpfs " in told
    on_disk = [path for path in cluster.root.glob("nodes/**/*") if path.is_file() and path.suffix != ".log"]
    assert not [path for path in on_disk if hidden.encode() in path.read_bytes()]


def test_a_sub_path_follows_the_container_s_variables(cluster, namespace):
    volumes = [{"name": "all", "hostPath": {"path": f"/{namespace}"}}]
    named = pod("named", f"echo mine > /data/file; {FOREVER}", node="node1", volumes=volumes)
    named["spec"]["containers"][0]["env"] = [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    make(cluster, namespace, mounting(named, "all", "/data", subPathExpr="of-$(POD)"))
    eventually(lambda: (cluster.root / f"nodes/node1/host/{namespace}/of-named/file").exists())


# tokens


def test_a_pod_finds_a_token_that_names_it_and_ends_with_it(cluster, namespace):
    make(cluster, namespace, pod("holder", f"cat {TOKEN}/token {TOKEN}/namespace; echo; {FOREVER}"))
    eventually(lambda: logs(cluster, namespace, "holder").endswith(f"{namespace}\n"))
    token = logs(cluster, namespace, "holder").removesuffix(f"{namespace}\n")
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["kubernetes.io"]["pod"]["name"] == "holder"
    assert review(cluster, token)["user"]["username"] == f"system:serviceaccount:{namespace}:default"
    cluster.kubectl("delete", "pod", "holder", "-n", namespace, "--now")
    assert review(cluster, token)["error"] == ("[invalid bearer token, service account token has been invalidated]")


def test_a_token_in_a_pod_with_a_group_is_for_nobody_else(cluster, namespace):
    shows = pod("shows", f"ls -lL {TOKEN}/token; {FOREVER}", securityContext={"fsGroup": 2000})
    make(cluster, namespace, shows)
    assert eventually(lambda: logs(cluster, namespace, "shows"))[7:10] == "---"


def review(cluster, token):
    wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    return json.loads(cluster.kubectl("create", "-o", "json", "-f", "-", input=json.dumps(wanted)))["status"]


def test_kubectl_creates_a_token_and_asks_with_it_as_its_account(cluster, namespace):
    token = cluster.kubectl("create", "token", "default", "-n", namespace).strip()
    told = cluster.kubectl("auth", "whoami", "--token", token, "-o", "jsonpath={.status.userInfo.username}")
    assert told == f"system:serviceaccount:{namespace}:default"
    refused = cluster.kubectl("get", "pods", "-n", namespace, "--token", token, check=False)
    assert f'User "system:serviceaccount:{namespace}:default" cannot list resource "pods"' in refused.stderr


def test_a_token_secret_is_filled_and_goes_with_its_account(cluster, namespace):
    annotations = {"kubernetes.io/service-account.name": "default"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "old-way", "annotations": annotations}}
    make(cluster, namespace, {**secret, "type": "kubernetes.io/service-account-token"})
    encoded = eventually(lambda: of(cluster, namespace, "secret", "old-way", ".data.token"))
    token = base64.b64decode(encoded).decode()
    assert review(cluster, token)["authenticated"]
    cluster.kubectl("delete", "serviceaccount", "default", "-n", namespace)
    cluster.kubectl("wait", "--for=delete", "secret/old-way", "-n", namespace, "--timeout=20s")
    assert "invalidated" in review(cluster, token)["error"]


def test_a_class_may_bind_at_once_and_keep_what_is_released(cluster, namespace):
    kind = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": namespace}}
    how = {"provisioner": "glassbox.labkit/host-path", "reclaimPolicy": "Retain", "volumeBindingMode": "Immediate"}
    make(cluster, namespace, {**kind, **how}, claim(storageClassName=namespace))
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/data", "-n", namespace, "--timeout=20s")
    volume = of(cluster, namespace, "pvc", "data", ".spec.volumeName")
    make(cluster, namespace, on_claim("writer", f"echo kept > /data/file; {FOREVER}"))
    cluster.kubectl("delete", "pod/writer", "pvc/data", "-n", namespace)
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Released", f"pv/{volume}", "--timeout=20s")
    [place] = disks(cluster, volume)
    assert (place / "file").read_text() == "kept\n"
    cluster.kubectl("delete", f"pv/{volume}", f"sc/{namespace}")
    assert (place / "file").exists()
