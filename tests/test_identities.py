"""Each component asks as itself, and has the rights that it needs and no others."""

import json

import pytest
import yaml

from labkit.glassbox.client import Client
from labkit.glassbox.errors import ApiError
from tests.embedded import eventually
from tests.live import fresh_namespace, make, pod

pytestmark = pytest.mark.cluster
COMPONENTS = {
    "controller-manager": "system:kube-controller-manager",
    "scheduler": "system:kube-scheduler",
    "kube-proxy": "system:kube-proxy",
    "dns": "system:coredns",
    "outside": "system:outside",
    "ingress": "system:ingress-controller",
    "volume-reclaimer": "system:volume-reclaimer",
    "kubelet-node1": "system:node:node1",
    "kubelet-node2": "system:node:node2",
}
TEMPLATE = {
    "metadata": {"labels": {"app": "a"}},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "c",
                "image": "busybox:1.36",
                "command": ["sleep", "1000"],
                "resources": {"requests": {"cpu": "5m"}},
                "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "key"}}],
            }
        ],
    },
}


def of_component(cluster, component):
    """Return a component's client as this host can use it: by the host's port, with the component's certificate."""
    config = json.loads((cluster.root / "components" / f"{component}.kubeconfig").read_text())
    admin = json.loads(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = admin["clusters"][0]["cluster"]["server"]
    path = cluster.home / f"{component}.kubeconfig"
    path.write_text(json.dumps(config))
    return Client.from_kubeconfig(path, user_agent="test")


def code_of(call, *args, **more):
    try:
        call(*args, **more)
    except ApiError as error:
        return error.code, error.message
    return 200, ""


@pytest.mark.parametrize(("component", "user"), COMPONENTS.items())
def test_a_component_s_certificate_says_who_it_is(cluster, component, user):
    api = of_component(cluster, component)
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    told = api._request("POST", path, {})["status"]["userInfo"]
    groups = ["system:nodes"] if user.startswith("system:node:") else []
    assert (told["username"], told["groups"]) == (user, [*groups, "system:authenticated"])


@pytest.mark.parametrize("component", COMPONENTS)
def test_no_component_but_those_that_must_reads_secrets(cluster, component):
    code, _ = code_of(of_component(cluster, component).list, "secrets")
    assert code == (200 if component in ("controller-manager", "ingress") else 403)


@pytest.mark.parametrize("component", COMPONENTS)
def test_no_component_makes_roles(cluster, component):
    role = {"metadata": {"name": "mine", "namespace": "default"}, "rules": []}
    assert code_of(of_component(cluster, component).create, "roles", role)[0] == 403


def test_the_token_file_knows_the_administrator_alone(cluster):
    lines = (cluster.root / "pki" / "tokens.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in lines] == ["kubernetes-admin"]


def test_what_a_controller_writes_it_writes_under_its_own_name(cluster):
    with fresh_namespace(cluster) as namespace:
        accounts = "system:serviceaccount:kube-system:"
        asked = ["auth", "can-i", "create", "pods", "-n", namespace]
        assert cluster.kubectl(*asked, f"--as={accounts}replicaset-controller") == "yes\n"
        assert cluster.kubectl(*asked, f"--as={accounts}deployment-controller", check=False).stdout == "no\n"
        cluster.kubectl("create", "deployment", "d", "--image=busybox:1.36", "-n", namespace, "--", "sleep", "9")
        found = lambda: cluster.kubectl("get", "sa", "-n", "kube-system", "-o", "name")  # noqa: E731
        eventually(lambda: "serviceaccount/replicaset-controller" in found().split())


# --- nodes


@pytest.fixture(scope="module")
def two_pods(cluster):
    """A namespace with a pod on each node, each with a secret of its own; as (namespace, node1's client)."""
    with fresh_namespace(cluster) as namespace:
        for number in (1, 2):
            cluster.kubectl("create", "secret", "generic", f"s{number}", "--from-literal=a=b", "-n", namespace)
            volume = {"name": "s", "secret": {"secretName": f"s{number}"}}
            make(cluster, namespace, pod(f"p{number}", "sleep 1000", node=f"node{number}", volumes=[volume]))
        yield namespace, of_component(cluster, "kubelet-node1")


def test_a_node_reads_the_secrets_of_its_own_pods(two_pods):
    namespace, api = two_pods
    assert code_of(api.get, "secrets", "s1", namespace) == (200, "")
    why = "no relationship found between node 'node1' and this object"
    assert code_of(api.get, "secrets", "s2", namespace)[1].endswith(f": {why}")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (("list", "secrets"), "can only read namespaced object of this type"),
        (("list", "pods"), "can only list/watch pods with spec.nodeName field selector"),
        (("list", "nodes"), "node 'node1' cannot read all nodes, only its own Node object"),
        (("get", "nodes", "node2"), "node 'node1' cannot read 'node2', only its own Node object"),
        (
            ("get", "leases", "node2", "kube-node-lease"),
            "can only access node lease with the same name as the requesti",
        ),
        (("list", "persistentvolumes"), "can only get individual resources of this type"),
    ],
)
def test_a_node_reads_nothing_else(two_pods, asked, why):
    verb, *what = asked
    code, told = code_of(getattr(two_pods[1], verb), *what)
    assert (code, why in told) == (403, True), told


