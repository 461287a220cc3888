"""What a volume's source must satisfy: of pods one each, of PersistentVolumes another set.

Left out: the forms of names in iscsi, quobyte, storageos and azureDisk, which no kubelet of this cluster mounts.

Upstream: ValidateVolumes, validateVolumeSource, ValidatePersistentVolumeSpec in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from labkit.glassbox import quantity
from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import claims, names
from labkit.glassbox.resources.validation.environment import VOLUME_FIELDS, field_reference, resource_reference
from labkit.glassbox.resources.validation.fields import (
    duplicate,
    forbidden,
    in_range,
    invalid,
    items,
    no_parent,
    one_of,
    required,
    too_long,
)
from labkit.glassbox.resources.validation.metadata import of_template

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
MODE = "must be a number between 0 and 0777 (octal), both inclusive"
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
ONE_SOURCE = "may not specify more than 1 volume type"
# The metadata that a claim of a pod's own must not have, in Go's order.


def volumes(given: list[dict], path: str, meta: dict, is_pod: bool) -> tuple[dict[str, dict], list[Cause]]:
    """Return the volumes that may be mounted, by name, and what is wrong with the others.

    `meta`: the pod's metadata, as far as they are known of a pod that is yet to be.
    """
    found: dict[str, dict] = {}
    causes: list[Cause] = []
    pod = meta.get("name", "")
    made = {f"{pod}-{each.get('name', '')}" for each in given if pod and "ephemeral" in each}
    for at, each in items(given, path):
        name, claim = each.get("name", ""), (each.get("persistentVolumeClaim") or {}).get("claimName")
        faults = [*source(each, at), *_of_pods(each, at, pod, is_pod)]
        faults += names.needed(names.dns_label, f"{at}.name", name)
        faults += [duplicate(f"{at}.name", name)] if name in found else []
        causes += faults
        if not faults:
            found[name] = each
        if claim in made:
            told = "must not reference a PVC that gets created for an ephemeral volume"
            causes.append(invalid(f"{at}.persistentVolumeClaim.claimName", claim, told))
    return found, causes


def _of_pods(volume: dict, path: str, pod: str, is_pod: bool) -> Iterator[Cause]:
    """Check what depends on the pod: the claim that is made for it is named after both."""
    name = volume.get("name", "")
    if "ephemeral" in volume and pod and name:
        for told in names.dns_subdomain(f"{pod}-{name}"):
            yield invalid(f"{path}.name", name, f'PVC name "{pod}-{name}": {told}')
    if is_pod and "image" in volume and not volume["image"].get("reference"):
        yield required(f"{path}.image.reference")


def source(volume: dict, path: str, checks: Mapping[str, Callable] | None = None) -> Iterator[Cause]:
    """Check a volume's one source, by a pod's checks or by those of PersistentVolumes."""
    checks = checks or _CHECKS
    found = [field for field in checks if volume.get(field) is not None]
    for index, field in enumerate(found):
        if index:
            yield forbidden(f"{path}.{CALLED_TWICE.get(field, field)}", ONE_SOURCE)
        else:
            yield from checks[field](volume[field], f"{path}.{CALLED.get(field, field)}")
    if not found:
        yield required(path, "must specify a volume type")


def descending_path(text: str, path: str, reserved: bool = False) -> Iterator[Cause]:
    """Refuse a path that is absolute or climbs, and names that begin as those that are `reserved`."""
    if text.startswith("/"):
        yield invalid(path, text, "must be a relative path")
    yield from no_parent(path, text)
    if reserved and text.startswith("..") and not text.startswith("../"):
        yield invalid(path, text, "must not start with '..'")


def _empty_dir(given: dict, path: str) -> Iterator[Cause]:
    if given.get("sizeLimit") and quantity.parse(given["sizeLimit"]) < 0:
        yield forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def _host_path(given: dict, path: str) -> Iterator[Cause]:
    if not given.get("path"):
        yield required(f"{path}.path")
        return
    yield from no_parent(f"{path}.path", given["path"])
    yield from one_of(f"{path}.type", given.get("type"), HOST_PATHS)


def _mode(given: dict, path: str, field: str = "defaultMode") -> Iterator[Cause]:
    mode = given.get(field)
    if mode is not None and not 0 <= mode <= 0o777:
        yield invalid(f"{path}.{field}", mode, MODE)


def _items(given: dict, path: str) -> Iterator[Cause]:
    for at, each in items(given.get("items"), f"{path}.items"):
        yield from _key(each, at)


def _key(each: dict, path: str) -> Iterator[Cause]:
    if not each.get("key"):
        yield required(f"{path}.key")
    yield from _file_path(each, path)
    yield from _mode(each, path, "mode")


def _file_path(each: dict, path: str) -> Iterator[Cause]:
    if not each.get("path"):
        yield required(f"{path}.path")
    yield from descending_path(each.get("path", ""), f"{path}.path", reserved=True)


def _keys_of(named: str) -> Callable[[dict, str], Iterator[Cause]]:
    """Return the check of a volume of keys, by the field that names where they are."""

    def check(given: dict, path: str) -> Iterator[Cause]:
        if not given.get(named):
            yield required(f"{path}.{named}")
        yield from _mode(given, path)
        yield from _items(given, path)

    return check


def _downward_api(given: dict, path: str) -> Iterator[Cause]:
    """Check files that tell of the pod; upstream does not say which one is wrong."""
    yield from _mode(given, path)
    for each in given.get("items") or []:
        yield from _downward_file(each, path)


def _downward_file(each: dict, path: str) -> Iterator[Cause]:
    yield from _file_path(each, path)
    if "fieldRef" in each:
        yield from field_reference(each["fieldRef"], VOLUME_FIELDS, f"{path}.fieldRef")
        if "resourceFieldRef" in each:
            yield invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
    elif "resourceFieldRef" in each:
        yield from resource_reference(each["resourceFieldRef"], f"{path}.resourceFieldRef", of_volume=True)
    else:
        yield required(path, "one of fieldRef and resourceFieldRef is required")
    yield from _mode(each, path, "mode")


def _ephemeral(given: dict, path: str) -> Iterator[Cause]:
    template, path = given.get("volumeClaimTemplate"), f"{path}.volumeClaimTemplate"
    if template is None:
        yield required(path)
        return
    yield from of_template(template.get("metadata") or {}, f"{path}.metadata")
    yield from claims.claim(template.get("spec") or {}, f"{path}.spec")


def _projected(given: dict, path: str) -> Iterator[Cause]:
    yield from _mode(given, path)
    seen: set[str] = set()
    for at, each in items(given.get("sources"), f"{path}.sources"):
        found = [field for field in ("secret", "configMap", "downwardAPI", "serviceAccountToken") if field in each]
        for field in found:
            inner, where = each[field], f"{at}.{field}"
            if field == "serviceAccountToken":
                yield from _token(inner, where, path)
                continue
            if field != "downwardAPI" and not inner.get("name"):
                yield required(f"{where}.name")
            for on, item in items(inner.get("items"), f"{where}.items"):
                yield from _downward_file(item, where) if field == "downwardAPI" else _key(item, on)
                if item.get("path", "") in seen:
                    told = item["path"] if field == "downwardAPI" else inner.get("name", "")
                    yield invalid(path, told, "conflicting duplicate paths")
                seen |= {item["path"]} if item.get("path") else set()
        if len(found) > 1:
            yield forbidden(at, "may not specify more than 1 volume type per source")


def _token(given: dict, path: str, of_all: str) -> Iterator[Cause]:
    """Check a token; upstream does not say which source's path is wrong."""
    seconds = given.get("expirationSeconds", 3600)
    if seconds < 600:
        yield invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    elif seconds > 2**32:
        yield invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")
    yield from _file_path(given, of_all)


