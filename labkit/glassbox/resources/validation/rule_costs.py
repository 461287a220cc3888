"""What a rule may cost at most, estimated when it is written: how often it loops over what its schema lets a list hold.

The library compiles a rule to a tree, of which cel-go's prices are asked here. A list, a map or a text without a bound
may be as long as a request. Where the library does not tell how long something can get (what a call returns), the
least is taken, so that no rule is refused that upstream takes.

Upstream: github.com/google/cel-go/checker/cost.go, …/apiextensions-apiserver/pkg/apis/apiextensions/validation,
staging/src/k8s.io/apiserver/pkg/cel/common/schemas.go
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import cel
from labkit.glassbox.resources.structural import schema_of
from labkit.glassbox.resources.validation.fields import forbidden

REQUEST = 3 * 1024 * 1024  # bytes
RULE, SCHEMA = 10_000_000, 100_000_000  # what one rule, and all of a schema, may cost
MOST_TOLD = 10  # of the rules that make a schema too expensive
ADVICE = (
    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are "
    "declared)"
)
ALL = "estimated rule cost total for entire OpenAPIv3 schema"
PART = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
UNKNOWN: dict = {}
Estimate = tuple[int, dict]  # cost, and the schema of what comes out
Node = dict[int, list]  # field number → values, of a message of cel.expr


def too_expensive(costs: list[tuple[str, int]], path: str) -> Iterator[Cause]:
    """Refuse a schema whose rules cost too much together."""
    total = sum(cost for _, cost in costs)
    if total > SCHEMA:
        for at, _ in sorted(costs, key=lambda each: -each[1])[:MOST_TOLD]:
            yield forbidden(at, PART)
    yield from exceeding(path, total, f"x-kubernetes-validations {ALL}", SCHEMA)


def exceeding(path: str, cost: int, what: str, limit: int = RULE) -> Iterator[Cause]:
    """Refuse what costs more than its limit."""
    if cost > limit:
        factor = cost / limit
        told = "more than 100x" if factor > 100 else f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"
        yield forbidden(path, f"{what} exceeds budget by factor of {told} {ADVICE}")


def estimate(compiled: Any, schema: dict, bound: int | None) -> int:
    """Return what a compiled rule costs on all values of a schema in an object, of which there are `bound` at most."""
    checked = fields(fields(compiled.serialize())[2][0])
    cost, _ = _cost(checked[4][0], {"self": schema, "oldSelf": schema})
    return cost * (REQUEST // (least(schema) + 1) if bound is None else bound)


# -- sizes: of a value in a request, at most and at least


def most(schema: dict) -> int:
    """Return how many items, entries or bytes a value has at most; 1 if it has none, or that is not known."""
    kind, extra = schema.get("type"), schema.get("additionalProperties")
    if kind == "array":
        return schema.get("maxItems", (REQUEST - 2) // (least(schema.get("items") or {}) + 1))
    if kind == "object" and isinstance(extra, dict):
        return schema.get("maxProperties", (REQUEST - 2) // (least(extra) + 6))
    if kind != "string" or (schema.get("format") in cel.WELL_KNOWN):
        return 1
    if "maxLength" in schema:
        return schema["maxLength"] * 4  # characters of up to four bytes
    return max((len(str(each)) for each in schema.get("enum") or ()), default=REQUEST - 2)


def least(schema: dict) -> int:
    """Return with how many bytes JSON writes a value at least."""
    kind, size = schema.get("type"), 2
    if kind == "object" and not isinstance(schema.get("additionalProperties"), dict):
        properties = schema.get("properties") or {}
        always = [
            name for name in schema.get("required") or () if "default" not in properties.get(name, {"default": 0})
        ]
        size += sum(len(name) + least(properties[name]) + 4 for name in always)
    return {"array": 2, "object": size, "boolean": 4, "string": 2}.get(kind or "", 1)


# -- prices


def _cost(data: bytes, known: dict[str, dict]) -> Estimate:
    """Return what an expression costs, if these names are known."""
    node = fields(data)
    for number, price in PRICES.items():
        if number in node:
            return price(fields(node[number][0]), known)
    return 0, UNKNOWN


def _constant(node: Node, known: dict[str, dict]) -> Estimate:
    return 0, {"type": "string", "enum": [node[6][0].decode()]} if 6 in node else UNKNOWN


def _name(node: Node, known: dict[str, dict]) -> Estimate:
    return 1, known.get(node[1][0].decode(), UNKNOWN)


def _select(node: Node, known: dict[str, dict]) -> Estimate:
    cost, schema = _cost(node[1][0], known)
    names = {cel.escaped(each): each for each in schema.get("properties") or ()}
    field = node[2][0].decode()
    return cost + 1, schema_of(names.get(field, field), schema) or UNKNOWN


def _call(node: Node, known: dict[str, dict]) -> Estimate:
    name, given = node[2][0].decode(), [_cost(each, known) for each in [*node.get(1, ()), *node.get(3, ())]]
    costs, sizes = [cost for cost, _ in given], [most(schema) for _, schema in given]
    if name in ("_&&_", "_||_"):
        return sum(costs), UNKNOWN
    if name == "_?_:_":
        return costs[0] + max(costs[1:]), UNKNOWN
    if name == "_[_]":
        schema = given[0][1]
        inner = schema.get("items") or schema.get("additionalProperties")
        return sum(costs) + 1, inner if isinstance(inner, dict) else UNKNOWN
    return sum(costs) + (OWN[name](sizes) if name in OWN else 1), UNKNOWN


def _list(node: Node, known: dict[str, dict]) -> Estimate:
    return 10 + sum(_cost(each, known)[0] for each in node.get(1, ())), UNKNOWN


def _loop(node: Node, known: dict[str, dict]) -> Estimate:
    """Return the cost of a macro: once for each item, or key, of its range."""
    ranged, over = _cost(node[2][0], known)
    item = over.get("items") if over.get("type") == "array" else UNKNOWN
    inside = {**known, node[3][0].decode(): UNKNOWN, node[1][0].decode(): item or UNKNOWN}
    before = ranged + _cost(node[4][0], known)[0]
    once = _cost(node[5][0], inside)[0] + _cost(node[6][0], inside)[0]
    return before + most(over) * once + _cost(node[7][0], inside)[0], UNKNOWN


def _tenth(size: int) -> int:
    return -(-size // 10)


PRICES = {3: _constant, 4: _name, 5: _select, 6: _call, 7: _list, 9: _loop}  # by field of cel.expr.Expr
OWN = {  # calls that read their operands
    **dict.fromkeys(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"), lambda sizes: _tenth(min(sizes))),
    **dict.fromkeys(("startsWith", "endsWith"), lambda sizes: _tenth(sizes[1])),
    "contains": lambda sizes: _tenth(sizes[0]) * _tenth(sizes[1]),
    **dict.fromkeys(("matches", "find", "findAll"), lambda sizes: _tenth(sizes[0] + 1) * -(-sizes[1] // 4)),
    **dict.fromkeys(("isSorted", "sum", "min", "max"), lambda sizes: sizes[0]),
    "url": lambda sizes: _tenth(sizes[0]),
    "@in": lambda sizes: sizes[1],
    "_+_": lambda sizes: _tenth(sum(sizes)),
}


def fields(data: bytes) -> Node:
    """Return a message's fields: numbers as they are, all else as bytes."""
    from google.protobuf.empty_pb2 import Empty
    from google.protobuf.unknown_fields import UnknownFieldSet

    found: Node = {}
    for each in UnknownFieldSet(Empty.FromString(data)):
        found.setdefault(each.field_number, []).append(each.data)
    return found
