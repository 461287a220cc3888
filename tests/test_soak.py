"""A cluster that is worn down comes back to what it should be and keeps nothing of what was.

`make soak` runs the long form: SOAK_PODS, SOAK_NODES and SOAK_SECONDS (1,000, 10 and 1,800) say how long.
"""

import os

import pytest

from tests.embedded import EmbeddedCluster, eventually
from tests.soak import NAMESPACE, QUIET, Soak, deployment

LONG = tuple(int(os.environ.get(f"SOAK_{name}", default)) for name, default in
             (("PODS", 1000), ("NODES", 10), ("SECONDS", 1800)))  # fmt: skip


@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    ("pods", "nodes", "seconds"),
    [pytest.param(100, 3, 45, id="short"), pytest.param(*LONG, id="long", marks=[pytest.mark.slow])],
)
def test_pods_come_and_go_and_components_die_and_nothing_is_left(tmp_path, pods, nodes, seconds):
    cluster = EmbeddedCluster(tmp_path, name="soak")
    try:
        assert cluster.up("--nodes", str(nodes)).returncode == 0
        wear(Soak(cluster, seed=1), pods, seconds)
    finally:
        cluster.down()
        cluster.unpin()


def wear(soak: Soak, pods: int, seconds: float) -> None:
    soak.churn(10)  # what is made at first use is there
    before = soak.census()
    soak.churn(pods, at_once=min(100, max(10, pods // 2)))
    assert settles(soak, before) == {}, "after pods came and went"
    for number in range(3):
        soak.api.create("deployments", deployment(f"web-{number}", 8))
    eventually(soak.converged, within=QUIET, every=0.2)
    print(before, soak.chaos(seconds), sep="\n")
    eventually(soak.converged, within=QUIET, every=0.2)
    for number in range(3):
        soak.api.delete("deployments", f"web-{number}", NAMESPACE, propagation_policy="Background")
    eventually(lambda: not soak.pods(), within=QUIET, every=0.2)
    assert settles(soak, before) == {}, "after kills"


def settles(soak: Soak, before: dict[str, int], within: float = 30.0) -> dict[str, tuple[int, int]]:
    """What is leaked for good: what a kubelet will still put away is given the time."""
    try:
        eventually(lambda: not soak.leaked(before), within=within, every=0.5)
    except AssertionError:
        pass
    print(soak.census())
    return soak.leaked(before)
