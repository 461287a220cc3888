"""What makes the pods of a stateful set distinct: an ordinal, and by it a name, a host name and volumes that stay.

    web-1         the pod with ordinal 1 of the set web, always under this name
    data-web-1    its claim of the template data; a new web-1 gets the same volume

Pure functions over dicts.

Upstream: pkg/controller/statefulset/stateful_set_utils.go
"""

from __future__ import annotations

import re

from labkit.glassbox import objects
from labkit.glassbox.controllers import pods as podutil
from labkit.glassbox.controllers.history import POD_LABEL, template_of

NAME_LABEL, INDEX_LABEL = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"
RETAIN = {"whenDeleted": "Retain", "whenScaled": "Retain"}


def ordinal_of(sts: dict, pod: dict) -> int | None:
    """Return the pod's ordinal, None for one whose name is not of this set."""
    found = re.fullmatch(re.escape(objects.name(sts)) + r"-(\d+)", objects.name(pod))
    return int(found[1]) if found else None


def ordinals(sts: dict) -> range:
    """Return the ordinals that the set shall have."""
    start = (sts["spec"].get("ordinals") or {}).get("start", 0)
    return range(start, start + sts["spec"].get("replicas", 1))


def identity(sts: dict, ordinal: int) -> dict[str, str]:
    """Return the labels that tell the pod from its siblings."""
    return {NAME_LABEL: f"{objects.name(sts)}-{ordinal}", INDEX_LABEL: str(ordinal)}


def pod_from(sts: dict, revision: dict, ordinal: int) -> dict:
    """Return the pod with that ordinal, of a revision that may be an older one than the set's template."""
    pod, own = podutil.from_template(sts, template_of(revision)), identity(sts, ordinal)
    metadata = {**pod["metadata"], "name": own[NAME_LABEL]}
    metadata["labels"] = {**(metadata.get("labels") or {}), **own, POD_LABEL: objects.name(revision)}
    spec = {**pod["spec"], "hostname": own[NAME_LABEL]}
    if sts["spec"].get("serviceName"):
        spec["subdomain"] = sts["spec"]["serviceName"]
    if volumes := volumes_of(sts, pod, ordinal):
        spec["volumes"] = volumes
    return {**pod, "metadata": metadata, "spec": spec}


def volumes_of(sts: dict, pod: dict, ordinal: int) -> list[dict]:
    """Return the pod's volumes: its claims take the place of the template's volumes of the same names."""
    own = {objects.name(each): claim_name(sts, each, ordinal) for each in claim_templates(sts)}
    others = [each for each in pod["spec"].get("volumes") or [] if each["name"] not in own]
    return [{"name": key, "persistentVolumeClaim": {"claimName": value}} for key, value in own.items()] + others


def claim_templates(sts: dict) -> list[dict]:
    return sts["spec"].get("volumeClaimTemplates") or []


def claim_name(sts: dict, template: dict, ordinal: int) -> str:
    return f"{objects.name(template)}-{objects.name(sts)}-{ordinal}"


def claims_from(sts: dict, ordinal: int) -> list[dict]:
    """Return the claims of the pod with that ordinal."""
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                **template["metadata"],
                "name": claim_name(sts, template, ordinal),
                "namespace": objects.namespace(sts),
                "labels": {**objects.labels(template), **(sts["spec"]["selector"].get("matchLabels") or {})},
            },
            "spec": template["spec"],
        }
        for template in claim_templates(sts)
    ]


def owners_of_claim(sts: dict, claim: dict, ordinal: int, pod: dict | None = None) -> list[dict]:
    """Return the owner references that the retention policy wants: who owns a claim takes it along.

    The set, if claims go with it; the pod, if claims go with a scaling down and the pod is one too many (one that is
    yet to be made is not).
    """
    policy = sts["spec"].get("persistentVolumeClaimRetentionPolicy") or RETAIN
    held = objects.owners(claim)
    others = [each for each in held if objects.uid(sts) != each["uid"] and not names_pod(each, sts, ordinal)]
    if any(each.get("controller") for each in others):
        return held  # it is somebody else's
    if policy["whenScaled"] == "Delete" and pod is not None and ordinal not in ordinals(sts):
        return [*others, objects.owner_reference(pod, "Pod", "v1")]
    if policy["whenDeleted"] == "Delete":
        return [*others, objects.owner_reference(sts, "StatefulSet", "apps/v1")]
    return others


def names_pod(reference: dict, sts: dict, ordinal: int) -> bool:
    return (reference["kind"], reference["name"]) == ("Pod", f"{objects.name(sts)}-{ordinal}")


def is_going(sts: dict, claim: dict, ordinal: int) -> bool:
    """Tell whether the claim goes away, maybe with an earlier pod of this ordinal: a new pod has to wait for that."""
    return objects.is_deleting(claim) or any(names_pod(each, sts, ordinal) for each in objects.owners(claim))
