"""exec and attach: a container's processes at the other end of a WebSocket.

The files of a process are made here and travel to it (shim.py): what it reads and writes passes through this server
and through no other. Its exit code becomes the Status on the last channel. Whoever hangs up ends the command, but no
container, unless that reads once only (stdinOnce).

Left out: SPDY (kubectl falls back to it only where WebSockets fail), base64 channels.

Upstream: pkg/kubelet/server/server.go (getExec, getAttach), k8s.io/streaming pkg/remotecommand
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, suppress

from aiohttp import web

from labkit.glassbox import errors
from labkit.glassbox.kubelet import channels, shim
from labkit.glassbox.kubelet.channels import Channels
from labkit.glassbox.kubelet.runtime import Container, LinuxRuntime
from labkit.glassbox.kubelet.stdio import Stdio, Wanted

TERMINAL = {"TERM": "xterm"}
SUCCESS = {"metadata": {}, "status": "Success"}
Find = Callable[[str, str, str], tuple[str, Container]]  # (namespace, pod, container) -> uid, what runs


class NotRunning(Exception):
    """There is no such container to join; the text is upstream's."""


class Streams:
    """Serves exec and attach; `find` raises NotRunning."""

    def __init__(self, find: Find, runtime: LinuxRuntime) -> None:
        self.find, self.runtime = find, runtime

    async def exec(self, request: web.Request) -> web.StreamResponse:
        """Run a command in a container."""
        return await self._serve(request, self._exec)

    async def attach(self, request: web.Request) -> web.StreamResponse:
        """Read what a container writes from now on, and write what it reads."""
        return await self._serve(request, self._attach)

    async def _serve(self, request: web.Request, work: Callable[..., Awaitable[dict]]) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=(channels.V5, channels.V4), compress=False, max_msg_size=0)
        await socket.prepare(request)
        client = Channels(socket)
        status = await self._outcome(request, client, work, translated=socket.ws_protocol == channels.V5)
        with suppress(ConnectionError):
            await client.send(channels.ERROR, json.dumps(status).encode())
        await socket.close()
        return socket

    async def _outcome(self, request: web.Request, client: Channels, work: Callable, translated: bool) -> dict:
        """Do the work; return the Status that tells how it went."""
        where = request.match_info
        try:
            uid, container = self.find(where["namespace"], where["pod"], where["container"])
            return await work(client, wanted(request.query, request.query.getall("command", [])), uid, container)
        except NotRunning as error:
            return errors.internal(f"unable to upgrade connection: {error}").status()
        except (shim.ExecError, OSError) as error:
            told = errors.internal(str(error))
            # The API server speaks v5 with a client, v4 with a kubelet, and tells errors of the one as its own.
            return (errors.internal(told.message) if translated else told).status()

    async def _exec(self, client: Channels, asked: Wanted, uid: str, container: Container) -> dict:
        with ExitStack() as cleanup:
            files = Stdio.for_exec(asked, cleanup)
            request = shim.exec_request(container.name, container.attempt, asked.command, TERMINAL if asked.tty else {})
            with files.theirs() as theirs:
                process = cleanup.enter_context(self.runtime.begin(uid, request, theirs))
            process.setblocking(False)
            await files.receive_terminal(asked)
            await conversation(client, files, channels.readable(process.fileno()))
            try:
                code = shim.exit_code(process.recv(shim.MESSAGE))
            except shim.ExecError as error:
                raise shim.ExecError(f"error executing command in container: {error}") from None
            for channel in files.outputs:
                if rest := files.last(channel):
                    await client.send(channel, rest)
        return exited(code, asked.command)

    async def _attach(self, client: Channels, asked: Wanted, uid: str, container: Container) -> dict:
        with ExitStack() as cleanup:
            files = Stdio.for_attach(asked, cleanup)
            streams = [channels.NAMES[channel] for channel in files.outputs]
            request = shim.attach_request(container.name, container.attempt, streams, asked.stdin)
            with files.theirs() as theirs:
                process = cleanup.enter_context(self.runtime.begin(uid, request, theirs))
            await channels.readable(process.fileno())
            files.take_input(shim.attached(process), asked)
            await conversation(client, files)
        return SUCCESS


async def conversation(client: Channels, files: Stdio, end: Awaitable[None] | None = None) -> None:
    """Copy both ways until the `end`, or that of the output. Raises ConnectionError when the client hangs up before."""
    feeding = asyncio.create_task(_feed(client, files))
    copying = [asyncio.create_task(_copy(client, channel, fd)) for channel, fd in files.outputs.items()]
    ending = asyncio.ensure_future(end) if end else asyncio.gather(*copying)
    try:
        await asyncio.wait([feeding, ending], return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            raise ConnectionResetError("the client has hung up")
        ending.result()
    finally:
        for task in (feeding, ending, *copying):
            task.cancel()
        await asyncio.gather(feeding, ending, *copying, return_exceptions=True)


async def _feed(client: Channels, files: Stdio) -> None:
    async for channel, data in client:
        if channel == channels.STDIN:
            await files.write(data)
        elif channel == channels.RESIZE:
            files.resize(data)
        elif channel == channels.CLOSE and data[:1] == bytes((channels.STDIN,)):
            files.close_input()


async def _copy(client: Channels, channel: int, fd: int) -> None:
    while data := await channels.read(fd):
        await client.send(channel, data)


def wanted(query: Mapping[str, str], command: list[str]) -> Wanted:
    """Read the query of a request, which names the streams as kubelets do."""
    on = {name for name, value in query.items() if value in ("1", "true")}
    return Wanted("input" in on, "output" in on, "error" in on and "tty" not in on, "tty" in on, tuple(command))


def exited(code: int, command: tuple[str, ...]) -> dict:
    """Return the Status that tells an exit code."""
    if code == 0:
        return SUCCESS
    told = f"error executing command [{' '.join(command)}], exit code {code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: {told}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
