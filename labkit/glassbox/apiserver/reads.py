"""get and list: from the store's bytes to the answer's, without decoding whenever nobody asks for a part.

A list without a resourceVersion shows the newest state; with limit, its `continue` token pins the revision of the
first page, so that all pages show one moment. resourceVersion=0 means "any", and ignores the limit, as the watch cache
does upstream.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/handlers/get.go, …/storage/continue.go
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import orjson

from labkit.glassbox import errors, objects, selectors
from labkit.glassbox.apiserver.objects_at_rest import as_served, heading, key, prefix, served_bytes, stored
from labkit.glassbox.apiserver.request import Answer, Api, Request
from labkit.glassbox.resources import Resource
from labkit.glassbox.resources.event import PARTS
from labkit.glassbox.store import Compacted, Future, Row, Store

TOO_OLD = "The resourceVersion for the provided list is too old."
TOKEN_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


def get(request: Request, api: Api) -> Answer:
    """Return one object. Raises ApiError 404, or 504 for a resourceVersion of the future."""
    route, resource = request.route, request.resource
    if asked := request.query.get("resourceVersion"):
        wait_for(api.store, parse_revision(asked))
    row = read(api.store, resource, route.namespace, route.name)
    return Answer(raw=served_bytes(resource, row.value, row.revision))


def read(store: Store, resource: Resource, namespace: str, name: str) -> Row:
    """Return the live row of an object. Raises ApiError 404."""
    row = store.get(key(resource, namespace, name))
    if row is None:
        raise errors.not_found(resource.plural, name, resource.group)
    return row


def parse_revision(text: str) -> int:
    """Return the number of a resourceVersion. Raises ApiError 400."""
    if fault := revision_fault(text):
        raise errors.bad_request(f'invalid resource version: resourceVersion: Invalid value: "{text}": {fault}')
    return int(text)


def revision_fault(text: str) -> str:
    """Tell what is wrong with the number of a resourceVersion, "" for nothing."""
    if not (text.isascii() and text.isdigit()):
        return f'strconv.ParseUint: parsing "{text}": invalid syntax'
    return f'strconv.ParseUint: parsing "{text}": value out of range' if int(text) >> 64 else ""


def wait_for(store: Store, revision: int) -> None:
    """Refuse a revision that is not there yet. Raises ApiError 504 (upstream waits three seconds first)."""
    if revision > store.revision:
        raise too_large(revision, store.revision)


def too_large(asked: int, current: int) -> errors.ApiError:
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return errors.timeout(f"Too large resource version: {asked}, current: {current}", [cause], 1)


@dataclass(frozen=True)
class Choice:
    """Which objects of a collection are meant."""

    labels: selectors.Selector
    fields: selectors.FieldSelector

    @property
    def everything(self) -> bool:
        return self.labels.empty and not self.fields.terms

    def matches(self, obj: dict) -> bool:
        return self.labels.matches(obj["metadata"].get("labels")) and self.fields.matches(field_reader(obj))


# Fields that a selector knows under another name than JSON has, and what they are when they are not written.
FIELD_NAMES = {
    **{"status.successful": "status.succeeded", "spec.host": "spec.nodeName"},
    **{f"regarding.{part}": f"involvedObject.{part}" for part in PARTS},
    "reportingController": "reportingComponent",
}
NO_TEXT = ("status.podIPs",)  # may be asked for, and is equal to nothing
FIELD_DEFAULTS = {"spec.hostNetwork": "false", "spec.unschedulable": "false", "status.successful": "0"}


def field_reader(obj: dict) -> Callable[[str], str]:
    """Return a function from a field path to its value as a selector compares it ("" if unset)."""

    def value(path: str) -> str:
        found = None if path in NO_TEXT else objects.dig(obj, FIELD_NAMES.get(path, path))
        if path == "source":
            found = (obj.get("source") or {}).get("component") or obj.get("reportingComponent")
        if isinstance(found, bool):
            return "true" if found else "false"
        return FIELD_DEFAULTS.get(path, "") if found is None else str(found)

    return value


def choice(request: Request) -> Choice:
    """Return the selectors of the query. Raises ApiError 400."""
    labels, fields = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
    chosen = Choice(
        selectors.parse_labels(labels) if labels else selectors.EVERYTHING,
        selectors.parse_fields(fields) if fields else selectors.FieldSelector(),
    )
    for path, _, _ in chosen.fields.terms:
        if path not in request.resource.selectable:
            known = ", ".join(f'"{each}"' for each in request.resource.selectable)
            raise errors.bad_request(unknown_field(request.resource, path, known))
    return chosen


def unknown_field(resource: Resource, path: str, known: str) -> str:
    if resource.kind == "Job":
        return f'field label "{path}" not supported for Job'
    if resource.field_labels or resource.custom:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only {known}'


@dataclass(frozen=True)
class Page:
    """Where in which revision of the collection a list stands."""

    revision: int | None = None  # None: now
    after: str = ""
    limit: int = 0


def list_(request: Request, api: Api) -> Answer:
    """Return the collection, or one page of it. Raises ApiError 400, 410, 422, 504."""
    rows, meta = listed(request, api)
    return Answer(raw=list_body(request.resource, meta, rows), is_list=True)


def listed(request: Request, api: Api) -> tuple[list[Row], dict]:
    """Return the rows that a list shows, and its metadata. Raises ApiError 400, 410, 422, 504."""
    check_list_options(request.query, watching=False)
    integer(request.query.get("timeoutSeconds", "0"))
    chosen, page, resource = choice(request), page_of(request, api.store), stored(request.resource)
    within = prefix(resource, request.route.namespace)
    try:
        rows, beyond = select(api.store, within, page, chosen)
    except Future:
        raise too_large(page.revision or 0, api.store.revision) from None
    except Compacted:
        raise too_old(request, page, api.store, within) from None
    revision = page.revision or api.store.revision
    meta: dict = {"resourceVersion": str(revision)}
    if beyond:
        meta["continue"] = continue_token(revision, rows[-1].key[len(within) :])
        if chosen.everything:
            meta["remainingItemCount"] = beyond
    return rows, meta


def select(store: Store, within: str, page: Page, chosen: Choice) -> tuple[list[Row], int]:
    """Return the rows of a page and how many keys lie beyond it."""
    after = within + page.after if page.after else ""
    name = chosen.fields.required("metadata.name")
    if chosen.everything and name is None:
        return store.rows(within, after=after, limit=page.limit, revision=page.revision)
    rows, _ = store.rows(within, after=after, revision=page.revision)
    found: list[Row] = []
    for at, row in enumerate(rows):
        if page.limit and len(found) == page.limit:
            return found, len(rows) - at
        if chosen.matches(orjson.loads(row.value)):
            found.append(row)
    return found, 0


def list_body(resource: Resource, meta: dict, rows: list[Row]) -> bytes:
    """Return the JSON of a list; items lack kind and apiVersion, as upstream's do."""
    if resource.custom:
        return custom_list_body(resource, meta, rows)
    head = orjson.dumps({"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": meta})
    if resource.stored_as:
        items = [as_served(resource, orjson.loads(row.value)) for row in rows]
        values = [orjson.dumps({k: v for k, v in item.items() if k not in ("kind", "apiVersion")}) for item in items]
        return head[:-1] + b',"items":[' + b",".join(values) + b"]}"
    skip = len(heading(resource))
    return head[:-1] + b',"items":[' + b",".join([b"{" + row.value[skip:] for row in rows]) + b"]}"