def test_a_node_writes_to_its_own_pods_and_node_alone(two_pods):
    namespace, api = two_pods
    status = {"status": {"message": "x"}}
    labels = {"metadata": {"labels": {"node-restriction.kubernetes.io/team": "a"}}}
    taints = {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}
    refused = {
        "only update pod status": code_of(api.patch, "pods", "p2", namespace, status, subresource="status"),
        "only delete pods": code_of(api.delete, "pods", "p2", namespace),
        'modify node "node2"': code_of(api.patch, "nodes", "node2", None, {"metadata": {"labels": {"a": "b"}}}),
        "not allowed to modify labels": code_of(api.patch, "nodes", "node1", None, labels),
        "not allowed to modify taints": code_of(api.patch, "nodes", "node1", None, taints),
    }
    assert {why: (code, why in told) for why, (code, told) in refused.items()} == dict.fromkeys(refused, (403, True))


def test_a_node_gets_tokens_for_its_own_pods_alone(cluster, two_pods):
    namespace, api = two_pods
    uids = {
        each["metadata"]["name"]: each["metadata"]["uid"]
        for each in json.loads(cluster.kubectl("get", "pods", "-n", namespace, "-o", "json"))["items"]
    }

    def token(**reference):
        bound = {"apiVersion": "v1", "kind": "Pod", **reference}
        request = {"spec": {"audiences": [], "boundObjectRef": bound if reference else None}}
        return code_of(api.create_subresource, "serviceaccounts", "default", namespace, "token", request)

    assert token(name="p1", uid=uids["p1"]) == (200, "")
    assert token()[1].endswith("node requested token not bound to a pod")
    assert token(name="p2", uid=uids["p2"])[1].endswith(
        "node requested token bound to a pod scheduled on a different node"
    )


# --- a working day


def busy():
    """A bit of everything that components work on."""
    selector = {"matchLabels": {"app": "a"}}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    claims = [{"metadata": {"name": "data"}, "spec": claim}]
    once = {**TEMPLATE["spec"], "restartPolicy": "Never", "containers": [{**TEMPLATE["spec"]["containers"][0]}]}
    once["containers"][0]["command"] = ["true"]
    web = {"selector": {"app": "a"}, "type": "NodePort", "ports": [{"port": 80}]}
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}
    pods = {"selector": selector, "template": TEMPLATE}
    yield thing("v1", "ConfigMap", "settings", data={"A": "1"})
    yield thing("v1", "Secret", "key", stringData={"B": "2"})
    for version, kind, name, spec in (
        ("v1", "Service", "web", web),
        ("v1", "ResourceQuota", "q", {"hard": {"pods": "50"}}),
        ("apps/v1", "Deployment", "d", {"replicas": 1, **pods}),
        ("apps/v1", "StatefulSet", "s", {"serviceName": "web", "replicas": 1, **pods, "volumeClaimTemplates": claims}),
        ("apps/v1", "DaemonSet", "ds", pods),
        ("batch/v1", "Job", "j", {"ttlSecondsAfterFinished": 0, "template": {"spec": once}}),
        ("batch/v1", "CronJob", "cj", {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": once}}}}),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "h",
            {"scaleTargetRef": scaled, "minReplicas": 2, "maxReplicas": 3},
        ),
        ("policy/v1", "PodDisruptionBudget", "b", {"selector": selector, "minAvailable": 0}),
        ("networking.k8s.io/v1", "NetworkPolicy", "open", {"podSelector": {}, "ingress": [{}]}),
        (
            "networking.k8s.io/v1",
            "Ingress",
            "i",
            {"rules": [{"host": "identities.example", "http": {"paths": [path]}}]},
        ),
    ):
        yield thing(version, kind, name, spec=spec)


def thing(version, kind, name, **fields):
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": {"app": "a"}}, **fields}


def refusals(cluster):
    """Return what components were refused for want of rights, as their logs tell."""
    logs = (path.read_text() for path in (cluster.root / "logs").glob("*.log"))
    return [line for text in logs for line in text.splitlines() if 'User "system:' in line and " cannot " in line]


def test_no_component_ever_asks_for_what_it_may_not(cluster):
    with fresh_namespace(cluster) as namespace:
        cluster.kubectl("apply", "-n", namespace, "-f", "-", input=yaml.safe_dump_all(busy()))
        for what in ("deployment/d", "statefulset/s", "daemonset/ds"):
            cluster.kubectl("rollout", "status", what, "-n", namespace, "--timeout=50s")
        cluster.kubectl("patch", "cm", "settings", "-n", namespace, "-p", '{"data":{"A":"2"}}')
        cluster.kubectl("set", "env", "deployment/d", "X=1", "-n", namespace)
        cluster.kubectl("rollout", "status", "deployment/d", "-n", namespace, "--timeout=50s")
        cluster.kubectl("wait", "--for=delete", "job/j", "-n", namespace, "--timeout=50s")
        told = lambda: cluster.kubectl("get", "events", "-n", namespace, "-o", "name")  # noqa: E731
        eventually(lambda: told())
        cluster.kubectl("delete", "statefulset/s", "pvc/data-s-0", "-n", namespace, "--timeout=50s")
    cluster.kubectl("wait", "--for=delete", f"namespace/{namespace}", "--timeout=50s")
    assert refusals(cluster) == []
