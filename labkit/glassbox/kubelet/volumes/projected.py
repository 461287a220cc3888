"""The files of volumes that show what the API knows: ConfigMaps, Secrets, the downward API, tokens, or some together.

Left out: clusterTrustBundle, podCertificate.

Upstream: pkg/volume/{configmap,secret,downwardapi,projected}
"""

from pathlib import Path

from labkit.glassbox.kubelet import env
from labkit.glassbox.kubelet.env import ConfigError
from labkit.glassbox.kubelet.volumes.atomic_writer import DATA, Files
from labkit.glassbox.kubelet.volumes.sources import Sources
from labkit.glassbox.kubelet.volumes.token import token

PRIVATE = 0o600
KINDS = ("configMap", "secret", "downwardAPI", "serviceAccountToken")


def contents(pod: dict, volume: dict, directory: Path, sources: Sources) -> Files:
    """Return the files of a volume; `directory` holds what it showed last."""
    if projected := volume.get("projected"):
        files: Files = {}
        for source in projected.get("sources") or []:
            files |= _source(pod, source, projected.get("defaultMode"), directory, sources)
        return files
    return _source(pod, volume, None, directory, sources)


def _source(pod: dict, source: dict, mode: int | None, directory: Path, sources: Sources) -> Files:
    if downward := source.get("downwardAPI"):
        return _downward(pod, downward, mode, sources)
    if wanted := source.get("serviceAccountToken"):
        grouped = (pod["spec"].get("securityContext") or {}).get("fsGroup") is not None
        mode = PRIVATE if grouped else mode or 0o644  # the group is given it next
        return {wanted["path"]: (token(pod, wanted, directory / DATA / wanted["path"], sources), mode)}
    for field, resource in (("configMap", "configmaps"), ("secret", "secrets")):
        if reference := source.get(field):
            found = env.fetch(sources.lookup, resource, reference)
            return _items(reference, env.data_of(found), mode, field) if found else {}
    raise ConfigError(f"{', '.join(source)} is not implemented by this kubelet")


def _items(reference: dict, data: dict[str, bytes], mode: int | None, kind: str) -> Files:
    mode = reference.get("defaultMode") or mode or 0o644
    items = reference.get("items")
    if not items:
        return {key: (value, mode) for key, value in data.items()}
    missing = [item["key"] for item in items if item["key"] not in data]
    if missing and not reference.get("optional"):
        who, what = ("configmap ", "config") if kind == "configMap" else ("", "secret")
        raise ConfigError(f"{who}references non-existent {what} key: {missing[0]}")
    return {item["path"]: (data[item["key"]], item.get("mode") or mode) for item in items if item["key"] in data}


def _downward(pod: dict, source: dict, mode: int | None, sources: Sources) -> Files:
    files = {}
    for item in source.get("items") or []:
        if reference := item.get("fieldRef"):
            value = env.field_value(pod, reference["fieldPath"], sources.facts)
        else:
            value = env.resource_value(pod, "", item["resourceFieldRef"], sources.facts)
        files[item["path"]] = (value.encode(), item.get("mode") or source.get("defaultMode") or mode or 0o644)
    return files
