"""Clusters that other tools make: the commands that are run, and what the tools' answers are taken for.

The tools themselves are not here. What stands below for their answers is their own output, with its source; a program
of the tool's name on PATH gives it, and notes how it was called.
"""

import shlex
import stat

import pytest

from labkit import cluster as clusters
from labkit import providers
from labkit.errors import ClusterError
from labkit.provider_check import Check
from labkit.providers.tool import ABSENT, RUNNING, STOPPED

# Sources: canonical/microk8s scripts/wrappers/status.py (print_short) and common/utils.py (exit_if_no_permission);
# kubernetes-sigs/kind pkg/cmd/kind/get/clusters; k3d-io/k3d cmd/cluster/clusterList.go (JSON: name, serversCount,
# serversRunning); kubernetes/minikube cmd/minikube/cmd/status.go (statusJSON) and pkg/minikube/cluster/status.go.
MINIKUBE = '{"Name":"labkit","Host":"%s","Kubelet":"%s","APIServer":"%s","Kubeconfig":"Configured","Worker":false}'
STATES = [
    ("microk8s", "microk8s is running\naddons:\ndns: enabled\nha-cluster: enabled\ndashboard: disabled\n", RUNNING),
    ("microk8s", "microk8s is not running. Use microk8s inspect for a deeper inspection.\n", STOPPED),
    ("kind", "other\nlabkit\n", RUNNING),
    ("kind", "labkit-2\n", ABSENT),
    ("kind", "No kind clusters found.\n", ABSENT),
    ("k3d", '[{"name":"labkit","serversCount":1,"serversRunning":1,"agentsCount":0,"agentsRunning":0}]', RUNNING),
    ("k3d", '[{"name":"labkit","serversCount":1,"serversRunning":0}]', STOPPED),
    ("k3d", "[]", ABSENT),
    ("minikube", MINIKUBE % ("Running", "Running", "Running"), RUNNING),
    ("minikube", f"[{MINIKUBE % ('Running', 'Running', 'Running')}]", RUNNING),
    ("minikube", MINIKUBE % ("Stopped", "Stopped", "Stopped"), STOPPED),
    ("minikube", MINIKUBE % ("Running", "Running", "Paused"), STOPPED),
    ("minikube", MINIKUBE % ("Nonexistent", "Nonexistent", "Nonexistent"), ABSENT),
    ("minikube", '🤷  Profile "labkit" not found. Run "minikube profile list" to view all profiles.\n', ABSENT),
]
MADE_BY = {
    "microk8s": ["microk8s start", "microk8s status --wait-ready --timeout 300"],
    "kind": ["kind create cluster --name labkit --kubeconfig FILE --wait 180s"],
    "k3d": ["k3d cluster create labkit --kubeconfig-update-default=false --wait --timeout 300s"],
    "minikube": ["minikube start -p labkit --wait all"],
}
TOOLS = list(MADE_BY)


