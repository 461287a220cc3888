"""persistentVolumeClaim and ephemeral: the volume that is bound to a claim.

Left out: volumes of other kinds than hostPath and local, block mode.

Upstream: pkg/kubelet/volumemanager/populator/desired_state_of_world_populator.go
"""

from pathlib import Path

from labkit.glassbox import objects
from labkit.glassbox.errors import ApiError
from labkit.glassbox.kubelet.env import ConfigError
from labkit.glassbox.kubelet.volumes import host_path
from labkit.glassbox.kubelet.volumes.sources import Sources


class NotBound(ConfigError):
    """A claim that cannot be mounted yet: there is nothing to set up."""


def claim_name(pod: dict, volume: dict) -> str:
    """Return the name of a volume's claim; an ephemeral volume's is made of the pod's and its own."""
    if "ephemeral" in volume:
        return f"{objects.name(pod)}-{volume['name']}"
    return volume["persistentVolumeClaim"]["claimName"]


def directory(pod: dict, volume: dict, sources: Sources) -> Path:
    """Return where the data of a volume's claim lies. Raises ConfigError."""
    bound = sources.lookup("persistentvolumes", bound_claim(pod, volume, sources)["spec"]["volumeName"])
    spec = bound["spec"]
    if spec.get("volumeMode") == "Block":
        raise ConfigError("block mode is not implemented by this kubelet")
    if source := spec.get("hostPath"):
        return host_path.directory(source, sources.host_tree)
    if source := spec.get("local"):
        place = host_path.below(sources.host_tree, source["path"].lstrip("/"))
        if place is None or not place.exists():
            raise ConfigError(f'path "{source["path"]}" does not exist')
        return place
    kinds = ", ".join(field for field in spec if field in SOURCES)
    raise ConfigError(f"persistent volumes of type {kinds} are not implemented by this kubelet")


SOURCES = ("csi", "nfs", "iscsi", "fc", "rbd", "cephfs", "awsElasticBlockStore", "gcePersistentDisk", "azureDisk")


def bound_claim(pod: dict, volume: dict, sources: Sources) -> dict:
    """Return a volume's claim once it is bound. Raises NotBound."""
    name = claim_name(pod, volume)
    who = f"{objects.namespace(pod)}/{name}"
    try:
        claim = sources.lookup("persistentvolumeclaims", name)
    except ApiError as error:
        why = f"failed to fetch PVC from API server: {error.message}"
        raise _waits(volume, f"error processing PVC {who}: {why}") from None
    if "ephemeral" in volume and not objects.is_owned_by(claim, pod):
        owner = f"{objects.namespace(pod)}/{objects.name(pod)}"
        raise _waits(volume, f"PVC {who} was not created for pod {owner} (pod is not owner)")
    if (claim.get("status") or {}).get("phase") != "Bound" or not claim["spec"].get("volumeName"):
        raise _waits(volume, f"error processing PVC {who}: PVC is not bound")
    return claim


def _waits(volume: dict, why: str) -> NotBound:
    name = volume["name"]
    volumes = f"unmounted volumes=[{name}], unattached volumes=[], failed to process volumes=[{name}]"
    return NotBound(f"Unable to attach or mount volumes: {volumes}: {why}")
