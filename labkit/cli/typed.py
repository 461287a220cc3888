"""Commands written with Typer, as the group of labkit.cli calls them."""

from collections.abc import Callable
from typing import Any

import typer


def called(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return what cli.main calls: errors of the kit go on to it; usage errors end here, since Typer has its own."""

    def call(arguments: list[str], prog_name: str) -> None:
        application = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        application.command()(command)
        application(arguments, prog_name=prog_name)

    return call
