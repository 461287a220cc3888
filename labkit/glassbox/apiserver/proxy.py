"""pods/proxy, services/proxy, nodes/proxy: an HTTP request passed on to what runs behind an object.

A name may say which port and scheme are meant: `py:8000`, `https:py:8443`. The API server lives in the cluster's own
network, so it reaches pods and kubelets directly; a kubelet gets the server's client certificate.

A service's pods are found by its selector. Left out: endpoint slices, upgrades, links in HTML that are not rewritten.

Upstream: pkg/registry/core/{pod,node,service}/…/proxy.go, apimachinery/pkg/util/proxy/{transport,upgradeaware}.go
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

from labkit.glassbox import errors, objects
from labkit.glassbox.apiserver import kubelet_proxy
from labkit.glassbox.apiserver.objects_at_rest import prefix
from labkit.glassbox.apiserver.reads import read
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.errors import ApiError
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.selectors import from_label_selector

NOT_PASSED_ON = {
    "authorization", "connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding",
    "upgrade", "proxy-authorization",
}  # fmt: skip
CHUNK = 64 * 1024  # bytes


@dataclass(frozen=True)
class Target:
    """What is behind an object."""

    scheme: str
    host: str
    port: int


async def pass_on(http: web.BaseRequest, request: Request, api: Api) -> web.StreamResponse:
    """Answer with what the target answers. Raises ApiError 400, 404 or 503."""
    target = TARGETS[request.resource.kind](request, api)
    url = URL(f"{target.scheme}://{target.host}:{target.port}{_rest(http.rel_url, request)}", encoded=True)
    connector = aiohttp.TCPConnector(ssl=_tls(request, api))
    timeout = aiohttp.ClientTimeout(total=None, connect=30)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session,
            session.request(http.method, url, headers=forwarded(http.headers), data=request.body or None,
                            allow_redirects=False) as answer,
        ):  # fmt: skip
            response = web.StreamResponse(status=answer.status, headers=forwarded(answer.headers))
            await response.prepare(http)
            async for chunk in answer.content.iter_chunked(CHUNK):
                await response.write(chunk)
            await response.write_eof()
            return response
    except aiohttp.ClientConnectorError as error:
        why = os.strerror(error.os_error.errno or 0).lower()
        raise _unavailable(
            f"error trying to reach service: dial tcp {target.host}:{target.port}: connect: {why}"
        ) from None
    except (TimeoutError, aiohttp.ClientError) as error:
        raise _unavailable(f"error trying to reach service: {error}") from None


def _rest(asked: URL, request: Request) -> str:
    """Return path and query for the target: what follows /api/v1/[namespaces/NS/]PLURAL/NAME/proxy."""
    before = 8 if request.route.namespace else 6
    path = "/" + "".join(asked.raw_path.split("/", before)[before:])
    return f"{path}?{asked.raw_query_string}" if asked.raw_query_string else path


def forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that pass a proxy."""
    return {name: value for name, value in headers.items() if name.lower() not in NOT_PASSED_ON}


def split_name(name: str) -> tuple[str, str, str]:
    """Return scheme, name and port of `name`, `name:port` or `scheme:name:port`. Raises ApiError 400."""
    parts = name.split(":")
    if len(parts) > 3 or (len(parts) == 3 and parts[0] not in ("", "http", "https")):
        raise errors.bad_request(f'invalid request "{name}"')
    scheme = parts.pop(0) if len(parts) == 3 else ""
    return scheme or "http", parts[0], parts[1] if len(parts) > 1 else ""


def _pod(request: Request, api: Api) -> Target:
    scheme, name, port = split_name(request.route.name)
    pod = _object(request, api, name)
    ports = (each["containerPort"] for each in _ports(pod))
    return _into(pod, scheme, int(port) if port.isdigit() else next(ports, 80))


def _service(request: Request, api: Api) -> Target:
    scheme, name, asked = split_name(request.route.name)
    service = _object(request, api, name)
    declared = service["spec"].get("ports") or []
    port = next((each for each in declared if asked in ("", each.get("name"), str(each["port"]))), None)
    if port is None:
        raise _unavailable(f'no service port "{asked}" found for service "{name}"')
    pod = next(_ready_pods(service, api), None)
    if pod is None:
        raise _unavailable(f'no endpoints available for service "{name}"')
    target = port.get("targetPort", port["port"])
    named = (each["containerPort"] for each in _ports(pod) if each.get("name") == target)
    return _into(pod, scheme, target if isinstance(target, int) else next(named, port["port"]))


def _node(request: Request, api: Api) -> Target:
    _, name, _ = split_name(request.route.name)
    host, port = kubelet_proxy.address_of(api, name)
    return Target("https", host, port)


TARGETS = {"Pod": _pod, "Service": _service, "Node": _node}


def _ready_pods(service: dict, api: Api) -> Iterator[dict]:
    wanted = service["spec"].get("selector")
    if not wanted:
        return
    selector = from_label_selector({"matchLabels": wanted})
    rows, _ = api.store.rows(prefix(REGISTRY.find("pods"), objects.namespace(service)))
    for pod in map(orjson.loads, (row.value for row in rows)):
        if selector.matches(objects.labels(pod)) and objects.is_true(pod, "Ready"):
            yield pod


def _ports(pod: dict) -> Iterator[dict]:
    for container in pod["spec"]["containers"]:
        yield from container.get("ports") or []


def _into(pod: dict, scheme: str, port: int) -> Target:
    address = (pod.get("status") or {}).get("podIP")
    if not address:
        raise errors.bad_request("address not allowed")
    return Target(scheme, address, port)


def _object(request: Request, api: Api, name: str) -> dict:
    return orjson.loads(read(api.store, request.resource, request.route.namespace, name).value)


def _tls(request: Request, api: Api):
    return kubelet_proxy.client_context(api.kubelets) if request.resource.kind == "Node" else False


def _unavailable(message: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", message)
