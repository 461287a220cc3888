"""The target of a load test: a small HTTP service whose queue can be predicted.

A pod has WORKERS workers; a request waits in one queue, first come first served, until one is free, and then takes a
service time: exponential or fixed, waiting (as for a database) or computing. So its capacity is WORKERS / SERVICE_MS,
and queueing theory knows what to expect of it. Each answer tells in headers X-Pod, X-Queue and X-Work (seconds), and
X-Cpu (processor seconds of this process so far).

SIGUSR1 makes the whole process sleep for a second, as a long garbage collection does. SIGTERM ends it at once, and with
it what it was doing, unless DRAIN is set: then it first hangs up on idle clients and finishes what it has.

Standard library only, one file: a ConfigMap carries it into a public Python image.
"""

import asyncio
import os
import random
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

SETTINGS = {"WORKERS": "1", "SERVICE_MS": "20", "DISTRIBUTION": "exponential", "WORK": "wait", "SEED": "",
            "PORT": "8080", "BACKLOG": "4096", "BOOT_SECONDS": "0", "SLOW_START_SECONDS": "0", "DRAIN": ""}  # fmt: skip
END = b"\r\n\r\n"


class Service:
    """The queue and its workers; `settings` has the keys above."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.settings, self.pod = settings, os.environ.get("POD_NAME") or socket.gethostname()
        self.workers = ThreadPoolExecutor(int(settings["WORKERS"]))  # its queue is the service's queue
        self.chance = random.Random(settings["SEED"] or self.pod)
        self.mean, self.began = float(settings["SERVICE_MS"]) / 1000, time.monotonic()
        self.busy, self.idle = 0, set[asyncio.StreamWriter]()
        self.draining = False

    def work(self, arrived: float, seconds: float) -> tuple[float, float]:
        """Take the service time; return how long the request had waited and how long it took."""
        began = time.monotonic()
        if self.settings["WORK"] == "wait":
            time.sleep(seconds)
        else:
            until = time.thread_time() + seconds
            while time.thread_time() < until:
                pass
        return began - arrived, time.monotonic() - began

    def service_time(self) -> float:
        """Draw one; in the first SLOW_START_SECONDS it is up to three times as long."""
        slow = float(self.settings["SLOW_START_SECONDS"])
        cold = max(0.0, 1 - (time.monotonic() - self.began) / slow) if slow else 0.0
        fixed = self.settings["DISTRIBUTION"] == "fixed"
        return (1 + 2 * cold) * (self.mean if fixed else self.chance.expovariate(1 / self.mean))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests until it ends."""
        try:
            while not self.draining:
                self.idle.add(writer)
                head = await reader.readuntil(END)
                self.idle.discard(writer)
                await self.answer(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
            pass
        finally:
            self.idle.discard(writer)
            writer.close()

    async def answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        """Do a request's work; a probe (/ready) does not queue."""
        told, self.busy = (0.0, 0.0), self.busy + 1
        try:
            if not head.startswith(b"GET /ready "):
                loop = asyncio.get_running_loop()
                told = await loop.run_in_executor(self.workers, self.work, time.monotonic(), self.service_time())
            body = f"{self.pod}\n".encode()
            lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", f"X-Pod: {self.pod}", f"X-Queue: {told[0]:.6f}",
                     f"X-Work: {told[1]:.6f}", f"X-Cpu: {time.process_time():.4f}"]  # fmt: skip
            lines += ["Connection: close"] if self.draining or b"onnection: close" in head else []
            writer.write("\r\n".join(lines).encode() + END + body)
            await writer.drain()
        finally:
            self.busy -= 1

    async def drain(self) -> None:
        """Hang up on idle clients, wait for what is under way, and end."""
        self.draining = True
        for writer in list(self.idle):
            writer.close()
        while self.busy:
            await asyncio.sleep(0.01)
        os._exit(0)


async def main() -> None:
    """Listen, and serve until a signal ends it."""
    settings = {name: os.environ.get(name, value) for name, value in SETTINGS.items()}
    await asyncio.sleep(float(settings["BOOT_SECONDS"]))
    service, loop = Service(settings), asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    loop.add_signal_handler(signal.SIGUSR1, time.sleep, 1)  # in the loop itself: nobody is served meanwhile
    end = (lambda: tasks.add(loop.create_task(service.drain()))) if settings["DRAIN"] else (lambda: os._exit(0))
    loop.add_signal_handler(signal.SIGTERM, end)
    server = await asyncio.start_server(service.serve, "", int(settings["PORT"]), backlog=int(settings["BACKLOG"]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
