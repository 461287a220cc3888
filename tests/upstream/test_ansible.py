"""Ansible's modules for Kubernetes work on glassbox: each does what it is for, as a playbook asserts."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.upstream.sources import environment

pytestmark = [pytest.mark.slow, pytest.mark.upstream, pytest.mark.cluster, pytest.mark.timeout(400)]

PLAYBOOK = Path(__file__).with_name("ansible.yaml")
COLLECTIONS = "ansible==12.3.0"  # of which one is unpacked, kubernetes.core 6.2
MODULES = "ansible_collections/kubernetes/core/"


def test_a_playbook_of_all_modules_runs_to_its_end(cluster, tmp_path):
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(tmp_path), COLLECTIONS]
    subprocess.run(fetch, check=True)
    with zipfile.ZipFile(*tmp_path.glob("*.whl")) as wheel:
        wheel.extractall(tmp_path, [name for name in wheel.namelist() if name.startswith(MODULES)])
    python = environment(tmp_path / "environment", "ansible-core<2.20", "kubernetes", "jsonpatch")
    variables = {"K8S_AUTH_KUBECONFIG": str(cluster.kubeconfig), "ANSIBLE_COLLECTIONS_PATH": str(tmp_path)}
    done = subprocess.run(
        [python.with_name("ansible-playbook"), "-i", "localhost,", PLAYBOOK],
        env={**os.environ, **variables, "ANSIBLE_HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
