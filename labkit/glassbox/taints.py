"""Taints keep pods away from a node, or drive them off; tolerations let a pod be there all the same.

Upstream: staging/src/k8s.io/component-helpers/scheduling/corev1/helpers.go
"""


def tolerates(toleration: dict, taint: dict) -> bool:
    """Tell whether a toleration matches a taint; one without a key or effect matches every key or effect."""
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def is_tolerated(pod: dict, taint: dict) -> bool:
    return any(tolerates(each, taint) for each in pod["spec"].get("tolerations") or [])


def untolerated(pod: dict, node: dict, effects: tuple[str, ...] = ("NoSchedule", "NoExecute")) -> list[dict]:
    """Return the node's taints of these effects that the pod does not tolerate."""
    taints = node["spec"].get("taints") or []
    return [taint for taint in taints if taint["effect"] in effects and not is_tolerated(pod, taint)]
