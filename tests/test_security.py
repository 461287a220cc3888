"""Security contexts: what a container may be and do, and what is refused by name."""

import json
import os
import re
import stat
from pathlib import Path

import pytest

from labkit.glassbox.kubelet import fs_group, seccomp, security
from labkit.glassbox.kubelet.env import ConfigError
from tests.live import events, field, fresh_namespace, make
from tests.live import pod as live_pod
from tests.test_runtime import in_machine

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def pod(of_pod=None, **of_container):
    containers = [{"name": "web", "securityContext": of_container}]
    meta = {"name": "p", "namespace": "shop", "uid": "u"}
    return {"metadata": meta, "spec": {"securityContext": of_pod or {}, "containers": containers}}


def planned(a_pod, single=False):
    return security.plan(a_pod, a_pod["spec"]["containers"][0], single=single)


def refused(a_pod, single=False):
    container = a_pod["spec"]["containers"][0]
    return [each for part in (None, container) for each in security.unimplemented(a_pod, part, single=single)]


def names(numbers):
    return {security.CAPABILITIES[each] for each in numbers}


def test_a_container_that_asks_for_nothing_is_root_with_containerds_capabilities():
    found = planned(pod())
    assert (found.uid, found.gid, found.groups, found.no_new_privileges, found.seccomp) == (0, 0, (0,), True, True)
    assert names(found.capabilities) == security.DEFAULT


