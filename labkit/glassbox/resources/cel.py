"""CEL, the language of validation rules: the edge to the library, and Kubernetes' view of objects in it.

A rule is checked once against the types that a schema declares, and evaluated on plain values. The library (Google's
own, in C++) is loaded when the first rule is met.

What Kubernetes adds to the language is in `cel_functions`. A rule that loops too long fails.

Upstream: staging/src/k8s.io/apiserver/pkg/cel/{environment,common}, github.com/google/cel-go
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any

RESERVED = frozenset(
    [
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import"),
        *("let", "loop", "package", "namespace", "return", "var", "void", "while"),
    ]
)
ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))
# The library's words → cel-go's.
COMPILED = (
    (
        r"expression of type '(.*?)' cannot be the operand of a select operation",
        r"type '\1' does not support field selection",
    ),
    (r"undefined field '(.*?)' not found in struct '.*?'", r"undefined field '\1'"),
)
EVALUATED = (
    (r'NOT_FOUND: Key not found in map : "(.*)"', r"no such key: \1"),
    (r".*Index error: index=(-?\d+) size=\d+", r"index out of bounds: \1"),
    (r".*No matching overloads found.*", "no such overload"),
    (r".*divide by zero", "division by zero"),
    (r"[A-Z_]+: (.*)", r"\1"),
)
# Numbers of different types may be compared in Kubernetes, and the library does it; its checker does not know.
COMPARISON = re.compile(r"found no matching overload for '_[<>]=?_' applied to '\((u?int|double), (u?int|double)\)'")
UNDECLARED = re.compile(
    r"<input>:(?P<line>\d+):\d+: undeclared reference to '(?P<name>\w+)\.[\w.]+' \(in container ''\)"
    r"\n \| (?P<text>.*)\n \| \.*\^"
)
UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
WELL_KNOWN = {
    "date-time": "google.protobuf.Timestamp",
    "date": "google.protobuf.Timestamp",
    "duration": "google.protobuf.Duration",
}
GO_TYPES = {"TIMESTAMP": WELL_KNOWN["date"], "DURATION": WELL_KNOWN["duration"], "NULL": "null_type"}
SCALARS = {"string": "STRING", "integer": "INT", "number": "DOUBLE", "boolean": "BOOL"}
AUTHORIZERS = {"authorizer": "Authorizer", "authorizer.requestResource": "ResourceCheck"}  # variables → their types
PACKAGE = "schema"
NO_OPTIONALS = "functions of lists beside maps that may hold optionals are not supported by this server"
# A text in an expression; one that has no end goes to the expression's.
TEXT = r"""\"{3}.*?(?:\"{3}|\Z)|'{3}.*?(?:'{3}|\Z)|"(?:\\.|[^"\\])*+(?:"|\Z|\\)|'(?:\\.|[^'\\])*+(?:'|\Z|\\)"""


class BadExpression(ValueError):
    """An expression that does not compile: cel-go's words."""


class Failed(Exception):
    """An expression that came to no value."""


class IsOptional(Failed):
    """An expression that came to an optional, which is a value within an expression alone."""


@cache
def library() -> Any:
    """Return the library."""
    from cel_expr_python import cel

    return cel


@cache
def extensions(has_optionals: bool = True) -> list:
    from cel_expr_python.ext import ext_optional, ext_strings

    return [ext_strings.ExtStrings(), *([ext_optional.ExtOptional()] if has_optionals else [])]


def typed(variables: Iterable[str]) -> dict[str, Any]:
    """Return the types of variables: those of the authorizers are known, all others are of any."""
    from labkit.glassbox.resources import cel_functions

    return {name: cel_functions.type_of(AUTHORIZERS.get(name, "dyn")) for name in variables}


def compile_in(text: str, variables: Iterable[str] | dict[str, Any], types: Types | None = None) -> Any:
    """Return an expression, compiled; variables that come without a type are of any. Raises RuntimeError."""
    from labkit.glassbox.resources import cel_functions

    cel = library()
    given = variables if isinstance(variables, dict) else dict.fromkeys(variables, cel.Type.DYN)
    if cel_functions.may_take_optionals(text):
        raise RuntimeError(f"ERROR: <input>:1:1: {NO_OPTIONALS}")
    functions = [*(types.functions if types else ()), *cel_functions.declared(text)]
    pool = (types or Types()).pool() if types or functions or "authorizer" in text else None
    if pool:
        cel_functions.add_types(pool)
    used = extensions(not cel_functions.replaces_optionals(text))
    return cel.NewEnv(pool, variables=given, extensions=used, functions=functions).compile(text)


# -- evaluation


@lru_cache(maxsize=2048)
def program(expression: str, variables: tuple[str, ...]) -> Any:
    """Return an expression, ready to run on values of any types."""
    return compile_in(expression, variables)


def evaluate(expression: str, values: dict[str, Any], ready: Callable[..., Any] = program) -> Any:
    """Return what an expression comes to. Raises Failed."""
    try:
        found = ready(expression, tuple(values)).eval(data=values)
    except RuntimeError as error:
        if "convertable" in str(error):  # as the library spells it: to JSON, of a value in a patch
            raise Failed(in_go_words(str(error).partition(" [")[0], EVALUATED)) from None
        raise Failed("operation cancelled: actual cost limit exceeded") from error  # too many iterations
    return plain(found)


def failing(told: str) -> str:
    """Return an expression that fails with these words."""
    return f"fails__({json.dumps(told, ensure_ascii=False)})"


def plain(found: Any) -> Any:
    """Return the library's value as Python's. Raises Failed."""
    kind = found.type().name().partition("<")[0]
    if kind == "LIST":
        return [plain(each) for each in found.value()]
    if kind == "MAP":
        return {name: plain(each) for name, each in found.value().items()}
    if kind != "ERROR":
        return found.plain_value()
    try:
        told = str(found.value())
    except TypeError:  # an optional is called an error, but has no words
        raise IsOptional("no such overload") from None
    raise Failed(in_go_words(told, EVALUATED))


def in_go_words(text: str, table: tuple[tuple[str, str], ...]) -> str:
    for pattern, words in table:
        if table is COMPILED:
            text = re.sub(pattern, words, text)
        elif re.fullmatch(pattern, text, re.DOTALL):
            return re.sub(pattern, words, text, flags=re.DOTALL)
    return text


# -- checking


def check(expression: str, variables: dict[str, Any], types: Types) -> str:
    """Return the type of an expression: "bool", "list(string)" … Raises BadExpression."""
    return in_go(types.told(compiled(expression, variables, types).return_type().name()))


def compiled(expression: str, variables: dict[str, Any], types: Types) -> Any:
    """Return an expression whose types are checked. Raises BadExpression."""
    text = types.written(expression)
    try:
        return compile_in(text, variables, types)
    except RuntimeError as error:
        faults = re.findall(r"^(?:INVALID_ARGUMENT: )?ERROR: <input>:\d+:\d+: (.*)", str(error), re.MULTILINE)
        if all(COMPARISON.fullmatch(each) for each in faults) and faults:
            return compile_in(text, tuple(variables), types)
        told = re.sub(r"^INVALID_ARGUMENT: | \[INVALID_ARGUMENT\]$", "", str(error))
        told = "\nERROR: ".join(each for each in told.split("\nERROR: ") if "*error*" not in each)  # what only follows
        raise BadExpression(UNDECLARED.sub(_at_its_beginning, in_go_words(types.told(told), COMPILED))) from None


def in_go(kind: str) -> str:
    """Return a type's name as cel-go writes it: "list(string)" for "LIST<STRING>"."""
    kind = kind.replace("<", "(").replace(">", ")")
    return re.sub(r"\b[A-Z]+\b", lambda found: GO_TYPES.get(found[0], found[0].lower()), kind)


def _at_its_beginning(found: re.Match) -> str:
    """Tell of an undeclared name where it begins, not where a field of it is selected."""
    name, text = found["name"], found["text"]
    column = text.find(name) + 1
    told = f"<input>:{found['line']}:{column}: undeclared reference to '{name}'"
    return f"{told} (in container '')\n | {text}\n | {'.' * (column - 1)}^"


class Types:
    """The types that a schema declares: a message for each object with properties."""

    functions: tuple = ()  # what else expressions may call

    def written(self, expression: str) -> str:
        """Return an expression as the library takes it."""
        return expression

    def told(self, text: str) -> str:
        """Return what the library tells, about the types as the expression calls them."""
        return text

    def __init__(self) -> None:
        from google.protobuf import descriptor_pb2

        self.file = descriptor_pb2.FileDescriptorProto(name="schema.proto", package=PACKAGE, syntax="proto2")
        self.file.dependency.extend([f"google/protobuf/{each}.proto" for each in ("struct", "timestamp", "duration")])

    def pool(self) -> Any:
        from google.protobuf import descriptor_pool, duration_pb2, struct_pb2, timestamp_pb2

        pool = descriptor_pool.DescriptorPool()
        for each in (struct_pb2, timestamp_pb2, duration_pb2):
            pool.AddSerializedFile(each.DESCRIPTOR.serialized_pb)
        pool.AddSerializedFile(self.file.SerializeToString())
        return pool

    def of(self, schema: dict, is_root: bool = False) -> Any:
        """Return the type of a value with this schema."""
        kinds = library().Type
        if schema.get("type") == "array":
            return kinds.List(self.of(schema.get("items") or {}))
        if isinstance(extra := schema.get("additionalProperties"), dict):
            return kinds.Map(kinds.STRING, self.of(extra))
        if schema.get("type") == "object":
            return kinds(f"{PACKAGE}.{self.message(schema, is_root)}")
        if (form := WELL_KNOWN.get(schema.get("format", ""))) and schema.get("type") == "string":
            return kinds.DURATION if form.endswith("Duration") else kinds.TIMESTAMP
        if schema.get("format") == "byte" and schema.get("type") == "string":
            return kinds.BYTES
        return getattr(kinds, SCALARS.get(schema.get("type", ""), "DYN"))

    def message(self, schema: dict, is_root: bool = False) -> str:
        """Declare an object's type; return its name."""
        name = f"T{len(self.file.message_type)}"
        declared = self.file.message_type.add(name=name)
        for number, (field, inner) in enumerate(fields_of(schema, is_root), 1):
            told = declared.field.add(name=escaped(field), number=number, label=1, json_name=f"f{number}")
            self.declare(told, inner, declared)
        return name

    def declare(self, field: Any, schema: dict, parent: Any) -> None:
        """Say what type a field has; what protobuf has no type for is of any."""
        kind, extra = schema.get("type"), schema.get("additionalProperties")
        if kind == "array" and (schema.get("items") or {}).get("type") != "array" and not is_map(schema.get("items")):
            field.label = 3
            self.declare(field, schema.get("items") or {}, parent)
        elif isinstance(extra, dict) and extra.get("type") != "array" and not is_map(extra):
            camel = "".join(part[:1].upper() + part[1:] for part in field.name.split("_"))
            entry = parent.nested_type.add(name=f"{camel}Entry")  # as protoc calls it
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, label=1, type=9)
            self.declare(entry.field.add(name="value", number=2, label=1), extra, parent)
            field.label, field.type = 3, 11
            field.type_name = f".{PACKAGE}.{parent.name}.{entry.name}"
        elif kind == "object" and not isinstance(extra, dict):
            field.type, field.type_name = 11, f".{PACKAGE}.{self.message(schema)}"
        elif kind == "string" and schema.get("format") in WELL_KNOWN:
            field.type, field.type_name = 11, f".{WELL_KNOWN[schema['format']]}"
        elif kind in SCALARS:
            is_bytes = kind == "string" and schema.get("format") == "byte"
            field.type = 12 if is_bytes else {"string": 9, "integer": 3, "number": 1, "boolean": 8}[kind]
        else:
            field.type, field.type_name = 11, ".google.protobuf.Value"


