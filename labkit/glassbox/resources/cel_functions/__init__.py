"""What Kubernetes adds to CEL: the functions that an expression calls, declared to the library when it names them.

A value of a type that is Kubernetes' own travels through the library as a message with one text, and is a Python value
to the functions. The library tells overloads apart by the kinds of their operands alone, so that those that differ in
a message's type, or in a list's items, share one function.

Left out: `string(…)` of an address, `indexOf` and `reverse` of a list (the library's own functions take no overloads),
macros with two variables, `sortBy`.

Upstream: staging/src/k8s.io/apiserver/pkg/cel/{environment/base.go,library}
"""

from __future__ import annotations

import ipaddress
import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from labkit.glassbox.resources.cel_functions import access, lists, nets, quantities, texts, urls, versions

SCALARS = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")
SUMMABLE = ("int", "uint", "double", "duration")
CALLED = re.compile(r"\b([A-Za-z_]\w*+)\s*+\(")


@dataclass(frozen=True)
class Own:
    """A type of Kubernetes' own: how the library calls it, which Python value it is, and how that is a text."""

    name: str
    python: tuple[type, ...]
    read: Callable[[str], Any]
    write: Callable[[Any], str]


def _json(name: str, kind: type) -> Own:
    return Own(name, (kind,), lambda text: kind(json.loads(text)), lambda value: json.dumps(value, sort_keys=True))


OWN = {
    "Quantity": Own("kubernetes.Quantity", (Decimal,), Decimal, quantities.text),
    "URL": Own("kubernetes.URL", (urls.Url,), urls.parse, lambda url: url.text),
    "Semver": Own("kubernetes.Semver", (versions.Version,), versions.parse, str),
    "Format": Own("kubernetes.NamedFormat", (texts.Format,), texts.Format, str),
    "?Format": Own("kubernetes.OptionalNamedFormat", (texts.Known,), texts.Known, str),
    "?list<string>": _json("kubernetes.OptionalTexts", texts.Faults),
    "IP": Own("net.IP", (ipaddress.IPv4Address, ipaddress.IPv6Address), ipaddress.ip_address, str),
    "CIDR": Own("net.CIDR", (ipaddress.IPv4Interface, ipaddress.IPv6Interface), ipaddress.ip_interface, str),
    **{
        kind.__name__: _json(f"kubernetes.authorization.{kind.__name__}", kind)
        for kind in (access.Authorizer, access.PathCheck, access.GroupCheck, access.ResourceCheck, access.Decision)
    },
}
BY_NAME = {own.name: own for own in OWN.values()}
BY_PYTHON = {kind: own for own in OWN.values() for kind in own.python}


def _of_lists(result: str, items: tuple[str, ...]) -> tuple[str, ...]:
    """Return the overloads of a list's function: first that for a list of who knows what, which implements them all."""
    return ("list<?> . -> dyn", *(f"list<{item}> . -> {result or item}" for item in items))


