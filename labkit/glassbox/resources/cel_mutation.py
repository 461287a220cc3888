"""CEL that makes patches: `Object{…}` for an apply configuration, `[JSONPatch{…}]` for a list of operations.

Objects have whatever fields an expression names, of any type: whether they fit the kind shows when they are merged.
The library wants a message for each type that an expression makes, and in none may a field and an inner message have
the same name. So `Object.spec` stands for a message Object_spec, and expressions are rewritten, letter for letter, for
errors to point at the right place. What is evaluated also has each object's type in it, in a field of its own, by
which is seen whether the object stands where its type belongs.

Left out: whole numbers beyond 2^53, which become texts, as in protobuf's JSON.

Upstream: staging/src/k8s.io/apiserver/pkg/cel/mutation/{dynamic/objects,jsonpatch,typeresolver}.go
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from labkit.glassbox.resources import cel

OBJECT, OPERATIONS = "Object", "list(JSONPatch)"  # what expressions come to
TYPE = "T__"  # the field in which an object has its type
MOST_FIELDS = 100_000  # of all types together
VALUE, TEXT, MESSAGE = ".google.protobuf.Value", 9, 11
LITERAL = re.compile(
    cel.TEXT + r"|//[^\n]*"
    r"|(?<![\w.])(?P<type>Object(?:\.[A-Za-z_]\w*)*)(?P<open>\s*\{)",
    re.DOTALL,
)


class Patches(cel.Types):
    """The types that an expression makes."""

    def __init__(self, expression: str):
        super().__init__()
        self.names = {OBJECT: OBJECT}  # the library's → the expression's
        made = [each["type"] for each in LITERAL.finditer(expression) if each["type"]]
        self.names |= {each.replace(".", "_"): each for each in made}
        self.fields = sorted({*re.findall(r"[A-Za-z_]\w*", expression), TYPE})
        if len(self.names) * len(self.fields) > MOST_FIELDS:
            raise cel.BadExpression(
                f"{len(self.names)} types with {len(self.fields)} names are more than is taken here"
            )
        kinds = cel.library().Type
        escape = cel.library().Overload("jsonpatch_escapeKey", kinds.STRING, [kinds.STRING], False, escaped)
        self.functions = (cel.library().FunctionDecl("jsonpatch.escapeKey", [escape]),)

    def pool(self) -> Any:
        from google.protobuf import descriptor_pb2

        made = descriptor_pb2.FileDescriptorProto(name="patches.proto", syntax="proto2")
        made.dependency.append("google/protobuf/struct.proto")
        types = {name: dict.fromkeys(self.fields, VALUE) for name in self.names}
        types["JSONPatch"] = {"op": "", "path": "", "from": "", "value": VALUE}  # "" is a text
        for name, fields in types.items():
            message = made.message_type.add(name=name)
            for number, (field, kind) in enumerate(fields.items(), 1):
                more = {"type": MESSAGE, "type_name": kind} if kind else {"type": TEXT}
                message.field.add(name=field, json_name=field, number=number, label=1, **more)
        pool = super().pool()
        pool.AddSerializedFile(made.SerializeToString())
        return pool

    def written(self, expression: str) -> str:
        return LITERAL.sub(_flat, expression)

    def told(self, text: str) -> str:
        return re.sub(r"\bObject_\w+", lambda found: self.names.get(found[0], found[0]), text)


def _flat(found: re.Match) -> str:
    return found["type"].replace(".", "_") + found["open"] if found["type"] else found[0]


def _typed(found: re.Match) -> str:
    return f'{_flat(found)}{TYPE}: "{found["type"]}", ' if found["type"] else found[0]


def escaped(key: str) -> str:
    """Return a key as it stands in the path of an operation."""
    return key.replace("~", "~0").replace("/", "~1")


@lru_cache(maxsize=512)
def program(expression: str, variables: tuple[str, ...]) -> Any:
    """Return an expression that makes patches, ready to run."""
    return cel.compile_in(LITERAL.sub(_typed, expression), variables, Patches(expression))


def evaluate(expression: str, values: dict[str, Any]) -> Any:
    """Return the apply configuration, or the operations, that an expression comes to. Raises Failed."""
    from google.protobuf.json_format import MessageToDict

    found = cel.evaluate(expression, values, program)
    if not isinstance(found, list):
        return _plain(MessageToDict(found), OBJECT)
    operations = [MessageToDict(each) for each in found]
    return [{name: _plain(value, _type_of(value)) for name, value in each.items()} for each in operations]


def _type_of(value: Any) -> str:
    return value.get(TYPE, OBJECT) if isinstance(value, dict) else OBJECT


def _plain(value: Any, path: str) -> Any:
    """Return a value without its objects' types. Raises Failed where one stands at another's place."""
    if isinstance(value, list):
        return [_plain(item, path) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, dict):
        return value
    if (told := value.pop(TYPE, None)) is None:
        return {name: _plain(item, path) for name, item in value.items()}
    if told != path:
        raise cel.Failed(
            f'type mismatch: unexpected type name "{told}", expected "{path}", which matches field name path from root '
            "Object type"
        )
    return {name: _plain(item, f"{path}.{name}") for name, item in value.items()}
