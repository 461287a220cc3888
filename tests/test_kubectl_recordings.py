"""kubectl prints what it printed on a real cluster, but for the differences that recordings_differences.yaml names.

`python -m tests.test_kubectl_recordings 01` prints what differs in the sessions whose names begin so.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests import known_differences
from tests import kubectl_recordings as recordings
from tests.embedded import EmbeddedCluster, RecordedCluster, eventually

FOLDER = Path(__file__).parents[2] / "shared" / "golden" / "kubectl"
FILES = sorted(FOLDER.glob("*.txt"))
CERTIFICATE, RECORDED_FOLDER = "/tmp/gk", "/tmp/golden/kubectl"
LATER = re.compile(r"kubectl (get|describe|logs|events) ")  # tell what controllers and kubelets write in their time
TOO_SOON = "restart has already been triggered within the past second"  # the recorder was slower
PATIENCE = 15.0  # seconds


class Session:
    """A shell in the sessions' folder, whose kubectl has a context with a namespace of its own."""

    def __init__(self, cluster: EmbeddedCluster, namespace: str, home: Path):
        self.home, self.values = home, {}
        kubeconfig = home / "kubeconfig"
        kubeconfig.write_text(json.dumps(as_recorded(json.loads(cluster.kubeconfig.read_text()))))
        self.environment = os.environ | {
            "KUBECONFIG": str(kubeconfig),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "KUBECTL_KUBERC": "false",
        }
        self.run(f"kubectl create namespace {namespace}")
        self.run(f"kubectl config set-context --current --namespace={namespace}")
        eventually(lambda: self.run("kubectl get serviceaccount default").returncode == 0)

    def run(self, command: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", "-c", command.replace(CERTIFICATE, f"{self.home}/gk").replace("<tmp>", f"{self.home}/tmp")],
            cwd=FOLDER,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
        )

    def recorded_names(self, text: str) -> str:
        text = text.replace(f"{self.home}/gk", CERTIFICATE).replace(f"{self.home}/tmp", "<tmp>")
        return text.replace(str(FOLDER.resolve()), RECORDED_FOLDER)

    def difference(self, step: recordings.Step, known: bool = False) -> list[str]:
        """Run a command and return what differs; what may come yet is waited for, unless a difference is known."""
        deadline = time.monotonic() + PATIENCE
        while True:
            done, bound = self.run(step.command), dict(self.values)
            stdout, stderr = self.recorded_names(done.stdout), self.recorded_names(done.stderr)
            found = recordings.difference(step, done.returncode, stdout, stderr, bound)
            later = LATER.match(step.command) or TOO_SOON in stderr
            if not found or known or not later or time.monotonic() > deadline:
                self.values = bound
                return found
            time.sleep(0.2)


def as_recorded(config: dict) -> dict:
    """Return a kubeconfig with the recorded one's names: they are the client's, not the cluster's."""
    names = {"clusters": "real", "contexts": "real", "users": "admin"}
    told = {kind: [{**config[kind][0], "name": name}] for kind, name in names.items()}
    told["contexts"][0]["context"] = {"cluster": "real", "user": "admin"}
    return {**config, **told, "current-context": "real"}


def differences(cluster, path: Path, home: Path) -> dict[str, list[str]]:
    """Replay one session; return command → what differs."""
    namespace, steps = recordings.parse(path.read_text())
    make_certificate(home / "gk")
    session, found = Session(cluster, namespace, home), {}
    known = known_differences.of(f"kubectl/{path.stem}")
    for step in steps:
        if step.status is None:
            session.run(step.command)
        elif difference := session.difference(step, step.command in known):
            found.setdefault(step.command, difference)
    session.run(f"kubectl delete namespace {namespace} --wait=false")
    for role in re.findall(r"create (clusterrole(?:binding)? golden-\S+)", path.read_text()):
        session.run(f"kubectl delete {role} --ignore-not-found")  # others would see what it gives
    return found


def make_certificate(path: Path) -> None:
    """Write a self-signed certificate and its key beside one another."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=gk"]
        + ["-keyout", f"{path}.key", "-out", f"{path}.crt"],
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A cluster prepared as the recorded one was."""
    with RecordedCluster(tmp_path_factory.mktemp("labkit")) as running:
        yield running


@pytest.mark.recordings
@pytest.mark.cluster
@pytest.mark.parametrize("path", FILES or [None], ids=lambda path: path.stem if path else "absent")
def test_kubectl_prints_what_it_printed_on_a_real_cluster(recorded, path, tmp_path):
    if path is None:
        pytest.skip("no recordings beside the repository (../shared/golden/kubectl)")
    known_differences.hold(f"kubectl/{path.stem}", differences(recorded, path, tmp_path))


def main(prefixes: list[str]) -> None:
    with tempfile.TemporaryDirectory() as home, RecordedCluster(Path(home)) as running:
        for path in FILES:
            if not prefixes or any(path.stem.startswith(each) for each in prefixes):
                with tempfile.TemporaryDirectory() as own:
                    for command, lines in differences(running, path, Path(own)).items():
                        print(f"=== {path.stem} $ {command}", *lines, sep="\n    ", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
