"""An embedded cluster under test, used as its user would: by the command line and kubectl."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from labkit.glassbox import pki

LABKIT = [sys.executable, "-m", "labkit"]


class EmbeddedCluster:
    """A cluster with a state directory of its own."""

    def __init__(self, home: Path, name: str = "test") -> None:
        self.home, self.name = home, name
        self.environment = {**os.environ, "LABKIT_HOME": str(home), "HOME": str(home)}
        self.root = home / "clusters" / name
        self.kubeconfig = self.root / "kubeconfig"
        self.namespaces = set()  # of all machines that ever ran
        self.pins = []  # open files on them: their numbers are not given to others meanwhile

    def __enter__(self):
        up = self.up()
        assert up.returncode == 0, up.stdout + up.stderr + self.logs()
        return self

    def __exit__(self, *_):
        self.down()
        self.unpin()

    def unpin(self):
        """Let go of the namespaces of the machines that ran."""
        while self.pins:
            os.close(self.pins.pop())

    def use_certificate(self):
        """Write the kubeconfig anew, with a certificate of the administrator's, in it as kind does, for the token."""
        own = self.home / "pki"
        own.mkdir()
        for name in ("ca.crt", "ca.key", pki.STAMP):
            shutil.copy(self.root / "pki" / name, own)
        pki.ensure(own, [pki.Leaf("admin", "kubernetes-admin", organization="system:masters")], [])
        config = json.loads(self.kubeconfig.read_text())
        files = {"client-certificate-data": "admin.crt", "client-key-data": "admin.key"}
        user = {field: base64.b64encode((own / name).read_bytes()).decode() for field, name in files.items()}
        config["users"][0]["user"] = user
        self.kubeconfig = self.home / "kubeconfig"
        self.kubeconfig.write_text(json.dumps(config))

    def up(self, *options):
        done = self.labkit("up", "--name", self.name, *options)
        if done.returncode == 0:
            first = (self.root / "machine.pid").read_text()
            paths = [f"/proc/{first}/ns/{kind}" for kind in ("pid", "net", "mnt")]
            self.pins += [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in paths]
            self.namespaces |= {os.readlink(path) for path in paths}
        return done

    def down(self, *options):
        return self.labkit("down", "--name", self.name, *options)

    def labkit(self, *arguments, timeout=90):
        """Run the command line and return what came of it."""
        return subprocess.run(
            [*LABKIT, *arguments], env=self.environment, capture_output=True, text=True, timeout=timeout
        )

    def labkit_in_background(self, *arguments):
        """Start the command line without waiting for it."""
        return subprocess.Popen(
            [*LABKIT, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def kubectl(self, *arguments, input=None, check=True):
        """Run kubectl on the cluster and return its output."""
        run = subprocess.run(
            [str(Path(sys.executable).parent / "kubectl"), *arguments],
            env={**self.environment, "KUBECONFIG": str(self.kubeconfig)},
            input=input,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not check or run.returncode == 0, run.stderr
        return run.stdout if check else run

    def kubectl_in_background(self, *arguments):
        """Start kubectl without waiting for it; as a context manager it is ended with the block."""
        return Background(
            [str(Path(sys.executable).parent / "kubectl"), *arguments],
            env={**self.environment, "KUBECONFIG": str(self.kubeconfig)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def status(self):
        """Return the supervisor's own words."""
        program = (
            f"import json; from labkit.glassbox import launcher; print(json.dumps(launcher.status({self.name!r})))"
        )
        run = subprocess.run(
            [sys.executable, "-c", program], env=self.environment, capture_output=True, text=True, check=True
        )
        return json.loads(run.stdout)

    def component(self, name):
        return next(c for c in self.status()["components"] if c["name"] == name)

    def logs(self):
        return "\n".join(f"==> {path.name}\n{path.read_text()[-3000:]}" for path in (self.root / "logs").glob("*.log"))


class RecordedCluster(EmbeddedCluster):
    """A cluster prepared as the recorded one was: one node, an administrator with a certificate, no classes.

    And the recorded server's vendor lets everybody who is known read /.well-known; its DNS lacks kubeadm's label.
    """

    def up(self, *options):
        return super().up("--nodes", "1", *options)

    def __enter__(self):
        super().__enter__()
        self.use_certificate()
        self.kubectl("delete", "storageclass,ingressclass", "--all")
        self.kubectl("label", "service", "kube-dns", "--namespace=kube-system", "kubernetes.io/name-")
        for each in VENDORS_ROLE:
            self.kubectl(*each.split())
        return self


VENDORS_ROLE = (
    "create clusterrole recorded-vendor --verb=get --non-resource-url=/.well-known,/.well-known/*",
    "create clusterrolebinding recorded-vendor --clusterrole=recorded-vendor --group=system:authenticated",
)


class Background(subprocess.Popen):
    """A process that does not outlive its block."""

    def __exit__(self, *details):
        self.terminate()
        return super().__exit__(*details)


def processes_of(home: Path) -> list[int]:
    """Return the processes that have a file below `home` open: every component has its log."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if any(os.readlink(fd).startswith(str(home)) for fd in (entry / "fd").iterdir()):
                found.append(int(entry.name))
        except OSError:
            continue  # ended, or another user's
    return found


def inhabited_namespaces() -> set[str]:
    """Return all pid, network and mount namespaces in which a process lives."""
    names = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                names |= {os.readlink(entry / "ns" / kind) for kind in ("pid", "net", "mnt")}
            except OSError:
                continue
    return names


def eventually(holds, within=10.0, every=0.02):
    """Return what `holds` returns as soon as it is true; fail after `within` seconds."""
    deadline = time.monotonic() + within
    while not (value := holds()):
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(every)
    return value