def _nfs(given: dict, path: str) -> Iterator[Cause]:
    yield from _needs("server", "path")(given, path)
    if not given.get("path", "").startswith("/"):
        yield invalid(f"{path}.path", given.get("path", ""), "must be an absolute path")


def _driver(given: dict, path: str) -> Iterator[Cause]:
    name = given.get("driver", "")
    if not name:
        yield required(f"{path}.driver")
    if len(name) > 63:
        yield too_long(f"{path}.driver", 63)
    for told in names.dns_subdomain(name.lower()):
        yield invalid(f"{path}.driver", name, told)


def _csi(given: dict, path: str) -> Iterator[Cause]:
    yield from _driver(given, path)
    if (secret := given.get("nodePublishSecretRef")) is not None:
        if secret.get("name"):
            yield from names.check(names.dns_subdomain, f"{path}.name", secret["name"])
        else:
            yield required(f"{path}.nodePublishSecretRef.name")


def _handle(given: dict, path: str) -> Iterator[Cause]:
    yield from _driver(given, path)
    if not given.get("volumeHandle"):
        yield required(f"{path}.volumeHandle")
    for field in ("controllerPublish", "controllerExpand", "nodePublish", "nodeExpand"):
        if (secret := given.get(f"{field}SecretRef")) is not None:
            at = f"{path}.{field}SecretRef"
            yield from names.needed(names.dns_subdomain, f"{at}.name", secret.get("name", ""))
            yield from names.needed(names.dns_label, f"{at}.namespace", secret.get("namespace", ""))


def _share(given: dict, path: str) -> Iterator[Cause]:
    yield from _needs("secretName", "shareName")(given, path)
    if given.get("secretNamespace") == "":
        yield required(f"{path}.secretNamespace")


def _cinder(given: dict, path: str) -> Iterator[Cause]:
    yield from _needs("volumeID")(given, path)
    if (secret := given.get("secretRef")) is not None:
        yield from _needs("name", "namespace")(secret, f"{path}.secretRef")


def _local(given: dict, path: str) -> Iterator[Cause]:
    yield from _needs("path")(given, path)
    yield from no_parent(f"{path}.path", given.get("path", ""))


