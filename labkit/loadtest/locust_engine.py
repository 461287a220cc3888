"""The engine for more than one machine, or for users who do more than one request: Locust's master and workers.

    python -m labkit.loadtest.locust_engine master PLANS.json WORKERS HOST:PORT     port 0: any
    python -m labkit.loadtest.locust_engine worker HOST:PORT [USERS.py]

Locust brings processes of several machines together and carries messages between them; when a user comes, and what is
written down of it, is decided here, as by the kit's own generator: the schedule is dealt out by lot, the pacing loop
waits for nobody, a row has the intended time. USERS.py holds Locust users (classes with @task functions); without it
a user asks the plan's URL once. A row is one user's visit: its status is the last answer's, its error the first
failure's.

What the master prints is the generators' lines, each behind its worker's number. Workers' clocks must agree (NTP): what
is late says so in its facts. Invariants as the generator's. Left out: sets of tasks (@task on a TaskSet), load shapes,
Locust's own statistics and page. Locust has no passwords: bind the master to a network that you trust.

Upstream: locust/runners.py (register_message, send_message)
"""

# isort: off
from locust import User  # first: it makes the standard library's waits gevent's
from locust.contrib.fasthttp import FastHttpUser
from locust.env import Environment
from locust.user.task import TaskSet
# isort: on

import importlib.util
import json
import os
import random
import signal
import sys
import time
from argparse import Namespace
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent.lock import BoundedSemaphore
from gevent.pool import Group

from labkit.loadtest.generator import COLUMNS, LEAD, Row, about, comment, line, raise_file_limit
from labkit.loadtest.http1 import kind_of
from labkit.loadtest.noise import Meter
from labkit.loadtest.pace import arm, open_timer
from labkit.loadtest.plan import Plan, from_dict, schedule, shares

PLAN, LINES, OVER = "labkit-plan", "labkit-lines", "labkit-over"
AGREED, FLUSH = 3.0, 0.2  # seconds: until all begin together; between messages of lines


class Once(FastHttpUser):
    """A user who asks for the plan's URL once."""

    insecure = False  # certificates are checked

    def visit(self) -> None:
        """Ask."""
        self.client.get(
            self.environment.parsed_options.url, name="visit", headers=self.environment.parsed_options.headers
        )

    tasks = [visit]


class Visits:
    """Carries out one worker's share of a plan; `write` takes a finished row."""

    def __init__(self, plan: Plan, users: list[Any], environment: Environment, write: Callable[[Row], None]):
        self.plan, self.users, self.environment, self.write = plan, users, environment, write
        self.chance = random.Random(f"{plan.seed} users {plan.share}")
        self.slots, self.idle, self.visits = BoundedSemaphore(plan.cap), deque[Any](), Group()
        self.begin = time.monotonic() + max(LEAD, plan.begin - time.time())
        environment.events.request.add_listener(self.heard)

    def carry_out(self) -> str:
        """Do all visits; return which clock paced them."""
        gevent.sleep(max(0.0, self.begin - time.monotonic()))
        if self.plan.is_open:
            clock = pace(schedule(self.plan), self.begin, lambda at, now: self.visits.spawn(self.one, at, now))
        else:
            clock = "the answers"
            for _ in range(self.plan.clients):
                self.visits.spawn(self.client)
        self.visits.join()
        self.environment.events.request.remove_listener(self.heard)
        return clock

    def one(self, at: float, now: float) -> None:
        """Let one user visit, and write the row."""
        row: Row = {"scheduled": at - self.begin, "woken": now - self.begin, "status": "", "error": ""}
        gevent.getcurrent().labkit_row = row  # what the user's requests tell is told of this greenlet's row
        with self.slots:
            row["sent"] = time.monotonic() - self.begin
            user = self.user()
            try:
                with gevent.Timeout(self.plan.timeout, TimeoutError):
                    self.chance.choice(user.tasks)(user)
            except Exception as error:  # whatever fails is counted by its kind, never hidden
                row["error"] = row["error"] or kind_of(error)
            else:
                if self.plan.keep:
                    self.idle.append(user)
            row["done"] = time.monotonic() - self.begin
        self.write(row)

    def user(self) -> Any:
        """Return a user who has visited before and keeps its connection, or a new one."""
        if self.idle:
            return self.idle.popleft()
        kind = self.chance.choices(self.users, [each.weight for each in self.users])[0]
        user = kind(self.environment)
        user.on_start()
        return user

    def client(self) -> None:
        """Visit, think, visit again, until the plan's time is over."""
        while (now := time.monotonic()) < self.begin + self.plan.seconds:
            self.one(now, now)
            gevent.sleep(self.chance.expovariate(1 / self.plan.think) if self.plan.think else 0)

    def heard(self, response: Any = None, exception: Any = None, **_: Any) -> None:
        """Note what Locust says of a request, in the row of the visit that it belongs to."""
        row = getattr(gevent.getcurrent(), "labkit_row", None)
        if row is None:
            return
        headers = getattr(response, "headers", None) or {}
        row |= {name: headers[f"x-{name}"] for name in ("pod", "queue", "work", "cpu") if f"x-{name}" in headers}
        row["status"] = getattr(response, "status_code", 0) or row["status"]
        if not row["error"]:
            failed = row["status"] if isinstance(row["status"], int) and row["status"] >= 400 else 0
            row["error"] = f"http-{failed}" if failed else kind_of(exception) if exception else ""