def is_map(schema: dict | None) -> bool:
    return isinstance((schema or {}).get("additionalProperties"), dict)


# -- values

META = {"type": "object", "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}}}
ANY = {"x-kubernetes-int-or-string": True}  # of any type
EVERYWHERE = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": META}


def fields_of(schema: dict, is_root: bool) -> Iterator[tuple[str, dict]]:
    """Yield the fields that rules see: those that are specified, with a type, under a name that can be written."""
    own = EVERYWHERE if is_root or schema.get("x-kubernetes-embedded-resource") else {}
    for name, inner in {**(schema.get("properties") or {}), **own}.items():
        if (inner.get("type") or inner.get("x-kubernetes-int-or-string")) and re.fullmatch(r"[A-Za-z_][\w.\-/]*", name):
            yield name, inner


def escaped(name: str) -> str:
    """Return a field's name as rules write it."""
    if name in RESERVED:
        return f"__{name}__"
    for given, written in ESCAPES:
        name = name.replace(given, written)
    return name


def value(given: Any, schema: dict, is_root: bool = False) -> Any:
    """Return a JSON value as rules see it."""
    if isinstance(given, dict):
        if isinstance(extra := schema.get("additionalProperties"), dict):
            return {name: value(item, extra) for name, item in given.items()}
        seen = dict(fields_of(schema, is_root))
        return {escaped(name): value(item, seen[name]) for name, item in given.items() if name in seen}
    if isinstance(given, list):
        return [value(item, schema.get("items") or {}) for item in given]
    if schema.get("type") == "number" and isinstance(given, int) and not isinstance(given, bool):
        return float(given)
    if schema.get("type") == "integer" and isinstance(given, float):
        return int(given)
    return moment(given, schema["format"]) if isinstance(given, str) and schema.get("format") else given


def again(value: Any) -> Any:
    """Return what an expression came to in a form in which another can be given it."""
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp

    if isinstance(value, dict):
        return {name: again(item) for name, item in value.items()}
    if isinstance(value, list):
        return [again(item) for item in value]
    if isinstance(value, datetime):
        stamp = Timestamp()
        stamp.FromDatetime(value)
        return stamp
    if isinstance(value, timedelta):
        span = Duration()
        span.FromTimedelta(value)
        return span
    return value


def moment(text: str, form: str) -> Any:
    """Return a text of a format that rules see as more than text."""
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp

    if form == "byte":
        return base64.b64decode(text)
    if form in ("date", "date-time"):
        parsed = Timestamp()
        parsed.FromDatetime(datetime.fromisoformat(text.upper() if form == "date-time" else f"{text}T00:00:00+00:00"))
        return parsed
    if form == "duration":
        parts = re.findall(r"(?<![\d.])([\d.]++)\s*(ns|us|µs|ms|s|m|h)", text)
        nanos = sum(int(float(number) * UNITS[unit]) for number, unit in parts) * (-1 if text.startswith("-") else 1)
        return Duration(seconds=int(nanos / 10**9), nanos=int(abs(nanos) % 10**9) * (1 if nanos >= 0 else -1))
    return text
