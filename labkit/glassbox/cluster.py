"""One cluster: where its state lies, what it consists of, in which order it starts.

Read `boot_order` first: it is the architecture slide. The machine (machine.py) makes the namespaces in which all of it
runs, the supervisor starts and restarts the components, the launcher does `labkit up` from outside.

State lies in $LABKIT_HOME, else ${XDG_STATE_HOME:-~/.local/state}/labkit, under clusters/<name>/:
store.db, pki/, kubeconfig, components/<component>.kubeconfig, logs/<component>.log, nodes/<node>/, and, while the
cluster runs, control.sock. Whoever writes there holds `lock`.

Left out: more than one control plane.

Upstream: cmd/kubeadm/app/phases/controlplane/manifests.go
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from labkit.glassbox import network, pki
from labkit.glassbox.network import NodeNetwork

FABRIC_URL = f"https://{network.FABRIC_ADDRESS}:6443"
SERVICE_CIDR = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"  # of the Service `kubernetes`
DNS_ADDRESS = "10.96.0.10"  # of the Service `kube-dns`
CLUSTER_DOMAIN = "cluster.local"
API_SERVER, CONTROLLER_MANAGER, SCHEDULER = "api-server", "controller-manager", "scheduler"
KUBE_PROXY, DNS, OUTSIDE, INGRESS = "kube-proxy", "dns", "outside", "ingress"
RECLAIMER = "volume-reclaimer"  # of each node; it runs in the kubelet
MASTERS, NODES = "system:masters", "system:nodes"
ADMIN = "kubernetes-admin"


class ClusterError(Exception):
    """A cluster that cannot do what was asked: what happened, and the next step."""

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


@dataclass(frozen=True)
class Component:
    """One process of the cluster: the module whose main(argv) it runs, and the node in whose network it does."""

    name: str
    module: str
    argv: tuple[str, ...]
    node: str | None = None
    fds: tuple[int, ...] = ()  # open files that are its own, and no other component's
    listens: tuple[tuple[str, str, int], ...] = ()  # protocol, address, port: sockets that outlive the process


@dataclass(frozen=True)
class Profile:
    """How soon a silent node is given up; seconds. A kubelet renews its lease four times in `lease`.

    And how large a node's disk is, in bytes; 0: all that the host has.
    """

    lease: int = 40
    grace: float = 50.0
    disk: int = 0


PROFILES = {
    "default": Profile(),
    "fast": Profile(lease=4, grace=10.0),  # a lesson does not wait a minute
    "bounded": Profile(disk=2 << 30),  # what runs there is not trusted, and the disk is others' too
}


@dataclass(frozen=True)
class Sockets:
    """The files that the machine opened for components, by number."""

    api: tuple[int, ...] = ()  # where the API server listens
    web: int = -1  # where the host outside listens
    host: int = -1  # where to ask for sockets on the host's loopback
    upstream: int | None = None  # from where to ask the host's name servers, if that is wanted


@dataclass(frozen=True)
class Layout:
    """Where the files of one cluster lie."""

    name: str
    root: Path

    @property
    def pki(self) -> Path:
        """Keys, certificates and the token file."""
        return self.root / "pki"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's way in, from the host."""
        return self.root / "kubeconfig"

    @property
    def encryption_config(self) -> Path:
        """What is encrypted in the store, if anything: an EncryptionConfiguration that a user may put there."""
        return self.root / "encryption-config.yaml"

    @property
    def lock(self) -> Path:
        """Held by the machine and its components as long as one of them lives."""
        return self.root / "lock"

    @property
    def images(self) -> Path:
        """Declares images of the cluster's own, if it is there."""
        return self.root / "images.yaml"

    @property
    def host_ports(self) -> Path:
        """Says which node ports the host's loopback has."""
        return self.root / "host-ports.json"

    def component_kubeconfig(self, component: str) -> Path:
        """Return a component's way in, from inside the machine."""
        return self.root / "components" / f"{component}.kubeconfig"

    def log(self, component: str) -> Path:
        """Return the file that a component's standard error goes to."""
        return self.root / "logs" / f"{component}.log"

    def node(self, node: str) -> Path:
        """Return the root directory of a node's kubelet."""
        return self.root / "nodes" / node


def state_home() -> Path:
    """Return the directory that holds the state of all clusters."""
    if home := os.environ.get("LABKIT_HOME"):
        return Path(home).expanduser().absolute()
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser().absolute() / "labkit"


