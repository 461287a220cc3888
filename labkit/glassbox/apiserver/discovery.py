"""What is served: discovery in three forms, OpenAPI, /version, health.

Everything follows from the declarations in `resources`; answers are built once, kept as bytes with their ETag.

Aggregated discovery is v2 alone, as 1.36 has it: a client that asks for v2beta1 gets the legacy form.

Left out: /metrics.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/discovery, …/pkg/server/{healthz,routes}
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

import orjson

from labkit.glassbox import errors
from labkit.glassbox.apiserver import openapi_v2, schema
from labkit.glassbox.apiserver.negotiation import JSON, encode, negotiate
from labkit.glassbox.resources import REGISTRY, SUBRESOURCES, Resource
from labkit.glassbox.tokens import ALGORITHM, ISSUER, SigningKey

ISSUER_PAGES = ("/.well-known/openid-configuration", "/openid/v1/jwks")
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2+glassbox",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "cpython",
    "platform": "linux/amd64",
}
CHECKS = (
    "ping",
    "log",
    "etcd",
    "poststarthook/start-system-namespaces-controller",
)  # the store has the name of what it stands for
RAW = ("/", "/version")  # objects without a kind: always pretty
TEXT = "text/plain; charset=utf-8"
NO_CACHE = "no-cache, private"
AN_HOUR = {"Cache-Control": "public, max-age=3600"}
OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"  # asked for with an @, which Go cannot parse


@dataclass(frozen=True)
class Page:
    """An answer that is no object of the store."""

    body: bytes
    code: int = 200
    media: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


def page(path: str, query: dict, accept: str, if_none_match: str, address: str) -> Page:
    """Return the answer to a GET of a path that is no resource's. Raises ApiError 404 or 406."""
    bare = path.rstrip("/") or "/"
    if bare in ("/api", "/apis") and (version := _aggregated_version(accept)):
        return _tagged(_aggregated(bare, version), AGGREGATED.format(version=version), if_none_match)
    if bare == "/openapi/v3":
        return Page(orjson.dumps(schema.openapi_v3_index()), media=TEXT)
    if bare.startswith("/openapi/v3/"):
        return _openapi(bare.removeprefix("/openapi/v3/"), query.get("hash", ""), accept, if_none_match)
    if path == "/openapi/v2":
        return _tagged(*_openapi_v2(accept), if_none_match, "no-cache, private")
    if health := _health(path, query):
        return health
    if path == "//":
        return not_found()
    if maker := _objects(address).get(bare):
        media = JSON if bare in RAW else negotiate(accept, is_routed=answers_only_get(bare)).media
        if bare == "/version" and not _takes_json(accept):
            raise errors.not_acceptable([JSON])
        return Page(encode(maker(), media, pretty=bare in RAW), media=media)
    if is_known_group(bare):
        raise errors.no_such_path()
    return not_found()


def issuer_page(path: str, key: SigningKey, address: str) -> Page | None:
    """Return what others need to check service accounts' tokens by themselves: the issuer's description and key."""
    if path.rstrip("/") == ISSUER_PAGES[0]:
        told = {
            "issuer": ISSUER,
            "jwks_uri": f"https://{address}{ISSUER_PAGES[1]}",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
        }
        return Page(orjson.dumps(told), headers=AN_HOUR)
    if path.rstrip("/") == ISSUER_PAGES[1]:
        return Page(orjson.dumps({"keys": [key.jwk]}), media="application/jwk-set+json", headers=AN_HOUR)
    return None


def answers_only_get(path: str) -> bool:
    """Tell whether upstream routes a path by method: what its older handlers answer is the same for every method."""
    bare = path.rstrip("/")
    is_version = bare.startswith("/apis/") and bare.count("/") == 3
    return bare in ("/version", "/api", *ISSUER_PAGES) or bare.startswith("/api/") or is_version


def is_known_group(path: str) -> bool:
    """Tell whether the path lies below a group that is served: there, what is missing is told by a Status."""
    parts = path.rstrip("/").split("/")
    if "" in parts[1:]:
        return False
    return parts[1] == "api" or (parts[1] == "apis" and len(parts) > 2 and parts[2] in REGISTRY.groups)