IMPLEMENTED: dict[str, tuple] = {  # name → (function, "receiver . operands -> result", …)
    "quantity": (quantities.parse, "string -> Quantity"),
    "isQuantity": (quantities.is_one, "string -> bool"),
    "sign": (quantities.sign, "Quantity . -> int"),
    "asInteger": (quantities.integer, "Quantity . -> int"),
    "isInteger": (quantities.is_integer, "Quantity . -> bool"),
    "asApproximateFloat": (float, "Quantity . -> double"),
    "add": (quantities.add, "Quantity . Quantity -> Quantity", "Quantity . int -> Quantity"),
    "sub": (quantities.sub, "Quantity . Quantity -> Quantity", "Quantity . int -> Quantity"),
    "isGreaterThan": (operator.gt, "Quantity . Quantity -> bool", "Semver . Semver -> bool"),
    "isLessThan": (operator.lt, "Quantity . Quantity -> bool", "Semver . Semver -> bool"),
    "compareTo": (lambda a, b: (a > b) - (a < b), "Quantity . Quantity -> int", "Semver . Semver -> int"),
    "semver": (versions.parse, "string -> Semver", "string bool -> Semver"),
    "isSemver": (versions.is_one, "string -> bool", "string bool -> bool"),
    "major": (operator.attrgetter("major"), "Semver . -> int"),
    "minor": (operator.attrgetter("minor"), "Semver . -> int"),
    "patch": (operator.attrgetter("patch"), "Semver . -> int"),
    "url": (urls.converted, "string -> URL"),
    "isURL": (urls.is_one, "string -> bool"),
    "getScheme": (operator.attrgetter("scheme"), "URL . -> string"),
    "getHost": (operator.attrgetter("host"), "URL . -> string"),
    "getHostname": (urls.hostname, "URL . -> string"),
    "getPort": (urls.port, "URL . -> string"),
    "getEscapedPath": (urls.escaped_path, "URL . -> string"),
    "getQuery": (urls.query, "URL . -> map<string, list<string>>"),
    "ip": (nets.ip, "string -> IP", "CIDR . -> IP"),
    "isIP": (nets.is_ip, "string -> bool"),
    "ip.isCanonical": (nets.is_canonical, "string -> bool"),
    "family": (operator.attrgetter("version"), "IP . -> int"),
    "isUnspecified": (operator.attrgetter("is_unspecified"), "IP . -> bool"),
    "isLoopback": (operator.attrgetter("is_loopback"), "IP . -> bool"),
    "isLinkLocalMulticast": (nets.is_link_local_multicast, "IP . -> bool"),
    "isLinkLocalUnicast": (operator.attrgetter("is_link_local"), "IP . -> bool"),
    "isGlobalUnicast": (nets.is_global_unicast, "IP . -> bool"),
    "cidr": (nets.cidr, "string -> CIDR"),
    "isCIDR": (nets.is_cidr, "string -> bool"),
    "containsIP": (nets.contains_ip, "CIDR . string -> bool", "CIDR . IP -> bool"),
    "containsCIDR": (nets.contains_cidr, "CIDR . string -> bool", "CIDR . CIDR -> bool"),
    "masked": (nets.masked, "CIDR . -> CIDR"),
    "prefixLength": (lambda cidr: cidr.network.prefixlen, "CIDR . -> int"),
    "find": (texts.find, "string . string -> string"),
    "findAll": (texts.find_all, "string . string -> list<string>", "string . string int -> list<string>"),
    "format.named": (texts.Known, "string -> ?Format"),
    **{f"format.{name}": (texts.constant(name), "-> Format") for name in texts.FORMATS},
    "validate": (texts.validate, "Format . string -> ?list<string>"),
    "hasValue": (bool, "?Format . -> bool", "?list<string> . -> bool"),
    "value": (texts.value, "?Format . -> dyn", "?list<string> . -> list<string>"),
    "isSorted": (lists.is_sorted, *_of_lists("bool", SCALARS)),
    "sum": (lists.total, *_of_lists("", SUMMABLE)),
    "min": (lists.least, *_of_lists("", SCALARS)),
    "max": (lists.most, *_of_lists("", SCALARS)),
    "slice": (lists.part, "list<dyn> . int int -> list<dyn>"),
    "flatten": (lists.flat, "list<dyn> . -> list<dyn>", "list<dyn> . int -> list<dyn>"),
    "sort": (lists.ordered, "list<dyn> . -> list<dyn>"),
    "distinct": (lists.distinct, "list<dyn> . -> list<dyn>"),
    "lists.range": (lists.numbers, "int -> list<int>"),
    "sets.contains": (lists.contains, "list<dyn> list<dyn> -> bool"),
    "sets.equivalent": (lists.equivalent, "list<dyn> list<dyn> -> bool"),
    "sets.intersects": (lists.intersects, "list<dyn> list<dyn> -> bool"),
    "fails__": (texts.fail, "string -> dyn"),  # the kit's own: what stands for a variable that fails
    "path": (access.path, "Authorizer . string -> PathCheck"),
    "group": (access.group, "Authorizer . string -> GroupCheck"),
    "serviceAccount": (access.service_account, "Authorizer . string string -> Authorizer"),
    "resource": (access.resource, "GroupCheck . string -> ResourceCheck"),
    **{name: (access.narrowed(name), "ResourceCheck . string -> ResourceCheck") for name in access.NARROWED},
    "check": (access.check, "PathCheck . string -> Decision", "ResourceCheck . string -> Decision"),
    "allowed": (operator.itemgetter("allowed"), "Decision . -> bool"),
    "reason": (operator.itemgetter("reason"), "Decision . -> string"),
    "errored": (lambda decision: False, "Decision . -> bool"),
    "error": (lambda decision: "", "Decision . -> string"),
}
OF_OPTIONALS = ("hasValue", "value")  # the library has these too
OF_LISTS = tuple(name for name, (_, first, *_) in IMPLEMENTED.items() if first.startswith("list"))
OPTIONAL = re.compile(r"\boptional\.|\.\?|\[\?")


