"""Services as environment variables of the containers that come after them."""

from labkit.glassbox.kubelet.service_links import variables
from tests.live import fresh_namespace, logs, make, pod


def service(name, namespace, ip, *ports):
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": ip, "ports": list(ports)}}


API = service("kubernetes", "default", "10.96.0.1", {"name": "https", "port": 443, "protocol": "TCP"})
WEB = service("my-web", "shop", "10.96.0.9", {"name": "http", "port": 80}, {"port": 53, "protocol": "UDP"})
POD = {"metadata": {"namespace": "shop", "name": "p"}, "spec": {}}


def test_a_service_of_the_namespace_is_there_port_by_port():
    assert variables(POD, [WEB, service("other", "bar", "10.96.0.8", {"port": 1})]) == {
        "MY_WEB_SERVICE_HOST": "10.96.0.9",
        "MY_WEB_SERVICE_PORT": "80",
        "MY_WEB_SERVICE_PORT_HTTP": "80",
        "MY_WEB_PORT": "tcp://10.96.0.9:80",
        "MY_WEB_PORT_80_TCP": "tcp://10.96.0.9:80",
        "MY_WEB_PORT_80_TCP_PROTO": "tcp",
        "MY_WEB_PORT_80_TCP_PORT": "80",
        "MY_WEB_PORT_80_TCP_ADDR": "10.96.0.9",
        "MY_WEB_PORT_53_UDP": "udp://10.96.0.9:53",
        "MY_WEB_PORT_53_UDP_PROTO": "udp",
        "MY_WEB_PORT_53_UDP_PORT": "53",
        "MY_WEB_PORT_53_UDP_ADDR": "10.96.0.9",
    }


def test_without_service_links_only_the_api_server_is_there():
    names = variables({**POD, "spec": {"enableServiceLinks": False}}, [API, WEB])
    assert names["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"
    assert not [name for name in names if "WEB" in name]


def test_a_headless_service_has_no_variables():
    assert variables(POD, [service("db", "shop", "None", {"port": 1})]) == {}


def test_a_container_has_the_services_that_were_there_before_it(cluster):
    with fresh_namespace(cluster) as namespace:
        cluster.kubectl("create", "service", "clusterip", "early", "--tcp=80", "-n", namespace)
        own = [{"name": "EARLY_PORT", "value": "mine"}, {"name": "REFERENCE", "value": "$(EARLY_SERVICE_PORT)"}]
        shown = pod("p", "env; sleep 100")
        shown["spec"]["containers"][0]["env"] = own
        make(cluster, namespace, shown)
        told = logs(cluster, namespace, "p").splitlines()
        assert "KUBERNETES_SERVICE_HOST=10.96.0.1" in told
        assert "EARLY_SERVICE_PORT=80" in told
        assert "EARLY_PORT=mine" in told
        assert "REFERENCE=80" in told
