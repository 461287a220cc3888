"""Validation rules in CEL: what a definition may ask, and what an object that breaks a rule is told."""

import pytest

from labkit.glassbox.resources import cel
from labkit.glassbox.resources.validation import rule_costs, rules, structural
from labkit.glassbox.resources.validation.schema_values import NOTHING

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}


def an_object(*asked, **properties):
    given = [each if isinstance(each, dict) else {"rule": each} for each in asked]
    return {"type": "object", "properties": properties, "x-kubernetes-validations": given}


def told(value, schema, old=NOTHING):
    return [
        f"{each.field}: {each.message}"
        for each in rules.broken({"spec": value}, {"properties": {"spec": schema}}, "", old)
    ]


def refused(*asked, broken_at="", **properties):
    return [
        each.message.partition("null}: ")[2] or each.message
        for each in rules.check(an_object(*asked, **properties), "a", False, broken_at, 1, [])
    ]


@pytest.mark.parametrize(
    ("rule", "given", "holds"),
    [
        ("has(self.n) && self.n > 1", {"n": 2}, True),
        ("!has(self.n)", {}, True),
        ("self.list.all(x, x.k.startsWith('a'))", {"list": [{"k": "ab"}, {"k": "b"}]}, False),
        (
            "self.list.exists_one(x, x.k == 'b') && self.list.map(x, x.k) == ['a', 'b']",
            {"list": [{"k": "a"}, {"k": "b"}]},
            True,
        ),
        ("self.ratio > 1 && type(self.ratio) == double", {"ratio": 2}, True),
        ("self.port == 80 || self.port == '80%'", {"port": "80%"}, True),
        ("self.when < timestamp('2026-01-01T00:00:00Z')", {"when": "2025-01-01T00:00:00Z"}, True),
        ("self.wait > duration('1h')", {"wait": "90m"}, True),
        ("self.data == b'x'", {"data": "eA=="}, True),
        ("self.labels.all(k, self.labels[k] != '')", {"labels": {"a": "", "b": "x"}}, False),
        ("self.a__dash__b == self.__namespace__", {"a-b": "x", "namespace": "x"}, True),
        ("self.?text.orValue('none') == 'none'", {}, True),
        ("self.text.matches('^[a-z]+$') && self.text.split('b').size() == 2", {"text": "abc"}, True),
    ],
)
def test_a_rule_sees_an_object_as_its_schema_says(rule, given, holds):
    schema = an_object(
        rule,
        n=NUMBER,
        text=TEXT,
        list={"type": "array", "maxItems": 9, "items": {"type": "object", "properties": {"k": TEXT}}},
        ratio={"type": "number"},
        port={"x-kubernetes-int-or-string": True},
        when={"type": "string", "format": "date-time"},
        wait={"type": "string", "format": "duration"},
        data={"type": "string", "format": "byte"},
        labels={"type": "object", "additionalProperties": TEXT},
        namespace=TEXT,
        **{"a-b": TEXT},
    )
    assert list(rules.check(schema, "a", False, "", 1, [])) == []
    assert (told(given, schema) == []) == holds


def test_a_broken_rule_says_its_message_or_itself():
    assert told({"n": 1}, an_object("self.n > 1", n=NUMBER)) == ["spec: Invalid value: failed rule: self.n > 1"]
    assert told({"n": 1}, an_object({"rule": "self.n > 1", "message": "more"}, n=NUMBER)) == [
        "spec: Invalid value: more"
    ]


def test_a_message_expression_comes_before_the_message():
    rule = {"rule": "false", "message": "no", "messageExpression": "'is ' + string(self.n)"}
    assert told({"n": 1}, an_object(rule, n=NUMBER)) == ["spec: Invalid value: is 1"]


def test_a_message_expression_that_fails_leaves_the_message():
    rule = {"rule": "false", "message": "no", "messageExpression": "string(self.n / 0)"}
    assert told({"n": 1}, an_object(rule, n=NUMBER)) == ["spec: Invalid value: no"]


def test_reason_and_field_of_a_rule():
    rule = {"rule": "false", "message": "no", "reason": "FieldValueForbidden", "fieldPath": ".n"}
    assert told({"n": 1}, an_object(rule, n=NUMBER)) == ["spec.n: Forbidden: no"]


def test_a_rule_that_cannot_be_asked_says_why():
    assert told({}, an_object("self.n > 1", n=NUMBER)) == [
        "spec: Invalid value: no such key: n evaluating rule: self.n > 1"
    ]


def test_a_transition_rule_is_asked_on_updates_alone():
    schema = an_object(n={**NUMBER, "x-kubernetes-validations": [{"rule": "self >= oldSelf", "message": "grows"}]})
    assert told({"n": 1}, schema) == []
    assert told({"n": 1}, schema, {"spec": {"n": 2}}) == ["spec.n: Invalid value: 1: grows"]


def test_a_rule_is_not_asked_again_of_what_has_not_changed():
    schema = an_object("self.n > 1", n=NUMBER)
    assert told({"n": 1}, schema, {"spec": {"n": 1}}) == []


