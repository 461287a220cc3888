"""pods/proxy, services/proxy, nodes/proxy: an HTTP request passed on to what runs behind an object.

A name may say which port and scheme are meant: `py:8000`, `https:py:8443`. The API server lives in the cluster's own
network, so it reaches pods and kubelets directly; a kubelet gets the server's client certificate.

Left out: upgrades; links in HTML are not rewritten.

Upstream: pkg/registry/core/{pod,node,service}/…/proxy.go, apimachinery/pkg/util/proxy/{transport,upgradeaware}.go
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

from labkit.glassbox import errors
from labkit.glassbox.apiserver import kubelet_proxy
from labkit.glassbox.apiserver.objects_at_rest import key
from labkit.glassbox.apiserver.reads import read
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.errors import ApiError
from labkit.glassbox.resources import REGISTRY

NOT_PASSED_ON = {
    "authorization", "connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding",
    "upgrade", "proxy-authorization",
}  # fmt: skip
SERVICES = REGISTRY.find("services")
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
    declared = [each["containerPort"] for every in pod["spec"]["containers"] for each in every.get("ports") or []]
    address = (pod.get("status") or {}).get("podIP")
    if not address:
        raise errors.bad_request("address not allowed")
    return Target(scheme, address, int(port) if port.isdigit() else [*declared, 80][0])


def _service(request: Request, api: Api) -> Target:
    scheme, name, port = split_name(request.route.name)
    return service_target(api, request.route.namespace, name, port, scheme)


def service_target(api: Api, namespace: str, name: str, port: str, scheme: str) -> Target:
    """Return what is behind a service's port, given by number or name. Raises ApiError 404 or 503."""
    row = api.store.get(key(SERVICES, namespace, name))
    if row is None:
        raise errors.not_found("services", name)
    ports = orjson.loads(row.value)["spec"].get("ports") or []
    if port.isdigit():
        port = next((each.get("name", "") for each in ports if each["port"] == int(port)), port)
        if port.isdigit():
            raise _unavailable(f'no service port {port} found for service "{name}"')
    row = api.store.get(key(REGISTRY.find("endpoints"), namespace, name))
    for subset in (orjson.loads(row.value).get("subsets") or []) if row else []:
        for each in subset.get("ports") or []:
            if each.get("name", "") == port and subset.get("addresses"):
                return Target(scheme, subset["addresses"][0]["ip"], each["port"])
    raise _unavailable(f'no endpoints available for service "{name}"')


def _node(request: Request, api: Api) -> Target:
    _, name, _ = split_name(request.route.name)
    host, port = kubelet_proxy.address_of(api, name)
    return Target("https", host, port)


TARGETS = {"Pod": _pod, "Service": _service, "Node": _node}


def _object(request: Request, api: Api, name: str) -> dict:
    return orjson.loads(read(api.store, request.resource, request.route.namespace, name).value)


def _tls(request: Request, api: Api):
    return kubelet_proxy.client_context(api.kubelets) if request.resource.kind == "Node" else False


def _unavailable(message: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", message)
