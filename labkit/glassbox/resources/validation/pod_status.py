"""What a pod's status must satisfy, and what of it may not change: who has ended for good stays so.

Upstream: ValidatePodStatusUpdate in pkg/apis/core/validation/validation.go, ContainerShouldRestart in pkg/api/v1/pod
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import names, pod_annotations
from labkit.glassbox.resources.validation.fields import forbidden, invalid, items, unchanged, unique

SYSTEM_CONDITIONS = ("PodScheduled", "Ready", "Initialized")


def pod_status(pod: dict, old: dict) -> Iterator[Cause]:
    """Check what a kubelet reports, or another that writes a part of the status."""
    new, held, spec, path = pod.get("status") or {}, old.get("status") or {}, old.get("spec") or {}, "status"
    yield from pod_annotations.kept(pod, old, "metadata.annotations")
    for at, each in items(new.get("conditions"), "status.conditions"):
        yield from _generation(each, at)
        if each.get("type") not in SYSTEM_CONDITIONS:
            yield from names.check(names.qualified_name, f"{at}.Type", each.get("type", ""))
    nominated = new.get("nominatedNodeName")
    if nominated and nominated != held.get("nominatedNodeName"):
        yield from names.check(names.dns_subdomain, "status.nominatedNodeName", nominated)
        if spec.get("nodeName"):
            told = "may not be set on pods that are already bound to a node"
            yield forbidden("status.nominatedNodeName", told)
    yield from _generation(new, path)
    yield from unchanged("status.qosClass", new.get("qosClass", ""), held.get("qosClass", ""))
    for field, of in (("containerStatuses", "containers"), ("initContainerStatuses", "initContainers"),
                      ("ephemeralContainerStatuses", "ephemeralContainers")):  # fmt: skip
        yield from _run_again(new.get(field), held.get(field), spec, of, f"status.{field}")
    yield from _claim_statuses(new.get("resourceClaimStatuses"), spec)
    yield from _addresses(new.get("podIPs") or [], "status.podIPs")
    if (hosts := new.get("hostIPs") or []) and new.get("hostIP", "") != hosts[0].get("ip", ""):
        yield invalid("status.hostIPs[0].ip", hosts[0].get("ip", ""), "must be equal to `hostIP`")
    yield from _addresses(hosts, "status.hostIPs")


def _generation(given: dict, path: str) -> Iterator[Cause]:
    if given.get("observedGeneration", 0) < 0:
        yield invalid(f"{path}.observedGeneration", given["observedGeneration"], "must be a non-negative integer")


def _run_again(new: list[dict] | None, held: list[dict] | None, spec: dict, of: str, path: str) -> Iterator[Cause]:
    """Refuse that a container which has ended for good is told not to have."""
    now = {each.get("name"): each for each in reversed(new or [])}
    declared = {each.get("name"): each for each in spec.get(of) or []}
    for at, each in items(held, path):
        code, after = dig(each, "state.terminated.exitCode"), now.get(each.get("name"))
        if dig(each, "state.terminated") is None or after is None or dig(after, "state.terminated") is not None:
            continue
        if not restarts(of, declared.get(each.get("name")), spec.get("restartPolicy"), code or 0):
            yield forbidden(f"{at}.state", "may not be transitioned to non-terminated state")


def restarts(of: str, container: dict | None, policy: str | None, code: int) -> bool:
    """Tell whether a container that ended with this code runs once more."""
    if of == "ephemeralContainers" or (of == "containers" and container is None):
        return False
    own = (container or {}).get("restartPolicy")
    for rule in (container or {}).get("restartPolicyRules") or () if of == "containers" else ():
        codes = rule.get("exitCodes") or {}
        if (code in (codes.get("values") or ())) == (codes.get("operator") == "In"):
            return True
    policy = own if own and (of == "containers" or own == "Always") else policy
    return policy == "Always" or (policy == "OnFailure" and code != 0)


def _claim_statuses(given: list[dict] | None, spec: dict) -> Iterator[Cause]:
    known = {each.get("name") for each in spec.get("resourceClaims") or []}
    seen: set[str] = set()
    for at, each in items(given, "status.resourceClaimStatuses"):
        name = each.get("name", "")
        if name not in known:
            yield invalid(f"{at}.name", name, "must match the name of an entry in `spec.resourceClaims`")
        yield from unique(f"{at}.name", name, seen)
        if each.get("resourceClaimName") is not None:
            yield from names.check(names.dns_subdomain, f"{at}.name", each["resourceClaimName"])


def _addresses(given: list[dict], path: str) -> Iterator[Cause]:
    """Check a pod's addresses: one of each family."""
    texts = [each.get("ip", "") for each in given]
    for at, text in items(texts, path):
        yield from names.check(names.address, at, text)
    wrong = next((at for at, text in enumerate(texts) if not names.is_address(text)), None)
    if len(texts) > 1 and wrong is not None:
        told = f"failed to check for dual stack with error:invalid IP[{wrong}]: {texts[wrong]}"
        yield Cause("InternalError", f"Internal error: {told}", path)
    if len(texts) > 1 and (wrong is not None or len(texts) > len({":" in text for text in texts})):
        yield invalid(path, [{"IP": text} for text in texts], "may specify no more than one IP for each IP family")
