"""`labkit doctor`: one line a probe, with its cure."""

import sys

import click

from labkit.cli.cluster import find_kubectl, minor_version
from labkit.errors import ClusterError
from labkit.providers import glassbox


@click.command()
def doctor() -> None:
    """Try what an embedded cluster needs of this machine, and say what to do about what is missing."""
    broken = 0
    for finding in glassbox.examine():
        needed = not finding.ok and not finding.optional
        broken += needed
        click.echo(f"{'✓' if finding.ok else '✗' if needed else '•'} {finding.name}{_found(finding.found)}")
        if not finding.ok:
            for line in finding.cure.splitlines():
                click.echo(f"    {line}")
    broken += _examine_kubectl()
    if broken:
        click.echo("  next: what stands under the first ✗; or a real cluster: --cluster CONTEXT")
        sys.exit(1)
    click.echo("  next: labkit up")


def _examine_kubectl() -> bool:
    try:
        program = find_kubectl()
    except ClusterError as error:
        click.echo(f"✗ {error}")
        return True
    click.echo(f"✓ kubectl: {program}, 1.{minor_version(program)}")
    return False


def _found(found: str) -> str:
    return f": {found}" if found else ""
