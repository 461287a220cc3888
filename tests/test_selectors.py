"""Selectors: what they match, and upstream's words for those that cannot be read."""

import pytest

from labkit.glassbox.errors import ApiError
from labkit.glassbox.selectors import from_label_selector, parse_fields, parse_labels

WEB = {"app": "web", "tier": "front"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier=front", True),
        ("app!=web", False),
        ("missing!=x", True),
        ("app in (web,db)", True),
        ("app notin (web,db)", False),
        ("app", True),
        ("!app", False),
        ("!missing", True),
        ("app=web,tier in (back)", False),
        ("tier=", False),
    ],
)
def test_labels_match_as_upstream_has_it(text, matches):
    assert parse_labels(text).matches(WEB) is matches


@pytest.mark.parametrize(("text", "value", "matches"), [("n>3", "4", True), ("n<3", "4", False), ("n>3", "x", False)])
def test_greater_and_less_compare_whole_numbers(text, value, matches):
    assert parse_labels(text).matches({"n": value}) is matches


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("=", "found '=', expected: !, identifier, or 'end of string'"),
        ("a==b=c", "found '=', expected: ',' or 'end of string'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a=b,", "found '', expected: identifier after ','"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("!!a", "unable to parse requirement: found '!', expected: identifier"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("a=(b)", "unable to parse requirement: found '(', expected: identifier"),
        ("a in ((b))", "unable to parse requirement: found '(', expected: ',', ')' or identifier"),
        ("a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'"),
        ("a in (b,=)", "unable to parse requirement: found '=', expected: ',', or identifier"),
        ("/a", 'unable to parse requirement: <nil>: Invalid value: "/a": prefix part must be non-empty'),
        (
            "a=" + "b" * 64,
            f'unable to parse requirement: values[0][a]: Invalid value: "{"b" * 64}": must be no more than 63 bytes',
        ),
        (
            "a>b",
            "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must "
            "be an integer",
        ),
    ],
)
def test_an_unreadable_selector_is_refused_in_upstreams_words(text, told):
    with pytest.raises(ApiError) as refused:
        parse_labels(text)
    assert (refused.value.code, refused.value.message) == (400, told)


def test_no_label_selector_selects_nothing_and_an_empty_one_everything():
    assert not from_label_selector(None).matches(WEB)
    assert from_label_selector({}).matches(WEB)


def test_a_label_selector_needs_every_label_and_expression():
    selector = {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}
    assert from_label_selector(selector).matches(WEB)
    assert not from_label_selector(selector).matches({"app": "web"})


def test_fields_are_compared_by_path():
    fields = {"metadata.name": "a", "status.phase": "Running"}
    assert parse_fields("metadata.name=a,status.phase!=Pending").matches(fields.__getitem__)
    assert not parse_fields("metadata.name==b").matches(fields.__getitem__)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ("a=b\\", "invalid field selector: invalid escape sequence: \\"),
        ("a=b\\x", "invalid field selector: invalid escape sequence: \\x"),
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("b=1,a", "invalid selector: 'b=1,a'; can't understand 'a'"),
    ],
)
def test_an_unreadable_field_selector_is_refused_in_upstreams_words(text, told):
    with pytest.raises(ApiError) as refused:
        parse_fields(text)
    assert (refused.value.code, refused.value.message) == (400, told)


def test_a_field_may_be_asked_for_with_a_comma_in_it():
    assert parse_fields(r"a=b\,c\=\\,,d!=e").terms == (("a", "=", "b,c=\\"), ("d", "!=", "e"))
