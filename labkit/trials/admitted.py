"""The kit's own pods, as a namespace admits them: as they are; with limits, for a quota; as Pod Security asks.

In this order, for each costs something: what root wrote for itself only root can read, and a limit may slow who asks.
Where root is refused, a pod runs as the one that it is about does. The last refusal is told, in the API's words.
"""

from typing import Any

from labkit.api import Api, Object
from labkit.errors import ApiFailure

REQUESTS, LIMITS = {"cpu": "10m", "memory": "32Mi"}, {"cpu": "500m", "memory": "256Mi"}
NOBODY, FORBIDDEN = 65534, 403
WHO = ("runAsUser", "runAsGroup", "fsGroup", "supplementalGroups")


def create(api: Api, namespace: str, pod: Object, like: Object | None = None) -> str:
    """Create the pod, one that is admitted, and return its name; raises the API's last refusal."""
    for each in (pod, bounded(pod)):
        try:
            return str(api.create("pods", each, namespace)["metadata"]["name"])
        except ApiFailure as refusal:
            if refusal.code != FORBIDDEN:
                raise
    return str(api.create("pods", restricted(bounded(pod), like), namespace)["metadata"]["name"])


def bounded(pod: Object) -> Object:
    """Return the pod with requests and limits."""
    given = pod["spec"]["containers"][0].get("resources") or {}
    return _with(pod, {}, {"resources": {"requests": REQUESTS | given.get("requests", {}), "limits": LIMITS}})


def restricted(pod: Object, like: Object | None) -> Object:
    """Return the pod as the level `restricted` wants it, run by whom another pod is run by."""
    spec = (like or {}).get("spec") or {}
    found = [spec.get("securityContext"), *(each.get("securityContext") for each in spec.get("containers") or [])]
    who = {key: context[key] for context in found if context for key in WHO if key in context}
    security = {"runAsNonRoot": True, "runAsUser": NOBODY, **who, "seccompProfile": {"type": "RuntimeDefault"}}
    alone = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return _with(pod, {"securityContext": security}, {"securityContext": alone})


def _with(pod: Object, spec: dict[str, Any], container: dict[str, Any]) -> Object:
    (only,) = pod["spec"]["containers"]
    return {**pod, "spec": {**pod["spec"], **spec, "containers": [{**only, **container}]}}
