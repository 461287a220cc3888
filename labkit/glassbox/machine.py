"""The machine: a process with user, pid, mount, network, ipc and UTS namespaces of its own, in which a cluster lives.

Started by the launcher as `python -m labkit.glassbox.machine`, detached from any terminal. It imports every component
(while it is single-threaded: it will fork), makes the namespaces, forks their first process and ends; that first
process mounts a /proc and a /run of its own, makes the network, and becomes the supervisor.

Invariants: nothing is ever changed outside these namespaces but files of the state directory. When the first process
dies, of whatever, the kernel kills every process in its pid namespace, and with the last of them go mounts and
network.
The user who starts it is root inside and maps to nobody else, with his files accessible as before; the host's root
becomes nobody first (unprivileged.py).

Upstream: none; this is what a virtual machine or a node container is to kind
"""

import argparse
import contextlib
import gc
import importlib
import json
import logging
import os
import socket
import ssl
import sys
from pathlib import Path
from typing import Any, NoReturn

from labkit.glassbox import cluster, host_sockets, network, supervisor, syscalls, unprivileged
from labkit.glassbox.kubelet import interpreters

NAMESPACES = (
    syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
)
LOG_FORMAT = "%(asctime)s %(name)s: %(message)s"
RUN_SIZE = "256m"  # at most, of the private /run


def main(argv: list[str] | None = None) -> int:
    """Run one machine; what goes wrong before the supervisor runs is told to the launcher."""
    options = _options(argv)
    for fd in (options.handover_fd, options.control_fd, options.listen_fd, options.lock_fd):
        os.set_inheritable(fd, False)  # for forked components, never for what they execute
    handover = socket.socket(fileno=options.handover_fd)
    files = cluster.Layout(options.name, Path(options.state_dir))
    nodes, profile = network.plan_nodes(options.nodes), cluster.PROFILES[options.profile]
    control = socket.socket(fileno=options.control_fd)
    try:
        host = host_sockets.stay_behind(files.name, options.lock_fd)
        import_components(cluster.boot_order(files, nodes, cluster.Sockets(), profile))
        if handover.recv(64).strip() != b"configured":
            return 1  # the launcher gave up
        upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM) if options.host_dns else None
        enter_namespaces(files)
        first = os.fork()
        if first:
            _tell(handover, {"pid": first})
            return 0
        fabric, web = prepare(files, nodes)
    except Exception as error:
        logging.exception("the machine cannot start")
        _tell(handover, {"error": f"{type(error).__name__}: {error}", "errno": getattr(error, "errno", None)})
        return 1
    names = upstream.fileno() if upstream else None
    sockets = cluster.Sockets((options.listen_fd, fabric.fileno()), web.fileno(), host.fileno(), names)
    components = cluster.boot_order(files, nodes, sockets, profile)
    limits = {"idle_limit": options.idle_limit, "profile": profile}
    return _supervise(supervisor.Supervisor(files, components, control, handover, **limits))


def import_components(components: list[cluster.Component]) -> None:
    """Import what the components will run, once, and keep the collector from touching, so copying, those pages."""
    gc.disable()
    for component in components:
        importlib.import_module(component.module)
    begin_tls()
    gc.collect()
    gc.freeze()


def begin_tls() -> None:
    """Begin a handshake with nobody: what OpenSSL loads for it, a megabyte, all components then share."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="nobody").do_handshake()


def enter_namespaces(files: cluster.Layout) -> None:
    """Become root of new namespaces, and no one on the host who owns more than the state directory."""
    first = unprivileged.ids_for(files.name, Path("/proc/self/uid_map").read_text(), os.geteuid())
    if first is not None:
        pythons = [Path(each.prefix) for each in interpreters.find()]
        unprivileged.give(files.root, first)
        unprivileged.open_ways([*needed(files), *pythons])
    unprivileged.enter(NAMESPACES, first)


def needed(files: cluster.Layout) -> list[Path]:
    """Return what the machine needs of the host beyond the system: its state, and the Python that it runs."""
    return [files.root, Path(sys.prefix), Path(sys.base_prefix), *map(Path, filter(None, sys.path))]


def prepare(files: cluster.Layout, nodes: list[network.NodeNetwork]) -> tuple[socket.socket, socket.socket]:
    """Set the first process's surroundings up; return where the API server and the host outside will listen."""
    os.chdir("/")
    os.umask(0o022)
    mount_own_proc_and_run(needed(files))
    syscalls.sethostname(f"labkit-{files.name}"[:63])
    syscalls.set_process_title(f"labkit machine ({files.name})")
    network.Fabric(nodes).make()
    return socket.create_server((network.FABRIC_ADDRESS, 6443), backlog=512), network.listen_outside(80)


def mount_own_proc_and_run(keep: list[Path]) -> None:
    """Mount a /proc of this pid namespace and a private /run, in which what is needed of the old one stays."""
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
    hidden = [path for path in {_below_run(path) for path in keep} if path]
    opened = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in hidden if path.is_dir()]
    resolver = Path("/etc/resolv.conf")
    nameservers = resolver.read_text() if resolver.exists() else ""
    syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    options = f"mode=755,size={RUN_SIZE}"
    syscalls.mount("tmpfs", "/run", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, options)
    for path, fd in opened:
        path.mkdir(parents=True, exist_ok=True)
        syscalls.mount(f"/proc/self/fd/{fd}", str(path), flags=syscalls.MS_BIND | syscalls.MS_REC)
        os.close(fd)
    if target := _below_run(resolver):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(nameservers)


def _below_run(path: Path) -> Path | None:
    """Return what `path` stands for if the private /run will hide it."""
    real = path.resolve()
    return real if real.is_relative_to("/run") else None


def _supervise(first: supervisor.Supervisor) -> NoReturn:
    code = 0
    try:
        first.run()
    except BaseException:
        logging.exception("the supervisor failed")
        code = 1
        supervisor.kill_everything_else()
    logging.shutdown()
    os._exit(code)


def _tell(handover: socket.socket, news: dict[str, Any]) -> None:
    try:
        handover.sendall(json.dumps(news).encode() + b"\n")
    except OSError:
        pass  # the launcher is gone


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m labkit.glassbox.machine", description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True, help="the cluster's name")
    parser.add_argument("--state-dir", required=True, help="the cluster's state directory")
    parser.add_argument("--nodes", type=int, required=True, help="how many nodes to make")
    parser.add_argument("--idle-limit", type=float, required=True, help="seconds without use after which to stop")
    parser.add_argument("--profile", choices=cluster.PROFILES, default="default", help="how soon a node is given up")
    parser.add_argument("--host-dns", action="store_true", help="ask the host's name servers for other names")
    for fd in ("--listen-fd", "--control-fd", "--handover-fd", "--lock-fd"):
        parser.add_argument(fd, type=int, required=True, help="opened by the launcher")
    return parser.parse_args(argv)


if __name__ == "__main__":
    logging.basicConfig(format=LOG_FORMAT, level=logging.INFO)
    sys.exit(main())
