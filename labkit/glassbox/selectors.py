"""Label and field selectors: parsed once, then asked of many objects.

A label requirement is key, operator, values; an object matches a selector when it meets every requirement. `!=` and
`notin` are also met by an object without the key, as upstream has it.

Upstream: staging/src/k8s.io/apimachinery/pkg/labels/selector.go, …/fields/selector.go
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labkit.glassbox.errors import bad_request

TOKEN = re.compile(r"\s*(==|!=|[=!,()<>]|[^\s=!,()<>]+)")
TERM = re.compile(r"(?:\\.|[^\\,]|\\$)+", re.DOTALL)  # of a field selector: up to a comma that is not escaped
NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
NAME_RULE = (
    " must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    f"'{SUBDOMAIN.pattern.replace('?:', '')}')"
)
BINARY = {"in": "in", "notin": "notin", "=": "=", "==": "=", "!=": "!=", ">": "gt", "<": "lt"}
VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


@dataclass(frozen=True)
class Requirement:
    """key, operator ("=", "in", "!=", "notin", "exists", "!", "gt", "lt"), values."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def is_met_by(self, labels: dict[str, str]) -> bool:
        value = labels.get(self.key)
        if self.operator == "exists":
            return value is not None
        if self.operator == "!":
            return value is None
        if self.operator in ("=", "in"):
            return value in self.values
        if self.operator in ("!=", "notin"):
            return value not in self.values
        return value is not None and _compare(value, self.operator, self.values[0])


def _compare(value: str, operator: str, bound: str) -> bool:
    try:
        return int(value) > int(bound) if operator == "gt" else int(value) < int(bound)
    except ValueError:
        return False


@dataclass(frozen=True)
class Selector:
    """All requirements must be met; no requirement selects everything, `nothing` selects nothing."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: dict[str, str] | None) -> bool:
        return not self.nothing and all(each.is_met_by(labels or {}) for each in self.requirements)

    @property
    def empty(self) -> bool:
        return not self.requirements and not self.nothing


EVERYTHING, NOTHING = Selector(), Selector(nothing=True)


def parse_labels(text: str) -> Selector:
    """Return the selector that a string like "a=b,c in (d,e),!f" means. Raises ApiError 400 in upstream's words."""
    requirements: list[Requirement] = []
    stream = Tokens(TOKEN.findall(text))
    expected = "!, identifier, or 'end of string'"
    while token := stream.peek():
        if token != "!" and not _is_identifier(token):
            raise bad_request(f"found '{token}', expected: {expected}")
        requirements.append(_requirement(stream))
        following = stream.next()
        if not following:
            break
        if following != ",":
            raise bad_request(f"found '{following}', expected: ',' or 'end of string'")
        if not stream.peek():
            raise bad_request("found '', expected: identifier after ','")
        expected = "identifier after ','"
    return Selector(tuple(sorted(requirements, key=lambda each: each.key)))


class Tokens:
    """The words of a selector, one ahead."""

    def __init__(self, tokens: list[str]):
        self.tokens: Iterator[str] = iter(tokens)
        self.ahead: str | None = next(self.tokens, None)

    def peek(self) -> str | None:
        return self.ahead

    def next(self) -> str:
        token, self.ahead = self.ahead, next(self.tokens, None)
        return token or ""


def _is_identifier(token: str) -> bool:
    return token not in ("", "=", "!", ",", "(", ")", "<", ">", "==", "!=")


def _requirement(stream: Tokens) -> Requirement:
    negated = stream.peek() == "!" and bool(stream.next())
    key = _identifier(stream.next())
    if faults := list(_key_faults(key)):
        raise _unparsable(_invalid("<nil>", key, *faults))
    if negated:
        return Requirement(key, "!")
    if stream.peek() in (None, ","):
        return Requirement(key, "exists")
    token = stream.next()
    if token not in BINARY:
        raise _unparsable(f"found '{token}', expected: in, notin, =, ==, !=, gt, lt")
    operator = BINARY[token]
    if operator in ("in", "notin"):
        values = _values(stream)
    else:
        values = [""] if stream.peek() in (None, ",") else [_identifier(stream.next())]
    return _checked(Requirement(key, operator, tuple(sorted(set(values)))))


