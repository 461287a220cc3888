"""What is accepted outside the core group but probably not meant: see `warnings`.

Upstream: pkg/api/{job,node,storage}/…, WarningsOnCreate and WarningsOnUpdate in pkg/registry/*/*/strategy.go
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation.fields import items
from labkit.glassbox.resources.validation.warnings import OUTDATED, address, addresses, claimed, term

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLERS = (
    "endpointslice-controller.k8s.io",
    "endpointslicemirroring-controller.k8s.io",
)  # they write no odd address
MANY_COMPLETIONS, MANY_AT_ONCE = 100_000, 10_000
MANY_INDEXES = (
    "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might"
    " not be able to track completedIndexes when a big number of indexes fail"
)
ZONE_IN_SCHEDULE = (
    "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see"
    " https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
)
ALL_REVISIONS = (
    "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"
)


def network_policy(obj: dict) -> list[str]:
    spec = obj.get("spec") or {}
    rules = [(at, each, "from") for at, each in items(spec.get("ingress"), "spec.ingress")]
    rules += [(at, each, "to") for at, each in items(spec.get("egress"), "spec.egress")]
    peers = [pair for at, rule, side in rules for pair in items(rule.get(side), f"{at}.{side}")]
    return [told for at, peer in peers for told in _block(peer.get("ipBlock") or {}, f"{at}.ipBlock")]


def _block(given: dict, path: str) -> Iterator[str]:
    yield from addresses(given.get("cidr", ""), f"{path}.cidr")
    for at, each in items(given.get("except"), f"{path}.except"):
        yield from addresses(each, at)


def endpoint_slice(obj: dict) -> list[str]:
    told = ["spec.addressType: FQDN endpoints are deprecated"] if obj.get("addressType") == "FQDN" else []
    if (obj["metadata"].get("labels") or {}).get(MANAGED_BY) in CONTROLLERS:
        return told
    found = [
        pair
        for at, each in items(obj.get("endpoints"), "endpoints")
        for pair in items(each.get("addresses"), f"{at}.addresses")
    ]
    return told + [warning for at, text in found for warning in address(text, at)]


def stateful_set(spec: dict) -> Iterator[str]:
    for at, each in items(spec.get("volumeClaimTemplates"), "spec.volumeClaimTemplates"):
        yield from claimed(each.get("spec") or {}, at)
    if spec.get("revisionHistoryLimit", 0) < 0:
        yield ALL_REVISIONS


def job(spec: dict, path: str) -> list[str]:
    is_wide = spec.get("completions", 0) > MANY_COMPLETIONS and spec.get("parallelism", 0) > MANY_AT_ONCE
    return [f"{path}: {MANY_INDEXES}"] if is_wide and spec.get("completionMode") == "Indexed" else []


def schedule(spec: dict) -> list[str]:
    """Warn of a time zone where none may be: a new cron job is refused for it."""
    return [ZONE_IN_SCHEDULE] if "TZ" in spec.get("schedule", "") else []


def storage_class(obj: dict) -> list[str]:
    expressions = [
        pair
        for at, each in items(obj.get("allowedTopologies"), "allowedTopologies")
        for pair in items(each.get("matchLabelExpressions"), f"{at}.matchLabelExpressions")
    ]
    return [f"{at}.key: {OUTDATED[each['key']]}" for at, each in expressions if each.get("key") in OUTDATED]


def storage_capacity(obj: dict) -> list[str]:
    topology = obj.get("nodeTopology") or {}
    labels = _outdated(topology.get("matchLabels"))
    told = [f"nodeTopology.matchLabels.{key}: {OUTDATED[key]}" for key in labels]
    return [*term(topology, "nodeTopology"), *told]


def runtime_class(obj: dict) -> list[str]:
    return [f"scheduling.nodeSelector: {OUTDATED[key]}" for key in _outdated(dig(obj, "scheduling.nodeSelector"))]


def _outdated(keys: Iterable[str] | None) -> list[str]:
    return [key for key in keys or () if key in OUTDATED]