def layout(name: str, home: Path | None = None) -> Layout:
    """Return where a cluster's files lie; raises ClusterError for a name that cannot be a directory's and a host's."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", name):
        raise ClusterError(
            f"{name!r} cannot name a cluster",
            "use at most 40 lower-case letters, digits and '-', beginning and ending with a letter or digit",
        )
    return Layout(name, (home or state_home()) / "clusters" / name)


def boot_order(files: Layout, nodes: list[NodeNetwork], sockets: Sockets,
               profile: Profile = PROFILES["default"]) -> list[Component]:  # fmt: skip
    """Return the components, first to start first; each waits for the API by itself, so that order is for reading."""
    return [
        api_server(files, sockets.api),
        controller_manager(files, profile),
        scheduler(files),
        *[kubelet(files, node, profile) for node in nodes],
        *[kube_proxy(files, node) for node in nodes],
        dns(files, sockets.upstream),
        outside(files, sockets),
        ingress(files),
    ]


def api_server(files: Layout, listen_fds: tuple[int, ...]) -> Component:
    """The only one to open the store; all others talk to it alone."""
    flags: dict[str, object] = {
        "--data-dir": files.root,
        "--tls-cert-file": files.pki / "apiserver.crt",
        "--tls-private-key-file": files.pki / "apiserver.key",
        "--client-ca-file": files.pki / "ca.crt",
        "--token-auth-file": files.pki / pki.TOKENS,
        "--encryption-provider-config": files.encryption_config,
        "--service-account-signing-key-file": files.pki / pki.ACCOUNTS_KEY,
        "--kubelet-certificate-authority": files.pki / "ca.crt",
        "--kubelet-client-certificate": files.pki / "apiserver-kubelet-client.crt",
        "--kubelet-client-key": files.pki / "apiserver-kubelet-client.key",
        "--service-cluster-ip-range": SERVICE_CIDR,
        "--advertise-address": network.FABRIC_ADDRESS,
    }
    argv = (*_flags(flags), *(f"--listen-fd={fd}" for fd in listen_fds))
    return Component(API_SERVER, "labkit.glassbox.apiserver.__main__", argv, fds=listen_fds)


def controller_manager(files: Layout, profile: Profile) -> Component:
    """All controllers, each a loop of its own, in one process."""
    flags: dict[str, object] = {
        "--kubeconfig": files.component_kubeconfig(CONTROLLER_MANAGER),
        "--root-ca-file": files.pki / "ca.crt",
        "--cluster-signing-cert-file": files.pki / "ca.crt",
        "--cluster-signing-key-file": files.pki / "ca.key",
        "--service-account-private-key-file": files.pki / pki.ACCOUNTS_KEY,
        "--node-monitor-grace-period": profile.grace,
    }
    argv = (*_flags(flags), "--use-service-account-credentials")
    return Component(CONTROLLER_MANAGER, "labkit.glassbox.controllers.__main__", argv)


def scheduler(files: Layout) -> Component:
    """Picks a node for each pod that has none."""
    flags: dict[str, object] = {"--kubeconfig": files.component_kubeconfig(SCHEDULER)}
    return Component(SCHEDULER, "labkit.glassbox.scheduler.__main__", _flags(flags))


def kubelet(files: Layout, node: NodeNetwork, profile: Profile) -> Component:
    """Runs the pods of one node, in that node's network."""
    flags: dict[str, object] = {
        "--kubeconfig": files.component_kubeconfig(f"kubelet-{node.name}"),
        "--reclaimer-kubeconfig": files.component_kubeconfig(RECLAIMER),
        "--hostname-override": node.name,
        "--node-ip": node.address,
        "--pod-cidr": node.pod_cidr,
        "--images-file": files.images,
        "--cluster-dns": DNS_ADDRESS,
        "--cluster-domain": CLUSTER_DOMAIN,
        "--node-lease-duration-seconds": profile.lease,
        "--disk-size": profile.disk,
        "--root-dir": files.node(node.name),
        "--run-dir": f"/run/glassbox/nodes/{node.name}",
        "--tls-cert-file": files.pki / f"kubelet-{node.name}.crt",
        "--tls-private-key-file": files.pki / f"kubelet-{node.name}.key",
        "--client-ca-file": files.pki / "ca.crt",
    }
    return Component(f"kubelet@{node.name}", "labkit.glassbox.kubelet.__main__", _flags(flags), node.name)


def kube_proxy(files: Layout, node: NodeNetwork) -> Component:
    """Makes services' virtual addresses work on one node, and enforces network policies there."""
    flags: dict[str, object] = {
        "--kubeconfig": files.component_kubeconfig(KUBE_PROXY),
        "--hostname-override": node.name,
        "--node-ip": node.address,
        "--cluster-cidr": network.POD_RANGE,
        "--service-cluster-ip-range": SERVICE_CIDR,
        "--pod-cidr": node.pod_cidr,
        "--cluster-dns-endpoint": network.FABRIC_ADDRESS,
        "--cluster-ingress-endpoint": network.INGRESS_ADDRESS,
    }
    return Component(f"{KUBE_PROXY}@{node.name}", "labkit.glassbox.node_network", _flags(flags), node.name)


