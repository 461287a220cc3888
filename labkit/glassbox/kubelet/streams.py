"""exec and attach: a container's processes at the other end of a WebSocket.

The files of a process are made here and travel to it (shim.py): what it reads and writes passes through this server
and through no other. Its exit code becomes the Status on the last channel. Whoever hangs up ends the input of a command
that has one, as who has sent it a whole tar does, and kills any other; but no container, unless that reads once only
(stdinOnce).

Left out: SPDY, which the API server turns into channels; base64 channels.

Upstream: pkg/kubelet/server/server.go (getExec, getAttach), k8s.io/streaming pkg/remotecommand
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

from aiohttp import web
from multidict import MultiMapping

from labkit.glassbox import errors
from labkit.glassbox.kubelet import channels, shim
from labkit.glassbox.kubelet.channels import Channels
from labkit.glassbox.kubelet.conversation import Conversation
from labkit.glassbox.kubelet.files import Files
from labkit.glassbox.kubelet.runtime import Container, LinuxRuntime

TERMINAL = {"TERM": "xterm"}
SUCCESS = {"metadata": {}, "status": "Success"}
Find = Callable[[str, str, str], tuple[str, Container]]  # (namespace, pod, container) -> uid, what runs


@dataclass(frozen=True)
class Wanted:
    """Which streams a client asks for, and what to run."""

    stdin: bool
    outputs: Sequence[str]
    tty: bool
    command: Sequence[str]


class NotRunning(Exception):
    """There is no such container to join; the text is upstream's."""


class Streams:
    """Serves exec and attach; `find` raises NotRunning."""

    def __init__(self, find: Find, runtime: LinuxRuntime) -> None:
        self.find, self.runtime = find, runtime

    async def exec(self, request: web.Request) -> web.StreamResponse:
        """Run a command in a container; not cancelled when the client goes, since the command may go on."""
        return await asyncio.shield(asyncio.ensure_future(self._serve(request, self._exec)))

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
            return await work(client, wanted(request.query), uid, container)
        except NotRunning as error:
            return errors.internal(f"unable to upgrade connection: {error}").status()
        except (shim.ExecError, OSError) as error:
            doing = "executing command in" if work == self._exec else "attaching to"
            told = errors.internal(f"error {doing} container: {error}")
            # The API server speaks v5 with a client, v4 with a kubelet, and tells errors of the one as its own.
            return (errors.internal(told.message) if translated else told).status()

    async def _exec(self, client: Channels, asked: Wanted, uid: str, container: Container) -> dict:
        with closing(Files(asked.stdin, asked.tty, asked.outputs)) as files:
            request = shim.exec_request(container.name, container.attempt, asked.command, TERMINAL if asked.tty else {})
            with self.runtime.begin(uid, request, files.theirs) as process:
                files.hand_over()
                if files.console:
                    await channels.readable(files.console.fileno())
                    files.receive_terminal()
                conversation = Conversation(client, files, asked.stdin)
                try:
                    await conversation.until(channels.readable(process.fileno()))
                except ConnectionError:
                    if asked.stdin and not asked.tty:
                        files.close()
                        await channels.readable(process.fileno())
                    raise
                code = shim.exit_code(process.recv(shim.MESSAGE))
                await conversation.last_words()
        return exited(code, asked.command)

    async def _attach(self, client: Channels, asked: Wanted, uid: str, container: Container) -> dict:
        with closing(Files(False, False, asked.outputs)) as files:
            request = shim.attach_request(container.name, container.attempt, asked.stdin)
            with self.runtime.begin(uid, request, files.theirs[1:]) as process:
                files.hand_over()
                await channels.readable(process.fileno())
                shim.attached(process, files)
                await Conversation(client, files, asked.stdin).until()
        return SUCCESS


def wanted(query: MultiMapping[str]) -> Wanted:
    """Read the query of a request, which names the streams as kubelets do."""
    on = {name for name, value in query.items() if value in ("1", "true")}
    outputs = [name for name, asked in (("stdout", "output"), ("stderr", "error")) if asked in on]
    return Wanted("input" in on, outputs, "tty" in on, tuple(query.getall("command", [])))


def exited(code: int, command: Sequence[str]) -> dict:
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
