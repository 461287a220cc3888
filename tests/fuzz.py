"""Requests as no client would send them: objects by the definitions with something wrong, patches, broken bytes.

All chance comes from one Random, so that a seed names a request for ever.
"""

import json
import struct
from collections.abc import Iterator
from random import Random

from labkit.glassbox.apiserver.definitions import definition, definitions, reference, type_of
from labkit.glassbox.apiserver.protobuf import MAGIC, SPECIAL, message_of, messages
from labkit.glassbox.resources import REGISTRY, Resource

METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
PATCHES = ("json-patch", "merge-patch", "strategic-merge-patch")
WORDS = (
    "",
    "a",
    "b",
    "A_",
    "default",
    "1",
    "-1",
    "100m",
    "10Gi",
    "1e400",
    "50%",
    "ä\u2028\U0001f600",
    "a/b",
    "x" * 300,
)
WORDS += ("2024-01-01T00:00:00Z", "10.96.0.9", "fe80::1", "Always", "ClusterIP", "*/5 * * * *", "\0", "$patch", "~1")
NUMBERS = (0, 1, -1, 80, 65536, 2**31, -(2**63), 2**64, 1.5, 1e300)
Sent = tuple[str, str, bytes | None, str]  # method, path, body, content type


def requests(random: Random, namespace: str, kinds: list[Resource]) -> Iterator[Sent]:
    """Yield requests for ever."""
    while True:
        resource = random.choice(kinds)
        name = random.choice(("a", "b", "c"))
        path = resource.path(namespace if resource.namespaced else None, name)
        yield random.choices((_create, _update, _patch, _read, _delete, _broken), (5, 3, 5, 2, 1, 1))[0](
            random, resource, path, name
        )


def kinds() -> list[Resource]:
    """Return what can be created by an object and whose writing harms no other test."""
    left_out = ("namespaces", "nodes", "serviceaccounts", "customresourcedefinitions")
    return [each for each in REGISTRY.all() if "create" in each.verbs and each.plural not in left_out]


def _create(random: Random, resource: Resource, path: str, name: str) -> Sent:
    obj = thing(random, resource, name)
    where = path.rpartition("/")[0] + _options(random)
    if random.random() < 0.3 and (encoded := protobuf(random, resource)):
        return "POST", where, encoded, "application/vnd.kubernetes.protobuf"
    return "POST", where, json.dumps(obj).encode(), random.choice(("application/json",) * 4 + ("application/yaml",))


def _update(random: Random, resource: Resource, path: str, name: str) -> Sent:
    path += random.choice(["", *(f"/{each}" for each in sorted(resource.subresources))])
    return "PUT", path + _options(random), json.dumps(thing(random, resource, name)).encode(), "application/json"


def _patch(random: Random, resource: Resource, path: str, name: str) -> Sent:
    path += random.choice(["", "", "", *(f"/{each}" for each in sorted(resource.subresources))])
    kind, obj = random.choice(PATCHES), thing(random, resource, name)
    document = operations(random, obj) if kind == "json-patch" else directives(random, obj)
    return "PATCH", path + _options(random), json.dumps(document).encode(), f"application/{kind}+json"


def _read(random: Random, resource: Resource, path: str, name: str) -> Sent:
    words = ("limit", "continue", "resourceVersion", "resourceVersionMatch", "labelSelector", "fieldSelector", "pretty")
    words += ("sendInitialEvents", "timeoutSeconds", "allowWatchBookmarks")
    values = ("", "0", "1", "-1", "99999999999999999999", "a in (b", "a=b,!c", "metadata.name=a", "Exact", "true", "é")
    query = "&".join(f"{random.choice(words)}={quoted(random.choice(values))}" for _ in range(random.randrange(4)))
    return "GET", random.choice((path, path.rpartition("/")[0])) + "?" + query, None, ""


def _delete(random: Random, resource: Resource, path: str, name: str) -> Sent:
    options = value(random, "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", 2)
    return "DELETE", path + _options(random), json.dumps(options).encode(), "application/json"


def _broken(random: Random, resource: Resource, path: str, name: str) -> Sent:
    body = bytearray(protobuf(random, resource) or json.dumps(thing(random, resource, name)).encode())
    for _ in range(random.randrange(1, 4)):
        body[random.randrange(len(body))] = random.randrange(256)
    media = random.choice(("json", "yaml", "vnd.kubernetes.protobuf", "merge-patch+json", "x"))
    method = random.choice(("POST", "PUT", "PATCH", "DELETE"))
    return method, path if method != "POST" else path.rpartition("/")[0], bytes(body), f"application/{media}"


def quoted(text: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "".join(f"%{b:02x}" for b in c.encode()) for c in text)


def _options(random: Random) -> str:
    chosen = random.choice(("", "", "", "dryRun=All", "fieldValidation=Strict", "fieldValidation=Ignore", "force=true"))
    return f"?{chosen}&fieldManager={quoted(random.choice(WORDS))}"


# --- objects


def thing(random: Random, resource: Resource, name: str) -> dict:
    """Return an object of that kind by its definition, more or less."""
    obj = value(random, resource.definition, 7)
    if not isinstance(obj, dict):
        obj = {}
    obj |= {"kind": resource.kind, "apiVersion": resource.api_version}
    if random.random() < 0.9:
        obj["metadata"] = {"name": name, "labels": {"a": "b"}}
    if random.random() < 0.1 and isinstance(more := value(random, METADATA, 2), dict):
        obj["metadata"] = {"name": name} | more
    return obj


