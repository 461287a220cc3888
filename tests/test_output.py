"""What a container writes, on its way into the log and to those who are attached."""

import os
import selectors
from contextlib import suppress

import pytest

from labkit.glassbox.kubelet.log_writer import LogWriter
from labkit.glassbox.kubelet.logs import LogOptions, LogReader
from labkit.glassbox.kubelet.output import Output


class Loop:
    """pause's loop, turned by hand."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()

    def on(self, fd, action, events=selectors.EVENT_READ):
        self.selector.register(fd, events, action)

    def off(self, fd):
        self.selector.unregister(fd)

    def turn(self):
        ready = self.selector.select(0)
        for key, _ in ready:
            key.data()
        return bool(ready)


@pytest.fixture
def container(tmp_path):
    """A loop, the output of a container, the end at which the container writes, and what ended."""
    reading, writing = os.pipe()
    for each in (reading, writing):
        os.set_blocking(each, False)
    loop, ended = Loop(), []
    log = LogWriter(tmp_path / "0.log")
    return loop, Output(reading, "stdout", log, loop, lambda: None, ended.append), writing, ended


def everything(pipe):
    text = b""
    while True:
        try:
            text += os.read(pipe, 1 << 20)
        except BlockingIOError:
            return text


def attached(output):
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    output.attach(writing)
    return reading


def test_a_slow_reader_makes_the_container_wait_and_loses_nothing(container, tmp_path):
    loop, output, writing, _ = container
    slow, quick = attached(output), attached(output)
    sent, seen = 0, b""
    with suppress(BlockingIOError):
        while sent < 10_000_000:
            sent += os.write(writing, b"0123456\n" * 4096)
            while loop.turn():
                seen += everything(quick)
    assert sent < 1_000_000  # it waits
    late = everything(slow)
    while loop.turn():
        late, seen = late + everything(slow), seen + everything(quick)
    assert len(late) == len(seen) == sent
    assert b"".join(LogReader(tmp_path / "0.log", LogOptions()).read()) == late


def test_who_has_gone_keeps_nobody_waiting(container):
    loop, output, writing, ended = container
    os.close(attached(output))
    os.write(writing, b"hello\n")
    loop.turn()
    assert output.readers == {}
    os.close(writing)
    loop.turn()
    assert ended == [output]