class Tool:
    """A program of that name first on PATH: it gives the answer to each command that begins so, and logs all."""

    def __init__(self, folder, name):
        self.folder, self.name, self.answers = folder, name, folder / "answers"
        self.answers.mkdir()
        program = folder / "bin" / name
        program.parent.mkdir()
        program.write_text(
            f"#!/bin/sh\necho {name} $@ >> {folder}/calls\n"
            f'for answer in {self.answers}/*; do [ -e "$answer" ] && . "$answer"; done\nexit 0\n'
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def answer(self, command, output, *, code=0, then=""):
        """Say what the tool says to a command; later answers win over earlier ones."""
        number = f"{900 - len(list(self.answers.iterdir())):03}"
        said = f'cat <<"OUTPUT"\n{output.rstrip()}\nOUTPUT\n{then}\nexit {code}'
        (self.answers / number).write_text(f'case "$*" in {shlex.quote(command)}*) {said};; esac\n')

    def calls(self, file=""):
        log = self.folder / "calls"
        return log.read_text().replace(str(file) or "\0", "FILE").splitlines() if log.exists() else []


@pytest.fixture
def tool(request, tmp_path, monkeypatch):
    made = Tool(tmp_path, request.param)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return made


def status_of(name):
    provider = providers.find(name)
    return " ".join(provider.command(provider.status, "")[1:])


@pytest.mark.parametrize(("name", "output", "state"), STATES)
def test_what_a_tool_says_is_taken_for_the_cluster_s_state(name, output, state):
    assert providers.find(name).read_state(output, "labkit") == state


@pytest.mark.parametrize(("name", "output"), [
    ("microk8s", "Insufficient permissions to access MicroK8s.\nYou can either try again with sudo or …\n"),
    ("k3d", "FATA[0000] Failed to get clusters: docker failed to get containers with labels\n"),
])  # fmt: skip
def test_a_tool_that_will_not_say_is_quoted(name, output):
    with pytest.raises(ClusterError, match="failed") as told:
        providers.find(name).read_state(output, "labkit")
    assert output.split("\n")[0] in str(told.value)


@pytest.mark.parametrize("tool", TOOLS, indirect=True)
def test_a_cluster_that_is_not_there_is_made_by_the_commands_that_are_shown(tool, capsys):
    provider = providers.find(tool.name)
    absent = {"microk8s": "microk8s is not running.", "k3d": "[]"}.get(tool.name, "")
    tool.answer(status_of(tool.name), absent)
    provider.start("")
    assert tool.calls(provider.file(""))[1:] == MADE_BY[tool.name]
    shown = capsys.readouterr().out.replace(str(provider.file("")), "FILE").splitlines()
    assert shown == [f"• {command}" for command in MADE_BY[tool.name]]


@pytest.mark.parametrize("tool", TOOLS, indirect=True)
def test_without_the_cluster_a_lesson_is_told_the_command_that_makes_it(tool):
    absent = {"microk8s": "microk8s is not running.", "k3d": "[]"}.get(tool.name, "")
    tool.answer(status_of(tool.name), absent)
    with pytest.raises(ClusterError) as told:
        clusters.connect(tool.name)
    file = str(providers.find(tool.name).file(""))
    assert " && ".join(MADE_BY[tool.name]) in str(told.value).replace(file, "FILE")
    assert len(tool.calls()) == 1  # it only asked


@pytest.mark.parametrize("name", TOOLS)
def test_without_the_tool_where_to_get_it_is_told(name, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    with pytest.raises(ClusterError, match=f"(?s){name} is not on PATH.*install it: https://"):
        clusters.connect(name)


@pytest.mark.parametrize("tool", ["kind"], indirect=True)
def test_what_a_failed_command_said_is_told(tool):
    tool.answer("get clusters", "")
    tool.answer("create cluster", "ERROR: failed to create cluster: node(s) already exist", code=1)
    with pytest.raises(ClusterError, match=r"(?s)kind create cluster .* failed.*node\(s\) already exist"):
        providers.find("kind").start("")


@pytest.mark.parametrize(("tool", "addon", "command"), [
    ("microk8s", "dns", "microk8s enable dns"),
    ("microk8s", "dashboard", "microk8s enable dashboard"),
    ("minikube", "dashboard", "minikube addons enable headlamp -p labkit"),
    ("k3d", "dns", None),
], indirect=["tool"])  # fmt: skip
def test_an_add_on_is_turned_on_by_the_tool_s_own_command_unless_it_is_there(tool, addon, command, capsys):
    providers.find(tool.name).enable(addon)
    assert tool.calls() == ([command] if command else [])
    assert capsys.readouterr().out == (f"• {command}\n" if command else "")


@pytest.mark.parametrize("tool", ["kind"], indirect=True)
def test_an_option_that_is_not_implemented_is_refused_by_its_name(tool):
    with pytest.raises(ClusterError, match="kind: nodes is not implemented"):
        providers.find("kind").start("", nodes=3)


# --- provider-check, on a real cluster behind each tool's name ----------------------------------------------------


@pytest.fixture
def behind(tool, cluster):
    """The tool, with the session's own cluster as what it makes: absent at first, there once it was made."""
    state = {"microk8s": ("microk8s is running", "microk8s is not running."), "kind": ("labkit", ""),
             "k3d": ('[{"name":"labkit","serversRunning":1}]', "[]"),
             "minikube": (MINIKUBE % ("Running", "Running", "Running"), "")}[tool.name]  # fmt: skip
    made = tool.folder / "made"
    create = {"microk8s": "start", "kind": "create", "k3d": "cluster create", "minikube": "start"}[tool.name]
    remove = {"microk8s": "stop", "kind": "delete", "k3d": "cluster delete", "minikube": "delete"}[tool.name]
    provider = providers.find(tool.name)
    config = " ".join(provider.command(provider.config, "")[1:])
    (tool.answers / "000").write_text(
        f'case "$*" in "{status_of(tool.name)}") if [ -e {made} ]; then\ncat <<"OUTPUT"\n{state[0]}\nOUTPUT\n'
        f'else\ncat <<"OUTPUT"\n{state[1]}\nOUTPUT\nfi\nexit 0;; esac\n'
    )
    tool.answer(create, "", then=f"touch {made}")
    tool.answer(remove, "", then=f"rm {made}")
    tool.answer(config, cluster.kubeconfig.read_text() if not provider.writes_file else "",
                then=f'cp {cluster.kubeconfig} "$KUBECONFIG"' if provider.writes_file else "")  # fmt: skip
    tool.answer(" ".join(provider.version[1:]), f"{tool.name} version 1")
    return tool


@pytest.mark.cluster
@pytest.mark.parametrize("tool", TOOLS, indirect=True)
def test_every_step_of_the_check_passes_and_what_it_made_is_gone(behind):
    steps = list(Check(behind.name).run())
    assert [s for s in steps if not s.ok] == []
    assert [s.name for s in steps] == ["program", "running", "kubeconfig", "version", "nodes", "DNS", "storage",
                                       "a pod", "your own kubeconfig"]  # fmt: skip
    assert not (behind.folder / "made").exists()


@pytest.mark.cluster
@pytest.mark.parametrize("tool", ["kind"], indirect=True)
def test_a_cluster_that_ran_before_goes_on(behind):
    (behind.folder / "made").touch()
    assert all(step.ok for step in Check("kind").run())
    assert (behind.folder / "made").exists()


@pytest.mark.cluster
@pytest.mark.parametrize("tool", ["minikube"], indirect=True)
def test_a_tool_that_writes_the_user_s_own_kubeconfig_is_told_on(behind):
    own = behind.folder / ".kube" / "config"
    own.parent.mkdir()
    behind.answer("start", "", then=f"touch {behind.folder}/made; echo changed > {own}")
    assert [s.name for s in Check("minikube").run() if not s.ok] == ["your own kubeconfig"]


@pytest.mark.parametrize("tool", ["k3d"], indirect=True)
def test_the_first_step_that_fails_ends_the_check(tool):
    tool.answer("version", "k3d version v5")
    tool.answer("cluster list", "[]")
    tool.answer("cluster create", "FATA[0000] no docker", code=1)
    steps = list(Check("k3d").run())
    assert [(s.name, s.ok) for s in steps] == [("program", True), ("running", False), ("your own kubeconfig", True)]
    assert "no docker" in steps[1].found


@pytest.mark.cluster
def test_any_cluster_of_a_kubeconfig_can_be_checked(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    assert [s for s in Check(str(cluster.kubeconfig)).run() if not s.ok] == []
