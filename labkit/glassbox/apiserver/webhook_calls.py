"""Webhooks, second half: asking them, one after another where they change the object, all at once where they do not.

A webhook is reached at a URL, or behind a Service as the proxy to services reaches one, by the name NAME.NAMESPACE.svc
that its certificate bears. What it answers is held against the review that was sent. One that cannot be asked, or
answers nonsense, is passed over or fails the write, as its failurePolicy says; one that refuses always does.

Upstream: staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/{mutating,validating}/dispatcher.go,
…/webhook/request/admissionreview.go, …/webhook/errors/statuserror.go
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import ssl
import uuid
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import aiohttp
import orjson
from yarl import URL

from labkit.glassbox import errors
from labkit.glassbox.apiserver.admission.matching import Question, in_form, review_of
from labkit.glassbox.apiserver.admission.mutations import taken
from labkit.glassbox.apiserver.admission.service_account import NotYet
from labkit.glassbox.apiserver.admission.webhooks import Said, Unanswered
from labkit.glassbox.apiserver.json_patch import Unpatchable, json_patch
from labkit.glassbox.apiserver.proxy import Target, service_target
from labkit.glassbox.apiserver.request import Answer, Api, Request
from labkit.glassbox.errors import ApiError
from labkit.glassbox.resources import Resource

log = logging.getLogger(__name__)

MOST_ROUNDS = 20  # in which a request is handled anew, before its object counts as too busy
ACCOUNT_ROUNDS, ACCOUNT_WAIT = 10, 0.1  # seconds
UNKNOWN_AUTHORITY = (18, 19, 20, 21)  # OpenSSL's numbers
EXPIRED, OTHER_NAME = (9, 10), 62


class Uncallable(Exception):
    """A webhook that could not be asked, or whose answer is none; in upstream's words."""


async def handled(request: Request, api: Api, work: Callable[[Request, Api], Answer]) -> Answer:
    """Handle a request; where a webhook has to be asked first, ask it and begin anew. Raises ApiError.

    A pod in a new namespace waits a second for the account that each namespace gets.
    """
    told = list(request.warnings)
    for round_ in range(MOST_ROUNDS):
        try:
            return work(request, api)
        except NotYet as early:
            if round_ >= ACCOUNT_ROUNDS:
                raise early.refusal from None
            await asyncio.sleep(ACCOUNT_WAIT)
            request.warnings[:] = told
        except Unanswered as missing:
            request.said[missing.key] = await answered(missing, api)
            request.warnings[:] = told
    raise errors.conflict(request.resource.plural, request.route.name, "", request.resource.group)


async def answered(missing: Unanswered, api: Api) -> Said:
    """Ask all webhooks that are concerned. Raises ApiError if one refuses."""
    if missing.mutating:
        return await _mutated(missing.question, missing.hooks, api)
    found = await asyncio.gather(*(_ask(hook, missing.question, form, api) for hook, form in missing.hooks))
    return Said(missing.question.obj, tuple(warning for each in found for warning in each.get("warnings") or ()))


async def _mutated(question: Question, hooks: list[tuple[dict, Resource]], api: Api) -> Said:
    """Ask one after another; once more those that want to see what later ones have changed."""
    warnings: list[str] = []
    again: list[int] = []
    for second, order in ((False, range(len(hooks))), (True, again)):
        for index in order:
            before = deepcopy(question.obj)
            hook, form = hooks[index]
            said = await _ask(hook, question, form, api, mutating=True)
            warnings += said.get("warnings") or ()
            question = _with_patch(question, form, said)
            if question.obj != before and not second:
                wanting = (n for n in range(index) if hooks[n][0].get("reinvocationPolicy") == "IfNeeded")
                again[:] = sorted({*again, *wanting})
    return Said(question.obj, tuple(warnings))


def _with_patch(question: Question, form: Resource, said: dict) -> Question:
    """Return the question about the object as a webhook wants it, in its normal form. Raises ApiError 500."""
    if not said.get("patch") or question.obj is None:
        return question
    request, held = question.request, question.request.resource
    sub = request.route.subresource
    try:
        changes = orjson.loads(base64.b64decode(said["patch"]))
        return taken(question, form, json_patch(in_form(deepcopy(question.obj), held, form, sub), changes))
    except (Unpatchable, ValueError) as error:
        raise errors.internal(str(error)) from None


async def _ask(hook: dict, question: Question, form: Resource, api: Api, mutating: bool = False) -> dict:
    """Return the response of one webhook, {} where its failure is passed over. Raises ApiError."""
    name = hook["name"]
    if question.request.dry_run and hook["sideEffects"] not in ("None", "NoneOnDryRun"):
        raise errors.bad_request(f'admission webhook "{name}" does not support dry run')
    version = next(each for each in hook["admissionReviewVersions"] if each in ("v1", "v1beta1"))
    uid = str(uuid.uuid4())
    try:
        answer = await _post(hook, review_of(question, form, version, uid), api)
        response = checked(answer, uid, version, mutating)
    except Uncallable as error:
        told = f'failed calling webhook "{name}": {error}'
        if hook.get("failurePolicy") == "Ignore":
            log.warning("%s; passed over", told)
            return {}
        raise errors.internal(told) from None
    if not response.get("allowed"):
        raise refusal(name, response.get("status") or {})
    return response


