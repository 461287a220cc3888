"""The virtual machine's cloud-init file: valid by cloud-init's own schema, and its parts do what they are there for."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

from labkit.cli.cluster import KUBERNETES_MINOR
from tests.lessons import ROOT

FILE = ROOT / "manifests/01_installation/microk8s-vm.yaml"
UNPACKED = ROOT / ".venv/cloud-init/usr/lib/python3/dist-packages"  # .ci/run puts it there, without installing it


@pytest.fixture
def config():
    return yaml.safe_load(FILE.read_text())


def schema(path):
    """Run cloud-init's own check; skip where there is no cloud-init."""
    command = ["cloud-init"]
    environment = dict(os.environ)
    if shutil.which("cloud-init") is None:
        if not UNPACKED.is_dir():
            pytest.skip("no cloud-init here: apt install cloud-init, or .ci/run")
        command = [sys.executable, "-m", "cloudinit.cmd.main"]
        environment["PYTHONPATH"] = str(UNPACKED)
    return subprocess.run([*command, "schema", "--config-file", str(path)], capture_output=True, text=True,
                          env=environment)  # fmt: skip


def file_of(config, path):
    (found,) = [each for each in config["write_files"] if each["path"] == path]
    return found["content"]


def test_cloud_init_s_own_schema_takes_it():
    done = schema(FILE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid" in done.stdout


@pytest.mark.parametrize(
    ("line", "broken"),
    [("runcmd:", "runcmd: 7\nrun:"), ("packages: [", "packages: [[], "), ("hostname: labkit", "hostname: [a]")],
)
def test_the_schema_refuses_what_is_broken(tmp_path, line, broken):
    path = tmp_path / "broken.yaml"
    path.write_text(FILE.read_text().replace(line, broken))
    done = schema(path)
    assert done.returncode != 0
    assert line.split(":")[0] in done.stdout + done.stderr


def test_its_kubernetes_is_the_kit_s(config):
    (install,) = config["snap"]["commands"]
    assert install == f"snap install microk8s --classic --channel=1.{KUBERNETES_MINOR}/stable"


def test_it_turns_on_what_a_provider_check_asks_for(config):
    from labkit.providers.microk8s import Microk8sProvider

    assert [" ".join(c) for c in Microk8sProvider.addons.values() if " ".join(c) not in config["runcmd"]] == []


def test_the_host_only_interface_has_the_address_that_the_page_names(config):
    netplan = yaml.safe_load(file_of(config, "/etc/netplan/60-host-only.yaml"))
    (address,) = netplan["network"]["ethernets"]["enp0s8"]["addresses"]
    page = FILE.with_suffix(".md").read_text()
    assert f"ubuntu@{address.split('/')[0]}" in page


def test_the_kit_arrives_over_standard_input_and_is_set_up(config, tmp_path):
    script, make = tmp_path / "get-labkit", tmp_path / "make"
    script.write_text(file_of(config, "/usr/local/bin/get-labkit"))
    make.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    for each in (script, make):
        each.chmod(0o755)
    archive = subprocess.run(
        ["tar", "-c", "-C", str(ROOT), "Makefile", "pyproject.toml"], capture_output=True, check=True
    )
    environment = {"HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run([script], input=archive.stdout, env=environment, check=True)
    assert (tmp_path / "labkit" / "Makefile").read_text() == (ROOT / "Makefile").read_text()
    assert (tmp_path / "asked").read_text().split() == ["-C", f"{tmp_path}/labkit", "setup"]
