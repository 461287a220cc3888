"""pods/exec, pods/attach, pods/portforward: a WebSocket with the client and one with the pod's kubelet, joined.

A client that speaks SPDY is seen as a WebSocket (spdy_client.py).

Messages pass as they come, each way no faster than the other side takes them. What fails once the client has been let
in is told on its last channel, as a Status.

Upstream: pkg/registry/core/pod/rest/subresources.go, staging/src/k8s.io/apiserver/pkg/util/proxy
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

import aiohttp
import orjson
from aiohttp import web

from labkit.glassbox import errors
from labkit.glassbox.apiserver import kubelet_proxy, web_sockets
from labkit.glassbox.apiserver.request import Api, KubeletAccess, Request
from labkit.glassbox.apiserver.spdy_client import SpdyClient, negotiated

PROTOCOLS = {
    "exec": ("v5.channel.k8s.io", web_sockets.V4, *web_sockets.DIALECTS),
    "attach": ("v5.channel.k8s.io", web_sockets.V4, *web_sockets.DIALECTS),
    "portforward": ("SPDY/3.1+portforward.k8s.io", web_sockets.V4, "v4.base64.channel.k8s.io", ""),
}
CLOSE_SECONDS = web_sockets.CLOSE_SECONDS
STATUS_CHANNEL = b"\x03"
GOING_AWAY = aiohttp.WSCloseCode.GOING_AWAY  # the end of a stream of which nobody knows how it would have ended
Client = web.WebSocketResponse | SpdyClient
DATA = (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT)


def check_upgrade(headers: Mapping[str, str], subresource: str) -> None:
    """Raise ApiError 400 unless the client asks for a WebSocket and a protocol that is spoken here."""
    upgrade = headers.get("Upgrade", "")
    if not upgrade:
        raise errors.bad_request("Upgrade request required")
    if upgrade.lower() != "websocket":
        raise errors.bad_request(f"unable to upgrade: {upgrade} is not implemented here, use a WebSocket or SPDY/3.1")
    offered = web_sockets.offered(headers)
    if not set(offered) & set(PROTOCOLS[subresource]):
        known = ", ".join(filter(None, PROTOCOLS[subresource]))
        raise errors.bad_request(f"unable to upgrade: protocols [{' '.join(offered)}], expected one of: {known}")


async def let_in(http: web.BaseRequest, request: Request, api: Api) -> tuple[Client, str]:
    """Return the client's side of the stream and where it leads. Raises ApiError 400, 403 or 404."""
    url = kubelet_proxy.stream_url(request, http.rel_url.query, api)
    if http.headers.get("Upgrade", "").lower() == "spdy/3.1":
        speaker = SpdyClient(negotiated(http, request.route.subresource))
        await speaker.switch(http)
        return speaker, url
    check_upgrade(http.headers, request.route.subresource)
    protocols = PROTOCOLS[request.route.subresource]
    client = web.WebSocketResponse(protocols=protocols, compress=False, max_msg_size=0, timeout=CLOSE_SECONDS)
    await client.prepare(http)
    return client, url


async def join(client: Client, url: str, access: KubeletAccess, subresource: str) -> None:
    """Pass on what both sides say until one of them has no more to say; the kubelet's good-bye is ours."""
    dialect, forwards = client.ws_protocol or "", subresource == "portforward"
    if isinstance(client, SpdyClient) or (forwards and not dialect):
        dialect = web_sockets.V4
    try:
        await client.close(code=await _join(client, url, access, dialect))
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        told = errors.internal(f"error dialing backend: {error}").status()
        if not forwards:
            await _tell(client, dialect, STATUS_CHANNEL + orjson.dumps(told), aiohttp.WSMsgType.BINARY)
        await client.close()


async def _join(client: Client, url: str, access: KubeletAccess, dialect: str) -> int:
    spoken = web_sockets.V4 if dialect in web_sockets.DIALECTS else client.ws_protocol
    async with (
        kubelet_proxy.session(access) as session,
        session.ws_connect(url, protocols=(spoken,) if spoken else (), max_msg_size=0) as kubelet,
    ):
        both = [
            asyncio.create_task(each) for each in (_ask(client, dialect, kubelet), _answer(kubelet, client, dialect))
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        return aiohttp.WSCloseCode.OK if kubelet.close_code == aiohttp.WSCloseCode.OK else GOING_AWAY


async def _ask(client: Client, dialect: str, kubelet: aiohttp.ClientWebSocketResponse) -> None:
    async for message in client:
        if message.type in DATA:
            with contextlib.suppress(ValueError):  # no base64: upstream notes it in its log, and goes on
                await kubelet.send_bytes(web_sockets.to_kubelet(dialect, _bytes(message.data)))


async def _answer(kubelet: aiohttp.ClientWebSocketResponse, client: Client, dialect: str) -> None:
    async for message in kubelet:
        if message.type in DATA:
            await _tell(client, dialect, _bytes(message.data), message.type)


async def _tell(client: Client, dialect: str, data: bytes, kind: aiohttp.WSMsgType) -> None:
    for each in web_sockets.to_client(dialect, data):
        await client.send_frame(_bytes(each), aiohttp.WSMsgType.TEXT if isinstance(each, str) else kind)


def _bytes(data: bytes | str) -> bytes:
    return data.encode() if isinstance(data, str) else data
