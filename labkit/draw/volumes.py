"""What a pod's volumes lead to: its empty directories, its secrets and ConfigMaps, and claim → volume → class.

An arrow leads from a pod to what it mounts or takes variables from, from a claim to the PersistentVolume that it is
bound to, from there to the StorageClass. Claims that no pod mounts are drawn; other objects that no pod uses are not,
nor the volume that every pod gets, with its token. What is named and is not there is a node that says so.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from labkit.draw.graph import Graph, Node

Object = dict[str, Any]
Reference = tuple[str, str]  # kind, name

RESOURCES = ("pods", "persistentvolumeclaims", "configmaps", "secrets")
CLUSTER_WIDE = ("persistentvolumes", "storageclasses")
SHORT = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
OF_EVERY_POD = "kube-api-access-"


def graph_of(objects: Iterable[Object]) -> Graph:
    """Return the pods and claims among the objects as a graph, each with what it leads to."""
    found = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    todo = [reference for kind in ("Pod", "PersistentVolumeClaim") for reference in found if reference[0] == kind]
    while todo:
        node = node_of(todo[0], found.get(todo[0]))
        if node.key not in nodes:
            nodes[node.key] = node
            for after in dict.fromkeys(references_of(found.get(todo[0], {}))):
                edges.append((node.key, node_of(after, found.get(after)).key))
                todo.append(after)
        todo.pop(0)
    return Graph(tuple(nodes.values()), tuple(edges))


def references_of(obj: Object) -> Iterator[Reference]:
    """Yield what an object leads to."""
    spec = obj.get("spec") or {}
    match obj.get("kind"):
        case "Pod":
            for volume in spec.get("volumes") or []:
                if not volume["name"].startswith(OF_EVERY_POD):
                    yield from _sources(volume, obj["metadata"]["name"])
            for container in spec.get("containers") or []:
                yield from _variables(container)
        case "PersistentVolumeClaim" if spec.get("volumeName"):
            yield "PersistentVolume", spec["volumeName"]
        case "PersistentVolume" | "PersistentVolumeClaim" if spec.get("storageClassName"):
            yield "StorageClass", spec["storageClassName"]


def _sources(volume: Object, pod: str) -> Iterator[Reference]:
    if "emptyDir" in volume:
        yield "emptyDir", f"{volume['name']} of {pod}"
    if claim := volume.get("persistentVolumeClaim"):
        yield "PersistentVolumeClaim", claim["claimName"]
    for source in [volume, *(volume.get("projected") or {}).get("sources", [])]:
        if secret := source.get("secret"):
            yield "Secret", secret.get("secretName") or secret["name"]
        if config := source.get("configMap"):
            yield "ConfigMap", config["name"]
        if token := source.get("serviceAccountToken"):
            yield "Token", f"for {token.get('audience', 'the API server')}"


def _variables(container: Object) -> Iterator[Reference]:
    origins = [each.get("valueFrom") or {} for each in container.get("env") or []]
    for origin in [*origins, *(container.get("envFrom") or [])]:
        if secret := origin.get("secretKeyRef") or origin.get("secretRef"):
            yield "Secret", secret["name"]
        if config := origin.get("configMapKeyRef") or origin.get("configMapRef"):
            yield "ConfigMap", config["name"]


def node_of(reference: Reference, obj: Object | None) -> Node:
    """Return the node of what is referred to, whether it is there or not."""
    kind, name = reference
    if kind in ("emptyDir", "Token"):
        return Node(f"{kind}/{name}", kind, name)
    if obj is None:
        return Node(f"{kind}/{name}", kind, name, "not seen")
    return Node(obj["metadata"]["uid"], kind, name, note_of(obj))


def note_of(obj: Object) -> str:
    """Say how an object stands, in a few words that are the same on every run."""
    spec, phase = obj.get("spec") or {}, (obj.get("status") or {}).get("phase", "")
    modes = ",".join(SHORT[mode] for mode in spec.get("accessModes") or [])
    match obj["kind"]:
        case "PersistentVolumeClaim":
            return f"{phase}, {spec['resources']['requests']['storage']}, {modes}"
        case "PersistentVolume":
            return f"{phase}, {spec['capacity']['storage']}, {modes}, then {spec['persistentVolumeReclaimPolicy']}"
        case "StorageClass":
            return obj["provisioner"]
        case "ConfigMap" | "Secret":
            return ", ".join([*sorted(obj.get("data") or {}), *(["immutable"] if obj.get("immutable") else [])])
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else phase
