"""Limits that hold: processor time is rationed, who takes too much memory is killed."""

import pytest

from labkit.glassbox.kubelet import limits
from tests.live import fresh_namespace, logs, make, pod
from tests.test_runtime import in_machine

LIMITED = """
        from labkit.glassbox.kubelet.limits import Limits
        def limited(name, image, *args, **most):
            found = Images().resolve(image)
            files = rootfs.PodFiles("web", "10.244.1.2", "/run/k/pods/pod-1/shm")
            runtime.start_container("pod-1", ContainerConfig(
                name=name, attempt=0, image=found.name, image_id=found.id, args=list(args), env=found.env, cwd="/",
                root=str(runtime.root), steps=rootfs.plan(found, files, ()), log=str(LOGS / f"{name}.log"),
                limits=Limits(**most, file_systems=("/run/k/pods/pod-1/shm",)).as_dict()))
        sandbox()
"""
MIB = 2**20


@pytest.fixture
def namespace(cluster):
    with fresh_namespace(cluster) as name:
        yield name


def test_limits_are_read_from_the_container():
    container = {"resources": {"limits": {"cpu": "250m", "memory": "64Mi"}, "requests": {"memory": "1Gi"}}}
    pod = {"spec": {"resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}, "status": {"qosClass": "Burstable"}}
    assert limits.plan(pod, container, 4 * 2**30, ["/shm"]) == limits.Limits(0.25, 64 * MIB, 750, ("/shm",))
    assert limits.plan(pod, {}, 4 * 2**30, []) == limits.Limits(2.0, 2**30, 999)


@pytest.mark.parametrize(
    ("qos", "request_", "score"),
    [("Guaranteed", 5, 0), ("BestEffort", 0, 1000), ("Burstable", 0, 999), ("Burstable", 99, 10)],
)
def test_the_kernel_spares_who_asked_for_its_memory(qos, request_, score):
    assert limits.oom_score_adj(qos, request_, 100) == score


def test_an_account_that_is_overdrawn_says_how_long_to_stop():
    account = limits.Account(share=0.5, used=0.0, at=0.0)
    assert account.settle(1.0, 0.0) == 0.0
    assert account.credit == pytest.approx(0.05)  # no more than a burst is saved
    assert account.settle(2.0, 1.05) == pytest.approx(1.0)  # 0.05 saved, 0.5 earned, 1.05 used: half a second too much
    assert account.settle(5.0, 1.05) == 0.0


def test_a_container_gets_its_share_within_a_fifth():
    share = in_machine(
        LIMITED
        + """
        limited("busy", "busybox", "sh", "-c", "while :; do :; done", cpu=0.3)
        from labkit.glassbox import processes
        pid, started = latest("busy").pid, time.monotonic()
        threading.Event().wait(3)
        print(processes.read(pid).cpu / (time.monotonic() - started))
    """
    )
    assert 0.24 < float(share) < 0.36


@pytest.mark.parametrize(
    "bomb",
    [
        "x = []\nwhile True: x.append(b'x' * 2**20)",
        "f = open('/dev/shm/x', 'wb')\nwhile True: f.write(b'x' * 2**20); f.flush(); time.sleep(0.015)",
        "f = open('/tmp/x', 'wb')\nwhile True: f.write(b'x' * 2**20); f.flush(); time.sleep(0.015)",
        "f = os.memfd_create('x')\nwhile True: os.write(f, b'x' * 2**20); time.sleep(0.015)",
    ],
    ids=["heap", "shared memory", "root file system", "memory file"],
)
def test_who_takes_too_much_memory_is_killed(bomb):
    told = in_machine(f"""{LIMITED}
        code = "import os, time\\n" + {bomb!r}
        limited("bomb", HERE, "python", "-c", code, memory=30 * 2**20)
        end = ended("bomb")
        print(end.exit_code, end.reason)
    """)
    assert told == "137 OOMKilled"


# What the machine's other processes kept from it is none of the limit's doing: the kernel tells how long it waited.
BUSY = """
import time
def waited(): return int(open("/proc/self/schedstat").read().split()[1]) / 1e9
started, used, late = time.monotonic(), time.process_time(), waited()
while time.monotonic() < started + 4: pass
used, elapsed = time.process_time() - used, time.monotonic() - started
print(used / elapsed, used / (elapsed - waited() + late))
"""


@pytest.mark.parametrize("millicores", [100, 300])
def test_a_throttled_pod_gets_its_share_within_a_fifth(cluster, namespace, python_image, millicores):
    busy = pod("busy", "", restartPolicy="Never")
    busy["spec"]["containers"][0] |= {"image": f"python:{python_image}", "command": ["python", "-c", BUSY]}
    busy["spec"]["containers"][0]["resources"] = {"limits": {"cpu": f"{millicores}m"}}
    make(cluster, namespace, busy, until="jsonpath={.status.phase}=Succeeded")
    share, share_of_what_it_could_have = map(float, logs(cluster, namespace, "busy").split())
    assert share <= 1.2 * millicores / 1000
    assert share_of_what_it_could_have >= 0.8 * millicores / 1000
