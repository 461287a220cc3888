"""What the client wants to read: JSON or YAML; the object, a Table or its metadata alone.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/handlers/negotiation/negotiate.go, …/handlers/response.go
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from labkit.glassbox import errors
from labkit.glassbox.apiserver import tables
from labkit.glassbox.apiserver.request import Answer, Request
from labkit.glassbox.resources import Resource
from labkit.glassbox.resources.scale import SCALE

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
SUPPORTED = [JSON, YAML, PROTOBUF]
WATCHABLE = [f"{JSON};stream=watch", f"{PROTOBUF};stream=watch"]
KINDS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
ESCAPES = (
    (b"<", rb"\u003c"),
    (b">", rb"\u003e"),
    (b"&", rb"\u0026"),
    ("\u2028".encode(), rb"\u2028"),
    ("\u2029".encode(), rb"\u2029"),
)


@dataclass(frozen=True)
class Wanted:
    """A media type, and the kind to show the object as ("" for itself)."""

    media: str = JSON
    kind: str = ""
    version: str = "v1"

    @property
    def plain(self) -> bool:
        return self.media == JSON and not self.kind


@lru_cache(maxsize=256)
def negotiate(accept: str, is_routed: bool = True) -> Wanted:
    """Return the most wanted form that can be had; what is routed has a router's word for none. Raises ApiError 406."""
    if not accept:
        return Wanted()
    clauses = _by_quality(accept)
    if is_routed and not any(media in (*SUPPORTED, "*/*") for media, _ in clauses):
        raise errors.not_acceptable(SUPPORTED)
    for media, named in clauses:
        for held in (JSON, YAML):
            if media in (held, "*/*", "application/*") and _allows(held, named):
                return Wanted(held, named.get("as", ""), named.get("v", "v1"))
    raise _misfit(f"only the following media types are accepted: {', '.join(SUPPORTED)}")


def _by_quality(accept: str) -> list[tuple[str, dict[str, str]]]:
    """Return the clauses and their parameters in upstream's order: each passes what is less wanted or has a star."""
    found: list[tuple[str, dict[str, str]]] = []
    for clause in accept.split(","):
        media, *parameters = [part.strip() for part in clause.split(";")]
        named, at = dict(part.split("=", 1) for part in parameters if "=" in part), len(found)
        while at and (_quality(named) > _quality(found[at - 1][1]) or ("*" in found[at - 1][0] and "*" not in media)):
            at -= 1
        found.insert(at, (media, named))
    return found


def _quality(named: dict[str, str]) -> float:
    try:
        return float(named.get("q", "1"))
    except ValueError:
        return 1.0


def _allows(media: str, named: dict[str, str]) -> bool:
    """Tell whether a form is known that a clause asks for by its parameters."""
    if (
        named.get("stream", "watch") != "watch"
        or ("stream" in named and media != JSON)
        or named.get("sv", "v1") not in ("", "v1")
    ):
        return False
    if not named.keys() & {"as", "g", "v"}:
        return True
    return named.get("as") in KINDS and named.get("g") == "meta.k8s.io" and named.get("v") in ("v1", "v1beta1")


def render(answer: Answer, request: Request, now: float) -> bytes:
    """Return the body of an answer in the form that the client wants. Raises ApiError 406."""
    wanted = negotiate(request.accept)
    pretty = is_pretty(request.query, request.user_agent)
    if wanted.plain and not pretty and answer.raw is not None:
        return as_go_escapes(answer.raw) + b"\n"
    obj = answer.obj if answer.obj is not None else orjson.loads(answer.raw or b"null")
    if wanted.kind and obj.get("kind") != "Status":
        obj = shown_as(wanted, obj, answer.is_list, request, now)
    return encode(obj, wanted.media, pretty)


def as_go_escapes(text: bytes) -> bytes:
    """Return JSON with <, > and & escaped in its strings (they stand nowhere else), as Go's encoder writes it."""
    for letter, escaped in ESCAPES:
        if letter in text:
            text = text.replace(letter, escaped)
    return text


