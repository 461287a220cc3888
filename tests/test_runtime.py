"""The Linux runtime: real sandboxes and containers, in a machine of the test's own (a child in fresh namespaces).

Works as root and as an ordinary user. What a test waits for it is told by the runtime's own watch.
"""

import sys

import pytest

from tests import machine

PRELUDE = """
from tests.machine import become_machine
import json, os, signal, socket, sys, threading, time
from dataclasses import replace
from pathlib import Path
from labkit.glassbox import syscalls
from labkit.glassbox.kubelet import rootfs
from labkit.glassbox.kubelet.images import Images
from labkit.glassbox.kubelet.logs import LogOptions, LogReader
from labkit.glassbox.kubelet.runtime import ContainerConfig, LinuxRuntime, Sandbox
from labkit.glassbox.kubelet.zygote import Zygote

become_machine()
LOGS = Path("/run/logs")
zygote = Zygote()
runtime = LinuxRuntime(Path("/run/k"), zygote)
changed = threading.Condition()

def tell(uid):
    with changed:
        changed.notify_all()

runtime.watch(tell)

def until(condition, runtime=runtime):
    with changed:
        assert changed.wait_for(condition, 10), [runtime.inspect(uid) for uid in runtime.list()]

def sandbox(uid="pod-1", address="10.244.1.2"):
    return runtime.run_sandbox(Sandbox(uid, "default", "web", "web", address, 0))

def start(name, image, *args, uid="pod-1", mounts=(), env=None, attempt=0):
    found = Images().resolve(image)
    files = rootfs.PodFiles("web", "127.0.0.1\\tlocalhost\\n10.244.1.2\\tweb\\n", f"/run/k/pods/{uid}/shm")
    runtime.start_container(uid, ContainerConfig(
        name=name, attempt=attempt, image=found.name, image_id=found.id, args=list(args) or list(found.command),
        env={**found.env, **(env or {})}, cwd="/", root=str(runtime.root), steps=rootfs.plan(found, files, mounts),
        log=str(LOGS / f"{name}.log")))

def latest(name, uid="pod-1"):
    return runtime.inspect(uid).latest(name)

def ended(name, uid="pod-1"):
    until(lambda: latest(name, uid) and not latest(name, uid).running)
    return latest(name, uid)

def output(name):
    reader = LogReader(LOGS / f"{name}.log", LogOptions())
    return b"".join(reader.read()).decode()

def run(name, image, *args, **options):
    "Start a container, follow its log to the end, return what it wrote."
    start(name, image, *args, **options)
    notices = runtime.follow(options.get("uid", "pod-1"), name, 0)
    while notices.recv(100) not in (b"", b"{}") or latest(name).running:
        pass
    while notices.recv(100):
        pass
    ended(name)
    return output(name)

HERE = f"python:{sys.version_info.major}.{sys.version_info.minor}"
"""


def in_machine(body: str) -> str:
    """Run a program in fresh namespaces and return what it prints."""
    return machine.run(PRELUDE, body)


def test_a_container_is_pid_1_of_its_own_and_shares_the_pods_name():
    assert in_machine("""
        sandbox()
        print(run("a", "busybox", "sh", "-c", "echo $$; hostname; cat /etc/hostname"))
    """).split() == ["1", "web", "web"]


def test_the_shell_of_a_tools_image_knows_what_busyboxs_knows():
    assert in_machine("""
        sandbox()
        print(run("a", "busybox", "sh", "-c", "[[ -e /bin/sh ]] && echo -en 'one\\\\ntwo'; echo 'as\\\\nis'"))
    """).splitlines() == ["one", "twoas\\nis"]


def test_it_sees_nothing_of_the_hosts_files_but_the_system():
    assert in_machine("""
        sandbox()
        print(run("a", HERE, "python", "-c",
            "import os; print(sorted(os.listdir('/')), os.listdir('/tmp'), os.listdir('/run'))"))
    """) in (
        "['bin', 'dev', 'etc', 'lib', 'lib64', 'proc', 'root', 'run', 'sbin', 'tmp', 'usr', 'var'] [] []",
        "['bin', 'dev', 'etc', 'lib', 'proc', 'root', 'run', 'sbin', 'tmp', 'usr', 'var'] [] []",
    )


def test_the_system_is_read_only_and_the_capabilities_are_containerds():
    assert in_machine("""
        sandbox()
        print(run("a", "busybox", "sh", "-c",
            "touch /lib/x 2>&1; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; umount /proc 2>&1 || echo kept"))
    """).splitlines() == [
        "touch: cannot touch '/lib/x': Read-only file system",
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "NoNewPrivs:\t1",
        "sh: line 1: umount: command not found",
        "kept",
    ]


def test_a_python_image_is_that_python_without_installed_packages():
    assert (
        in_machine("""
        sandbox()
        code = "import sys, importlib.util as u; print(sys.version_info[:2], u.find_spec('yaml'), sys.executable)"
        print(run("a", HERE, "python", "-c", code))
    """)
        == f"{sys.version_info[:2]} None /usr/local/bin/python"
    )