def custom_list_body(resource: Resource, meta: dict, rows: list[Row]) -> bytes:
    """Return the JSON of a list of custom resources: keys sorted, items whole."""
    items = b",".join([served_bytes(resource, row.value, row.revision) for row in rows])
    head, tail = orjson.dumps({"apiVersion": resource.api_version}), {"kind": f"{resource.kind}List"}
    end = orjson.dumps({**tail, "metadata": {"continue": "", **meta}}, option=orjson.OPT_SORT_KEYS)
    return head[:-1] + b',"items":[' + items + b"]," + end[1:]


def page_of(request: Request, store: Store) -> Page:
    """Return where the list starts and at which revision. Raises ApiError 400, 410 or 504."""
    query = request.query
    limit, token, asked = (
        max(0, integer(query.get("limit", "0"))),
        query.get("continue", ""),
        query.get("resourceVersion", ""),
    )
    if token:
        revision, after = read_token(token)
        if asked and asked != "0":
            raise errors.bad_request("specifying resource version is not allowed when using continue")
        return Page(revision if revision > 0 else None, after, limit)
    if not asked:
        return Page(limit=limit)
    revision = parse_revision(asked)
    if revision == 0:
        return Page()
    exact = query.get("resourceVersionMatch") == "Exact" or (limit and "resourceVersionMatch" not in query)
    if exact:
        return Page(revision, limit=limit)
    wait_for(store, revision)
    return Page(limit=limit)


