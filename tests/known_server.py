"""A server whose delay is known and that logs what it does, the truth that a load generator is tested against.

    python -m tests.known_server LOG [DELAY] [STALL_AFTER]      prints its port; a line a request: arrived, replied

Times are of the monotonic clock, which all processes of a machine share. STALL_AFTER seconds after the first request it
does nothing for a second.
"""

import asyncio
import subprocess
import sys
import time
from contextlib import contextmanager

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Pod: known\r\n\r\nok\n"


class Known(asyncio.Protocol):
    log, delay, stall_after = [], 0.0, 0.0

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        arrived, loop = time.monotonic(), asyncio.get_running_loop()
        if not Known.log and Known.stall_after:
            loop.call_later(Known.stall_after, time.sleep, 1)
        entry = [arrived, 0.0]
        Known.log.append(entry)
        if Known.delay:
            loop.call_later(Known.delay, self.reply, entry)
        else:
            self.reply(entry)

    def reply(self, entry):
        entry[1] = time.monotonic()
        if not self.transport.is_closing():
            self.transport.write(REPLY)


async def main(path, delay=0.0, stall_after=0.0):
    Known.delay, Known.stall_after = float(delay), float(stall_after)
    server = await asyncio.get_running_loop().create_server(Known, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    with open(path, "w") as file:
        file.writelines(f"{arrived!r} {replied!r}\n" for arrived, replied in Known.log)


class Server:
    """Its address; after stop(), what it logged: (arrived, replied) a request."""

    def __init__(self, process, log):
        self.process, self._log = process, log
        self.url = f"http://127.0.0.1:{int(process.stdout.readline())}/"

    def stop(self):
        self.process.communicate()
        return [tuple(map(float, line.split())) for line in self._log.read_text().splitlines()]


@contextmanager
def known_server(folder, delay=0.0, stall_after=0.0):
    log = folder / "arrivals.txt"
    command = [sys.executable, "-m", "tests.known_server", str(log), str(delay), str(stall_after)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Server(process, log)
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