def dns(files: Layout, upstream_fd: int | None) -> Component:
    """Answers for the names of services and pods, and has the host's name servers answer for others where wanted."""
    flags: dict[str, object] = {
        "--kubeconfig": files.component_kubeconfig(DNS),
        "--address": network.FABRIC_ADDRESS,
        "--cluster-dns": DNS_ADDRESS,
        "--cluster-domain": CLUSTER_DOMAIN,
        "--host": f"{network.OUTSIDE_NAME}={network.OUTSIDE_ADDRESS}",
    }
    fds: tuple[int, ...] = ()
    if upstream_fd is not None:
        fds, flags = (upstream_fd,), flags | {"--upstream-fd": upstream_fd, "--resolv-conf": "/etc/resolv.conf"}
    listens = (("udp", network.FABRIC_ADDRESS, 53), ("tcp", network.FABRIC_ADDRESS, 53))
    return Component(DNS, "labkit.glassbox.dns.__main__", _flags(flags), fds=fds, listens=listens)


def outside(files: Layout, sockets: Sockets) -> Component:
    """The host beyond the cluster, and node ports on the real host's loopback."""
    flags: dict[str, object] = {
        "--kubeconfig": files.component_kubeconfig(OUTSIDE),
        "--web-fd": sockets.web,
        "--host-fd": sockets.host,
        "--report": files.host_ports,
    }
    return Component(OUTSIDE, "labkit.glassbox.outside.__main__", _flags(flags), fds=(sockets.web, sockets.host))


def ingress(files: Layout) -> Component:
    """Takes requests from outside to services, by host and path."""
    flags: dict[str, object] = {
        "--kubeconfig": files.component_kubeconfig(INGRESS),
        "--address": network.INGRESS_ADDRESS,
        "--default-tls-cert-file": files.pki / "ingress.crt",
        "--default-tls-private-key-file": files.pki / "ingress.key",
    }
    listens = (("tcp", network.INGRESS_ADDRESS, 80), ("tcp", network.INGRESS_ADDRESS, 443))
    return Component(INGRESS, "labkit.glassbox.ingress.__main__", _flags(flags), listens=listens)


def certificates(nodes: list[NodeNetwork]) -> list[pki.Leaf]:
    """Return what certificates a cluster needs."""
    service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    addresses = ("127.0.0.1", network.FABRIC_ADDRESS, SERVICE_ADDRESS)
    return [
        pki.Leaf("apiserver", "kube-apiserver", names=("localhost", *service, *addresses)),
        pki.Leaf("apiserver-kubelet-client", "kube-apiserver-kubelet-client", MASTERS),
        pki.Leaf("ingress", "Kubernetes Ingress Controller Fake Certificate", names=("ingress.local",)),
        *[pki.Leaf(f"kubelet-{n.name}", f"system:node:{n.name}", NODES, (n.name, n.address)) for n in nodes],
        *identities(nodes).values(),
    ]


def identities(nodes: list[NodeNetwork]) -> dict[str, pki.Leaf]:
    """Return as whom each component asks the API: a client certificate, by the name of its kubeconfig.

    What each may do, no more than it needs, is said by roles (apiserver/authorization/*.yaml); what a node may, by the
    node authorizer.
    """
    users = {
        CONTROLLER_MANAGER: "system:kube-controller-manager",
        SCHEDULER: "system:kube-scheduler",
        KUBE_PROXY: "system:kube-proxy",
        DNS: "system:coredns",
        OUTSIDE: "system:outside",
        INGRESS: "system:ingress-controller",
        RECLAIMER: "system:volume-reclaimer",
    }
    ours = {name: pki.Leaf(f"{name}-client", user) for name, user in users.items()}
    return ours | {
        f"kubelet-{n.name}": pki.Leaf(f"kubelet-{n.name}-client", f"system:node:{n.name}", NODES) for n in nodes
    }


def configure(files: Layout, nodes: list[NodeNetwork], host_port: int) -> None:
    """Write keys and kubeconfigs; raises OSError where the state directory cannot be written."""
    pki.ensure(files.pki, certificates(nodes), [pki.User(ADMIN, (MASTERS,))])
    (files.root / "components").mkdir(exist_ok=True, mode=0o700)
    cluster = files.name if files.name == "labkit" else f"labkit-{files.name}"
    admin = pki.kubeconfig(files.pki, server=f"https://127.0.0.1:{host_port}", cluster=cluster, user=ADMIN)
    pki.write_private(files.kubeconfig, admin)
    for component, leaf in identities(nodes).items():
        own = pki.kubeconfig(
            files.pki, server=FABRIC_URL, cluster=cluster, user=leaf.common_name, certificate=leaf.file
        )
        pki.write_private(files.component_kubeconfig(component), own)


def _flags(flags: dict[str, object]) -> tuple[str, ...]:
    return tuple(f"{flag}={value}" for flag, value in flags.items())
