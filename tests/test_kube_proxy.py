"""kube-proxy: from services and their endpoints to the node's rules."""

import pytest

from labkit.glassbox import nftables
from labkit.glassbox.kube_proxy.rules import TABLE, Node, rules_of
from labkit.glassbox.kube_proxy.services import Endpoint, ServicePort, ServicePorts, ports_of
from labkit.glassbox.nftables import Ruleset, steps
from tests import machine

NODE = Node("node1", "172.30.0.11", "10.244.0.0/16", "10.96.0.0/16")
HERE, THERE = Endpoint("10.244.1.5", 8080, "node1"), Endpoint("10.244.2.6", 8080, "node2")


def ruleset(ports, node=NODE):
    wanted = Ruleset()
    for each in ports:
        wanted.add(rules_of(each, node))
    return wanted


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
    wanted = ruleset([port(HERE, THERE, Endpoint("10.244.1.9", 8080, "node1", ready=False, serving=False))])
    assert sent_to(wanted) == ["10.244.1.5:8080", "10.244.2.6:8080"]


def test_endpoints_that_end_are_used_only_when_no_other_is_left():
    ending = Endpoint("10.244.1.7", 8080, "node1", ready=False, serving=True, terminating=True)
    assert sent_to(ruleset([port(HERE, ending)])) == ["10.244.1.5:8080"]
    assert sent_to(ruleset([port(ending)])) == ["10.244.1.7:8080"]


def test_a_service_without_endpoints_is_refused_at_once():
    wanted = ruleset([port(node_port=30080)])
    assert wanted.entries == {
        ("no-endpoint-services", "10.96.0.9 . tcp . 80"): "goto reject-chain",
        ("no-endpoint-nodeports", "tcp . 30080"): "goto reject-chain",
    }


def test_traffic_from_inside_may_be_kept_on_its_node():
    assert sent_to(ruleset([port(HERE, THERE, internal_local=True)])) == ["10.244.1.5:8080"]
    away = ruleset([port(THERE, internal_local=True)])
    assert away.entries == {("no-endpoint-services", "10.96.0.9 . tcp . 80"): "drop"}


def test_traffic_from_outside_may_be_kept_on_the_node_that_it_came_to_with_its_clients_address():
    local = ruleset([port(HERE, THERE, node_port=30080, external_local=True)])
    [chain] = [name for name in local.chains if name.startswith("external-")]
    assert not any("masquerade" in rule for rule in local.chains[chain])
    cluster = ruleset([port(HERE, THERE, node_port=30080)])
    [chain] = [name for name in cluster.chains if name.startswith("external-")]
    assert "jump mark-for-masquerade" in cluster.chains[chain]


def test_a_client_with_affinity_goes_back_to_its_endpoint_first():
    wanted = ruleset([port(HERE, THERE, affinity=60)])
    assert set(wanted.sets.values()) == {60}
    [rules] = [rules for name, rules in wanted.chains.items() if name.startswith("service-")]
    assert [rule.split()[0:2] for rule in rules[1:3]] == [["ip", "saddr"], ["ip", "saddr"]]


def many(count, *endpoints):
    return [
        ServicePort("shop", f"s{n}", "", "tcp", f"10.96.{n // 250}.{n % 250}", 80, endpoints=endpoints)
        for n in range(count)
    ]


def test_nothing_is_told_when_nothing_changed():
    assert steps(TABLE, ruleset([port(HERE)]), ruleset([port(HERE)])) == []


def test_only_what_changed_is_told():
    old, new = ruleset([*many(50, HERE), port(HERE)]), ruleset([*many(50, HERE), port(HERE, THERE)])
    told = steps(TABLE, old, new)
    assert len(told) < 6
    assert all("shop/web" in line or "10.96.0.9" in line for step in told for line in step.splitlines())


def test_a_change_makes_chains_then_switches_all_entries_at_once_then_takes_chains_away():
    told = steps(TABLE, ruleset(many(20, HERE)), ruleset(many(20, THERE)))
    [switch] = [number for number, step in enumerate(told) if "element" in step]
    assert all(step.startswith("add chain") for step in told[:switch])
    assert all(step.startswith("flush chain") for step in told[switch + 1 :])


needs_nft = pytest.mark.skipif(nftables.binary() is None, reason="there is no nft")
IN_KERNEL = """
import re, threading
from labkit.glassbox import nftables
from tests.machine import become_machine
from labkit.glassbox.kube_proxy.rules import base
from tests.test_kube_proxy import HERE, NODE, TABLE, THERE, many, port, ruleset
become_machine()
def table(): return nftables.Table(TABLE, base(NODE))
"""


