"""The HTTP edge: from aiohttp's request to ours, through the filters, and an answer back.

authentication → authorization → route → handler; each refuses by raising ApiError, which becomes a Status here and
nowhere else. Handlers run on the event loop's thread: they are short, and one at a time is what makes a read-modify-
write atomic. Only watches, logs and metrics suspend.

Upstream: staging/src/k8s.io/apiserver/pkg/server/{config,handler}.go
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import unicodedata
from collections.abc import Iterable, Mapping

import orjson
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod
from aiohttp.web_protocol import RequestHandler

from labkit.glassbox import errors
from labkit.glassbox.apiserver import (
    auth,
    discovery,
    handlers,
    impersonation,
    kubelet_proxy,
    negotiation,
    proxy,
    routes,
    streams,
    web_sockets,
    webhook_calls,
)
from labkit.glassbox.apiserver.admission import webhooks
from labkit.glassbox.apiserver.authorization.attributes import attributes_of
from labkit.glassbox.apiserver.metrics import Metrics
from labkit.glassbox.apiserver.negotiation import JSON
from labkit.glassbox.apiserver.request import Answer, Api, Request
from labkit.glassbox.apiserver.usage import LastUse
from labkit.glassbox.apiserver.watch import Watch
from labkit.glassbox.errors import ApiError
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.metrics import GROUP
from labkit.glassbox.store import Unreadable

log = logging.getLogger(__name__)

BODY_LIMIT = 3 * 1024 * 1024  # bytes, as upstream's --max-request-bytes
NO_CACHE = {"Cache-Control": discovery.NO_CACHE}


class Server:
    """Answers every request."""

    def __init__(self, api: Api, usage: LastUse):
        self.api, self.usage = api, usage
        self.metrics = Metrics(api)
        self.stopping = asyncio.Event()

    async def __call__(self, http: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(http)
        except ApiError as error:
            return self._refusal(http, error)
        except Unreadable as error:
            return self._refusal(http, errors.internal(str(error)))
        except (RecursionError, orjson.JSONEncodeError) as error:  # hardly an object: it cannot be written as JSON
            return self._refusal(http, errors.bad_request(f"the object is nested too deep or is no JSON: {error}"))
        except (ConnectionResetError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("%s %s", http.method, http.rel_url)
            return self._refusal(http, errors.internal("the API server failed; its log says why"))

    async def _answer(self, http: web.BaseRequest) -> web.StreamResponse:
        path, query = http.rel_url.raw_path, http.rel_url.query
        user = self._authenticate(http)
        route = routes.parse(http.method, path, routes.flag(query, "watch"))
        self.usage.note(user.name)
        asked = attributes_of(http.method, path, route, query)
        user = impersonation.acting(user, http.headers, asked, self.api.authorizer)
        self.api.authorizer.require(user, asked)
        if route is None or not discovery.is_known_group(path):
            return self._page(http, path)
        if route.resource is None and not REGISTRY.is_declared(route.group):
            return self._page(http, "/nothing")  # as in upstream's server of custom resources
        routes.check_method(route, http.method)
        request = Request(
            http.method,
            route,
            route.served,
            query,
            http.headers.get("Accept", ""),
            http.headers.get("Content-Type", ""),
            await self._body(http),
            user,
            http.headers.get("User-Agent", ""),
        )
        if request.resource.deprecated:
            request.warnings.append(request.resource.deprecated)
        try:
            return await self._handle(http, request)
        except ApiError as error:
            return self._refusal(http, error, request.warnings)

    async def _handle(self, http: web.BaseRequest, request: Request) -> web.StreamResponse:
        route = request.route
        if route.verb == "watch":
            return await self._watch(http, Watch(request, self.api))
        if route.subresource == "log":
            return await self._log(http, request)
        if route.group == GROUP:
            return self._respond(request, await self.metrics.answer(request))
        if route.subresource in webhooks.CONNECTIONS:
            await webhook_calls.handled(request, self.api, webhooks.connect)
        if route.subresource == "proxy":
            return await proxy.pass_on(http, request, self.api)
        if route.subresource in streams.PROTOCOLS:
            return await self._stream(http, request)
        return self._respond(request, await webhook_calls.handled(request, self.api, handlers.handle))

    def _authenticate(self, http: web.BaseRequest) -> auth.User:
        authorization = web_sockets.authorization(http.headers)
        return auth.authenticate(authorization, http.get_extra_info, lambda token: self.api.tokens.verify(token).user)

    async def _body(self, http: web.BaseRequest) -> bytes:
        if not http.can_read_body:
            return b""
        if (http.content_length or 0) > BODY_LIMIT:
            raise errors.too_large(BODY_LIMIT)
        try:
            return await http.read()
        except web.HTTPRequestEntityTooLarge:
            raise errors.too_large(BODY_LIMIT) from None

    def _respond(self, request: Request, answer: Answer) -> web.Response:
        body = negotiation.render(answer, request, self.api.clock.now())
        response = web.Response(status=answer.code, body=body, headers=NO_CACHE)
        response.content_type = negotiation.negotiate(request.accept).media
        _warn(response, request.warnings)
        return response

    def _page(self, http: web.BaseRequest, path: str) -> web.Response:
        address = "{}:{}".format(*(http.get_extra_info("sockname") or ("", 0))[:2])
        accept, tag = http.headers.get("Accept", ""), http.headers.get("If-None-Match", "")
        issuer = discovery.issuer_page(path, self.api.tokens.signing_key, address)
        page = issuer or discovery.page(path, dict(http.rel_url.query), accept, tag, address)
        answers_all = page.code != 200 or not discovery.answers_only_get(path)
        if http.method == "CONNECT" or (http.method != "GET" and not answers_all):
            raise errors.method_not_allowed()
        headers = {**NO_CACHE, "Content-Type": page.media, **page.headers}
        return web.Response(status=page.code, body=page.body, headers={k: v for k, v in headers.items() if v})

    def _refusal(self, http: web.BaseRequest, error: ApiError, warnings: Iterable[str] = ()) -> web.Response:
        status = error.status()
        media = negotiation.YAML if http.headers.get("Accept", "").startswith(negotiation.YAML) else negotiation.JSON
        pretty = negotiation.is_pretty(http.rel_url.query, http.headers.get("User-Agent", ""))
        response = web.Response(status=error.code, body=negotiation.encode(status, media, pretty), headers=NO_CACHE)
        response.content_type = media
        if seconds := (status.get("details") or {}).get("retryAfterSeconds"):
            response.headers["Retry-After"] = str(seconds)
        _warn(response, warnings)
        if error.code == 413:
            response.force_close()  # the rest of the body is still on its way
        return response

    async def _watch(self, http: web.BaseRequest, watch: Watch) -> web.StreamResponse:
        user = watch.request.user.name
        self.api.watchers[user] += 1
        try:
            return await (self._watch_by_frames if web_sockets.is_asked(http.headers) else self._watch_by_lines)(
                http, watch
            )
        finally:
            self.api.watchers[user] -= 1

    async def _watch_by_frames(self, http: web.BaseRequest, watch: Watch) -> web.StreamResponse:
        frames = web_sockets.Frames(http)
        await frames.open()
        await self._until_stopping(watch.lines(frames.write_events), frames.left)
        return await frames.close()

    async def _watch_by_lines(self, http: web.BaseRequest, watch: Watch) -> web.StreamResponse:
        response = web.StreamResponse(headers={**NO_CACHE, "Content-Type": watch.wanted.media})
        _warn(response, watch.request.warnings)
        response.enable_chunked_encoding()
        await response.prepare(http)

        async def write(lines: bytes) -> None:
            if lines:
                await response.write(lines)

        await self._until_stopping(watch.lines(write))
        await response.write_eof()
        return response

    async def _until_stopping(self, work, *events: asyncio.Event) -> None:
        """Run a stream until it ends or the server stops: kubectl and informers then simply watch again."""
        task, *others = map(asyncio.ensure_future, (work, self.stopping.wait(), *(each.wait() for each in events)))
        try:
            await asyncio.wait((task, *others), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        finally:
            for each in (task, *others):
                each.cancel()

    async def _stream(self, http: web.BaseRequest, request: Request) -> web.StreamResponse:
        client, url = await streams.let_in(http, request, self.api)
        joined = self._until_stopping(streams.join(client, url, self.api.kubelets, request.route.subresource))
        await asyncio.shield(asyncio.ensure_future(joined))  # what a client said before it went is passed on still
        await client.close(code=streams.GOING_AWAY)  # unless it has said good-bye: the server stops
        return client

    async def _log(self, http: web.BaseRequest, request: Request) -> web.StreamResponse:
        url = kubelet_proxy.log_url(request, self.api)
        if url is None:
            return web.Response(status=204, headers=NO_CACHE)
        if web_sockets.is_asked(http.headers):
            return await self._log_by_frames(http, url)
        response = web.StreamResponse(headers=NO_CACHE)

        async def begin(code: int, headers: Mapping[str, str]):
            response.set_status(code)
            response.headers.update(headers)
            response.enable_chunked_encoding()
            await response.prepare(http)
            return response.write

        await self._until_stopping(kubelet_proxy.pass_on(url, self.api.kubelets, begin))
        if response.prepared:
            await response.write_eof()
        return response

    async def _log_by_frames(self, http: web.BaseRequest, url: str) -> web.StreamResponse:
        frames = web_sockets.Frames(http, web_sockets.FRAMES_OF_LOGS)

        async def begin(code: int, headers: Mapping[str, str]):
            await frames.open()
            await frames.write(b"")  # tells that there is a log, before it says anything
            return frames.write

        await self._until_stopping(kubelet_proxy.pass_on(url, self.api.kubelets, begin), frames.left)
        return await frames.close()


def _warn(response: web.StreamResponse, warnings: Iterable[str]) -> None:
    for warning in dict.fromkeys(warnings):
        if any(unicodedata.category(each) == "Cc" for each in warning):
            continue  # no header can hold it; upstream leaves it out, too
        quoted = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')


class Connection(RequestHandler):
    """aiohttp's, but for what it answers to a method that HTTP does not know."""

    def handle_error(self, request, status=500, exc=None, message=None) -> web.StreamResponse:
        if not isinstance(exc, BadHttpMethod):
            return super().handle_error(request, status, exc, message)
        error = errors.method_not_allowed()
        response = web.Response(status=error.code, body=negotiation.encode(error.status(), JSON), headers=NO_CACHE)
        response.content_type = JSON
        response.force_close()
        return response


class Connections(web.Server):
    """Makes one for each client."""

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


def request_of(message, payload, protocol, writer, task) -> web.BaseRequest:
    """Build aiohttp's request with our limit on the body."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_LIMIT)


def tls_context(certificate: str, key: str, client_authority: str | None) -> ssl.SSLContext:
    """Return the serving context; client certificates are welcome, not required."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    if client_authority:
        context.load_verify_locations(client_authority)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
