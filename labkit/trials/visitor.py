"""Asks a service from inside the cluster. Runs in a pod, on a plain Python, and does what it is told line by line.

A line in is a plan as JSON, a line out its report:

    {"url", "method", "headers", "body", "timeout"}   one request, on a connection of its own
    "status", "contains", "lacks", "finds"            what its answer must be; `finds` is a pattern with one group
    "times", "within"                                 how often; or again until all is well, for so many seconds
    {"load": {..., "rate"}}, {"stop": true}           so many requests a second, until told to stop

Load is paced by the clock and waits for no answer: a slow service does not make it ask less.
"""

import http.client
import json
import re
import socket
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

AT_ONCE, TIMEOUT, PAUSE = 8, 5.0, 0.2  # requests; seconds for an answer; seconds between two tries
UNKNOWN = "DNS knows no"
MOST_BYTES, MOST_KEPT = 1 << 20, 4000  # of an answer: one that never ends must not fill this pod's memory
LIKE_ANYBODY = {"User-Agent": "Python-urllib/3", "Connection": "close"}  # who asks for a check is not to be told apart

Answer = tuple[str, str]  # what is wrong with it ("" when nothing is), its body


class Patient(socket.socket):
    """A connection that waits so long in all, not for each piece of what it is sent."""

    deadline = 0.0

    @classmethod
    def to(cls, address: tuple[str, int], timeout: float) -> "Patient":
        """Connect."""
        deadline = time.monotonic() + timeout
        made = cls(fileno=socket.create_connection(address, timeout).detach())
        made.deadline = deadline
        made.settimeout(timeout)
        return made

    def recv_into(self, *arguments: Any) -> int:
        self.settimeout(max(0.001, self.deadline - time.monotonic()))
        return super().recv_into(*arguments)


def ask(plan: dict) -> Answer:
    """Send one request and judge its answer."""
    url = urlsplit(plan["url"])
    port, timeout = url.port or 80, plan.get("timeout", TIMEOUT)
    connection = http.client.HTTPConnection(url.hostname or "", port, timeout=timeout)
    try:
        connection.sock = Patient.to((url.hostname or "", port), timeout)
        body = plan.get("body", "").encode() or None
        headers = {name: text.encode() for name, text in (LIKE_ANYBODY | plan.get("headers", {})).items()}
        connection.request(plan.get("method", "GET"), url.path or "/", body, headers)
        answer = connection.getresponse()
        body = answer.read(MOST_BYTES)
        if answer.length and len(body) < MOST_BYTES:
            raise http.client.IncompleteRead(body)
        text = body.decode(errors="replace")
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a header that cannot be sent
        return describe(error, url.hostname or "", timeout), ""
    finally:
        connection.close()
    return judge(plan, answer.status, text), text[:MOST_KEPT]


def judge(plan: dict, status: int, text: str) -> str:
    """Say what is wrong with an answer, "" when nothing is."""
    if status not in plan.get("status", [200]):
        return f"HTTP {status}"
    if plan.get("contains", "") not in text:
        return f"an answer without {plan['contains']!r}"
    if plan.get("lacks") and plan["lacks"] in text:
        return f"an answer with {plan['lacks']!r}"
    return ""


def describe(error: Exception, host: str, timeout: float) -> str:
    """Say what went wrong on the way, the same words on every run."""
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    if type(error).__name__ == "gaierror":
        return f"{UNKNOWN} {host}"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, (ConnectionResetError, http.client.RemoteDisconnected, http.client.IncompleteRead)):
        return "connection closed without an answer"
    return getattr(error, "strerror", None) or str(error)[:80] or type(error).__name__


def report(plan: dict, answers: list[Answer]) -> dict:
    """Count what came of all requests; `said` puts it into a sentence."""
    wrong = Counter(what for what, _ in answers if what)
    found = re.compile(plan.get("finds", "()"))
    seen = sorted({match[1] for _, text in answers if (match := found.search(text)) and match[1]})
    failed, sent = sum(wrong.values()), len(answers)
    kinds = ", ".join(f"{what} ({count})" for what, count in wrong.most_common(3))
    said = f"{failed} of {sent} requests failed: {kinds}" if failed else f"{sent} of {sent} requests answered well"
    share = failed / sent if sent else 1.0
    return {"sent": sent, "failed": failed, "share": share, "seen": seen, "distinct": len(seen), "said": said}


def ask_all(plan: dict) -> dict:
    """Ask so many times as the plan says; with `within`, again until all is well or the time is over."""
    deadline = time.monotonic() + plan.get("within", 0)
    while True:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            told = report(plan, list(pool.map(ask, [plan] * plan.get("times", 1))))
        if not told["failed"] or time.monotonic() >= deadline:
            return told
        time.sleep(PAUSE)


class Load:
    """So many requests a second, each in a thread of its own, until told to stop."""

    def __init__(self, plan: dict) -> None:
        self.plan, self.answers = plan, list[Answer]()
        self._stop = threading.Event()
        self._pacer = threading.Thread(target=self._pace)
        self._pacer.start()

    def _pace(self) -> None:
        begin, visitors = time.monotonic(), list[threading.Thread]()
        while not self._stop.wait(max(0.0, begin + len(visitors) / self.plan["rate"] - time.monotonic())):
            visitors.append(threading.Thread(target=lambda: self.answers.append(ask(self.plan))))
            visitors[-1].start()
        for each in visitors:
            each.join()

    def stop(self) -> dict:
        """Return what came of it, once the last answer is there."""
        self._stop.set()
        self._pacer.join()
        return report(self.plan, self.answers)


def main() -> None:
    load = None
    for line in sys.stdin:
        told = json.loads(line)
        if "load" in told:
            load, answer = Load(told["load"]), {}
        elif "stop" in told:
            answer = load.stop() if load else {}
        else:
            answer = ask_all(told)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
