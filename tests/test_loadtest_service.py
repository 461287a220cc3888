"""The target: its queue, its workers, its headers, how it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from labkit.loadtest import service
from labkit.loadtest.http1 import parse
from tests.embedded import eventually


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextmanager
def served(**settings):
    """Run the service's file alone, as a pod does; give its process and port."""
    port = free_port()
    environment = {**os.environ, "PORT": str(port), "POD_NAME": "a-pod", "DISTRIBUTION": "fixed"} | settings
    with subprocess.Popen([sys.executable, service.__file__], env=environment, cwd="/") as process:
        try:
            eventually(lambda: listens(port))
            yield process, port
        finally:
            process.kill()


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def connected(port):
    return socket.create_connection(("127.0.0.1", port), 10)


def send(client, path="/"):
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def receive(client):
    data = b""
    while (answer := parse(data, at_end=False)) is None:
        more = client.recv(4096)
        if not more:
            raise ConnectionError("closed")
        data += more
    return answer


def test_an_answer_tells_pod_queue_work_and_processor_time():
    with served(SERVICE_MS="30") as (_, port), connected(port) as client:
        send(client)
        told = receive(client).headers
    assert told["x-pod"] == "a-pod"
    assert float(told["x-work"]) >= 0.03
    assert float(told["x-queue"]) >= 0
    assert float(told["x-cpu"]) > 0


def test_requests_wait_in_one_queue_first_come_first_served():
    with served(SERVICE_MS="100") as (_, port), connected(port) as one, connected(port) as two:
        send(one)
        receive(one)
        send(one)
        time.sleep(0.02)  # so that the second is the second
        send(two)
        first, second = receive(one), receive(two)
    assert float(first.headers["x-queue"]) < 0.05 < float(second.headers["x-queue"])


def test_a_probe_does_not_queue():
    with served(SERVICE_MS="5000") as (_, port), connected(port) as one, connected(port) as two:
        send(one)
        send(two, "/ready")
        assert receive(two).status == 200


def test_a_computing_worker_uses_processor_time():
    with served(SERVICE_MS="200", WORK="compute") as (_, port), connected(port) as client:
        send(client)
        before = float(receive(client).headers["x-cpu"])
        send(client)
        assert float(receive(client).headers["x-cpu"]) - before >= 0.19


def test_the_first_seconds_can_be_slow():
    with served(SERVICE_MS="50", SLOW_START_SECONDS="600") as (_, port), connected(port) as client:
        send(client)
        assert float(receive(client).headers["x-work"]) > 0.12


def test_a_signal_makes_it_sleep_for_a_second():
    with served(SERVICE_MS="1") as (process, port), connected(port) as client:
        send(client)
        receive(client)
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.1)  # so that the signal comes first
        begun = time.monotonic()
        send(client)
        receive(client)
    assert time.monotonic() - begun > 0.5


def test_it_dies_with_requests_in_its_hands():
    with served(SERVICE_MS="2000") as (process, port), connected(port) as client:
        send(client)
        time.sleep(0.1)  # so that the request is being served
        process.terminate()
        with pytest.raises(ConnectionError):
            receive(client)


def test_or_drains_finishes_them_and_hangs_up_on_the_idle():
    with served(SERVICE_MS="500", DRAIN="yes") as (process, port), connected(port) as busy, connected(port) as idle:
        send(busy)
        time.sleep(0.1)  # so that the request is being served
        process.terminate()
        assert idle.recv(10) == b""
        assert receive(busy).headers["connection"] == "close"
        assert process.wait(10) == 0


def test_the_kits_pods_can_run_it_alone():
    source = Path(service.__file__).read_text()
    assert "labkit" not in source.partition('"""\n\nimport')[2]
