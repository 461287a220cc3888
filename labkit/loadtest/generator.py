"""The generator: carries out plans, one after the other, and writes a line a request.

    python -m labkit.loadtest.generator PLANS.json      a list of plans; samples and facts go to standard output

The output is a CSV file whose comments are JSON: before a run's lines its plan and when it began (wall clock), after
them what was measured beside it. The lines of a run come as its requests end; those of a run that was killed stay.

Invariants: the pacing loop never waits for an answer; the intended time of a request is that of the schedule, however
late it was sent; nothing is dropped (what waits behind the cap waits on the record). Runs in a process of its own, on
the standard library alone, so that any public Python image carries it.
"""

import asyncio
import contextlib
import gc
import json
import os
import platform
import queue
import random
import resource
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from labkit.loadtest.http1 import Answer, Connection, Target, kind_of
from labkit.loadtest.noise import Meter
from labkit.loadtest.pace import pace
from labkit.loadtest.plan import Plan, from_dict, schedule

# Times are microseconds after the run's beginning; queue, work and cpu (seconds) and pod are what the service said.
COLUMNS = ("run", "scheduled", "woken", "sent", "connected", "first_byte", "done", "status", "error", "pod", "queue",
           "work", "cpu")  # fmt: skip
LEAD = 0.2  # seconds between the beginning's announcement and the beginning
Row = dict[str, object]


class Sender:
    """Sends a plan's requests; `write` takes a finished row."""

    def __init__(self, plan: Plan, begin: float, write: Callable[[Row], None]) -> None:
        self.plan, self.begin, self.write = plan, begin, write
        self.target, self.under_way = Target(plan.url), set[asyncio.Task[None]]()
        self.slots, self.idle = asyncio.Semaphore(plan.cap), deque[Connection]()
        self.bytes = self.target.request(keep=plan.keep > 0)

    def start(self, scheduled: float, woken: float) -> None:
        """Begin one request and return at once."""
        task = asyncio.get_running_loop().create_task(self.one(scheduled, woken))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def one(self, scheduled: float, woken: float) -> None:
        """Send one request, wait for its answer, and write the row."""
        row: Row = {"scheduled": scheduled - self.begin, "woken": woken - self.begin}
        async with self.slots:
            row["sent"] = time.monotonic() - self.begin
            try:
                async with asyncio.timeout(self.plan.timeout):
                    row |= self.told(await self.exchange(row))
            except Exception as error:  # whatever fails is counted by its kind, never hidden
                row["error"] = kind_of(error)
            row["done"] = time.monotonic() - self.begin
        self.write(row)

    async def exchange(self, row: Row) -> Answer:
        """Ask over a connection that is kept, or over a new one."""
        connection = self.kept()
        if connection is None:
            connection = await self.target.connect()
            row["connected"] = time.monotonic() - self.begin
        whole = False
        try:
            answer = await connection.ask(self.bytes)
            row["first_byte"], whole = connection.first_byte - self.begin, True
            return answer
        finally:
            if whole and connection.reusable and self.plan.keep:
                self.idle.append(connection)
            else:
                connection.close()

    def kept(self) -> Connection | None:
        """Return the kept connection that has rested longest and is still open."""
        while self.idle:
            connection = self.idle.popleft()
            if connection.reusable:
                return connection
        return None

    def told(self, answer: Answer) -> Row:
        """Read status and what the service says of itself."""
        said: Row = {name: answer.headers.get(f"x-{name}", "") for name in ("pod", "queue", "work", "cpu")}
        return said | {"status": answer.status, "error": f"http-{answer.status}" if answer.status >= 400 else ""}

    async def client(self, number: int) -> None:
        """Ask, wait for the answer, think, ask again, until the plan's time is over: what a closed loop is."""
        chance = random.Random(f"{self.plan.seed} client {number} {self.plan.share}")
        while (now := time.monotonic()) < self.begin + self.plan.seconds:
            await self.one(now, now)
            if self.plan.think:
                await asyncio.sleep(chance.expovariate(1 / self.plan.think))
            elif time.monotonic() - now < 1e-3:
                await asyncio.sleep(1e-3)  # a target that refuses at once is not asked a million times

    async def run(self) -> str:
        """Carry out the plan and wait for its last answer; return which clock paced it."""
        await asyncio.sleep(self.begin - time.monotonic())
        if self.plan.is_open:
            clock = await pace(schedule(self.plan), self.begin, self.start)
            while self.under_way:
                await asyncio.wait(self.under_way)
        else:
            clock = "the answers"
            await asyncio.gather(*(self.client(number) for number in range(self.plan.clients)))
        for connection in self.idle:
            connection.close()
        return clock