def test_two_containers_of_a_pod_meet_on_localhost_and_in_shared_memory():
    assert in_machine("""
        sandbox()
        serve = "import socket; s = socket.create_server(('127.0.0.1', 8080)); print('up', flush=True)"
        serve += "; open('/dev/shm/x', 'w').write('shared'); s.accept()[0].send(b'hello'); s.accept()"
        start("server", HERE, "python", "-c", serve)
        notices = runtime.follow("pod-1", "server", 0)
        while not output("server"):
            notices.recv(100)
        asking = "import socket; print(socket.create_connection(('localhost', 8080)).recv(9))"
        print(run("client", HERE, "python", "-c", asking))
        print(run("second", "busybox", "cat", "/dev/shm/x"))
    """).split() == ["b'hello'", "shared"]


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [("exit 0", 0, "Completed"), ("exit 7", 7, "Error"), ("sh -c 'kill -9 $$'; exit $?", 137, "Error")],
)
def test_how_a_container_ended_is_told(command, code, reason):
    assert (
        in_machine(f"""
        sandbox()
        start("a", "busybox", "sh", "-c", {command!r})
        print(ended("a").exit_code, ended("a").reason)
    """)
        == f"{code} {reason}"
    )


def test_its_last_words_are_kept():
    assert (
        in_machine("""
        sandbox()
        start("a", "busybox", "sh", "-c", "echo why > /dev/termination-log; exit 3")
        print(ended("a").message)
    """)
        == "why"
    )


def test_a_command_that_is_not_there_is_a_start_error():
    assert (
        in_machine("""
        sandbox()
        start("a", "busybox", "nonesuch")
        print(ended("a").exit_code, ended("a").reason, ended("a").message)
    """)
        == '128 StartError exec: "nonesuch": executable file not found in $PATH'
    )


def test_a_signal_reaches_the_first_process():
    assert (
        in_machine("""
        sandbox()
        start("a", "busybox", "sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done")
        notices = runtime.follow("pod-1", "a", 0)
        while not output("a"):
            notices.recv(100)
        runtime.signal_container("pod-1", "a", 0, signal.SIGTERM)
        print(ended("a").exit_code)
    """)
        == "5"
    )


def test_pods_go_on_without_the_kubelet_and_the_next_one_finds_them():
    assert in_machine("""
        sandbox()
        start("a", "busybox", "sleep", "1000")
        os.kill(zygote.pid, signal.SIGKILL)
        after = LinuxRuntime(Path("/run/k"), Zygote())
        found = after.inspect("pod-1")  # even before it watches
        after.watch(tell)
        print(after.list(), found.sandbox.ready, found.latest("a").running, found.sandbox.address)
        after.signal_container("pod-1", "a", 0, signal.SIGKILL)
        until(lambda: not after.inspect("pod-1").latest("a").running)
        print(after.inspect("pod-1").latest("a").exit_code)
    """).splitlines() == ["['pod-1'] True True 10.244.1.2", "137"]


def test_containers_die_with_their_pause_process():
    assert (
        in_machine("""
        pause = sandbox().pid
        start("a", "busybox", "sleep", "1000")
        pid = latest("a").pid
        os.kill(pause, signal.SIGKILL)
        until(lambda: not runtime.inspect("pod-1").sandbox.ready)
        print(latest("a").exit_code, latest("a").running)
    """)
        == "137 False"
    )


def test_a_stopped_pod_leaves_no_process_mount_or_link():
    assert (
        in_machine("""
        def mounts(): return [line.split()[1] for line in open("/proc/mounts")]
        before = mounts(), len([pid for pid in os.listdir("/proc") if pid.isdigit()])
        sandbox()
        start("a", "busybox", "sh", "-c", "sleep 1000 & sleep 1000")
        runtime.stop_sandbox("pod-1")
        runtime.remove("pod-1")
        while True:  # this process is pid 1 here: it reaps
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break
        after = mounts(), len([pid for pid in os.listdir("/proc") if pid.isdigit()])
        print(before == after, [link for _, link in socket.if_nameindex()], runtime.list())
    """)
        == "True ['lo'] []"
    )


def test_a_stopped_pod_does_not_take_the_link_of_who_has_its_address_now():
    assert (
        in_machine("""
        sandbox()
        runtime.stop_sandbox("pod-1")
        sandbox("pod-2")
        runtime.stop_sandbox("pod-1")
        print([link for _, link in socket.if_nameindex()])
    """)
        == "['lo', 'pod1-2']"
    )


def test_a_volumes_link_leads_nowhere_outside_the_container():
    assert (
        in_machine("""
        sandbox()
        volume = Path("/run/volume")
        volume.mkdir()
        (volume / "escape").symlink_to("/run")
        secret = Path("/run/secret")
        secret.mkdir()
        mounts = [rootfs.Mount(str(volume), "/data"), rootfs.Mount(str(secret), "/data/escape/made")]
        start("a", "busybox", "true", mounts=mounts)
        ended("a")
        print(Path("/run/made").exists())
    """)
        == "False"
    )


def test_of_a_container_that_starts_again_and_again_two_attempts_are_kept():
    assert (
        in_machine("""
        sandbox()
        for attempt in range(4):
            start("a", "busybox", "false", attempt=attempt)
            until(lambda: latest("a").attempt == attempt and not latest("a").running)
        print([each.attempt for each in runtime.inspect("pod-1").containers["a"]])
    """)
        == "[2, 3]"
    )
