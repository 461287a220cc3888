"""Label and field selectors: parsed once, then asked of many objects.

A label requirement is key, operator, values; an object matches a selector when it meets every requirement. `!=` and
`notin` are also met by an object without the key, as upstream has it.

Upstream: staging/src/k8s.io/apimachinery/pkg/labels/selector.go, …/fields/selector.go
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labkit.glassbox.errors import bad_request

TOKEN = re.compile(r"\s*(==|!=|[=!,()<>]|[^\s=!,()<>]+)")
NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
NAME_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
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
    tokens = TOKEN.findall(text)
    requirements: list[Requirement] = []
    stream = Tokens(tokens)
    while stream.peek():
        requirements.append(_requirement(stream))
        following = stream.next()
        if not following:
            break
        if following != ",":
            raise bad_request(f"found '{following}', expected: ',' or 'end of string'")
        if not stream.peek():
            raise bad_request("found '', expected: identifier after ','")
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


def _requirement(stream: Tokens) -> Requirement:
    if stream.peek() == "!":
        stream.next()
        if not stream.peek():
            raise _unparsable("found '', expected: identifier")
        return Requirement(_key(stream.next()), "!")
    key = _key(stream.next())
    if stream.peek() in (None, ","):
        return Requirement(key, "exists")
    operator = stream.next()
    if operator in ("=", "==", "!="):
        return Requirement(key, "!=" if operator == "!=" else "=", (_exact_value(key, stream),))
    if operator in ("in", "notin"):
        return Requirement(key, operator, _values(key, stream))
    if operator in ("<", ">"):
        return Requirement(key, "gt" if operator == ">" else "lt", (_number(stream.next()),))
    raise _unparsable(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")


def _exact_value(key: str, stream: Tokens) -> str:
    if stream.peek() in (None, ","):
        return ""
    return _value(key, stream.next())


def _values(key: str, stream: Tokens) -> tuple[str, ...]:
    opening = stream.next()
    if opening != "(":
        raise _unparsable(f"found '{opening}' expected: '('")
    values: list[str] = []
    expecting = True
    while (token := stream.next()) != ")":
        if token == "":
            raise _unparsable("found '', expected: ',' or ')'")
        if token == ",":
            if expecting:
                values.append("")
            expecting = True
        elif expecting:
            values.append(_value(key, token))
            expecting = False
        else:
            raise _unparsable(f"found '{token}', expected: ',' or ')'")
    if expecting:
        values.append("")
    return tuple(values)


def _key(token: str) -> str:
    if not token or token in ("=", "!", ",", "(", ")", "<", ">", "==", "!="):
        raise bad_request(f"found '{token}', expected: !, identifier, or 'end of string'")
    prefix, slash, name = token.rpartition("/")
    faults = []
    if slash and not SUBDOMAIN.fullmatch(prefix):
        faults.append("prefix part must be a DNS subdomain")
    if not NAME.fullmatch(name):
        faults.append(NAME_RULE)
    if len(name) > 63:
        faults.append("name part must be no more than 63 characters")
    if faults:
        raise _unparsable(f'<nil>: Invalid value: "{token}": ' + "; ".join(faults))
    return token


def _value(key: str, token: str) -> str:
    faults = []
    if len(token) > 63:
        faults.append("must be no more than 63 characters")
    if token and not NAME.fullmatch(token):
        faults.append(VALUE_RULE)
    if faults:
        raise _unparsable(f'values[0][{key}]: Invalid value: "{token}": ' + "; ".join(faults))
    return token


def _number(token: str) -> str:
    if not re.fullmatch(r"[+-]?\d+", token):
        raise _unparsable(
            f"values[0]: Invalid value: \"{token}\": for 'Gt', 'Lt' operators, the value must be an integer"
        )
    return token


def _unparsable(why: str):
    return bad_request(f"unable to parse requirement: {why}")


OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


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
    for part in re.split(r"(?<!\\),", text):
        if not part:
            continue
        match = re.fullmatch(r"([^=!]*?)(!=|==|=)(.*)", part)
        if not match:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        terms.append((match[1], "!=" if match[2] == "!=" else "=", re.sub(r"\\([\\,=])", r"\1", match[3])))
    return FieldSelector(tuple(terms))
