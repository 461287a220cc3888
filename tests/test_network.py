"""The cluster's network, made for real in namespaces of its own (each test in a child process)."""

import pytest

from labkit.glassbox import network
from tests import machine

PRELUDE = """
from tests.machine import become_machine
import os, signal, socket, sys, threading, time
from labkit.glassbox import network, syscalls
from labkit.glassbox.netlink import Netlink

def sandbox(work=None):
    "Fork a process in a network namespace of its own; return its pid once it is there."
    ready, told = os.pipe()
    if child := os.fork():
        os.close(told)
        os.read(ready, 1)
        return child
    syscalls.unshare(syscalls.CLONE_NEWNET)
    os.write(told, b"1")
    work() if work else signal.pause()
    os._exit(0)

def netns_of(pid):
    return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)

become_machine()
"""


def in_machine(body: str) -> str:
    """Run a program in fresh namespaces and return what it prints."""
    return machine.run(PRELUDE, body)


def test_nodes_are_numbered_from_one_with_ranges_of_their_own():
    assert network.plan_nodes(2) == [
        network.NodeNetwork("node1", "172.30.0.11", "10.244.1.0/24"),
        network.NodeNetwork("node2", "172.30.0.12", "10.244.2.0/24"),
    ]


@pytest.mark.parametrize("count", [0, 201])
def test_a_count_of_nodes_beyond_the_address_ranges_is_refused(count):
    with pytest.raises(ValueError, match=f"{count} nodes: expected 1 to 200"):
        network.plan_nodes(count)


TWO_PODS = """
network.Fabric(network.plan_nodes(2)).make()
a, b = sandbox(), sandbox()
network.enter("{first}")
network.attach_pod(a, "{a}", "pod-a")
network.enter("{second}")
network.attach_pod(b, "{b}", "pod-b")
with syscalls.inside_netns(netns_of(b)):
    server = socket.create_server(("{b}", 8080))
with syscalls.inside_netns(netns_of(a)):
    client = socket.create_connection(("{b}", 8080), timeout=5)
print(server.accept()[1][0])
"""


def test_pods_on_two_nodes_meet_with_their_own_addresses():
    program = TWO_PODS.format(first="node1", second="node2", a="10.244.1.2", b="10.244.2.2")
    assert in_machine(program) == "10.244.1.2"


def test_pods_on_one_node_meet_with_their_own_addresses():
    program = TWO_PODS.format(first="node1", second="node1", a="10.244.1.2", b="10.244.1.3")
    assert in_machine(program) == "10.244.1.2"


def test_a_node_reaches_its_pod_from_the_node_s_address_and_the_fabric_from_its_own():
    output = in_machine("""
        network.Fabric(network.plan_nodes(1)).make()
        pod = sandbox()
        home = netns_of("self")
        network.enter("node1")
        network.attach_pod(pod, "10.244.1.2", "pod-a")
        with syscalls.inside_netns(netns_of(pod)):
            server = socket.create_server(("0.0.0.0", 80))
        node = socket.create_connection(("10.244.1.2", 80), timeout=5)
        with syscalls.inside_netns(home):
            fabric = socket.create_connection(("10.244.1.2", 80), timeout=5)
        print(server.accept()[1][0], server.accept()[1][0])
    """)
    assert output == "172.30.0.11 172.30.0.1"


def test_a_pod_meets_itself_on_localhost():
    output = in_machine("""
        network.Fabric(network.plan_nodes(1)).make()
        pod = sandbox()
        network.enter("node1")
        network.attach_pod(pod, "10.244.1.2", "pod-a")
        with syscalls.inside_netns(netns_of(pod)):
            server = socket.create_server(("127.0.0.1", 80))
            client = socket.create_connection(("127.0.0.1", 80), timeout=5)
        print(server.accept()[1][0])
    """)
    assert output == "127.0.0.1"


def test_a_detached_pod_s_address_goes_and_detaching_twice_is_fine():
    output = in_machine("""
        network.Fabric(network.plan_nodes(1)).make()
        network.enter("node1")
        network.attach_pod(sandbox(), "10.244.1.2", "pod-a")
        network.detach_pod("pod-a")
        network.detach_pod("pod-a")
        network.attach_pod(sandbox(), "10.244.1.2", "pod-a")
        print(sorted(name for _, name in socket.if_nameindex()))
    """)
    assert output == "['eth0', 'lo', 'pod-a']"


def test_attaching_fails_by_name_and_leaves_nothing():
    output = in_machine("""
        network.Fabric(network.plan_nodes(1)).make()
        network.enter("node1")
        for pid, address in ((1 << 21, "10.244.1.2"), (sandbox(), "10.244.1.256")):
            try:
                network.attach_pod(pid, address, "pod-a")
            except (OSError, ValueError) as error:
                print(type(error).__name__)
        print(sorted(name for _, name in socket.if_nameindex()))
    """)
    assert output.splitlines() == ["FileNotFoundError", "AddressValueError", "['eth0', 'lo']"]


def test_threads_attach_pods_side_by_side_in_under_ten_milliseconds_each():
    output = in_machine("""
        network.Fabric(network.plan_nodes(1)).make()
        network.enter("node1")
        pods = [sandbox() for _ in range(20)]
        home = os.readlink("/proc/thread-self/ns/net")
        homes = []
        def attach(i):
            network.attach_pod(pods[i], f"10.244.1.{i + 2}", f"pod-{i}")
            homes.append(os.readlink("/proc/thread-self/ns/net"))
        threads = [threading.Thread(target=attach, args=(i,)) for i in range(20)]
        start = time.perf_counter()
        [t.start() for t in threads]; [t.join() for t in threads]
        took = time.perf_counter() - start
        print(set(homes) == {home}, len(homes), took / 20 * 1000)
    """)
    same, count, milliseconds = output.split()
    assert (same, count) == ("True", "20")
    assert float(milliseconds) < 10