def called(expression: str) -> list[str]:
    """Return which of the functions an expression may call; those that the library has as well only for formats."""
    names = set(CALLED.findall(expression))
    found = [name for name in IMPLEMENTED if name.rpartition(".")[2] in names]
    return found if replaces_optionals(expression) else [name for name in found if name not in OF_OPTIONALS]


def replaces_optionals(expression: str) -> bool:
    """Tell whether `hasValue` is meant of a format's findings, whose type cannot be the library's own."""
    return bool(re.search(r"\bformat\.", expression)) and ".?" not in expression and "optional." not in expression


def may_take_optionals(expression: str) -> bool:
    """Tell whether a function may be given a map of optionals, which the library does not outlive."""
    of_lists = any(name in OF_LISTS for name in called(expression))
    return of_lists and "{" in expression and bool(OPTIONAL.search(expression))


def declared(expression: str) -> list[Any]:
    """Return the declarations of what an expression calls."""
    return [_declaration(name) for name in called(expression)]


def add_types(pool: Any) -> None:
    """Add the types to a pool of descriptors."""
    for file in _files()[0]:
        pool.AddSerializedFile(file)


def packed(value: Any) -> Any:
    """Return a value as the library takes it."""
    from labkit.glassbox.resources import cel

    own = BY_PYTHON.get(type(value))
    return _files()[1][own.name](text=own.write(value)) if own else cel.again(value)


def _unpacked(value: Any) -> Any:
    own = BY_NAME.get(value.DESCRIPTOR.full_name) if hasattr(value, "DESCRIPTOR") else None
    return own.read(value.text) if own else value


@cache
def _files() -> tuple[list[bytes], dict[str, Any]]:
    """Return the declaration of the types and the class of each."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    pool, files = descriptor_pool.DescriptorPool(), []
    for package in sorted({own.name.rpartition(".")[0] for own in OWN.values()}):
        file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
        for own in OWN.values():
            if own.name.rpartition(".")[0] == package:
                message = file.message_type.add(name=own.name.rpartition(".")[2])
                message.field.add(name="text", number=1, label=1, type=9)
        files.append(file.SerializeToString())
        pool.AddSerializedFile(files[-1])
    classes = {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in BY_NAME}
    return files, classes


@cache
def _declaration(name: str) -> Any:
    from cel_expr_python import cel

    function, *signatures = IMPLEMENTED[name]
    overloads, known = [], set()
    for number, (given, result, is_member) in enumerate(map(_signature, signatures)):
        kinds = (is_member, *map(_kind, given))
        implementation = {} if kinds in known else {"impl": _adapted(function)}
        known.add(kinds)
        overloads.append(
            cel.Overload(f"{name}_{number}", type_of(result), list(map(type_of, given)), is_member, **implementation)
        )
    return cel.FunctionDecl(name, overloads)


def _signature(text: str) -> tuple[list[str], str, bool]:
    given, _, result = text.rpartition("->")
    return [part for part in given.split() if part != "."], result.strip(), "." in given


def _kind(name: str) -> str:
    """Return a type as the library tells it from others when a function is called."""
    return "message" if name in OWN else name.partition("<")[0]


def type_of(name: str) -> Any:
    """Return the library's type of a name in a signature."""
    from cel_expr_python import cel

    if name == "list<?>":
        return cel.Type.List(cel.Type.AbstractType("unknown"))
    return cel.Type(OWN[name].name if name in OWN else name)


def _adapted(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*given: Any) -> Any:
        try:
            return packed(function(*map(_unpacked, given)))
        except (AttributeError, KeyError, TypeError):  # another message than the one that is meant
            raise ValueError("no such overload") from None

    return call
