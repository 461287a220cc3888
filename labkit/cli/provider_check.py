"""`labkit provider-check`: does the kit get on with a kind of cluster on this machine?"""

import sys

import click


@click.command(name="provider-check")
@click.argument("cluster")
@click.option("--enable", is_flag=True, help="Turn DNS, storage and a dashboard on, too.")
def provider_check(cluster: str, enable: bool) -> None:
    """Try a kind of cluster step by step: microk8s, kind[:NAME], k3d[:NAME], minikube[:NAME], or any other.

    Makes or starts the cluster when it does not run, and then leaves things as they were.
    """
    from labkit.provider_check import Check

    good = True
    for step in Check(cluster, addons=enable).run():
        good &= step.ok
        click.echo(f"{'✓' if step.ok else '✗'} {step.name}: {step.found}")
    if not good:
        sys.exit(1)
    click.echo(f"  next: labkit run --cluster {cluster}")