def comment(**facts: object) -> str:
    """Return a line of facts."""
    return f"# {json.dumps(facts)}\n"


def line(number: int, row: Row) -> str:
    """Return a request's line."""
    figures = (f"{value * 1e6:.0f}" if isinstance(value, float) else str(value) for value in
               (row.get(name, "") for name in COLUMNS[1:]))  # fmt: skip
    return f"{number},{','.join(figures)}\n"


class Output:
    """Writes lines from a thread, so that a reader that is slow holds up no request."""

    def __init__(self, fd: int) -> None:
        self.fd, self.lines = fd, queue.SimpleQueue[str | None]()
        self.thread = threading.Thread(target=self._write, daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Write what is left."""
        self.lines.put(None)
        self.thread.join()

    def _write(self) -> None:
        over = False
        while not over:
            ready = [self.lines.get()]
            while len(ready) < 1000 and not self.lines.empty():
                ready.append(self.lines.get())
            over = None in ready
            data = "".join(line for line in ready if line is not None).encode()
            while data:
                data = data[os.write(self.fd, data) :]
            time.sleep(0.02)  # seldom and much rather than often and little


async def carry_out(number: int, plan: Plan, output: Output) -> None:
    """Do one run and write all about it; a signal ends it, with what there is so far."""
    wait = max(LEAD, plan.begin - time.time()) if plan.begin else LEAD
    begin, began = time.monotonic() + wait, time.time() + wait
    late = began - plan.begin if plan.begin else 0
    output.lines.put(comment(run=number, plan=json.loads(plan.to_json()), began=began, late=late))
    task = asyncio.current_task()
    assert task
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, task.cancel)
    sender, clock, interrupted = Sender(plan, begin, lambda row: output.lines.put(line(number, row))), "", False
    meter = Meter()
    gc.collect()
    gc.disable()  # a collection is a hiccup of our own making; a run is bounded, so is its garbage
    try:
        clock = await sender.run()
    except asyncio.CancelledError:
        interrupted = True
    facts = meter.stop()
    gc.enable()
    facts |= {"clock": clock, "interrupted": interrupted, **about()}
    output.lines.put(comment(run=number, facts=facts))
    if interrupted:
        raise asyncio.CancelledError


def about() -> dict[str, object]:
    """Return the versions that a report discloses."""
    return {"python": platform.python_version(), "kernel": platform.release(), "cores": os.cpu_count()}


def raise_file_limit() -> None:
    """Allow as many open connections as this process may have."""
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(argv: list[str]) -> int:
    """Carry out the plans of a file; return 0, or 130 when a signal ended it."""
    with open(argv[0]) as file:
        plans = [from_dict(value) for value in json.load(file)]
    index = int(os.environ.get("JOB_COMPLETION_INDEX", 0))
    mine = [plan for plan in plans if plan.share[1] == 1 or plan.share[0] == index]
    raise_file_limit()
    output = Output(1)
    output.lines.put(",".join(COLUMNS) + "\n")
    try:
        for number, plan in enumerate(mine):
            asyncio.run(carry_out(number, plan, output))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 130
    finally:
        output.lines.put(comment(end=True))
        output.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
