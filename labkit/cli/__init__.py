"""The command line, a thin skin: parse, then one call of the library.

Commands are found by name when they are asked for, so that `labkit up` never waits for the imports of `labkit run`.
Errors that a user can act on end here, as ✗ lines and exit code 1; any other is a bug and shows its traceback.
"""

import importlib
import sys
from collections.abc import Callable

import click

from labkit.cli.verbatim import Verbatim

COMMANDS = {
    "up": "labkit.cli.cluster:up",
    "down": "labkit.cli.cluster:down",
    "status": "labkit.cli.cluster:status",
    "stop": "labkit.cli.cluster:stop",
    "start": "labkit.cli.cluster:start",
    "restart": "labkit.cli.cluster:restart",
    "add": "labkit.cli.cluster:add",
    "cut": "labkit.cli.cluster:cut",
    "mend": "labkit.cli.cluster:mend",
    "kubeconfig": "labkit.cli.cluster:kubeconfig",
    "kubectl": "labkit.cli.cluster:kubectl",
    "doctor": "labkit.cli.doctor:doctor",
    "provider-check": "labkit.cli.provider_check:provider_check",
    "run": "labkit.cli.run:run",
    "loadtest": "labkit.cli.loadtest:loadtest",
    "submit": "labkit.cli.grading:submit",
    "grade": "labkit.cli.grading:grade",
    "reopen": "labkit.cli.grading:reopen",
    "lab": "labkit.cli.lessons:lab",
    "dashboard": "labkit.cli.lessons:dashboard",
    "release": "labkit.cli.lessons:release",
    "regen": "labkit.cli.lessons:regen",
}
SUMMARIES = {
    "up": "Start an embedded cluster and wait until its nodes are Ready.",
    "down": "Stop an embedded cluster; its objects stay stored.",
    "status": "Show the clusters and their components.",
    "stop": "Stop one component, until `start`.",
    "start": "Start a component that was stopped.",
    "restart": "Stop and start one component.",
    "add": "Give a running cluster another node: `add node`.",
    "cut": "Take a node's network link down.",
    "mend": "Bring a node's network link up again.",
    "kubeconfig": "Print where the cluster's kubeconfig lies.",
    "kubectl": "Run kubectl on the cluster; all arguments are kubectl's.",
    "doctor": "Try what an embedded cluster needs of this machine.",
    "provider-check": "Try a kind of cluster step by step: microk8s, kind, k3d, minikube.",
    "run": "Run notebooks on clusters.",
    "loadtest": "Load a target and measure it; `compare` two results.",
    "submit": "Make one file to hand in of a notebook; try it first.",
    "grade": "Grade hand-ins, each in a sandbox on a cluster of its own.",
    "reopen": "Bring back the cluster that a hand-in left behind.",
    "lab": "Open JupyterLab on the student edition.",
    "dashboard": "Serve a live view of the cluster as a page in the browser.",
    "release": "Make the student edition.",
    "regen": "Run the notebooks again and rewrite their stored outputs.",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        return command if isinstance(command, click.Command) else _pass_on(cmd_name, command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES[name]) for name in COMMANDS])


def _pass_on(name: str, application: Callable[..., object]) -> click.Command:
    """Return a command that hands its arguments over to an application of its own, e.g. a Typer one."""
    return Verbatim(name, callback=lambda arguments: application(list(arguments), prog_name=f"labkit {name}"))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def app() -> None:
    """A Jupyter course kit for Kubernetes, with an embedded cluster of real pods."""


def main(argv: list[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 failed with a message, 2 wrong usage, 130 interrupted."""
    from labkit.errors import LabError

    try:
        app.main(args=argv, prog_name="labkit", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("✗ interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except LabError as error:
        click.echo(f"✗ {error}", err=True)
        sys.exit(1)
