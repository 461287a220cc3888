"""The published definitions of the pinned Kubernetes version: what fields a kind has, of which types.

Read once, when the first is asked for, from the OpenAPI that the package kubernetes-validate carries.

Upstream: api/openapi-spec/v3
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import orjson

VERSION = "v1.36.0-local"
POD = "io.k8s.api.core.v1.Pod"
REFERENCE = "#/$defs/"


@cache
def definitions() -> dict[str, dict]:
    """Return name → JSON schema, for all of Kubernetes."""
    package = importlib.util.find_spec("kubernetes_validate")
    if package is None or package.origin is None:
        raise RuntimeError("the package kubernetes-validate, which carries the definitions, is not installed")
    path = Path(package.origin).parent / "kubernetes-json-schema" / VERSION / "_definitions.json"
    return orjson.loads(path.read_bytes())["$defs"]


def publish(name: str, schema: dict) -> None:
    """Have a custom resource's schema among the definitions, with what each kind has: a type and metadata."""
    known, package = definitions(), name.rpartition(".")[0].split(".")
    group, version, kind = ".".join(reversed(package[:-1])), package[-1], name.rpartition(".")[2]
    own = [{"group": group, "version": version, "kind": kind}]
    shared = {field: known[POD]["properties"][field] for field in ("apiVersion", "kind", "metadata")}
    shared = {field: {key: value for key, value in each.items() if key != "enum"} for field, each in shared.items()}
    properties = {**(schema.get("properties") or {}), **shared}
    known[name] = {**schema, "properties": properties, "x-kubernetes-group-version-kind": own}
    listed = {"description": f"{kind}List is a list of {kind}", "type": "object", "required": ["items"]}
    items = {"type": "array", "items": {"$ref": REFERENCE + name}}
    metadata = known[f"{POD}List"]["properties"]["metadata"]
    known[f"{name}List"] = {
        **listed,
        "properties": {**shared, "items": items, "metadata": metadata},
        "x-kubernetes-group-version-kind": [{**own[0], "kind": f"{kind}List"}],
    }


def definition(name: str) -> dict:
    """Return the schema of one definition. Raises KeyError."""
    return definitions()[name]


def reference(schema: dict) -> str | None:
    """Return the definition that a schema refers to."""
    target = schema.get("$ref")  # among properties it may be a field that is called so
    return target.removeprefix(REFERENCE) if isinstance(target, str) else None


def type_of(schema: dict) -> str:
    """Return the schema's JSON type; all but required fields may also be null, which counts as absent."""
    types = schema.get("type", "object")
    return types if isinstance(types, str) else next(each for each in types if each != "null")


def short_name(name: str) -> str:
    """Return "v1.ObjectMeta" for "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"."""
    return ".".join(name.split(".")[-2:])
