"""From inside a pod, as an attacker would: what is not his is not reachable, and what he wastes is his own."""

import json
import os
import socket
import time
from pathlib import Path

import pytest
import yaml

from tests.embedded import eventually
from tests.live import address, field, fresh_namespace, logs, make, pod, wait
from tests.test_runtime import in_machine

# Each attempt is a line of Python; what it raises, or that it worked, is printed as JSON.
ATTEMPTS = {
    "read the host's files": "os.listdir({home!r})",
    "read the cluster's keys": "open({keys!r}).read()",
    "see the machine's run directory": "os.listdir('/run/glassbox')",
    "look through the parent of all": "os.listdir('/proc/1/root/run/glassbox')",
    "find another's process": "next(p for p in os.listdir('/proc') if p.isdigit() and int(p) > 50)",
    "make a device": "os.mknod('/tmp/sda', 0o600 | stat.S_IFBLK, os.makedev(8, 0))",
    "mount": "call('mount', b'none', b'/tmp', b'tmpfs', 0, None)",
    "make a user namespace": "call('unshare', 0x10000000)",
    "make one by clone": "sys_call(56 if X86 else 220, 0x10000000 | 17, 0, 0, 0, 0)",
    "enter a namespace": "call('setns', os.open('/proc/self/ns/net', 0), 0)",
    "trace the kernel": "sys_call(298 if X86 else 241, 0, 0, -1, -1, 0)",
    "load a program into the kernel": "sys_call(321 if X86 else 280, 0, 0, 0)",
    "use io_uring": "sys_call(425, 1, 0)",
    "catch page faults": "sys_call(323 if X86 else 282, 0)",
    "read the keyring": "sys_call(250 if X86 else 219, 0, -3, 1)",
    "load a module": "sys_call(313 if X86 else 273, 0, b'', 0)",
    "set the clock": "time.clock_settime(time.CLOCK_REALTIME, 0)",
    "name the host": "socket.sethostname('mine')",
    "change the kernel": "open('/proc/sys/kernel/core_pattern', 'w').write('|/tmp/x')",
    "forward packets": "open('/proc/sys/net/ipv4/ip_forward', 'w').write('1')",
    "press magic keys": "open('/proc/sysrq-trigger', 'w').write('b')",
    "write to the system": "open('/usr/lib/x', 'w')",
    "reach the host's loopback": "connect('127.0.0.1', {port})",
    "reach the host by the fabric": "connect('172.30.0.1', {port})",
    "ask the kubelet": "ask('172.30.0.11', 10250)",
    "reach the machine's control socket": "unix({control!r})",
    "find abstract sockets": "next(l for l in open('/proc/net/unix').read().splitlines()[1:] if '@' in l)",
}
ATTACKER = """
import ctypes, json, os, platform, socket, ssl, stat, time
libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
def checked(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def call(name, *args): return checked(getattr(libc, name)(*args))
def sys_call(*args): return checked(libc.syscall(*args))
def connect(host, port): return socket.create_connection((host, port), 1)
def unix(path): socket.socket(socket.AF_UNIX).connect(path)
def ask(host, port):
    context = ssl._create_unverified_context()
    with context.wrap_socket(connect(host, port)) as kubelet:
        kubelet.send(b"GET /pods HTTP/1.0\\r\\n\\r\\n")
        if b" 200 " not in kubelet.recv(100):
            raise PermissionError
found = {}
for name, attempt in json.loads(os.environ["ATTEMPTS"]).items():
    try:
        eval(attempt)
        found[name] = "worked"
    except (Exception, StopIteration) as error:
        found[name] = type(error).__name__
print(json.dumps(found), flush=True)
time.sleep(1000)
"""


def python_pod(name, version, program, **spec):
    containers = [{"name": "c0", "image": f"python:{version}", "command": ["python", "-c", program]}]
    return pod(name, node="node1", **spec, containers=containers)


@pytest.fixture(scope="module")
def namespace(cluster):
    with fresh_namespace(cluster) as name:
        yield name


