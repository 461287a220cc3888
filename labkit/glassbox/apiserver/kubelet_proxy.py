"""pods/log: the API server asks the pod's kubelet and passes the bytes on as they come.

Upstream: pkg/registry/core/pod/rest/log.go, pkg/kubelet/client/kubelet_client.go
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from urllib.parse import quote, urlencode

import orjson

from labkit.glassbox import errors
from labkit.glassbox.apiserver.objects_at_rest import key
from labkit.glassbox.apiserver.reads import read
from labkit.glassbox.apiserver.request import Api, KubeletAccess, Request
from labkit.glassbox.resources import REGISTRY

PASSED_ON = ("follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes", "stream")
CHUNK = 64 * 1024  # bytes
KUBELET_PORT = 10250


async def log_url(request: Request, api: Api) -> str | None:
    """Return where the log is to be had, None if the pod has no node yet. Raises ApiError 400 or 404."""
    route = request.route
    row = read(api.store, request.resource, route.namespace, route.name)
    pod = orjson.loads(row.value)
    container = container_of(pod, request.query.get("container", ""))
    node = pod["spec"].get("nodeName")
    if not node:
        return None
    host, port = address_of(api, node)
    query = urlencode({name: request.query[name] for name in PASSED_ON if name in request.query})
    path = f"/containerLogs/{route.namespace}/{quote(route.name)}/{quote(container)}"
    return f"https://{host}:{port}{path}" + (f"?{query}" if query else "")


def container_of(pod: dict, asked: str) -> str:
    """Return the container whose log is meant. Raises ApiError 400 in upstream's words."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    ordinary = [each["name"] for each in spec.get("containers") or []]
    initial = [each["name"] for each in spec.get("initContainers") or []]
    if asked in (*ordinary, *initial):
        return asked
    if asked:
        raise errors.bad_request(f"container {asked} is not valid for pod {name}")
    chosen = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    if chosen and chosen in ordinary:
        return chosen
    if len(ordinary) == 1 and not initial:
        return ordinary[0]
    listed = f"[{' '.join(ordinary)}]"
    told = f"a container name must be specified for pod {name}, choose one of: {listed}"
    if initial:
        told += f" or one of the init containers: [{' '.join(initial)}]"
    raise errors.bad_request(told)


def address_of(api: Api, node_name: str) -> tuple[str, int]:
    """Return host and port of a node's kubelet. Raises ApiError 404 or 500."""
    row = api.store.get(key(REGISTRY.find("nodes"), "", node_name))
    if row is None:
        raise errors.not_found("nodes", node_name)
    status = orjson.loads(row.value).get("status") or {}
    by_type = {each["type"]: each["address"] for each in status.get("addresses") or []}
    host = by_type.get("InternalIP") or by_type.get("Hostname")
    if not host:
        raise errors.internal(f"no preferred addresses found; known addresses: {list(by_type.values())}")
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or KUBELET_PORT
    return host, port


@lru_cache(maxsize=1)
def client_context(access: KubeletAccess) -> ssl.SSLContext:
    """Return the TLS context with which the API server shows itself to kubelets."""
    context = ssl.create_default_context(cafile=str(access.authority) if access.authority else None)
    if not access.authority:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # as upstream without the flag
    if access.certificate:
        context.load_cert_chain(access.certificate, access.key)
    return context


Begin = Callable[[int, Mapping[str, str]], Awaitable[Callable[[bytes], Awaitable[None]]]]


async def pass_on(url: str, access: KubeletAccess, begin: Begin) -> None:
    """Stream the kubelet's answer: `begin(code, headers)` returns what writes a chunk. Raises ApiError 400 or 500."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, connect=5)
    connector = aiohttp.TCPConnector(ssl=client_context(access))
    try:
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session, session.get(url) as answer:
            if answer.status >= 400:
                text = (await answer.text()).strip()
                raise errors.ApiError(answer.status, _reason(answer.status), text)
            write = await begin(answer.status, {"Content-Type": "text/plain"})
            async for chunk in answer.content.iter_any():
                await write(chunk)
    except (TimeoutError, aiohttp.ClientConnectionError, OSError) as error:
        raise errors.internal(f'Get "{url}": {error}') from None


def _reason(code: int) -> str:
    return {400: "BadRequest", 404: "NotFound"}.get(code, "InternalError")
