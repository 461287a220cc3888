"""Which other objects of its namespace a pod names: its account, ConfigMaps, Secrets, claims.

Upstream: pkg/api/v1/pod/util.go (VisitPodSecretNames, VisitPodConfigmapNames)
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox import objects

SOURCES = {"secret": ("secrets", "secretName"), "configMap": ("configmaps", "name")}  # of volumes
CLAIM = ("persistentVolumeClaim", "persistentvolumeclaims", "claimName")
IN_ENVIRONMENT = {"secretKeyRef": "secrets", "configMapKeyRef": "configmaps"}
WHOLE = {"secretRef": "secrets", "configMapRef": "configmaps"}


def references(pod: dict) -> Iterator[tuple[str, str]]:
    """Yield (resource, name) for each object that the pod names."""
    spec = pod["spec"]
    yield "serviceaccounts", spec.get("serviceAccountName") or "default"
    for each in spec.get("imagePullSecrets") or ():
        yield "secrets", each.get("name", "")
    for volume in spec.get("volumes") or ():
        yield from of_volume(volume, objects.name(pod))
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            yield from of_environment(container)


def of_volume(volume: dict, pod: str) -> Iterator[tuple[str, str]]:
    for field, (resource, name) in SOURCES.items():
        if source := volume.get(field):
            yield resource, source.get(name, "")
        for each in (volume.get("projected") or {}).get("sources") or ():
            if source := each.get(field):
                yield resource, source.get("name", "")
    if claim := volume.get(CLAIM[0]):
        yield CLAIM[1], claim.get(CLAIM[2], "")
    if volume.get("ephemeral"):
        yield CLAIM[1], f"{pod}-{volume['name']}"


def of_environment(container: dict) -> Iterator[tuple[str, str]]:
    for each in container.get("env") or ():
        for field, reference in (each.get("valueFrom") or {}).items():
            if field in IN_ENVIRONMENT:
                yield IN_ENVIRONMENT[field], reference.get("name", "")
    for each in container.get("envFrom") or ():
        for field, resource in WHOLE.items():
            if reference := each.get(field):
                yield resource, reference.get("name", "")