def test_a_rule_that_loops_without_end_fails():
    schema = {
        "type": "array",
        "items": NUMBER,
        "x-kubernetes-validations": [{"rule": "self.all(x, self.all(y, x + y >= 0))"}],
    }
    assert "cost limit exceeded" in told(list(range(300)), schema)[0]


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("self.foo > 1", "undefined field 'foo'"),
        ("self.n == 'x'", "found no matching overload for '_==_' applied to '(int, string)'"),
        ("self.n", "cel expression must evaluate to a bool"),
        ("image('nginx').tag() == ''", "undeclared reference to 'image'"),
        ("self.n >", "Syntax error"),
        ({"rule": "true", "messageExpression": "1"}, "messageExpression must evaluate to a string"),
        ({"rule": "true", "fieldPath": ".nope"}, "does not refer to a valid field"),
    ],
)
def test_a_definition_with_a_bad_rule_is_refused(rule, fault):
    assert fault in refused(rule, n=NUMBER, list={"type": "array", "items": NUMBER})[0]


def test_items_that_cannot_be_told_apart_have_no_older_ones():
    assert (
        "uncorrelatable portion of the schema within list"
        in refused("self.n == oldSelf.n", n=NUMBER, broken_at="list")[0]
    )


def test_a_default_has_to_keep_the_rules():
    number = {**NUMBER, "default": 1, "x-kubernetes-validations": [{"rule": "self > 1", "message": "more"}]}
    found = list(structural.check({"type": "object", "properties": {"n": number}}, "s"))
    assert [(each.field, each.message) for each in found] == [("s.properties[n].default", "Invalid value: 1: more")]


@pytest.mark.parametrize(("name", "written"), [("a-b", "a__dash__b"), ("in", "__in__"), ("a__b", "a__underscores__b")])
def test_names_that_rules_cannot_write_are_written_otherwise(name, written):
    assert cel.escaped(name) == written


def test_with_an_optional_old_self_a_rule_is_asked_of_a_new_value_too():
    rule = {
        "rule": "oldSelf.hasValue() ? oldSelf.value().n < self.n : self.n == 1",
        "messageExpression": "'oldSelf was ' + string(oldSelf.?n.orValue(0))",
        "optionalOldSelf": True,
    }
    schema = an_object(rule, n=NUMBER)
    assert refused(rule, n=NUMBER) == []
    assert told({"n": 1}, schema) == told({"n": 2}, schema, {"spec": {"n": 1}}) == []
    assert told({"n": 2}, schema) == ["spec: Invalid value: oldSelf was 0"]
    assert told({"n": 2}, schema, {"spec": {"n": 2}}) == ["spec: Invalid value: oldSelf was 2"]


def test_an_optional_old_self_has_to_be_used_as_one():
    asked = {"rule": "oldSelf.n == 1", "optionalOldSelf": True}
    assert "to '(optional_type(int), int)'\n | oldSelf.n == 1" in refused(asked, n=NUMBER)[0]
    unused = refused({"rule": "self.n == 1", "optionalOldSelf": False}, n=NUMBER)
    assert unused == ["Invalid value: false: may not be set if oldSelf is not used in rule"]


def cost(rule, schema, bound=1):
    types = cel.Types()
    return rule_costs.estimate(cel.compiled(rule, {"self": types.of(schema)}, types), schema, bound)


def a_list(items, **more):
    return {"type": "array", "items": items, **more}


@pytest.mark.parametrize(
    ("rule", "schema", "estimated"),
    [
        ("self == 1", NUMBER, 2),
        ("self.all(x, true)", a_list(NUMBER, maxItems=10), 32),
        ("self.all(x, true)", a_list(NUMBER), 4718591),  # as many as fit into a request, at two bytes each
        ("self.all(x, true)", a_list(TEXT), 3145727),
        ("self == 'abcdefghijkl'", TEXT, 3),
        ("self.contains('abcdefghijkl')", {**TEXT, "maxLength": 100}, 81),
        ("self in ['a', 'b']", TEXT, 12),
    ],
)
def test_the_cost_of_a_rule_is_estimated_as_upstream_does(rule, schema, estimated):
    assert cost(rule, schema) == estimated


def test_a_rule_counts_once_for_each_value_that_there_may_be():
    assert cost("self == 1", NUMBER, bound=100) == 200
    assert cost("self == 1", NUMBER, bound=None) == 2 * (3 * 1024 * 1024 // 2)


def test_a_rule_that_may_take_too_long_is_refused_and_bounds_make_it_good():
    rule = {"rule": "self.all(x, self.all(y, x == y))"}
    too_many = a_list(TEXT, **{"x-kubernetes-validations": [rule]})
    found = [(each.field, each.message) for each in structural.check(an_object(a=too_many), "s")]
    at = "s.properties[a].x-kubernetes-validations[0].rule"
    assert [field for field, _ in found] == [at, at, "s"]
    assert found[0][1].startswith("Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try")
    few = {**too_many, "maxItems": 20, "items": {**TEXT, "maxLength": 20}}
    assert not list(structural.check(an_object(a=few), "s"))


def test_a_limit_on_the_lists_around_it_makes_a_rule_cheaper():
    item = an_object("self.t.contains('abcdefghijkl')", t={**TEXT, "maxLength": 1000})
    assert list(structural.check(an_object(a=a_list(item)), "s"))
    assert not list(structural.check(an_object(a=a_list(item, maxItems=10)), "s"))