def _git(given: dict, path: str) -> Iterator[Cause]:
    yield from _needs("repository")(given, path)
    yield from descending_path(given.get("directory", ""), f"{path}.directory")


def _image(given: dict, path: str) -> Iterator[Cause]:
    yield from one_of(f"{path}.pullPolicy", given.get("pullPolicy"), PULL_POLICIES)


def _disk(named: str) -> Callable[[dict, str], Iterator[Cause]]:
    def check(given: dict, path: str) -> Iterator[Cause]:
        yield from _needs(named)(given, path)
        yield from in_range(f"{path}.partition", given.get("partition"), 0, 255)

    return check


def _fibre_channel(given: dict, path: str) -> Iterator[Cause]:
    at, ports, disks = f"{path}.targetWWNs", given.get("targetWWNs"), given.get("wwids")
    if not ports and not disks:
        yield required(at, "must specify either targetWWNs or wwids, but not both")
    if ports and disks:
        yield invalid(at, ports, "targetWWNs and wwids can not be specified simultaneously")
    if ports and given.get("lun") is None:
        yield required(f"{path}.lun", "lun is required if targetWWNs is specified")
    elif ports:
        yield from in_range(f"{path}.lun", given["lun"], 0, 255)


def _flocker(given: dict, path: str) -> Iterator[Cause]:
    name, uuid = given.get("datasetName", ""), given.get("datasetUUID", "")
    if not name and not uuid:
        yield required(path, "one of datasetName and datasetUUID is required")
    if name and uuid:
        yield invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously")
    if "/" in name:
        yield invalid(f"{path}.datasetName", name, "must not contain '/'")


def _flex(given: dict, path: str) -> Iterator[Cause]:
    yield from _needs("driver")(given, path)
    for key in sorted(given.get("options") or ()):
        if f".{key.partition('/')[0].lower()}".endswith((".kubernetes.io", ".k8s.io")):
            yield invalid(f"{path}.options[{key}]", key, "kubernetes.io and k8s.io namespaces are reserved")


def _needs(*fields: str) -> Callable[[dict, str], Iterator[Cause]]:
    """Return the check that a source has these fields."""
    return lambda given, path: (required(f"{path}.{field}") for field in fields if not given.get(field))


# Paths in which upstream calls a source otherwise than the API: of its faults, and of a second source.
CALLED = {"gcePersistentDisk": "persistentDisk"}
CALLED_TWICE = {"downwardAPI": "downwarAPI", "cephfs": "cephFS"}
_SHARED: dict[str, Callable[[dict, str], Iterator[Cause]]] = {
    **{"gcePersistentDisk": _disk("pdName"), "awsElasticBlockStore": _disk("volumeID"), "nfs": _nfs},
    **{"iscsi": _needs("targetPortal", "iqn"), "glusterfs": _needs("endpoints", "path"), "flocker": _flocker},
    **{"rbd": _needs("monitors", "image"), "cinder": _needs("volumeID"), "cephfs": _needs("monitors")},
    **{"quobyte": _needs("registry", "volume"), "fc": _fibre_channel, "flexVolume": _flex},
    **{"azureFile": _needs("secretName", "shareName"), "vsphereVolume": _needs("volumePath")},
    **{"photonPersistentDisk": _needs("pdID"), "portworxVolume": _needs("volumeID")},
    **{"azureDisk": _needs("diskName", "diskURI"), "storageos": _needs("volumeName")},
    "scaleIO": _needs("gateway", "system", "volumeName"),
}
_OF_PODS: dict[str, Callable[[dict, str], Iterator[Cause]]] = {
    **{"emptyDir": _empty_dir, "hostPath": _host_path, "gitRepo": _git, "secret": _keys_of("secretName")},
    **{"persistentVolumeClaim": _needs("claimName"), "downwardAPI": _downward_api, "configMap": _keys_of("name")},
    **{"projected": _projected, "csi": _csi, "ephemeral": _ephemeral, "image": _image},
}
# Which of two sources is the second, of pods and of PersistentVolumes, says upstream's order.
_POD_ORDER = """
    emptyDir hostPath gitRepo gcePersistentDisk awsElasticBlockStore secret nfs iscsi glusterfs flocker
    persistentVolumeClaim rbd cinder cephfs quobyte downwardAPI fc flexVolume configMap azureFile vsphereVolume
    photonPersistentDisk portworxVolume azureDisk storageos projected scaleIO csi ephemeral image
"""
_ORDER = """
    hostPath gcePersistentDisk awsElasticBlockStore glusterfs flocker nfs rbd quobyte cephfs iscsi cinder fc flexVolume
    azureFile vsphereVolume photonPersistentDisk portworxVolume azureDisk scaleIO local storageos csi
"""
_CHECKS = {field: (_SHARED | _OF_PODS)[field] for field in _POD_ORDER.split()}
_OF_VOLUMES = {"hostPath": _host_path, "local": _local, "csi": _handle, "azureFile": _share, "cinder": _cinder}
PERSISTENT = {field: {**_SHARED, **_OF_VOLUMES}[field] for field in _ORDER.split()}
