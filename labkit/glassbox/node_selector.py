"""Which nodes a NodeSelector means: the terms of node affinity, of a volume's nodeAffinity, of a daemon's placement.

Terms are alternatives; within one, all expressions (labels) and fields (metadata.name) must hold.

Upstream: staging/src/k8s.io/component-helpers/scheduling/corev1/nodeaffinity/nodeaffinity.go
"""

from labkit.glassbox import objects


def required_affinity(pod: dict) -> dict | None:
    """Return the NodeSelector that the pod's node must match, or None."""
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    return affinity.get("requiredDuringSchedulingIgnoredDuringExecution")


def is_asked(pod: dict) -> bool:
    """Tell whether the pod asks anything of its node's labels or name."""
    return bool(pod["spec"].get("nodeSelector")) or required_affinity(pod) is not None


def accepts(pod: dict, node: dict) -> bool:
    """Tell whether the pod's nodeSelector and required node affinity hold on the node."""
    required = required_affinity(pod)
    if not (pod["spec"].get("nodeSelector") or {}).items() <= objects.labels(node).items():
        return False
    return required is None or matches(required, node)


def matches(selector: dict, node: dict) -> bool:
    """Tell whether a node matches one of the selector's terms."""
    return any(matches_term(term, objects.labels(node), objects.name(node)) for term in selector["nodeSelectorTerms"])


def matches_term(term: dict, labels: dict[str, str], name: str) -> bool:
    """Tell whether a node matches a term; an empty term matches none."""
    expressions = term.get("matchExpressions") or []
    fields = term.get("matchFields") or []
    if not expressions and not fields:
        return False
    return all(_meets(each, labels.get(each["key"])) for each in expressions) and all(
        _meets(each, name) for each in fields
    )


def _meets(requirement: dict, value: str | None) -> bool:
    values = requirement.get("values") or []
    match requirement["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    try:
        difference = int(value or "") - int(values[0])
    except ValueError:
        return False
    return difference > 0 if requirement["operator"] == "Gt" else difference < 0
