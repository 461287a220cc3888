"""What `kubectl get nodes` shows.

Upstream: printNode in pkg/printers/internalversion/printers.go
"""

from __future__ import annotations

from labkit.glassbox.resources.columns import AGE, NAME, NONE, UNKNOWN, at, dig
from labkit.glassbox.resources.resource import Column

ROLE = "node-role.kubernetes.io/"


def status(node: dict, now: float) -> str:
    """Return Ready, NotReady or Unknown, and whether the node is cordoned."""
    ready = [each for each in dig(node, "status.conditions") or [] if each["type"] == "Ready"]
    told = ["Unknown"] if not ready else ["Ready" if ready[0]["status"] == "True" else "NotReady"]
    return ",".join(told + ["SchedulingDisabled"] * bool(dig(node, "spec.unschedulable")))


def roles(node: dict, now: float) -> str:
    found = set()
    for key, value in (node["metadata"].get("labels") or {}).items():
        if key.startswith(ROLE) and key != ROLE:
            found.add(key.removeprefix(ROLE))
        elif key == "kubernetes.io/role" and value:
            found.add(value)
    return ",".join(sorted(found)) or NONE


def address(kind: str):
    """Return a cell function for the node's first address of a type."""

    def cell(node: dict, now: float) -> str:
        every = dig(node, "status.addresses") or []
        return next((each["address"] for each in every if each["type"] == kind), NONE)

    return cell


def kernel(node: dict, now: float) -> str:
    version, architecture = dig(node, "status.nodeInfo.kernelVersion"), dig(node, "status.nodeInfo.architecture")
    if not version:
        return UNKNOWN
    return f"{version} ({architecture})" if architecture else version


COLUMNS = (
    NAME,
    Column("Status", status, description="The status of the node"),
    Column("Roles", roles, description="The roles of the node"),
    AGE,
    Column("Version", at("status.nodeInfo.kubeletVersion"), describes="status.nodeInfo.kubeletVersion"),
    Column("Internal-IP", address("InternalIP"), describes="status.addresses", priority=1),
    Column("External-IP", address("ExternalIP"), describes="status.addresses", priority=1),
    Column("OS-Image", at("status.nodeInfo.osImage", UNKNOWN), describes="status.nodeInfo.osImage", priority=1),
    Column("Kernel-Version", kernel, describes="status.nodeInfo.kernelVersion", priority=1),
    Column(
        "Container-Runtime",
        at("status.nodeInfo.containerRuntimeVersion", UNKNOWN),
        describes="status.nodeInfo.containerRuntimeVersion",
        priority=1,
    ),
)