@needs_nft
def test_a_change_that_does_not_fit_into_one_message_is_still_seen_all_at_once():
    output = machine.run(
        IN_KERNEL,
        """
        states = [ruleset(many(400, each)) for each in (HERE, THERE)]
        names = [{verdict.removeprefix("goto ") for verdict in each.entries.values()} for each in states]
        own, seen, done = table(), set(), threading.Event()
        def look():
            while not done.is_set():
                told = nftables._nft("list", "map", *TABLE.split(), "service-ips").stdout
                held = {*re.findall(r"goto ([^\\s,]+)", told)}
                seen.add(names.index(held) if held in names else f"{len(held)} entries")
        def counted(*arguments, **more):
            messages.append(arguments)
            return nft(*arguments, **more)
        own.become(states[1])
        watching = threading.Thread(target=look)
        watching.start()
        nft, messages, nftables._nft = nftables._nft, [], counted
        for number in range(3):
            own.become(states[number % 2])
        done.set()
        watching.join()
        print(len([each for each in messages if each[0] == "-f"]) > 6, seen)
        """,
    )
    assert output in ("True {0, 1}", "True {1, 0}")


@needs_nft
def test_a_table_is_taken_over_as_it_is_found():
    output = machine.run(
        IN_KERNEL,
        """
        ports = [*many(3, HERE, THERE), port(HERE, node_port=30080, affinity=60), port(node_port=30081)]
        wanted = ruleset(ports)
        table().become(wanted)
        held = nftables.found(TABLE)
        print(nftables.steps(TABLE, held, wanted), nftables.steps(TABLE, wanted, held))
        after = ruleset(many(2, THERE))
        table().become(after)
        print(nftables.steps(TABLE, nftables.found(TABLE), after))
        """,
    )
    assert output == "[] []\n[]"


def test_what_is_gone_is_taken_away():
    told = steps(TABLE, ruleset([port(HERE, affinity=60)]), Ruleset())
    assert {line.split()[0] for step in told for line in step.splitlines()} == {"delete", "flush"}


SERVICE = {
    "metadata": {"namespace": "shop", "name": "web"},
    "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.9", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
}


@pytest.mark.parametrize("change", [{"clusterIP": "None"}, {"type": "ExternalName"}])
def test_services_without_a_virtual_address_are_not_proxied(change):
    assert ports_of({**SERVICE, "spec": {**SERVICE["spec"], **change}}, []) == []


def slice_of(address, name="http"):
    return {
        "metadata": {"namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}, "nodeName": "node1"}],
        "ports": [{"name": name, "protocol": "TCP", "port": 8080}],
    }


def test_a_port_has_the_endpoints_of_all_its_slices_under_its_name():
    slices = [slice_of("10.244.1.5", "http"), slice_of("10.244.1.6", "http"), slice_of("10.244.1.7", "other")]
    [found] = ports_of(SERVICE, slices)
    assert [each.address for each in found.endpoints] == ["10.244.1.5", "10.244.1.6"]


def test_external_addresses_of_ipv6_are_not_proxied():
    spec = {**SERVICE["spec"], "externalIPs": ["2001:db8::1", "198.51.100.7"]}
    [found] = ports_of({**SERVICE, "spec": spec}, [])
    assert found.external_addresses == ("198.51.100.7",)


def test_who_names_anothers_virtual_address_as_his_external_one_does_not_get_its_visitors():
    taken = {**SERVICE["spec"], "clusterIP": "10.96.0.10", "externalIPs": ["10.96.0.9", "198.51.100.7"]}
    thief = {"metadata": {"name": "thief", "namespace": "shop"}, "spec": taken}
    found = ServicePorts().of([SERVICE, thief], [])
    assert [each.external_addresses for each in found] == [(), ("198.51.100.7",)]


def test_ports_follow_their_service_and_its_slices():
    ports = ServicePorts()
    assert ports.of([SERVICE], []) == ports_of(SERVICE, [])
    for slices in ([slice_of("10.244.1.5")], [slice_of("10.244.1.6")], []):
        assert ports.of([SERVICE], slices) == ports_of(SERVICE, slices)
    changed = {**SERVICE, "spec": {**SERVICE["spec"], "clusterIP": "10.96.0.10"}}
    assert ports.of([changed], []) == ports_of(changed, [])
    assert ports.of([], []) == []