def test_a_containers_context_goes_before_its_pods():
    found = planned(pod({"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4]}, runAsUser=5))
    assert (found.uid, found.gid, found.groups) == (5, 2, (2, 3, 4))


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ({"drop": ["ALL"]}, set()),
        ({"drop": ["ALL"], "add": ["CAP_NET_BIND_SERVICE"]}, {"NET_BIND_SERVICE"}),
        ({"drop": ["NET_RAW"]}, security.DEFAULT - {"NET_RAW"}),
        ({"add": ["NET_ADMIN"]}, security.DEFAULT | {"NET_ADMIN"}),
    ],
)
def test_capabilities_are_dropped_and_added(wanted, left):
    assert names(planned(pod(capabilities=wanted)).capabilities) == left


def test_not_root_is_held_in_upstreams_words():
    with pytest.raises(ConfigError) as told:
        planned(pod({"runAsNonRoot": True}))
    assert str(told.value) == 'container has runAsNonRoot and image will run as root (pod: "p_shop(u)", container: web)'
    with pytest.raises(ConfigError) as told:
        planned(pod({"runAsNonRoot": True}, runAsUser=0))
    assert str(told.value) == 'container\'s runAsUser breaks non-root policy (pod: "p_shop(u)", container: web)'
    assert planned(pod({"runAsNonRoot": True}, runAsUser=7)).uid == 7


@pytest.mark.parametrize(
    ("of_pod", "of_container", "told"),
    [
        ({}, {"privileged": True}, "securityContext.privileged"),
        ({}, {"capabilities": {"add": ["SYS_ADMIN", "CHOWN"]}}, "securityContext.capabilities: SYS_ADMIN"),
        ({"seccompProfile": {"type": "Localhost"}}, {}, "securityContext.seccompProfile: Localhost"),
        ({}, {"appArmorProfile": {"type": "RuntimeDefault"}}, "securityContext.appArmorProfile: RuntimeDefault"),
        ({"seLinuxOptions": {"level": "s0"}}, {}, "securityContext.seLinuxOptions"),
        ({"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}, {}, "securityContext.sysctls: kernel.msgmax"),
        ({"runAsUser": 70000}, {}, "securityContext.runAsUser: 70000 (ids up to 65535 are mapped)"),
    ],
)
def test_what_is_not_to_be_had_is_refused_by_its_name(of_pod, of_container, told):
    assert refused(pod(of_pod, **of_container)) == [told]


def test_what_holds_anyway_may_be_asked_for():
    profile = {
        "seccompProfile": {"type": "RuntimeDefault"},
        "sysctls": [{"name": security.SAFE_SYSCTLS[0], "value": "1"}],
    }
    assert refused(pod(profile, privileged=False, allowPrivilegeEscalation=False, procMount="Default")) == []


def test_an_ordinary_users_cluster_has_no_supplementary_groups():
    (told,) = refused(pod({"supplementalGroups": [4000], "runAsUser": 70000}), single=True)
    assert told.startswith("securityContext.supplementalGroups (an ordinary user")


@pytest.mark.parametrize("machine", list(HEADERS))
def test_the_filter_names_each_call_by_its_number(machine):
    if not HEADERS[machine].exists():
        pytest.skip("no kernel headers here")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text())
    known = {name: int(number) for name, number in reversed(found)}
    column = seccomp.ARCHITECTURES[machine][0]
    assert {n: each[column] for n, each in seccomp.REFUSED.items() if n in known} == {
        n: known[n] for n in seccomp.REFUSED if n in known
    }


def test_an_fs_group_owns_the_volume_and_what_will_come(tmp_path):
    (tmp_path / "file").touch(mode=0o600)
    (tmp_path / "link").symlink_to("/etc/passwd")
    gid = os.getegid()
    fs_group.own({"spec": {"securityContext": {"fsGroup": gid}}}, {"v": tmp_path}, ["v"], single=False)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o660
    assert tmp_path.stat().st_mode & stat.S_ISGID


def test_a_container_runs_confined():
    lines = in_machine("""
        from labkit.glassbox.kubelet.security import Security
        sandbox()
        def confined(name, command, **asked):
            found = Images().resolve("busybox")
            files = rootfs.PodFiles("web", "10.244.1.2", "/run/k/pods/pod-1/shm")
            runtime.start_container("pod-1", ContainerConfig(
                name=name, attempt=0, image=found.name, image_id=found.id, args=["sh", "-c", command], env=found.env,
                cwd="/", root=str(runtime.root), steps=rootfs.plan(found, files, ()), log=str(LOGS / f"{name}.log"),
                security=Security(**asked).as_dict()))
            until(lambda: latest(name) and not latest(name).running)
            runtime.follow("pod-1", name, 0).recv(100)
            print(" ".join(output(name).split()))
        confined("user", "id -u; id -g; grep CapEff /proc/self/status", uid=1000, gid=3000)
        confined("none", "grep CapBnd /proc/self/status", capabilities=())
        confined("frozen", "touch /x 2>/dev/null || echo no; touch /dev/shm/x && echo yes", read_only_root=True)
        confined("open", "grep -E 'NoNew|Seccomp:' /proc/self/status", seccomp=False, no_new_privileges=False)
        confined("filtered", "grep -E 'NoNew|Seccomp:' /proc/self/status")
        confined("system", "echo 1 2>/dev/null >/proc/sys/net/ipv4/ip_forward || echo no")
    """).splitlines()
    assert lines == [
        "1000 3000 CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "no yes",
        "NoNewPrivs: 0 Seccomp: 0",
        "NoNewPrivs: 1 Seccomp: 2",
        "no",
    ]


def test_a_pod_runs_as_whom_it_asks_and_says_so(cluster):
    with fresh_namespace(cluster) as namespace:
        context = {"runAsUser": 1000, "runAsGroup": 3000, "runAsNonRoot": True}
        make(cluster, namespace, live_pod("user", "sleep 1000", securityContext=context))
        assert cluster.kubectl("exec", "user", "-n", namespace, "--", "id", "-u").strip() == "1000"
        told = json.loads(field(cluster, namespace, "user", ".status.containerStatuses[0].user.linux"))
        assert (told["uid"], told["gid"]) == (1000, 3000)


def test_an_image_that_runs_as_root_does_not_start_where_root_is_forbidden(cluster):
    with fresh_namespace(cluster) as namespace:
        waiting = "jsonpath={.status.containerStatuses[0].state.waiting.reason}=CreateContainerConfigError"
        root = live_pod("root", "sleep 1000", securityContext={"runAsNonRoot": True})
        make(cluster, namespace, root, until=waiting)
        assert "Error: container has runAsNonRoot and image will run as root (pod: " in events(cluster, namespace)