def not_found() -> Page:
    return Page(b"404 page not found\n", 404, TEXT)


def _tagged(body: bytes, media: str, if_none_match: str, caching: str = "public") -> Page:
    tag = '"' + hashlib.sha256(body).hexdigest().upper() + '"'
    headers = {"ETag": tag, "Vary": "Accept", "Cache-Control": caching}
    return Page(b"", 304, media, headers) if if_none_match == tag else Page(body, 200, media, headers)


def _aggregated_version(accept: str) -> str:
    """Return the first aggregated form that the client takes and we have, "" for the legacy one."""
    for clause in accept.split(","):
        named = dict(part.strip().split("=", 1) for part in clause.split(";") if "=" in part)
        if named.get("as") == "APIGroupDiscoveryList" and named.get("v") == "v2":
            return "v2"
        if clause.split(";")[0].strip() == "application/json" and "as" not in named:
            return ""
    return ""


@lru_cache(maxsize=4)
def _aggregated(root: str, version: str) -> bytes:
    groups = [group for group in REGISTRY.groups if bool(group) == (root == "/apis")]
    items = [_group_discovery(group) for group in groups]
    api_version = f"apidiscovery.k8s.io/{version}"
    return orjson.dumps({"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": items})


def _group_discovery(group: str) -> dict:
    versions = [
        {
            "version": version,
            "resources": [_resource_discovery(r) for r in _served(group, version)],
            "freshness": "Current",
        }
        for version in REGISTRY.groups[group]
    ]
    return {"metadata": {"name": group} if group else {}, "versions": versions}


@lru_cache(maxsize=16)
def _served(group: str, version: str) -> tuple[Resource, ...]:
    found = (r for r in REGISTRY.all() if (r.group, r.version) == (group, version))
    return tuple(sorted(found, key=lambda r: r.plural))


def _verbs(resource: Resource) -> list[str]:
    return list(resource.verbs) if resource.custom else sorted(resource.verbs)


def _subresources(resource: Resource) -> tuple[str, ...] | list[str]:
    return resource.subresources if resource.custom else sorted(resource.subresources)


def _resource_discovery(resource: Resource) -> dict:
    shown: dict = {
        "resource": resource.plural,
        "responseKind": _own_kind(resource),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": _verbs(resource),
    }
    optional: dict[str, list] = {"shortNames": list(resource.short_names), "categories": list(resource.categories)}
    optional["subresources"] = [_subresource_discovery(resource, name) for name in _subresources(resource)]
    return shown | {name: value for name, value in optional.items() if value}


def _own_kind(resource: Resource) -> dict:
    own = (resource.group, resource.version) if resource.custom else ("", "")
    return _response_kind(resource.kind, *own)


def _response_kind(kind: str, group: str = "", version: str = "") -> dict:
    return {"group": group, "version": version, "kind": kind}


def _subresource_discovery(resource: Resource, name: str) -> dict:
    sub = SUBRESOURCES[name]
    kind = _response_kind(sub.kind_below(resource.kind), sub.group, sub.version) if sub.kind else _own_kind(resource)
    return {"subresource": name, "responseKind": kind, "verbs": sorted(sub.verbs)}


# --- the legacy form


def _objects(address: str) -> dict[str, Callable[[], dict]]:
    """Return path -> what makes its object."""
    found: dict[str, Callable[[], dict]] = {
        "/api": lambda: _api_versions(address),
        "/apis": _group_list,
        "/version": lambda: VERSION,
        "/": lambda: {"paths": _paths(address)},
    }
    for group, versions in REGISTRY.groups.items():
        if group:
            found[f"/apis/{group}"] = partial(_api_group, group)
        for version in versions:
            at = f"/apis/{group}/{version}" if group else f"/api/{version}"
            found[at] = partial(resource_list, group, version)
    return found


