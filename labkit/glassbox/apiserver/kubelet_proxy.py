"""Where a pod's kubelet is and what it is asked; for pods/log the API server passes the bytes on as they come.

Upstream: pkg/registry/core/pod/rest/log.go, pkg/registry/core/pod/strategy.go (streamLocation),
pkg/kubelet/client/kubelet_client.go
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from multidict import MultiMapping

from labkit.glassbox import errors
from labkit.glassbox.apiserver import times
from labkit.glassbox.apiserver.objects_at_rest import key
from labkit.glassbox.apiserver.reads import integer, read
from labkit.glassbox.apiserver.request import Api, KubeletAccess, Request
from labkit.glassbox.apiserver.routes import flag
from labkit.glassbox.errors import ApiError, Cause
from labkit.glassbox.resources import REGISTRY

CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
SWITCHES = ("follow", "previous", "timestamps")
PASSED_ON = ("sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream")
STREAMS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}  # our name -> a kubelet's
KUBELET_PORT = 10250


def log_url(request: Request, api: Api) -> str | None:
    """Return where the log is to be had, None if the pod has no node yet. Raises ApiError 400, 404 or 422."""
    check_log_options(request.query, request.route.name)
    pod = _pod(request, api)
    container = container_of(pod, request.query.get("container", ""))
    query = [(name, request.query[name]) for name in PASSED_ON if name in request.query]
    query += [(name, "true") for name in SWITCHES if flag(request.query, name)]
    return _url(api, pod, "containerLogs", container, query) if pod["spec"].get("nodeName") else None


def check_log_options(query: Mapping[str, str], pod: str) -> None:
    """Raise ApiError 400 or 422 for what no log can answer."""
    least = {"tailLines": (0, "greater than or equal to 0"), "sinceSeconds": (1, "greater than 0"),
             "limitBytes": (1, "greater than 0")}  # fmt: skip
    causes = []
    if query.get("sinceSeconds") and query.get("sinceTime"):
        told = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
        causes.append(Cause("FieldValueForbidden", told, "[]"))
    if (asked := query.get("sinceTime")) is not None:
        try:
            times.time(asked)
        except ValueError as error:
            raise errors.bad_request(str(error)) from None
    for name, (minimum, words) in least.items():
        value = integer(query.get(name, str(minimum)))
        if value < minimum:
            causes.append(Cause("FieldValueInvalid", f"Invalid value: {value}: must be {words}", name))
    if causes:
        raise errors.invalid("PodLogOptions", "", pod, causes)


def stream_url(request: Request, query: MultiMapping[str], api: Api) -> str:
    """Return where an exec, an attach or a port-forward leads. Raises ApiError 400 or 404."""
    pod, action = _pod(request, api), request.route.subresource
    container = "" if action == "portforward" else container_of(pod, request.query.get("container", ""))
    if not pod["spec"].get("nodeName"):
        raise errors.bad_request(f"pod {request.route.name} does not have a host assigned")
    if action == "portforward":
        return _url(api, pod, "portForward", "", [("port", each) for each in query.getall("ports", [])])
    asked = [(theirs, "1") for name, theirs in STREAMS.items() if flag(query, name)]
    if not asked:
        raise errors.bad_request("you must specify at least 1 of stdin, stdout, stderr")
    command = [("command", each) for each in query.getall("command", [])]
    return _url(api, pod, action, container, [*asked, *command])


def _pod(request: Request, api: Api) -> dict:
    return orjson.loads(read(api.store, request.resource, request.route.namespace, request.route.name).value)


def _url(api: Api, pod: dict, action: str, container: str, query: list[tuple[str, str]]) -> str:
    try:
        host, port = address_of(api, pod["spec"]["nodeName"])
    except ApiError as error:  # upstream's store says whose request it answers, not what it looked for
        raise errors.not_found("pods", pod["spec"]["nodeName"]) if error.code == 404 else error from None
    parts = [action, pod["metadata"]["namespace"], pod["metadata"]["name"], *([container] if container else [])]
    path = "/".join(quote(part) for part in parts)
    return f"https://{host}:{port}/{path}" + (f"?{urlencode(query)}" if query else "")


def container_of(pod: dict, asked: str) -> str:
    """Return the container whose log is meant. Raises ApiError 400 in upstream's words."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    known = [each["name"] for kind in CONTAINERS for each in spec.get(kind) or []]
    if asked in known:
        return asked
    if asked:
        raise errors.bad_request(f"container {asked} is not valid for pod {name}")
    if len(spec["containers"]) == 1:
        return spec["containers"][0]["name"]
    listed = f"[{' '.join(known)}]"
    raise errors.bad_request(f"a container name must be specified for pod {name}, choose one of: {listed}")


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


def session(access: KubeletAccess) -> aiohttp.ClientSession:
    """Return what speaks to a kubelet."""
    connector = aiohttp.TCPConnector(ssl=client_context(access))
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None, connect=5))


Begin = Callable[[int, Mapping[str, str]], Awaitable[Callable[[bytes], Awaitable[None]]]]


async def pass_on(url: str, access: KubeletAccess, begin: Begin) -> None:
    """Stream the kubelet's answer: `begin(code, headers)` returns what writes a chunk. Raises ApiError 400 or 500."""
    try:
        async with session(access) as asking, asking.get(url) as answer:
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