def _checked(requirement: Requirement) -> Requirement:
    faults = []
    for at, value in enumerate(requirement.values):
        if requirement.operator in ("gt", "lt") and not re.fullmatch(r"[+-]?\d+", value):
            faults.append(_invalid(f"values[{at}]", value, "for 'Gt', 'Lt' operators, the value must be an integer"))
    for at, value in enumerate(requirement.values):
        told = ["must be no more than 63 bytes"] if len(value.encode()) > 63 else []
        told += [VALUE_RULE] if value and not NAME.fullmatch(value) else []
        if told:
            faults.append(_invalid(f"values[{at}][{requirement.key}]", value, *told))
    if faults:
        raise _unparsable(faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")
    return requirement


def _invalid(path: str, value: str, *faults: str) -> str:
    return f"{path}: Invalid value: {json.dumps(value, ensure_ascii=False)}: {'; '.join(faults)}"


def _identifier(token: str) -> str:
    if not _is_identifier(token):
        raise _unparsable(f"found '{token}', expected: identifier")
    return token


def _values(stream: Tokens) -> list[str]:
    opening = stream.next()
    if opening != "(":
        raise _unparsable(f"found '{opening}' expected: '('")
    ahead = stream.peek() or ""
    if ahead not in (",", ")") and not _is_identifier(ahead):
        raise _unparsable(f"found '{ahead}', expected: ',', ')' or identifier")
    values: list[str] = []
    while (token := stream.next()) != ")":
        if token == ",":
            if not values or stream.peek() in (",", ")"):
                values.append("")
        elif not _is_identifier(token):
            raise _unparsable(f"found '{token}', expected: ',', or identifier")
        else:
            values.append(token)
            if stream.peek() not in (",", ")"):
                raise _unparsable(f"found '{stream.peek() or ''}', expected: ',' or ')'")
    return values or [""]


def _key_faults(key: str) -> Iterator[str]:
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        yield f"a valid label key{NAME_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return
    if slash and not prefix:
        yield "prefix part must be non-empty"
    elif slash:
        if len(prefix) > 253:
            yield "prefix part must be no more than 253 bytes"
        if not SUBDOMAIN.fullmatch(prefix):
            yield f"prefix part {SUBDOMAIN_RULE}"
    if not name:
        yield "name part must be non-empty"
    elif len(name.encode()) > 63:
        yield "name part must be no more than 63 bytes"
    if not NAME.fullmatch(name):
        yield f"name part{NAME_RULE}"


def _unparsable(why: str):
    return bad_request(f"unable to parse requirement: {why}")


OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


def with_own_labels(term: dict, labels: dict[str, str]) -> dict | None:
    """Return a term's label selector, with what its matchLabelKeys and mismatchLabelKeys ask of these labels."""
    chosen = term.get("labelSelector")
    added = [
        {"key": key, "operator": operator, "values": [labels[key]]}
        for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))
        for key in term.get(field) or []
        if key in labels
    ]
    if chosen is None or not added:
        return chosen
    return {**chosen, "matchExpressions": [*(chosen.get("matchExpressions") or []), *added]}


def from_label_selector(selector: dict | None) -> Selector:
    """Return the Selector of a LabelSelector object; None selects nothing, {} everything."""
    if selector is None:
        return NOTHING
    equal = [Requirement(key, "=", (value,)) for key, value in (selector.get("matchLabels") or {}).items()]
    expressions = [
        Requirement(each["key"], OPERATORS[each["operator"]], tuple(each.get("values") or ()))
        for each in selector.get("matchExpressions") or []
    ]
    return Selector(tuple(equal + expressions))


def in_go(selector: dict | None) -> str:
    """Return a LabelSelector object as Go prints it, which is how some of upstream's messages show it."""
    if selector is None:
        return "nil"
    equal = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{each['key']},Operator:{each['operator']},"
        f"Values:[{' '.join(each.get('values') or [])}],}},"
        for each in selector.get("matchExpressions") or []
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{equal}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )


@dataclass(frozen=True)
class FieldSelector:
    """(path, "=" or "!=", value) for each term; all must hold."""

    terms: tuple[tuple[str, str, str], ...] = ()

    def matches(self, value_of: Callable[[str], str]) -> bool:
        return all((value_of(path) == value) == (operator == "=") for path, operator, value in self.terms)

    def required(self, path: str) -> str | None:
        """Return the value that the field at path must equal, or None."""
        return next((value for at, operator, value in self.terms if at == path and operator == "="), None)


def parse_fields(text: str) -> FieldSelector:
    """Return the selector that a string like "a.b=c,d!=e" means. Raises ApiError 400 in upstream's words."""
    terms = []
    for part in sorted(TERM.findall(text)):
        match = re.fullmatch(r"(.*?)(!=|==|=)(.*)", part, re.DOTALL)
        if not match:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        terms.append((match[1], "!=" if match[2] == "!=" else "=", _unescaped(match[3])))
    return FieldSelector(tuple(terms))


def _unescaped(value: str) -> str:
    for found in re.finditer(r"\\(.?)|[,=]", value, re.DOTALL):
        if found[0] in (",", "="):
            raise bad_request(f"invalid field selector: unescaped character in value: {ord(found[0])}")
        if found[1] not in ("\\", ",", "="):
            raise bad_request(f"invalid field selector: invalid escape sequence: {found[0]}")
    return re.sub(r"\\(.)", r"\1", value)
