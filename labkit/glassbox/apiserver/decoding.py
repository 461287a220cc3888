"""From the bytes of a request to an object: JSON, YAML or protobuf, and what to say when they are none.

Upstream: staging/src/k8s.io/apimachinery/pkg/runtime/serializer, …/apiserver/pkg/endpoints/handlers/create.go
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import orjson

from labkit.glassbox import errors
from labkit.glassbox.apiserver import protobuf, schema
from labkit.glassbox.apiserver.negotiation import JSON, PROTOBUF, SUPPORTED, YAML
from labkit.glassbox.apiserver.request import Request
from labkit.glassbox.json_faults import DEEPEST, GO_TYPES, json_fault
from labkit.glassbox.resources import REGISTRY, Resource

TYPE_META = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
MOST_NODES = 2_000_000  # of a YAML document; three mebibytes without aliases hold fewer
QUOTED = 30  # bytes of a body that error texts show
SCHEME = 'scheme "pkg/api/legacyscheme/scheme.go:30"'


def body_object(request: Request, kind: str) -> Any:
    """Return the body as it was sent. Raises ApiError 400 or 415 in upstream's words."""
    media = request.content_type.partition(";")[0].strip() or JSON
    if media not in SUPPORTED:
        raise errors.unsupported_media_type(media, SUPPORTED)
    try:
        if media == PROTOBUF:
            return protobuf.decode(request.body)
        return as_object(_yaml(request.body)) if media == YAML else loads(request.body)
    except ValueError as error:
        shown = excerpt(request.body, as_text=media == JSON and request.body[:1] == b"{")
        raise unrecognized(kind, f"{error} ({shown})") from None


def unrecognized(kind: str, why: str) -> errors.ApiError:
    return errors.bad_request(f"the object provided is unrecognized (must be of type {kind}): {why}")


def excerpt(body: bytes, as_text: bool) -> str:
    """Return the beginning of a body for an error text: text if it looks like JSON, else hexadecimal."""
    if not body:
        return "<empty>"
    text = body[:QUOTED].decode(errors="replace") if as_text else body[:QUOTED].hex()
    return text if len(body) <= QUOTED else text + " ..."


def loads(body: bytes) -> Any:
    """Return the value of JSON. Raises ValueError as Go's parser words it."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ValueError(f"couldn't get version/kind; json parse error: {json_fault(body)}") from None
    return as_object(value)


def as_object(value: Any) -> Any:
    """Return a value that may be an object. Raises ValueError as Go's parser words it."""
    if value is not None and not isinstance(value, dict):
        given = GO_TYPES.get(type(value), "string")
        fault = f"json: cannot unmarshal {given} into Go value of type {TYPE_META}"
        raise ValueError(f"couldn't get version/kind; json parse error: {fault}")
    return value


def yaml_object(body: bytes) -> dict:
    """Return the object that YAML, or JSON, tells of. Raises ApiError 400."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            value = _string_keys(_yaml(body))
        except ValueError as error:
            raise errors.bad_request(f"error decoding YAML: error converting YAML to JSON: {error}") from None
    if value is not None and not isinstance(value, dict):
        fault = f"json: cannot unmarshal {GO_TYPES[type(value)]} into Go value of type map[string]interface {{}}"
        raise errors.bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {fault}")
    return value or {}


def _string_keys(value: Any) -> Any:
    """Return a YAML value as the JSON that it becomes: its keys are text."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else json.dumps(key): _string_keys(item) for key, item in value.items()}
    return list(map(_string_keys, value)) if isinstance(value, list) else value


@cache
def _loader() -> Any:
    """Return a reader that reads as Go's: what looks like a time is text, and y and n are yes and no."""
    import yaml

    class Loader(yaml.CSafeLoader):
        bool_values = {**yaml.SafeLoader.bool_values, "y": True, "n": False}
        yaml_implicit_resolvers = {
            letter: [pair for pair in pairs if not pair[0].endswith(":timestamp")]
            for letter, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))
    return Loader


