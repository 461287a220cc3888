"""python -m labkit.glassbox.kubelet: one node's kubelet, against any API server.

It must be started in the node's network namespace and in a user namespace in which it is root; --run-dir must lie on a
tmpfs of that machine's own. The flags are a real kubelet's where it has them.

Upstream: cmd/kubelet/app/server.go
"""

import argparse
import logging
import signal
import sys
from pathlib import Path

from labkit.glassbox import syscalls
from labkit.glassbox.client import Client
from labkit.glassbox.clock import SystemClock
from labkit.glassbox.kubelet.kubelet import LEASE_DURATION, Kubelet, Options
from labkit.glassbox.kubelet.node_status import PORT
from labkit.glassbox.kubelet.server import ServerOptions
from labkit.glassbox.kubelet.zygote import Zygote

VOLUMES_SIZE = "mode=700,size=128m"


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; the pods go on."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname).1s %(message)s")
    options = options_of(arguments)
    for directory in (options.root_dir, options.run_dir):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    separate(options.run_dir / "volumes")
    zygote = Zygote()  # before the first thread and the first connection
    api = Client.from_kubeconfig(arguments.kubeconfig, user_agent="kubelet/v1.36.2 (linux/glassbox)")
    # What lies on the node is erased under another name: a node has no say in volumes, as with a driver of its own.
    of_reclaimer = Client.from_kubeconfig(arguments.reclaimer_kubeconfig or arguments.kubeconfig, "volume-reclaimer")
    kubelet = Kubelet(api, zygote, options, SystemClock(), of_reclaimer)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: kubelet.stop())
    kubelet.run()
    return 0


def separate(directory: Path) -> None:
    """Give the volumes that show API objects a file system of their own: full of secrets, it is nobody else's."""
    directory.mkdir(exist_ok=True)
    if not directory.is_mount():
        syscalls.mount("volumes", str(directory), "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, VOLUMES_SIZE)


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    made = argparse.ArgumentParser(prog="kubelet", description="Runs the pods of one node.")
    made.add_argument("--kubeconfig", required=True, help="how to reach the API server")
    made.add_argument("--reclaimer-kubeconfig", default="", help="as whom volumes that are over are erased")
    made.add_argument("--hostname-override", "--node-name", dest="node_name", required=True, help="the node's name")
    made.add_argument("--node-ip", required=True, help="the node's address")
    made.add_argument("--pod-cidr", required=True, help="the range of its pods' addresses, as in 10.244.1.0/24")
    made.add_argument("--root-dir", type=Path, required=True, help="where volumes and logs lie")
    made.add_argument("--run-dir", type=Path, required=True, help="where sandboxes are found again; on a private tmpfs")
    made.add_argument("--node-labels", default="", help="labels of the node: key=value,key=value")
    made.add_argument("--images-file", type=Path, help="declares images beside those that there always are")
    made.add_argument("--cluster-dns", default="", help="whom pods ask for names")
    made.add_argument("--node-lease-duration-seconds", type=int, default=LEASE_DURATION, help="in it four renewals")
    made.add_argument("--disk-size", type=int, default=0, help="bytes for volumes and logs (default: the host's disk)")
    made.add_argument("--cluster-domain", default="cluster.local", help="what the pods' names end with")
    made.add_argument("--port", type=int, default=PORT, help="port of the kubelet's server (default: %(default)s)")
    made.add_argument("--tls-cert-file", type=Path, help="the server's certificate; without it nothing is served")
    made.add_argument("--tls-private-key-file", type=Path, help="its key")
    made.add_argument("--client-ca-file", type=Path, help="who signs the certificates of its clients")
    return made


def options_of(arguments: argparse.Namespace) -> Options:
    """Return the options that the command line tells."""
    server = None
    if arguments.tls_cert_file:
        server = ServerOptions(
            arguments.node_ip,
            arguments.port,
            arguments.tls_cert_file,
            arguments.tls_private_key_file,
            arguments.client_ca_file,
        )
    pairs = (pair.partition("=") for pair in arguments.node_labels.split(",") if pair)
    return Options(
        node_name=arguments.node_name,
        node_ip=arguments.node_ip,
        pod_cidr=arguments.pod_cidr,
        root_dir=arguments.root_dir.resolve(),
        run_dir=arguments.run_dir.resolve(),
        labels={key: value for key, _, value in pairs},
        server=server,
        images_file=arguments.images_file,
        cluster_dns=arguments.cluster_dns,
        cluster_domain=arguments.cluster_domain,
        lease_duration=arguments.node_lease_duration_seconds,
        disk_size=arguments.disk_size,
    )


if __name__ == "__main__":
    sys.exit(main())
