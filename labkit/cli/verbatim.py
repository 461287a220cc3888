"""A command whose arguments are somebody else's."""

import click


class Verbatim(click.Command):
    """Hands everything after its name to its callback, options, `--help` and `--` included."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse nothing."""
        ctx.params["arguments"] = tuple(args)
        return []
