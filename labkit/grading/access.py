"""What a hand-in may do on its cluster: `edit` in its own namespaces, and to look at what lies in none.

The namespaces hold pods to the baseline of the Pod Security Standards: a pod with a host path would see the cluster's
own files, the grader's credentials among them.
"""

import base64
from pathlib import Path
from typing import Any

import yaml

from labkit.api import Api, Object
from labkit.errors import ApiFailure, ClusterError
from labkit.wait import Target, Waiter, parse_condition

STUDENT, EDITS = "student", "student-edits"
SECONDS = 6 * 3600  # of a token, more than any hand-in's time
LOOKS = [
    {"apiGroups": [""], "resources": ["nodes", "namespaces", "persistentvolumes"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingressclasses"], "verbs": ["get", "list", "watch"]},
]
RBAC = "rbac.authorization.k8s.io"


def grant(api: Api, namespace: str, others: list[str], kubeconfig: Path) -> Object:
    """Make the student's namespaces and account; return the kubeconfig for it, with the cluster of the given one."""
    account = Target("serviceaccount", "default")
    for name in (namespace, *others):
        labels = {"pod-security.kubernetes.io/enforce": "baseline", "labkit.dev/part-of": namespace}
        api.create("namespaces", _plain("Namespace", name, labels=labels))
        Waiter(api, name).until(account, parse_condition("Exists"), timeout=30, namespace=name)
    api.create("serviceaccounts", _plain("ServiceAccount", STUDENT), namespace)
    for name in (namespace, *others):
        api.create("rolebindings", _binding("RoleBinding", EDITS, "edit", namespace), name)
    name = looker(namespace)
    role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": LOOKS}
    api.create("clusterroles", role)
    api.create("clusterrolebindings", _binding("ClusterRoleBinding", name, name, namespace))
    return _config(yaml.safe_load(kubeconfig.read_text()), kubeconfig.parent, _token(api, namespace), namespace)


def looker(namespace: str) -> str:
    """Name the role to look at what lies in no namespace, of one hand-in's account."""
    return f"labkit-looker-{namespace}"


def revoke(api: Api, namespace: str, others: list[str]) -> None:
    """Take the rights back: what the hand-in left running in the cluster must forge nothing while it is judged."""
    for name in (namespace, *others):
        api.delete("rolebindings", EDITS, name)


def _plain(kind: str, name: str, **metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, **metadata}}


def _binding(kind: str, name: str, role: str, namespace: str) -> Object:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": STUDENT, "namespace": namespace}],
    }


def _token(api: Api, namespace: str) -> str:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{STUDENT}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": SECONDS}}
    try:
        return str(api.request("POST", path, body=request)["status"]["token"])
    except ApiFailure as failure:
        raise ClusterError("the cluster gives no token for the student's account", value=failure.what) from None


def _config(admin: dict[str, Any], folder: Path, token: str, namespace: str) -> Object:
    cluster = dict(admin["clusters"][0]["cluster"])
    if file := cluster.pop("certificate-authority", None):
        cluster["certificate-authority-data"] = base64.b64encode((folder / file).read_bytes()).decode()
    context = {"cluster": "graded", "user": STUDENT, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "graded",
        "clusters": [{"name": "graded", "cluster": cluster}],
        "users": [{"name": STUDENT, "user": {"token": token}}],
        "contexts": [{"name": "graded", "context": context}],
    }
