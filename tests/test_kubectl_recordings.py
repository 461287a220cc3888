"""kubectl prints what it printed on a real cluster, but for the differences that kubectl_differences.yaml names.

Commands about kinds that are not served yet are left out by themselves. `python -m tests.test_kubectl_recordings 01`
prints what differs in the sessions whose names begin so.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from tests import kubectl_recordings as recordings
from tests.embedded import EmbeddedCluster, RecordedCluster, eventually

FOLDER = Path(__file__).parents[2] / "shared" / "golden" / "kubectl"
DIFFERENCES = Path(__file__).parent / "kubectl_differences.yaml"
FILES = sorted(FOLDER.glob("*.txt"))
CERTIFICATE, RECORDED_FOLDER = "/tmp/gk", "/tmp/golden/kubectl"


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

    def difference(self, step: recordings.Step) -> list[str]:
        done = self.run(step.command)
        stdout, stderr = self.recorded_names(done.stdout), self.recorded_names(done.stderr)
        return recordings.difference(step, done.returncode, stdout, stderr, self.values)


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
    for step in steps:
        if step.status is None:
            for part in step.command.split(";"):
                if recordings.is_served(part, FOLDER):
                    session.run(part)
        elif not recordings.is_served(step.command, FOLDER):
            if recordings.needed(step.command):
                session.run(step.command)
        elif difference := session.difference(step):
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


def known(stem: str, always: bool = False) -> set[str]:
    """Return the commands of one session that may print something else, or those that always do."""
    groups = yaml.safe_load(DIFFERENCES.read_text()) or []
    chosen = [group for group in groups if not (always and group.get("sometimes"))]
    return {command for group in chosen for command in group["sessions"].get(stem, [])}


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
    found, expected = differences(recorded, path, tmp_path), known(path.stem)
    new = [f"$ {command}\n" + "\n".join(lines) for command, lines in found.items() if command not in expected]
    assert not new, "kubectl prints something else:\n" + "\n".join(new)
    gone = known(path.stem, always=True) - found.keys()
    assert not gone, f"no longer different, so take them off the list: {gone}"


def test_each_difference_of_kubectl_has_a_reason():
    for group in yaml.safe_load(DIFFERENCES.read_text()) or []:
        assert len(group["reason"].split()) >= 4, group


def main(prefixes: list[str]) -> None:
    with tempfile.TemporaryDirectory() as home, RecordedCluster(Path(home)) as running:
        for path in FILES:
            if not prefixes or any(path.stem.startswith(each) for each in prefixes):
                with tempfile.TemporaryDirectory() as own:
                    for command, lines in differences(running, path, Path(own)).items():
                        print(f"=== {path.stem} $ {command}", *lines, sep="\n    ", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
