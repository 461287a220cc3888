"""Hand-ins that would fill the grading machine's disk: each is held, its page says why, and the others are graded."""

import threading

import pytest

from labkit.glassbox.cluster import PROFILES
from labkit.glassbox.processes import on_disk
from tests.e2e import handed
from tests.e2e.cheats import RIGHT, SHOP

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(900)]
NODES, POINTS = 2, 3.0
FILLER = """
import textwrap
open("/tmp/filler.yaml", "w").write(textwrap.dedent('''
    apiVersion: v1
    kind: PersistentVolumeClaim
    metadata: {name: claim}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
    ---
    apiVersion: v1
    kind: Pod
    metadata: {name: filler}
    spec:
      containers:
      - name: c
        image: busybox:1.36
        command: [sh, -c, "trap '' TERM; i=0; while :; do i=$((i+1)); dd if=/dev/zero of=/v/$i bs=1M count=50; done"]
        volumeMounts: [{name: v, mountPath: /v}]
      volumes: [{name: v, VOLUME}]
'''))
!kubectl apply -f /tmp/filler.yaml
!kubectl wait --for=jsonpath='{.status.reason}'=Evicted pod/filler --timeout=60s
"""
OBJECTS = """
from kubernetes import client, config
config.load_kube_config()
core = client.CoreV1Api()
while True:
    made = {"metadata": {"generateName": "big-"}, "data": {"x": "x" * 1_000_000}}
    core.create_namespaced_config_map(lab.namespace, made)
"""
FULL = {
    "empty-dir": FILLER.replace("VOLUME", "emptyDir: {}"),
    "claim": FILLER.replace("VOLUME", "persistentVolumeClaim: {claimName: claim}"),
    "objects": OBJECTS,
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Return where they were graded, and how many bytes lay there at most."""
    place, most, over = tmp_path_factory.mktemp("full"), [0], threading.Event()
    for name, source in FULL.items():
        handed.write(place / "in", name, handed.notebook(SHOP, RIGHT, source))
    handed.write(place / "in", "honest", handed.notebook(SHOP, RIGHT))

    def look():
        while not over.wait(0.2):
            most.append(on_disk(place))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        handed.grade(place / "in", place / "out", "03", TMPDIR=str(place))
    finally:
        over.set()
        looking.join()
    return place / "out", max(most)


def test_none_costs_another_a_point_nor_itself_what_it_had_done(graded):
    out, _ = graded
    assert handed.points(out) == dict.fromkeys([*FULL, "honest"], POINTS)


def test_the_pages_say_what_was_held(graded):
    out, _ = graded
    for each in ("empty-dir", "claim"):
        assert "The node was low on resource: ephemeral-storage" in handed.page(out, each)
        assert "condition met" in handed.said(out, each)
    assert "MiB: they are not kept" in handed.page(out, "claim")
    assert "more than 128 MiB of objects in its cluster" in handed.page(out, "objects")


def test_the_disk_is_not_filled(graded):
    out, most = graded
    assert most < 2 * NODES * PROFILES["bounded"].disk
    assert on_disk(out / "kept") < 2**30