@pytest.fixture(scope="module")
def outcome(cluster, namespace, python_image):
    """What came of each attempt."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        known = {
            "home": str(cluster.home),
            "keys": str(cluster.root / "pki" / "ca.key"),
            "control": str(cluster.root / "control.sock"),
            "port": server.getsockname()[1],
        }
        attempts = {name: attempt.format(**known) for name, attempt in ATTEMPTS.items()}
        attacker = python_pod("attacker", python_image, ATTACKER)
        attacker["spec"]["containers"][0]["env"] = [{"name": "ATTEMPTS", "value": json.dumps(attempts)}]
        make(cluster, namespace, attacker)
        return json.loads(eventually(lambda: logs(cluster, namespace, "attacker"), within=30, every=0.2))


@pytest.mark.parametrize("attempt", list(ATTEMPTS))
def test_an_attacker_in_a_pod_cannot(attempt, outcome):
    assert outcome[attempt] != "worked"


def test_a_pod_cannot_speak_in_anothers_name(cluster, namespace, python_image):
    hear = "import socket\ns = socket.socket(type=socket.SOCK_DGRAM)\ns.bind(('', 7000))\n"
    hear += "while True: print(s.recv(99).decode(), flush=True)"
    make(cluster, namespace, python_pod("victim", python_image, hear))
    victim = address(cluster, namespace, "victim")
    forge = f"""
import socket, struct
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
def send(source, text):
    data = struct.pack(">HHHH", 9, 7000, 8 + len(text), 0) + text
    ends = socket.inet_aton(source), socket.inet_aton("{victim}")
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(data), 1, 0, 64, 17, 0, *ends)
    raw.sendto(head + data, ("{victim}", 0))
send("172.30.0.1", b"forged")
send(socket.gethostbyname(socket.gethostname()), b"honest")
"""
    forger = python_pod("forger", python_image, forge, restartPolicy="Never")
    make(cluster, namespace, forger, until="jsonpath={.status.phase}=Succeeded")
    assert eventually(lambda: logs(cluster, namespace, "victim")) == "honest\n"


def test_a_volume_whose_place_was_exchanged_is_not_mounted():
    told = in_machine("""
        for name in ("inside", "outside"):
            Path("/run", name).mkdir()
        Path("/run/inside/exchanged").symlink_to("/run/outside")
        sandbox()
        mounts = [rootfs.Mount("/run/inside/exchanged", "/v")]
        start("a", "busybox", "true", mounts=mounts)
        print(latest("a").reason, latest("a").message)
    """)
    assert told == 'StartError error mounting "/run/inside/exchanged": a link has come to lead elsewhere'


def test_who_shares_the_processes_of_a_pod_sees_nothing_of_pauses_files(cluster, namespace):
    make(cluster, namespace, pod("sharing", "sleep 1000", shareProcessNamespace=True))
    run = cluster.kubectl("exec", "sharing", "-n", namespace, "--", "ls", "/proc/1/root/run", check=False)
    assert "Permission denied" in run.stderr


@pytest.mark.slow
def test_bombs_leave_the_others_working(cluster, namespace):
    fill = pod("disk", "dd if=/dev/zero of=/v/x bs=1M count=200 2>/dev/null; sleep 1000",
               volumes=[{"name": "v", "emptyDir": {"sizeLimit": "20Mi"}}])  # fmt: skip
    fill["spec"]["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
    eat = pod("memory", "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done", restartPolicy="Never")
    eat["spec"]["containers"][0]["resources"] = {"limits": {"memory": "64Mi"}}
    fork = pod("forks", "b() { b | b & }; b; sleep 1000")
    bystander = pod("bystander", "sleep 1000")
    make(cluster, namespace, bystander)
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=yaml.safe_dump_all([fill, eat, fork]))
    wait(cluster, namespace, "memory", "jsonpath={.status.containerStatuses[0].state.terminated.reason}=OOMKilled")
    wait(cluster, namespace, "disk", "jsonpath={.status.reason}=Evicted")
    started = time.monotonic()
    assert cluster.kubectl("exec", "bystander", "-n", namespace, "--", "echo", "here") == "here\n"
    assert time.monotonic() - started < 10
    cluster.kubectl("delete", "pod", "forks", "-n", namespace, "--grace-period=1", "--timeout=30s")
    assert field(cluster, namespace, "bystander", ".status.containerStatuses[0].restartCount") == "0"


@pytest.mark.skipif(os.getuid() != 0, reason="an ordinary user has nothing more to give up")
def test_roots_cluster_runs_as_nobody_who_owns_anything(cluster):
    first = cluster.status()["pid"]
    owners = {Path(f"/proc/{first}").stat().st_uid, (cluster.root / "store.db").stat().st_uid}
    assert len(owners) == 1
    assert owners.pop() >= 1_879_048_192
