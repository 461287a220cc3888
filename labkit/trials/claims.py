"""Whether a word lies on the claims that pods mount: looked for by a pod of its own, on their node.

What a service answers may come from anywhere: from another pod's memory, or written anew by whoever noticed that it was
gone. What lies on a claim is there whatever becomes of the pods. Where it cannot be looked at, a claim that one pod
alone may mount among others, nothing is held against it.
"""

from typing import Any

from labkit.api import Api, Object
from labkit.errors import WaitTimeout
from labkit.trials.admitted import create
from labkit.wait import Condition, Target, Waiter

IMAGE, PLACE, NOT_FOUND = "busybox:1.36", "/claims", 1


def search(api: Api, namespace: str, selector: str, word: str, seconds: float) -> Object:
    """Look for the word on the claims of the pods that a selector picks; return a report as of an ask."""
    pods = api.items("pods", namespace, label_selector=selector)
    claims = claims_of(pods)
    if not claims:
        return report(1, f"no claim of the pods with {selector} holds the note: they mount none")
    name = create(api, namespace, looker(claims, word, pods[0]["spec"].get("nodeName", "")), pods[0])
    try:
        ended = Condition("at its end", lambda found: bool(found) and exit_code(found[0]) is not None)
        Waiter(api, namespace).until(Target("pods", name), ended, timeout=seconds, namespace=namespace)
        code = exit_code(api.get("pods", name, namespace) or {})
    except WaitTimeout:
        code = None
    finally:
        api.delete("pods", name, namespace, grace=0)
    if code == NOT_FOUND:
        return report(1, f"no claim of the pods with {selector} holds the note: looked at {', '.join(claims)}")
    return report(0, f"on {', '.join(claims)}")


def report(failed: int, said: str) -> Object:
    """Return what was found, as an ask does."""
    return {"sent": 1, "failed": failed, "share": float(failed), "said": said}


def claims_of(pods: list[Object]) -> list[str]:
    """Return the names of the claims that the pods mount."""
    volumes = [volume for pod in pods for volume in pod["spec"].get("volumes") or []]
    return sorted({v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v})


def looker(claims: list[str], word: str, node: str) -> Object:
    """Return the pod that looks."""
    mounts = [{"name": f"c{n}", "mountPath": f"{PLACE}/{n}", "readOnly": True} for n, _ in enumerate(claims)]
    container: dict[str, Any] = {"name": "looker", "image": IMAGE, "command": ["grep", "-rqF", word, PLACE],
                                 "volumeMounts": mounts}  # fmt: skip
    volumes = [{"name": f"c{n}", "persistentVolumeClaim": {"claimName": name}} for n, name in enumerate(claims)]
    spec = {"restartPolicy": "Never", "nodeName": node, "automountServiceAccountToken": False, "volumes": volumes,
            "activeDeadlineSeconds": 60, "containers": [container]}  # fmt: skip
    meta = {"generateName": "labkit-looker-", "labels": {"app.kubernetes.io/managed-by": "labkit"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def exit_code(pod: Object) -> int | None:
    """Return how the pod's container ended, None while it has not."""
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        if ended := (status.get("state") or {}).get("terminated"):
            return int(ended["exitCode"])
    return None