def pace(times: Any, begin: float, send: Callable[[float, float], Any]) -> str:
    """Call send(intended, now) for each time; return which clock was used: as pace.pace, on gevent's loop."""
    fd = open_timer()
    watcher = gevent.get_hub().loop.io(fd, 1) if fd is not None else None
    for at in times:
        while (now := time.monotonic()) < begin + at:
            if fd is None:
                gevent.sleep(begin + at - now)
                continue
            arm(fd, begin + at)
            gevent.get_hub().wait(watcher)
            os.read(fd, 8)
        send(begin + at, now)
    if fd is not None:
        os.close(fd)
    return "timerfd" if fd is not None else "gevent.sleep"


def worker(address: str, file: str = "") -> int:
    """Serve one master until it quits."""
    host, _, port = address.rpartition(":")
    users: list[Any] = users_of(file) if file else [Once]
    hosts = {each: each.host for each in users}
    environment = Environment(user_classes=users)
    runner = environment.create_worker_runner(host, int(port))
    raise_file_limit()

    def carry_out(environment: Environment, msg: Any, **_: Any) -> None:
        plan, number, lines = from_dict(msg.data["plan"]), msg.data["number"], list[str]()
        for each in users:
            each.host = hosts[each] or "{0.scheme}://{0.netloc}".format(urlsplit(plan.url))
        environment.parsed_options = Namespace(url=plan.url, headers={} if plan.keep else {"Connection": "close"})
        visits = Visits(plan, users, environment, lambda row: lines.append(line(number, row)))
        began = time.time() + visits.begin - time.monotonic()
        late = began - plan.begin if plan.begin else 0
        runner.send_message(LINES, {"lines": [comment(run=number, plan=msg.data["plan"], began=began, late=late)]})
        sender = gevent.spawn(send_lines, runner, lines)
        meter = Meter()
        clock = visits.carry_out()
        facts = {**meter.stop(), "clock": f"{clock} (locust)", "interrupted": False, **about()}
        sender.kill()
        runner.send_message(LINES, {"lines": [*lines, comment(run=number, facts=facts)]})
        runner.send_message(OVER, {"run": number})

    runner.register_message(PLAN, carry_out, concurrent=True)
    runner.greenlet.join()
    return 0


def send_lines(runner: Any, lines: list[str]) -> None:
    """Send what has been written so far, again and again."""
    while True:
        gevent.sleep(FLUSH)
        if lines:
            ready, lines[:] = lines[:], []
            runner.send_message(LINES, {"lines": ready})


def users_of(file: str) -> list[Any]:
    """Return the users that a file declares; raises SystemExit, naming what is not carried out."""
    spec = importlib.util.spec_from_file_location("users", file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, User)]
    found = [each for each in found if each.__module__ == "users" and not each.abstract]
    if not found:
        raise SystemExit(f"{file} declares no user: expected a subclass of locust.User with @task functions")
    for each in found:
        if any(isinstance(task, type) and issubclass(task, TaskSet) for task in each.tasks) or not each.tasks:
            raise SystemExit(
                f"{file}: {each.__name__} must have @task functions of its own; a TaskSet is not carried out"
            )
    return found


def master(file: str, count: int, address: str) -> int:
    """Wait for the workers, deal the plans out, print their lines; return 1 when one is lost, 130 after SIGTERM."""
    with open(file) as source:
        plans = [from_dict(value) for value in json.load(source)]
    host, _, port = address.rpartition(":")
    runner = Environment(user_classes=[]).create_master_runner(host, int(port))
    numbers, over, lost = dict[str, int](), set[tuple[str, int]](), list[str]()
    runner.register_message(LINES, lambda msg, **_: tell(numbers[msg.node_id], msg.data["lines"]))
    runner.register_message(OVER, lambda msg, **_: over.add((msg.node_id, msg.data["run"])))
    runner.environment.events.worker_connect.add_listener(lambda client_id: numbers.setdefault(client_id, len(numbers)))
    sys.stdout.write(f"workers at {host}:{runner.server.port}\n")
    sys.stdout.flush()
    while len(numbers) < count:
        gevent.sleep(FLUSH)
    chosen = list(numbers)[:count]
    gevent.signal_handler(signal.SIGTERM, lambda: lost.append("SIGTERM"))
    tell_all(range(count), [",".join(COLUMNS) + "\n"])
    for number, plan in enumerate(plans):
        for client, share in zip(chosen, shares(plan, count, time.time() + AGREED), strict=True):
            runner.send_message(PLAN, {"number": number, "plan": json.loads(share.to_json())}, client)
        while not lost and not {(client, number) for client in chosen} <= over:
            gevent.sleep(FLUSH)
            lost += [each.id for each in runner.clients.missing if each.id in chosen]
        if lost:
            break
    tell_all(range(count), [comment(end=True)])
    runner.quit()
    if lost and "SIGTERM" not in lost:
        sys.stderr.write(f"a worker was lost: {', '.join(lost)}\n")
        return 1
    return 130 if lost else 0


def tell_all(workers: range, lines: list[str]) -> None:
    """Print lines as each worker's."""
    for each in workers:
        tell(each, lines)


def tell(worker: int, lines: list[str]) -> None:
    """Print lines behind their worker's number."""
    sys.stdout.write("".join(f"{worker} {each}" for each in lines))
    sys.stdout.flush()


def main(argv: list[str]) -> int:
    """Be the master or a worker."""
    role, *rest = argv
    return master(rest[0], int(rest[1]), rest[2]) if role == "master" else worker(*rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
