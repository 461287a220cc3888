"""A steady 200 requests a second, with a connection and a look-up a request: none is lost whatever is restarted."""

import json
import uuid
from functools import partial
from types import SimpleNamespace

import pytest

from labkit.glassbox import nftables
from tests import live, reach
from tests.embedded import eventually

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(nftables.binary() is None, reason="without nft a connection ends with its proxy"),
]
RATE = 200  # a second
INGRESS = "172.30.0.2"


@pytest.fixture(scope="module")
def shop(cluster, python_image):
    """A Deployment of two pods that take their leave, its service, and an Ingress."""
    with live.fresh_namespace(cluster) as namespace:
        template = reach.server("web", python_image)
        [container] = template["spec"]["containers"]
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": 1}}}
        template["spec"]["terminationGracePeriodSeconds"] = 5
        spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}}
        spec["template"] = {"metadata": template["metadata"], "spec": template["spec"]}
        web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
        site = f"{namespace}.example"
        live.make(cluster, namespace, web, reach.service("web"), reach.ingress("web", site, "web"))
        kubectl = partial(cluster.kubectl, "-n", namespace)
        kubectl("rollout", "status", "deployment/web", "--timeout=50s")
        shop = SimpleNamespace(cluster=cluster, namespace=namespace, kubectl=kubectl, image=python_image)
        address = kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
        shop.ways = {"address": (address, 80, ""), "name": ("web", 80, ""), "ingress": (INGRESS, 80, site)}
        for way in shop.ways:
            eventually(lambda way=way: lost(shop, way, lambda: None, seconds=1) == {})
        yield shop


def lost(shop, way, disturb, seconds=4):
    """Ask steadily from a pod while something is done; return how many got no answer, by the error that they met."""
    host, port, site = shop.ways[way]
    command = ["python", "-c", reach.LOAD, host, *map(str, (port, RATE, seconds)), site]
    container = {"name": "c", "image": f"python:{shop.image}", "command": command}
    asker = live.pod(f"asker-{uuid.uuid4().hex[:6]}", node="node1", containers=[container], restartPolicy="Never")
    name = asker["metadata"]["name"]
    live.make(shop.cluster, shop.namespace, asker)
    disturb()
    live.wait(shop.cluster, shop.namespace, name, "jsonpath={.status.phase}=Succeeded")
    told = json.loads(live.logs(shop.cluster, shop.namespace, name).splitlines()[-1])
    assert sum(told["answers"].values()) + sum(told["failed"].values()) == RATE * seconds
    return told["failed"]


@pytest.mark.parametrize(
    ("component", "way"),
    [("kube-proxy@node1", "address"), ("api-server", "name"), ("dns", "name"), ("ingress", "ingress")],
)
def test_no_request_is_lost_while_a_component_restarts(shop, component, way):
    def restart():
        done = shop.cluster.labkit("restart", component, "--name", shop.cluster.name)
        assert done.returncode == 0, done.stderr

    assert lost(shop, way, restart) == {}


@pytest.mark.parametrize("way", ["address", "ingress"])
def test_no_request_is_lost_during_a_rolling_update(shop, way):
    def replace():
        before = shop.kubectl("get", "pods", "-l", "app=web", "-o", "name").split()
        shop.kubectl("rollout", "restart", "deployment/web")
        shop.kubectl("rollout", "status", "deployment/web", "--timeout=50s")
        shop.kubectl("wait", "--for=delete", "--timeout=50s", *before)

    assert lost(shop, way, replace, seconds=12) == {}
