"""pods/exec, pods/attach, pods/portforward: a WebSocket with the client and one with the pod's kubelet, joined.

A client that speaks SPDY is seen as a WebSocket (spdy_client.py).

Messages pass as they come, each way no faster than the other side takes them. What fails once the client has been let
in is told on its last channel, as a Status.

Upstream: pkg/registry/core/pod/rest/subresources.go, staging/src/k8s.io/apiserver/pkg/util/proxy
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
import orjson
from aiohttp import web

from labkit.glassbox import errors
from labkit.glassbox.apiserver import kubelet_proxy
from labkit.glassbox.apiserver.request import Api, KubeletAccess, Request
from labkit.glassbox.apiserver.spdy_client import SpdyClient, negotiated

PROTOCOLS = {
    "exec": ("v5.channel.k8s.io", "v4.channel.k8s.io"),
    "attach": ("v5.channel.k8s.io", "v4.channel.k8s.io"),
    "portforward": ("SPDY/3.1+portforward.k8s.io", "v4.channel.k8s.io", ""),  # "": none was offered, which means v4
}
STATUS_CHANNEL = b"\x03"
GOING_AWAY = aiohttp.WSCloseCode.GOING_AWAY  # the end of a stream of which nobody knows how it would have ended
CLOSE_SECONDS = 1.0  # that a client has to answer a close
Client = web.WebSocketResponse | SpdyClient
DATA = (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT)


def check_upgrade(headers: Mapping[str, str], subresource: str) -> None:
    """Raise ApiError 400 unless the client asks for a WebSocket and a protocol that is spoken here."""
    upgrade = headers.get("Upgrade", "")
    if not upgrade:
        raise errors.bad_request("Upgrade request required")
    if upgrade.lower() != "websocket":
        raise errors.bad_request(f"unable to upgrade: {upgrade} is not implemented here, use a WebSocket or SPDY/3.1")
    offered = [each.strip() for each in headers.get("Sec-WebSocket-Protocol", "").split(",")]
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


async def join(client: Client, url: str, access: KubeletAccess) -> None:
    """Pass on what both sides say until one of them has no more to say; the kubelet's good-bye is ours."""
    try:
        await client.close(code=await _join(client, url, access))
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        told = errors.internal(f"error dialing backend: {error}").status()
        if client.ws_protocol in PROTOCOLS["exec"]:
            await client.send_bytes(STATUS_CHANNEL + orjson.dumps(told))
        await client.close()


async def _join(client: Client, url: str, access: KubeletAccess) -> int:
    protocols = (client.ws_protocol,) if client.ws_protocol else ()
    async with (
        kubelet_proxy.session(access) as session,
        session.ws_connect(url, protocols=protocols, max_msg_size=0) as kubelet,
    ):
        both = [asyncio.create_task(_pass_on(*way)) for way in ((client, kubelet), (kubelet, client))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        return aiohttp.WSCloseCode.OK if kubelet.close_code == aiohttp.WSCloseCode.OK else GOING_AWAY


async def _pass_on(source, target) -> None:
    async for message in source:
        if message.type in DATA:
            await target.send_frame(_bytes(message.data), message.type)


def _bytes(data: bytes | str) -> bytes:
    return data.encode() if isinstance(data, str) else data