def _yaml(body: bytes) -> Any:
    import yaml

    try:
        if sum(map(body.count, (b"[", b"{", b"-", b"?"))) > DEEPEST:
            _check_depth(yaml.parse(body, yaml.CSafeLoader))
        value = yaml.load(body, _loader())
    except yaml.MarkedYAMLError as error:
        marks = (error.context_mark, error.problem_mark)  # Go counts from 0, and says nothing of the first line
        line = next((each.line for each in marks if each and each.line), 0)
        where = f"line {line + isinstance(error, yaml.scanner.ScannerError)}: " if line else ""
        raise ValueError(f"yaml: {where}{error.problem}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"yaml: {getattr(error, 'reason', error)}") from None
    if _written_out(value, {}) > MOST_NODES:
        raise ValueError("yaml: document contains excessive aliasing")
    return value


def _check_depth(events: Iterable) -> None:
    """Refuse what would be nested too deep, before it is: the parser is C, which knows no bottom."""
    depth = 0
    for event in events:
        kind = type(event).__name__
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if depth > DEEPEST:
            raise ValueError(f"yaml: exceeded max depth of {DEEPEST}")


def _written_out(value: Any, known: dict[int, int]) -> int:
    """Return how many nodes a YAML value has when what anchors and aliases share is written out."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = MOST_NODES  # should it hold itself
        known[id(value)] = 1 + sum(_written_out(each, known) for each in _children(value))
    return known[id(value)]


def _children(value: dict | list) -> Iterable:
    return value.values() if isinstance(value, dict) else value


def decode(request: Request, resource: Resource) -> dict:
    """Return the object of the body, normalised; unknown fields warn or are refused, as the client asks.

    Raises ApiError 400 or 415.
    """
    obj = body_object(request, resource.kind)
    obj = {} if obj is None else obj
    check_kind(obj, resource, request.body)
    if resource.custom and "kind" not in obj:
        text = request.body.decode(errors="replace")
        raise unrecognized(resource.kind, f"Object 'Kind' is missing in '{text}' ({excerpt(request.body, True)})")
    obj.setdefault("kind", resource.kind)
    obj.setdefault("apiVersion", resource.api_version)
    raw = request.body if not request.content_type.startswith(PROTOBUF) else b""
    obj, warnings = schema.decode(resource, obj, field_validation=request.field_validation, raw=raw)
    request.warnings.extend(warnings)
    if not isinstance(obj.get("metadata"), dict):
        obj["metadata"] = {}
    return obj


def refuse_custom(obj: dict, resource: Resource) -> None:
    """Refuse a custom resource of another kind. Raises ApiError 400 or 422."""
    kind, version = obj.get("kind", ""), obj.get("apiVersion", "")
    if version != resource.api_version:
        expected = f"does not match the expected API version ({resource.api_version})"
        raise errors.bad_request(f"the API version in the data ({version}) {expected}")
    fault = errors.Cause("FieldValueInvalid", f'Invalid value: "{kind}": must be {resource.kind}', "kind")
    raise errors.invalid(kind, resource.group, (obj.get("metadata") or {}).get("name", ""), [fault])


def check_kind(obj: dict, resource: Resource, body: bytes) -> None:
    """Refuse a body that says to be of another kind. Raises ApiError 400 as upstream words it."""
    kind, version = obj.get("kind") or resource.kind, obj.get("apiVersion") or resource.api_version
    if (kind, version) == (resource.kind, resource.api_version):
        return
    for field, value in (("kind", kind), ("apiVersion", version)):
        if not isinstance(value, str):
            fault = f"json: cannot unmarshal {GO_TYPES.get(type(value), 'object')} into Go struct field .{field}"
            why = f"couldn't get version/kind; json parse error: {fault} of type string"
            raise unrecognized(resource.kind, f"{why} ({excerpt(body, True)})")
    if version.count("/") > 1:
        raise unrecognized(resource.kind, f"unexpected GroupVersion string: {version} ({excerpt(body, True)})")
    if resource.custom:
        refuse_custom(obj, resource)
    short = version.rpartition("/")[2]
    told = f'{kind} in version "{short}" cannot be handled as a {resource.kind}: '
    if REGISTRY.for_kind(version, kind):
        package = resource.group.split(".")[0] or "core"
        raise errors.bad_request(
            f"{told}converting ({short}.{kind}) to ({package}.{resource.kind}): unknown conversion"
        )
    if resource.group and version.partition("/")[0] == resource.group and kind == resource.kind:
        expected = f"does not match the expected API version ({resource.api_version})"
        raise errors.bad_request(f"the API version in the data ({version}) {expected}")
    raise errors.bad_request(f'{told}no kind "{kind}" is registered for version "{version}" in {SCHEME}')