def is_pretty(query: Mapping[str, str], user_agent: str) -> bool:
    if asked := query.get("pretty"):
        return asked in ("1", "t", "T", "true", "TRUE", "True")
    return user_agent.startswith(("curl", "Wget", "Mozilla/5.0"))


def encode(obj: Any, media: str, pretty: bool = False) -> bytes:
    """Return a body as upstream writes it: JSON on one line ends that line, pretty JSON does not."""
    if media == YAML:
        return _yaml(obj)
    if pretty:
        return as_go_escapes(orjson.dumps(obj, option=orjson.OPT_INDENT_2))
    return as_go_escapes(orjson.dumps(obj)) + b"\n"


def _yaml(obj: Any) -> bytes:
    """Return YAML as Go writes it: what would read as a number, a time or a boolean stands in double quotes."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        plain = dumper.resolve(yaml.ScalarNode, value, (True, False)) == "tag:yaml.org,2002:str"
        style = None if plain else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, "|" if "\n" in value else style)

    Dumper.add_representer(str, text)
    return yaml.dump(obj, Dumper=Dumper, default_flow_style=False, allow_unicode=True).encode()


def shown_as(wanted: Wanted, obj: dict, is_list: bool, request: Request, now: float) -> dict:
    """Return the object (or list) as the wanted kind. Raises ApiError 406 where the two do not fit."""
    if wanted.kind == "Table":
        return as_table(request, obj, is_list, now, wanted.version)
    name = _internal_type(request.resource)
    if is_list and wanted.kind == "PartialObjectMetadata":
        raise _misfit(f"you requested PartialObjectMetadata, but the requested object is a list ({name}List)")
    if not is_list and wanted.kind == "PartialObjectMetadataList":
        raise _misfit(f"you requested PartialObjectMetadataList, but the requested object is not a list ({name})")
    version = f"meta.k8s.io/{wanted.version}"
    if not is_list:
        return partial_metadata(obj, version)
    items = [partial_metadata(item, version) for item in obj["items"]]
    return {"kind": wanted.kind, "apiVersion": version, "metadata": obj["metadata"], "items": items}


def not_watchable() -> errors.ApiError:
    return _misfit(f"only the following media types are accepted: {', '.join(WATCHABLE)}")


def _misfit(message: str) -> errors.ApiError:
    return errors.ApiError(406, "NotAcceptable", message)


def _internal_type(resource: Resource) -> str:
    if resource.custom:
        return "*unstructured.Unstructured"
    return f"*{resource.group.split('.')[0] or 'core'}.{resource.kind}"


def partial_metadata(obj: dict, version: str = "meta.k8s.io/v1") -> dict:
    return {"kind": "PartialObjectMetadata", "apiVersion": version, "metadata": obj["metadata"]}


def as_table(request: Request, obj: dict, is_list: bool, now: float, version: str = "v1") -> dict:
    """Return the Table of an object or list. Raises ApiError 400 for a bad includeObject."""
    include = request.query.get("includeObject", "") or "Metadata"
    if include not in ("Metadata", "Object", "None"):
        fault = f"includeObject: Invalid value: \"{include}\": must be 'Metadata', 'Object', 'None', or empty"
        raise errors.bad_request(f"Unable to convert to Table as requested: {fault}")
    resource = SCALE if obj.get("kind") == SCALE.kind and not is_list else request.resource
    if not resource.columns and not resource.stored_as:
        raise _misfit(f"only the following media types are accepted: {', '.join(SUPPORTED)}")
    items = obj["items"] if is_list else [obj]
    whole = [{"kind": resource.kind, "apiVersion": resource.api_version, **item} for item in items]
    meta = (
        {name: value for name, value in obj["metadata"].items() if value}
        if is_list
        else {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
    )
    shown = tables.table(resource, whole, meta, include, now)
    return _in_version(shown, f"meta.k8s.io/{version}") if version != "v1" else shown


def _in_version(table: dict, version: str) -> dict:
    """Return a Table, and the metadata in its rows, as an older version."""
    for row in table["rows"]:
        if (row.get("object") or {}).get("kind") == "PartialObjectMetadata":
            row["object"]["apiVersion"] = version
    return {**table, "apiVersion": version}
