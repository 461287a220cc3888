"""What a pod's volumes must satisfy: one source each.

Sources that are not validated here are accepted as they are: no kubelet of this cluster mounts them.

Upstream: ValidateVolumes, validateVolumeSource in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import claims, names
from labkit.glassbox.resources.validation.environment import VOLUME_FIELDS, field_reference, resource_reference
from labkit.glassbox.resources.validation.fields import forbidden, invalid, items, one_of, required, unique

HOST_PATHS = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
NO_PARENT = "must not contain '..'"
MODE = "must be a number between 0 and 0777 (octal), both inclusive"


def volumes(given: list[dict], path: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for at, each in items(given, path):
        name = each.get("name", "")
        yield from source(each, at)
        yield from names.needed(names.dns_label, f"{at}.name", name)
        if name:
            yield from unique(f"{at}.name", name, seen)


def source(volume: dict, path: str, checks: Mapping[str, Callable] | None = None) -> Iterator[Cause]:
    """Check a volume's one source, by a pod's checks or by those of PersistentVolumes."""
    checks = checks or _CHECKS
    found = [field for field in ORDER if volume.get(field) is not None]
    found += [field for field in volume if field not in ORDER and field != "name" and volume[field] is not None]
    for index, field in enumerate(found):
        if index:
            yield forbidden(f"{path}.{field}", "may not specify more than 1 volume type")
        elif field in checks:
            yield from checks[field](volume[field], f"{path}.{field}")
    if not found:
        yield required(path, "must specify a volume type")


def descending_path(text: str, path: str) -> Iterator[Cause]:
    """Refuse a path that is absolute or climbs."""
    if text.startswith("/"):
        yield invalid(path, text, "must be a relative path")
    if ".." in text.split("/"):
        yield invalid(path, text, NO_PARENT)


def _empty_dir(given: dict, path: str) -> Iterator[Cause]:
    if given.get("sizeLimit") and quantity.parse(given["sizeLimit"]) < 0:
        yield forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def _host_path(given: dict, path: str) -> Iterator[Cause]:
    if not given.get("path"):
        yield required(f"{path}.path")
    elif ".." in given["path"].split("/"):
        yield invalid(f"{path}.path", given["path"], NO_PARENT)
    yield from one_of(f"{path}.type", given.get("type"), HOST_PATHS)


def _mode(given: dict, path: str, field: str = "defaultMode") -> Iterator[Cause]:
    mode = given.get(field)
    if mode is not None and not 0 <= mode <= 0o777:
        yield invalid(f"{path}.{field}", mode, MODE)


def _items(given: dict, path: str) -> Iterator[Cause]:
    for at, each in items(given.get("items"), f"{path}.items"):
        if not each.get("key"):
            yield required(f"{at}.key")
        yield from _file(each, at)


def _file(each: dict, path: str) -> Iterator[Cause]:
    if not each.get("path"):
        yield required(f"{path}.path")
    else:
        yield from descending_path(each["path"], f"{path}.path")
    yield from _mode(each, path, "mode")


def _secret(given: dict, path: str) -> Iterator[Cause]:
    if not given.get("secretName"):
        yield required(f"{path}.secretName")
    yield from _mode(given, path)
    yield from _items(given, path)


def _config_map(given: dict, path: str) -> Iterator[Cause]:
    if not given.get("name"):
        yield required(f"{path}.name")
    yield from _mode(given, path)
    yield from _items(given, path)


def _downward_api(given: dict, path: str) -> Iterator[Cause]:
    yield from _mode(given, path)
    for at, each in items(given.get("items"), f"{path}.items"):
        yield from _file(each, at)
        if each.get("fieldRef"):
            yield from field_reference(each["fieldRef"], VOLUME_FIELDS, f"{at}.fieldRef")
        elif each.get("resourceFieldRef"):
            yield from resource_reference(each["resourceFieldRef"], f"{at}.resourceFieldRef")
        else:
            yield required(at, "one of fieldRef and resourceFieldRef is required")


def _claim(given: dict, path: str) -> Iterator[Cause]:
    if not given.get("claimName"):
        yield required(f"{path}.claimName")


def _ephemeral(given: dict, path: str) -> Iterator[Cause]:
    template = given.get("volumeClaimTemplate")
    if template is None:
        yield required(f"{path}.volumeClaimTemplate")
    else:
        yield from claims.claim(template.get("spec") or {}, f"{path}.volumeClaimTemplate.spec")


def _projected(given: dict, path: str) -> Iterator[Cause]:
    yield from _mode(given, path)
    seen: set[str] = set()
    for at, each in items(given.get("sources"), f"{path}.sources"):
        found = [field for field in _PROJECTIONS if each.get(field) is not None]
        for field in found:
            yield from _PROJECTIONS[field](each[field], f"{at}.{field}")
            files = each[field].get("items") or [each[field]]
            placed = [one["path"] for one in files if one.get("path")]
            if any(one in seen for one in placed):
                yield invalid(path, each[field].get("name") or placed[0], "conflicting duplicate paths")
            seen.update(placed)
        if len(found) > 1:
            yield forbidden(at, "may not specify more than 1 volume type per source")


def _projected_keys(given: dict, path: str) -> Iterator[Cause]:
    if not given.get("name"):
        yield required(f"{path}.name")
    yield from _items(given, path)


def _token(given: dict, path: str) -> Iterator[Cause]:
    seconds = given.get("expirationSeconds", 3600)
    if seconds < 600:
        yield invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    elif seconds > 2**32:
        yield invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")
    if not given.get("path"):
        yield required(f"{path}.path")
    else:
        yield from descending_path(given["path"], f"{path}.path")


def _nfs(given: dict, path: str) -> Iterator[Cause]:
    yield from (required(f"{path}.{field}") for field in ("server", "path") if not given.get(field))
    if not given.get("path", "").startswith("/"):
        yield invalid(f"{path}.path", given.get("path", ""), "must be an absolute path")


def _driver(given: dict, path: str) -> Iterator[Cause]:
    yield from names.needed(names.dns_subdomain, f"{path}.driver", given.get("driver", "").lower())


def _handle(given: dict, path: str) -> Iterator[Cause]:
    yield from _driver(given, path)
    if not given.get("volumeHandle"):
        yield required(f"{path}.volumeHandle")


def _local(given: dict, path: str) -> Iterator[Cause]:
    if not given.get("path"):
        yield required(f"{path}.path")
    elif ".." in given["path"].split("/"):
        yield invalid(f"{path}.path", given["path"], NO_PARENT)


_PROJECTIONS = {
    **{"secret": _projected_keys, "configMap": _projected_keys, "downwardAPI": _downward_api},
    "serviceAccountToken": _token,
}
PERSISTENT = {"hostPath": _host_path, "nfs": _nfs, "local": _local, "csi": _handle}
_CHECKS = {
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "secret": _secret,
    "persistentVolumeClaim": _claim,
    "configMap": _config_map,
    "downwardAPI": _downward_api,
    "ephemeral": _ephemeral,
    **{"nfs": _nfs, "projected": _projected, "csi": _driver},
}
ORDER = (*_CHECKS, "image")
