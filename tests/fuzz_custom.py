"""Definitions that nobody would write, and objects that fit them or do not.

All chance comes from one Random, so that a seed names a definition and its objects for ever.
"""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

GROUP, VERSION = "fuzz.example.com", "v1"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TYPES = ("string", "integer", "number", "boolean", "object", "array")
FIELDS = ("a", "b", "c", "d-e", "in", "ä", "metadata", "spec", "apiVersion")
FORMATS = ("int32", "byte", "date", "date-time", "duration", "ipv4", "cidr", "uri", "email", "uuid", "mac", "bogus")
PATTERNS = ("^a$", "(", "(a+)+$", r"\p{L}", "[", "a{1000}{1000}", "(?i)x", "")
PATHS = (".spec.a", ".spec..b", ".spec[*]", "{.x", "..", ".spec.a[?(@.b==1)]", ".spec.d-e", ".metadata.name", "x")
TEXTS = ("", "a", "b", "10.0.0.0/8", "2024-01-01", "1h", "https://x/", "1Gi", "1.2.3", "a" * 50 + "b", "YQ==")
NUMBERS = (0, 1, -1, 1.5, 10**18, 1e300)
DEFAULTS = (1, "a", {}, [], None, {"a": 1}, [1, "a"], True, 1.5, {"a": {"b": {}}})
RULES = (
    *("self.size() > 0", "self == oldSelf", "self > 1", "has(self.a)", "self.a.b", "self.all(x, x > 1)", "(", "'x'"),
    *("quantity(self).isLessThan(quantity('1'))", "url(self).getHost() == ''", "self.matches('(a+)+$')", "true"),
    *("self.find('[') == ''", "format.uri().validate(self).hasValue()", "self.a.sum() == 1", "oldSelf.hasValue()"),
    *("cidr(self).containsIP('1.1.1.1')", "self.exists_one(k, k == 'a')", "semver(self).major() > 0", ""),
)
Sent = tuple[str, str, bytes, str]  # method, path, body, content type


def definition(random: Random, number: int) -> dict:
    """Return a definition of a kind of that number."""
    root = {"type": "object", "properties": {"spec": schema(random, 4), "status": schema(random, 2)}}
    version: dict[str, Any] = {"name": VERSION, "served": True, "storage": True, "schema": {"openAPIV3Schema": root}}
    if random.random() < 0.3:
        paths = {"specReplicasPath": ".spec.a", "statusReplicasPath": ".status.a"}
        version["subresources"] = {"status": {}, **({"scale": paths} if random.random() < 0.5 else {})}
    if random.random() < 0.3:
        column = {"name": "A", "type": random.choice(("string", "integer", "date", "x"))}
        version["additionalPrinterColumns"] = [{**column, "jsonPath": random.choice(PATHS)}]
    if random.random() < 0.2:
        version["selectableFields"] = [{"jsonPath": random.choice(PATHS)}]
    names = {"plural": f"things{number}", "singular": f"thing{number}", "kind": f"Thing{number}"}
    spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]}
    return {"metadata": {"name": f"things{number}.{GROUP}"}, "spec": spec}