def value(random: Random, name: str, depth: int):
    """Return a value of a definition; now and then of another type."""
    return _of(random, definition(name), depth)


def _of(random: Random, schema: dict, depth: int):
    if random.random() < 0.02:
        return junk(random)
    if name := reference(schema):
        return _of(random, definitions()[name], depth)
    if "properties" in schema:
        required = set(schema.get("required") or ())
        chosen = [each for each in schema["properties"] if each in required or random.random() < 0.3]
        return {each: _of(random, schema["properties"][each], depth - 1) for each in chosen if depth > 0}
    kind = type_of(schema)
    if kind == "array":
        return [_of(random, schema["items"], depth - 1) for _ in range(random.randrange(3))] if depth > 0 else []
    if kind == "object":
        inner = schema.get("additionalProperties") or {"type": "string"}
        return {random.choice(WORDS): _of(random, inner, depth - 1) for _ in range(random.randrange(3))}
    if kind == "boolean":
        return random.random() < 0.5
    if kind in ("integer", "number"):
        return random.choice(NUMBERS[:5]) if random.random() < 0.9 else random.choice(NUMBERS)
    return random.choice(schema.get("enum") or WORDS) if kind == "string" else junk(random)


def junk(random: Random):
    return random.choice((None, True, [], {}, [None], {"": None}, random.choice(NUMBERS), random.choice(WORDS)))


def operations(random: Random, obj: dict) -> list:
    """Return a JSON patch of places in such an object, some of which there are."""
    made = []
    for _ in range(random.randrange(4)):
        names = ("add", "remove", "replace", "test", "copy", "move", "jump")
        one = {"op": random.choice(names), "path": pointer(random, obj), "value": junk(random)}
        one["from"] = pointer(random, obj)
        made.append(
            {key: one[key] for key in one if random.random() < 0.95} if random.random() < 0.97 else junk(random)
        )
    return made


def pointer(random: Random, at) -> str:
    """Return the path to a place, or to one beside it."""
    path = ""
    while at and isinstance(at, dict | list) and random.random() < 0.8:
        step = random.randrange(len(at)) if isinstance(at, list) else random.choice(list(at))
        at, path = at[step], f"{path}/{str(step).replace('~', '~0').replace('/', '~1')}"
    return path + random.choice(("", "", "", "/-", "/x", "/0", "/-1", "x", "/~2"))


def directives(random: Random, at):
    """Return the value as a patch: with nulls and directives in it."""
    if isinstance(at, list):
        return [directives(random, each) for each in at]
    if not isinstance(at, dict):
        return None if random.random() < 0.05 else at
    made = {key: directives(random, each) for key, each in at.items()}
    if random.random() < 0.1:
        field = random.choice([*at, "x"])
        name = random.choice(
            ("$patch", "$retainKeys", f"$setElementOrder/{field}", f"$deleteFromPrimitiveList/{field}")
        )
        made[name] = random.choice(("delete", "replace", "merge", ["a"], [field], [{"name": "a"}], junk(random)))
    return made


# --- protobuf


def protobuf(random: Random, resource: Resource) -> bytes:
    """Return a body by the messages' table; nothing for a kind that has no message."""
    try:
        message = message_of(resource.api_version, resource.kind)
    except ValueError:
        return b""
    meta = _field(1, 2, _field(1, 2, resource.api_version.encode()) + _field(2, 2, resource.kind.encode()))
    return MAGIC + meta + _field(2, 2, _message(random, message, 6))


def _message(random: Random, message: str, depth: int) -> bytes:
    table, package = messages().get(message), message.rpartition(".")[0]
    if not table or depth == 0 or message.removeprefix("k8s.io.") in SPECIAL:
        return random.choice(
            (b"", b"\x08\x01", b"\x0a\x011", b"\x0a\xff", b"\x10\x05", b"\x1a\x02{}", b"\x08\xff\xff\xff\x7f")
        )
    chosen = [number for number in table if random.random() < 0.3 or number == 1]
    return b"".join(_typed(random, number, table[number][1], package, depth) for number in chosen)


def _typed(random: Random, number: int, kind: str, package: str, depth: int) -> bytes:
    if random.random() < 0.01:
        return _field(number, random.choice((0, 1, 2, 5)), random.choice((b"", b"12345678", b"\xff\xfe")))
    if kind.startswith("[]"):
        return b"".join(_typed(random, number, kind[2:], package, depth) for _ in range(random.randrange(3)))
    if kind.startswith("map "):
        return _field(number, 2, _field(1, 2, b"k") + _typed(random, 2, kind[4:], package, depth))
    if kind in ("string", "bytes"):
        return _field(number, 2, random.choice(WORDS).encode())
    if kind in ("bool", "int32", "int64"):
        return _field(number, 0, random.choice((0, 1, 80, 2**64 - 1)))
    if kind == "double":
        return _field(number, 1, struct.pack("<d", 0.5))
    return _field(number, 2, _message(random, kind if kind in messages() else f"{package}.{kind}", depth - 1))


def _field(number: int, wire: int, data: bytes | int) -> bytes:
    if wire == 0:
        return _varint(number << 3) + _varint(data if isinstance(data, int) else len(data))
    assert isinstance(data, bytes)
    sized = _varint(len(data)) + data if wire == 2 else data.ljust(8 if wire == 1 else 4)[: 8 if wire == 1 else 4]
    return _varint(number << 3 | wire) + sized


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))
