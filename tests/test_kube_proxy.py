"""kube-proxy: from services and their endpoints to the node's rules."""

import pytest

from labkit.glassbox import nftables
from labkit.glassbox.kube_proxy.rules import TABLE, Node, ruleset
from labkit.glassbox.kube_proxy.services import Endpoint, ServicePort, service_ports
from labkit.glassbox.nftables import Ruleset, transaction
from tests import machine

NODE = Node("node1", "172.30.0.11", "10.244.0.0/16", "10.96.0.0/16")
HERE, THERE = Endpoint("10.244.1.5", 8080, "node1"), Endpoint("10.244.2.6", 8080, "node2")


def port(*endpoints, **more):
    return ServicePort("shop", "web", "http", "tcp", "10.96.0.9", 80, endpoints=endpoints, **more)


def sent_to(rules, table="service-ips"):
    """Return the endpoints that a map's chain ends at, through whatever chains lie between."""
    [verdict] = [verdict for (name, _), verdict in rules.entries.items() if name == table]
    chains, found = [verdict.removeprefix("goto ")], []
    for chain in chains:
        for rule in rules.chains[chain]:
            found += [rule.partition("dnat to ")[2]] if "dnat to" in rule else []
            chains += [each for each in rules.chains if f"goto {each}" in rule.replace(",", " ").split(" ip ")[-1]]
    return sorted(set(found))


def test_a_services_rules_list_exactly_its_ready_endpoints():
    wanted = ruleset([port(HERE, THERE, Endpoint("10.244.1.9", 8080, "node1", ready=False, serving=False))], NODE)
    assert sent_to(wanted) == ["10.244.1.5:8080", "10.244.2.6:8080"]


def test_endpoints_that_end_are_used_only_when_no_other_is_left():
    ending = Endpoint("10.244.1.7", 8080, "node1", ready=False, serving=True, terminating=True)
    assert sent_to(ruleset([port(HERE, ending)], NODE)) == ["10.244.1.5:8080"]
    assert sent_to(ruleset([port(ending)], NODE)) == ["10.244.1.7:8080"]


def test_a_service_without_endpoints_is_refused_at_once():
    wanted = ruleset([port(node_port=30080)], NODE)
    assert wanted.entries == {
        ("no-endpoint-services", "10.96.0.9 . tcp . 80"): "goto reject-chain",
        ("no-endpoint-nodeports", "tcp . 30080"): "goto reject-chain",
    }


def test_traffic_from_inside_may_be_kept_on_its_node():
    assert sent_to(ruleset([port(HERE, THERE, internal_local=True)], NODE)) == ["10.244.1.5:8080"]
    away = ruleset([port(THERE, internal_local=True)], NODE)
    assert away.entries == {("no-endpoint-services", "10.96.0.9 . tcp . 80"): "drop"}


def test_traffic_from_outside_may_be_kept_on_the_node_that_it_came_to_with_its_clients_address():
    local = ruleset([port(HERE, THERE, node_port=30080, external_local=True)], NODE)
    [chain] = [name for name in local.chains if name.startswith("external-")]
    assert not any("masquerade" in rule for rule in local.chains[chain])
    cluster = ruleset([port(HERE, THERE, node_port=30080)], NODE)
    [chain] = [name for name in cluster.chains if name.startswith("external-")]
    assert "jump mark-for-masquerade" in cluster.chains[chain]


def test_a_client_with_affinity_goes_back_to_its_endpoint_first():
    wanted = ruleset([port(HERE, THERE, affinity=60)], NODE)
    assert set(wanted.sets.values()) == {60}
    [rules] = [rules for name, rules in wanted.chains.items() if name.startswith("service-")]
    assert [rule.split()[0:2] for rule in rules[1:3]] == [["ip", "saddr"], ["ip", "saddr"]]


def test_nothing_is_sent_when_nothing_changed():
    assert transaction(TABLE, ruleset([port(HERE)], NODE), ruleset([port(HERE)], NODE)) == ""


def test_only_what_changed_is_sent():
    many = [ServicePort("shop", f"s{n}", "", "tcp", f"10.96.1.{n}", 80, endpoints=(HERE,)) for n in range(50)]
    old, new = ruleset([*many, port(HERE)], NODE), ruleset([*many, port(HERE, THERE)], NODE)
    told = transaction(TABLE, old, new).splitlines()
    assert len(told) < 10
    assert all("shop/web" in line for line in told)


@pytest.mark.skipif(nftables.binary() is None, reason="there is no nft")
def test_more_rules_than_fit_into_one_message_are_told_in_parts():
    output = machine.run(
        "from tests.machine import become_machine\nbecome_machine()\n",
        """
        from labkit.glassbox.nftables import Ruleset, Table, run
        many = Ruleset({f"c{n}": (f"ip saddr 10.0.{n // 250}.{n % 250} accept",) * 2 for n in range(1500)})
        Table("ip t", "").become(many)
        run("delete chain ip t c1499\\n")
        print("ok")
        """,
    )
    assert output == "ok"


def test_what_is_gone_is_taken_away():
    told = transaction(TABLE, ruleset([port(HERE, affinity=60)], NODE), Ruleset()).splitlines()
    assert {line.split()[0] for line in told} == {"delete", "flush"}


SERVICE = {
    "metadata": {"namespace": "shop", "name": "web"},
    "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.9", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
}


@pytest.mark.parametrize("change", [{"clusterIP": "None"}, {"type": "ExternalName"}])
def test_services_without_a_virtual_address_are_not_proxied(change):
    assert service_ports([{**SERVICE, "spec": {**SERVICE["spec"], **change}}], []) == []


def test_a_port_has_the_endpoints_of_all_its_slices_under_its_name():
    def slice_of(address, name):
        return {
            "metadata": {"namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}, "nodeName": "node1"}],
            "ports": [{"name": name, "protocol": "TCP", "port": 8080}],
        }

    slices = [slice_of("10.244.1.5", "http"), slice_of("10.244.1.6", "http"), slice_of("10.244.1.7", "other")]
    [found] = service_ports([SERVICE], slices)
    assert [each.address for each in found.endpoints] == ["10.244.1.5", "10.244.1.6"]