def schema(random: Random, depth: int) -> dict:
    """Return a schema, a structural one more often than not."""

    def sometimes(chance: float, keyword: str, *values: Any) -> None:
        if random.random() < chance:
            found[keyword] = random.choice(values)

    kind = random.choice(TYPES)
    found: dict[str, Any] = {"type": kind}
    if kind == "object" and depth:
        fields = random.sample(FIELDS, random.randrange(1, 4))
        found["properties"] = {field: schema(random, depth - 1) for field in fields}
        if random.random() < 0.3:
            del found["properties"]
            found["additionalProperties"] = random.choice((True, schema(random, depth - 1)))
        sometimes(0.2, "required", ["a"], ["b", "zz"])
        sometimes(0.1, "x-kubernetes-embedded-resource", True, False)
        sometimes(0.2, "x-kubernetes-preserve-unknown-fields", True, False)
        sometimes(0.1, "x-kubernetes-map-type", "atomic", "granular", "x")
        sometimes(0.1, "maxProperties", 0, 1, -1, 10**12)
    elif kind == "array":
        found["items"] = schema(random, depth - 1) if depth else {"type": "string"}
        sometimes(0.3, "x-kubernetes-list-type", "atomic", "set", "map", "x")
        sometimes(0.2, "x-kubernetes-list-map-keys", ["a"], ["a", "b"], [], ["zz"])
        sometimes(0.2, "maxItems", 0, 3, -1, 10**12)
        sometimes(0.1, "uniqueItems", True, False)
    elif kind == "string":
        sometimes(0.3, "format", *FORMATS)
        sometimes(0.2, "pattern", *PATTERNS)
        sometimes(0.2, "maxLength", 0, 5, -1, 10**12)
        sometimes(0.1, "enum", ["a", "b"], [1], [], [None], ["a", "a"])
    elif kind in ("integer", "number"):
        sometimes(0.2, "maximum", *NUMBERS)
        sometimes(0.1, "multipleOf", *NUMBERS)
    sometimes(0.1, "default", *DEFAULTS)
    sometimes(0.1, "nullable", True, False)
    sometimes(0.05, "x-kubernetes-int-or-string", True)
    for keyword in ("allOf", "anyOf", "not"):
        inner = {"maxLength": 2, "required": ["a"]}
        sometimes(0.03, keyword, inner if keyword == "not" else [inner])
    if random.random() < 0.1:
        found["x-kubernetes-validations"] = [_rule(random)]
    return found


def _rule(random: Random) -> dict:
    more = {
        "message": ("m", "a\nb", ""),
        "messageExpression": ("'x'", "self", "1"),
        "fieldPath": (".a", ".a.b", "['a']", "x"),
        "reason": ("FieldValueRequired", "x"),
        "optionalOldSelf": (True, False),
    }
    chosen = {field: random.choice(values) for field, values in more.items() if random.random() < 0.2}
    return {"rule": random.choice(RULES), **chosen}


def writes(random: Random, made: dict, count: int) -> Iterator[Sent]:
    """Yield writes of objects of a kind."""
    names, version = made["spec"]["names"], made["spec"]["versions"][0]
    collection = f"/apis/{GROUP}/{VERSION}/namespaces/default/{names['plural']}"
    fields = version["schema"]["openAPIV3Schema"]["properties"]
    for _ in range(count):
        name = random.choice(("a", "b", "c"))
        obj = {"apiVersion": f"{GROUP}/{VERSION}", "kind": names["kind"], "metadata": {"name": name}}
        obj |= {field: value(random, inner, 5) for field, inner in fields.items()}
        path = f"{collection}/{name}" + random.choice(("", "", "/status", "/scale"))
        patch = {field: obj[field] for field in ("spec", "status")}
        query = random.choice(("", "", "?fieldValidation=Strict", "?dryRun=All"))
        yield random.choice(
            (
                ("POST", f"{collection}{query}", json.dumps(obj).encode(), "application/json"),
                ("PUT", path, json.dumps(obj).encode(), "application/json"),
                ("PATCH", path, json.dumps(patch).encode(), "application/merge-patch+json"),
                (
                    "PATCH",
                    f"{path}?fieldManager=f&force=true",
                    json.dumps(obj).encode(),
                    "application/apply-patch+yaml",
                ),
            )
        )


def value(random: Random, of: dict, depth: int) -> Any:
    """Return a value, of a schema's type nine times of ten."""
    kind = of.get("type") if random.random() < 0.9 else random.choice((*TYPES, None))
    if kind == "object" and depth:
        extra = of.get("additionalProperties")
        known = of.get("properties") or dict.fromkeys(FIELDS, extra if isinstance(extra, dict) else {})
        chosen = [field for field in known if random.random() < 0.7]
        more = {random.choice(FIELDS): value(random, {}, depth - 1)} if random.random() < 0.1 else {}
        return {field: value(random, known[field], depth - 1) for field in chosen} | more
    if kind == "array" and depth:
        return [value(random, of.get("items") or {}, depth - 1) for _ in range(random.randrange(3))]
    if kind == "string":
        return random.choice(TEXTS)
    if kind in ("integer", "number"):
        return random.choice(NUMBERS)
    return random.choice((True, False, None, {}, []))