def integer(text: str) -> int:
    """Return the number of an option. Raises ApiError 400."""
    fault = "invalid syntax" if not re.fullmatch(r"[+-]?[0-9]+", text) else ""
    if fault or not -(2**63) <= int(text) < 2**63:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": {fault or "value out of range"}')
    return int(text)


def continue_token(revision: int, key: str) -> str:
    token = orjson.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": key + "\0"})
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def read_token(token: str) -> tuple[int, str]:
    """Return (revision, last key of the page before). Raises ApiError 400 in upstream's words."""
    why = "continue key is not valid"
    try:
        decoded = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise errors.bad_request(f"invalid continue token: {why}: illegal base64 data at input byte 0") from None
    try:
        fields = orjson.loads(decoded)
        return int(fields["rv"]), str(fields["start"]).rstrip("\0")
    except (ValueError, KeyError, TypeError):
        first = chr(decoded[0]) if decoded else ""
        fault = f"invalid character '{first}' looking for beginning of value"
        raise errors.bad_request(f"invalid continue token: {why}: {fault}") from None


def too_old(request: Request, page: Page, store: Store, within: str) -> errors.ApiError:
    """Return the 410 for a compacted revision; for a page, with a token that goes on in the present."""
    if not request.query.get("continue"):
        return errors.expired(TOO_OLD)
    error = errors.expired(TOKEN_TOO_OLD)
    error.continue_token = continue_token(-1, page.after)
    return error


def check_list_options(query, *, watching: bool) -> None:
    """Refuse options that do not go together. Raises ApiError 422."""
    causes = list(_option_faults(query, watching))
    if causes:
        raise errors.invalid("ListOptions", "meta.k8s.io", "", causes)


def _option_faults(query, watching: bool) -> Iterator[errors.Cause]:
    match, initial = query.get("resourceVersionMatch", ""), query.get("sendInitialEvents")
    if watching and initial is None and match:
        yield _forbidden(
            "resourceVersionMatch", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        )
    if not watching:
        yield from _match_faults(match, query.get("resourceVersion", ""))
    if query.get("continue") and (match or watching):
        yield _forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided")
    if initial is None:
        return
    if not watching:
        yield _forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")
    elif match != "NotOlderThan":
        yield _forbidden(
            "resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        )
        if match:
            yield _unsupported_match(match, '"NotOlderThan"')


def _match_faults(match: str, version: str) -> Iterator[errors.Cause]:
    if not match:
        return
    if not version:
        yield _forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided")
    if match not in ("Exact", "NotOlderThan"):
        yield _unsupported_match(match, '"Exact", "NotOlderThan", ""')
    if match == "Exact" and version == "0":
        yield _forbidden("resourceVersionMatch", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')


def _forbidden(field: str, message: str) -> errors.Cause:
    return errors.Cause("FieldValueForbidden", f"Forbidden: {message}", field)


def _unsupported_match(match: str, supported: str) -> errors.Cause:
    message = f'Unsupported value: "{match}": supported values: {supported}'
    return errors.Cause("FieldValueNotSupported", message, "resourceVersionMatch")