def _paths(address: str) -> list[str]:
    health = [f"/{name}/{check}" for name in ("healthz", "livez", "readyz") for check in CHECKS]
    roots = ["/apis/", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/readyz", *ISSUER_PAGES]
    return sorted({*(path for path in _objects(address) if path != "/"), *health, *roots})


def _api_versions(address: str) -> dict:
    servers = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": servers}


def _group_list() -> dict:
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(g) for g in REGISTRY.groups if g]}


def _api_group(group: str) -> dict:
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(group)}


def _group(group: str) -> dict:
    versions = [{"groupVersion": f"{group}/{v}", "version": v} for v in REGISTRY.groups[group]]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def resource_list(group: str, version: str) -> dict:
    """Return the APIResourceList of a group version."""
    group_version = f"{group}/{version}" if group else version
    entries = [entry for resource in _served(group, version) for entry in _legacy(resource)]
    head = {"kind": "APIResourceList", "apiVersion": "v1"} if group else {"kind": "APIResourceList"}
    return {**head, "groupVersion": group_version, "resources": entries}


def _legacy(resource: Resource) -> list[dict]:
    main = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _verbs(resource),
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
        "storageVersionHash": resource.storage_version_hash,
    }
    entries = [{name: value for name, value in main.items() if value not in ([], "") or name == "singularName"}]
    for name in _subresources(resource):
        sub = SUBRESOURCES[name]
        home = {"group": sub.group, "version": sub.version} if sub.group else {}
        entry = {"name": f"{resource.plural}/{name}", "singularName": "", "namespaced": resource.namespaced, **home}
        entries.append({**entry, "kind": sub.kind_below(resource.kind), "verbs": sorted(sub.verbs)})
    return entries


# --- OpenAPI and health


def _openapi_v2(accept: str) -> tuple[bytes, str]:
    document = openapi_v2.openapi_v2()
    if "proto-openapi.spec.v2" in accept:
        return openapi_v2.encode("Document", document), OPENAPI_V2
    return orjson.dumps(document), "application/json"


def _openapi(group_version: str, asked: str, accept: str, if_none_match: str) -> Page:
    """Return a document; one that is asked for by the hash of its content may be kept for ever."""
    try:
        body, digest = _openapi_document(group_version)
    except KeyError:
        return Page(b"", 404, "")
    headers = {"Vary": "Accept"}
    if not _takes_json(accept, "application/*"):
        return Page(b"", 406, "", headers)
    headers["ETag"] = f'"{digest}"'
    if asked and asked != digest:
        return Page(b"", 301, headers={**headers, "Location": f"/openapi/v3/{group_version}?hash={digest}"})
    if asked:
        headers["Cache-Control"] = "public, immutable"
    return Page(b"", 304, "", headers) if if_none_match == headers["ETag"] else Page(body, headers=headers)


def _takes_json(accept: str, *more: str) -> bool:
    return any(clause.split(";")[0].strip() in (JSON, "*/*", *more) for clause in (accept or "*/*").split(","))


@lru_cache(maxsize=16)
def _openapi_document(group_version: str) -> tuple[bytes, str]:
    return orjson.dumps(schema.openapi_v3(group_version)), schema.openapi_v3_hash(group_version)


def _forget() -> None:
    for remembered in (_aggregated, _served, _openapi_document):
        remembered.cache_clear()


REGISTRY.listeners.append(_forget)


def _health(path: str, query: dict) -> Page | None:
    """Answer /livez, /readyz, /healthz and their single checks; the server answers nothing until it is ready."""
    root, _, check = path[1:].partition("/")
    if root not in ("livez", "readyz", "healthz"):
        return None
    if check or path.endswith("/"):
        return Page(b"ok", media=TEXT) if check in CHECKS else not_found()
    if "verbose" not in query:
        return Page(b"ok", media=TEXT)
    excluded = query.get("exclude")
    lines = "".join(f"[+]{name} excluded: ok\n" if name == excluded else f"[+]{name} ok\n" for name in CHECKS)
    if excluded and excluded not in CHECKS:
        lines += f'warn: some health checks cannot be excluded: no matches for "{excluded}"\n'
    return Page(f"{lines}{root} check passed\n".encode(), media=TEXT)