def refusal(name: str, status: dict) -> ApiError:
    """Return a webhook's refusal as the client's."""
    code = status.get("code", 0) if status.get("code", 0) >= 400 else 400
    told = f'admission webhook "{name}" denied the request'
    why = status.get("message") or status.get("reason")
    message = f"{told}: {why}" if why else f"{told} without explanation"
    return ApiError(code, status.get("reason", ""), message, status.get("details"))


def checked(answer: Any, uid: str, version: str, mutating: bool) -> dict:
    """Return the response of an AdmissionReview. Raises Uncallable for what is none."""
    invalid = "received invalid webhook response: "
    response = answer.get("response") if isinstance(answer, dict) else None
    if not isinstance(response, dict):
        raise Uncallable(f"{invalid}webhook response was absent")
    if version == "v1":
        if response.get("uid") != uid:
            raise Uncallable(f'{invalid}expected response.uid="{uid}", got "{response.get("uid", "")}"')
        given = _go_kind(answer.get("apiVersion", ""), answer.get("kind", ""))
        if given != (expected := _go_kind("admission.k8s.io/v1", "AdmissionReview")):
            raise Uncallable(f"{invalid}expected webhook response of {expected}, got {given}")
    for fault in _patch_faults(response, version, mutating):
        raise Uncallable(f"{invalid}{fault}")
    return response


def _patch_faults(response: dict, version: str, mutating: bool):
    patch, kind = response.get("patch"), response.get("patchType")
    if not mutating:
        if version == "v1" and (patch or kind is not None):
            yield f"validating webhook may not return response.{'patch' if patch else 'patchType'}"
    elif patch and kind is None and version == "v1":
        yield "webhook returned response.patch but not response.patchType"
    elif kind is not None and not patch:
        yield "webhook returned response.patchType but not response.patch"
    elif kind not in (None, "JSONPatch"):
        yield f'unsupported patch type: "{kind}"' if kind else 'webhook returned invalid response.patchType of ""'


def _go_kind(api_version: str, kind: str) -> str:
    return f"{api_version or ''}, Kind={kind}"


async def _post(hook: dict, review: dict, api: Api) -> Any:
    """Send a review; return what comes back. Raises Uncallable."""
    client, seconds = hook["clientConfig"], hook.get("timeoutSeconds", 10)
    if service := client.get("service"):
        host = f"{service['name']}.{service['namespace']}.svc"
        shown = f"https://{host}:{service.get('port', 443)}{service.get('path') or '/'}"
    else:
        host, shown = "", client["url"]
    shown += f"?timeout={seconds}s"
    label = f'failed to call webhook: Post "{shown}": '
    try:
        async with asyncio.timeout(seconds):
            target = _behind(service, api) if service else None
            return await _sent(shown, host, target, _trust(client.get("caBundle")), review)
    except TimeoutError:
        raise Uncallable(f"{label}context deadline exceeded") from None
    except ApiError as error:
        why = f'service "{service["name"]}" not found' if service and error.code == 404 else error.message
        raise Uncallable(f"{label}{why}") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Uncallable(f"{label}{in_go(error)}") from None


def _behind(service: dict, api: Api) -> Target:
    return service_target(api, service["namespace"], service["name"], str(service.get("port", 443)), "https")


async def _sent(shown: str, host: str, target: Target | None, trust: ssl.SSLContext, review: dict) -> Any:
    url, headers = URL(shown, encoded=True), {"Content-Type": "application/json"}
    if target:
        headers["Host"] = url.authority
        url = url.with_host(target.host).with_port(target.port)
    connector = aiohttp.TCPConnector(ssl=trust)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(url, data=orjson.dumps(review), headers=headers, allow_redirects=False,
                     server_hostname=host or None) as answer,
    ):  # fmt: skip
        body = await answer.read()
    if answer.status == 404:
        raise Uncallable("failed to call webhook: the server could not find the requested resource")
    if answer.status != 200:
        why = f"an error on the server ({orjson.dumps(body.decode(errors='replace')).decode()})"
        raise Uncallable(f"failed to call webhook: {why} has prevented the request from succeeding")
    try:
        return orjson.loads(body)
    except ValueError:
        raise Uncallable("failed to call webhook: couldn't get version/kind; json parse error") from None


def _trust(bundle: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=base64.b64decode(bundle).decode() if bundle else None)


def in_go(error: Exception) -> str:
    """Return why a connection failed, as Go's client says it."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _distrust(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {error.host}: no such host"
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, OSError):
        why = os.strerror(error.os_error.errno or 0).lower()
        return f"dial tcp {error.host}:{error.port}: connect: {why}"
    return str(error) or "EOF"


def _distrust(error: Exception) -> str:
    code, told = getattr(error, "verify_code", 0), "tls: failed to verify certificate: x509: "
    if code in UNKNOWN_AUTHORITY:
        return f"{told}certificate signed by unknown authority"
    if code in EXPIRED:
        return f"{told}certificate has expired or is not yet valid"
    return told + str(getattr(error, "verify_message", "") or error).lower()
