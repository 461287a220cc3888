"""From network policies to nftables: pure.

    a forwarded packet → egress: its sender's chain → each policy that selects the sender, one of which must accept
                       → ingress: its receiver's chain → likewise

Pods that no policy selects are accepted; so is every answer, and what a pod sends to itself through a service. The
hooks see packets after DNAT: rules speak of pods, never of virtual addresses. What the node itself sends, kubelet's
probes too, is not forwarded, hence always let through. A new pod of this node is shut off until its rules are there.

Left out: pods on their node's network, which are as free as the node; IPv6.

Upstream: sigs.k8s.io/kube-network-policies/pkg/networkpolicy/engine.go
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from labkit.glassbox import objects
from labkit.glassbox.nftables import Base, Ruleset
from labkit.glassbox.selectors import EVERYTHING, from_label_selector

TABLE = "ip network-policy"
LONGEST = 200  # letters of an object's key in a chain's name, of which the kernel takes 255


@dataclass(frozen=True)
class Direction:
    """Ingress or egress: where a policy has its rules, and what in a packet is the pod and what its peer."""

    policy_type: str
    rules: str
    peers: str
    pod: str
    peer: str


EGRESS = Direction("Egress", "egress", "to", "saddr", "daddr")
INGRESS = Direction("Ingress", "ingress", "from", "daddr", "saddr")


def base(pod_cidr: str) -> Base:
    """Return the part of the table that does not depend on policies. `accept` ends one hook, so both must agree."""
    definitions, rules = [], {}
    for priority, way in enumerate((EGRESS, INGRESS)):
        hook = f"type filter hook forward priority {priority}; policy accept;"
        definitions.append(f"add map {TABLE} {way.rules}-pods {{ type ipv4_addr : verdict; }}")
        definitions.append(f"add chain {TABLE} {way.rules} {{ {hook} }}")
        known, unknown = f"ip {way.pod} vmap @{way.rules}-pods", f"ip {way.pod} {pod_cidr} drop"
        rules[way.rules] = ("ct state established,related accept", known, unknown)
    return Base(tuple(definitions), rules)


def ruleset(policies: Iterable[dict], pods: Iterable[dict], namespaces: Iterable[dict], node: str) -> Ruleset:
    """Return what a node's table ought to hold."""
    wanted = Ruleset()
    pods = [pod for pod in pods if _has_address(pod)]
    labels = {objects.name(each): objects.labels(each) for each in namespaces}
    ordered = sorted(policies, key=objects.key)
    chains: dict[tuple[Direction, str], str] = {}
    for pod in (pod for pod in pods if pod["spec"].get("nodeName") == node):
        for way in (EGRESS, INGRESS):
            selecting = [each for each in ordered if way.policy_type in _types(each) and _selects(each, pod)]
            for policy in selecting:
                if (known := (way, objects.key(policy))) not in chains:
                    rules = tuple(_policy_rules(way, policy, pods, labels))
                    chains[known] = _chain("policy", way, policy, rules, wanted)
            jumps = [f"jump {chains[way, objects.key(each)]}" for each in selecting]
            wanted.entries[f"{way.rules}-pods", _address(pod)] = _verdict(way, pod, jumps, wanted)
    return wanted


def _verdict(way: Direction, pod: dict, jumps: list[str], wanted: Ruleset) -> str:
    if not jumps:
        return "accept"
    itself = f"ip {way.peer} {_address(pod)} accept"
    return f"goto {_chain('pod', way, pod, (itself, *jumps, 'counter drop'), wanted)}"


def _policy_rules(way: Direction, policy: dict, pods: list[dict], labels: dict[str, dict[str, str]]) -> Iterator[str]:
    receivers = pods if way is EGRESS else [pod for pod in pods if _selects(policy, pod)]
    for rule in policy["spec"].get(way.rules) or []:
        peers = [*_peers(way, rule, objects.namespace(policy), pods, labels)]
        ports = [*_ports(rule.get("ports"), receivers)]
        yield from (" ".join([*peer, *port, "accept"]) for peer in peers for port in ports)


def _peers(
    way: Direction, rule: dict, namespace: str, pods: list[dict], labels: dict[str, dict[str, str]]
) -> Iterator[list[str]]:
    """Yield what a packet must meet for its other end to be one of the rule's peers; [] is met by all."""
    peers = rule.get(way.peers)
    if not peers:
        yield []
        return
    found = {_address(pod) for peer in peers for pod in pods if _is_peer(peer, pod, namespace, labels)}
    if found:
        yield [f"ip {way.peer} {{ {', '.join(sorted(found))} }}"]
    for peer in peers:
        if block := peer.get("ipBlock"):
            yield from _block(way, block)


def _is_peer(peer: dict, pod: dict, namespace: str, labels: dict[str, dict[str, str]]) -> bool:
    if "ipBlock" in peer:
        return False
    if (selector := peer.get("namespaceSelector")) is None:
        within = objects.namespace(pod) == namespace
    else:
        within = from_label_selector(selector).matches(labels.get(objects.namespace(pod)))
    chosen = peer.get("podSelector")
    return within and (EVERYTHING if chosen is None else from_label_selector(chosen)).matches(objects.labels(pod))


def _block(way: Direction, block: dict) -> Iterator[list[str]]:
    ranges = [block["cidr"], *(block.get("except") or [])]
    network, *without = (ipaddress.ip_network(each, strict=False) for each in ranges)
    if network.version == 4:
        yield [f"ip {way.peer} {network}", *(f"ip {way.peer} != {each}" for each in without)]


def _ports(ports: list[dict] | None, receivers: list[dict]) -> Iterator[list[str]]:
    """Yield what a packet must meet to go to one of the ports; a name means another number at each receiver."""
    if not ports:
        yield []
    for each in ports or []:
        protocol, port = each.get("protocol", "TCP"), each.get("port")
        if port is None:
            yield [f"meta l4proto {protocol.lower()}"]
        elif isinstance(port, int):
            yield [f"{protocol.lower()} dport {port}" + (f"-{each['endPort']}" if each.get("endPort") else "")]
        elif named := sorted({found for pod in receivers for found in _named(pod, port, protocol)}):
            yield [f"ip daddr . {protocol.lower()} dport {{ {', '.join(named)} }}"]


def _named(pod: dict, name: str, protocol: str) -> Iterator[str]:
    for container in [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]:
        for port in container.get("ports") or []:
            if port.get("name") == name and port.get("protocol", "TCP") == protocol:
                yield f"{_address(pod)} . {port['containerPort']}"


def _has_address(pod: dict) -> bool:
    status = pod.get("status") or {}
    ended = status.get("phase") in ("Succeeded", "Failed")
    return bool(status.get("podIP")) and not ended and not pod["spec"].get("hostNetwork")


def _selects(policy: dict, pod: dict) -> bool:
    within = objects.namespace(policy) == objects.namespace(pod)
    return within and from_label_selector(policy["spec"].get("podSelector") or {}).matches(objects.labels(pod))


def _types(policy: dict) -> list[str]:
    return policy["spec"].get("policyTypes") or ["Ingress", *(["Egress"] if policy["spec"].get("egress") else [])]


def _address(pod: dict) -> str:
    return pod["status"]["podIP"]


def _chain(kind: str, way: Direction, obj: dict, rules: tuple[str, ...], wanted: Ruleset) -> str:
    return wanted.chain(f"{kind}-{way.rules}", objects.key(obj)[:LONGEST], rules)
