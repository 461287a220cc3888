"""What Kubernetes adds to CEL, as upstream's own documentation shows it."""

import pytest

from labkit.glassbox.resources import cel

TRUE = """
quantity("50k").add(quantity("20k")) == quantity("70k")
quantity("50k").add(20).sub(quantity("100k")).sub(-50000) == quantity("20")
quantity("200M").compareTo(quantity("0.2G")) == 0 && quantity("50M").compareTo(quantity("50Mi")) == -1
quantity("150Mi").isGreaterThan(quantity("100Mi")) && quantity("50M").isLessThan(quantity("100M"))
quantity("50000000G").isInteger() && !quantity("9999999999999999999999999999999999999G").isInteger()
quantity("-1").sign() == -1 && quantity("1.5").asApproximateFloat() == 1.5
isQuantity("1.3Gi") && !isQuantity("1,3G") && !isQuantity("200K")
url("https://user:pass@example.com:80/path?query=val#fragment").getHost() == "example.com:80"
url("https://[::1]:80/").getHostname() == "::1" && url("https://[::1]:80/").getPort() == "80"
url("/path").getScheme() == "" && url("https://example.com").getEscapedPath() == ""
url("https://example.com/path with spaces/").getEscapedPath() == "/path%20with%20spaces/"
url("https://example.com/path?k1=a&k2=b&k2=c").getQuery() == {"k1": ["a"], "k2": ["b", "c"]}
isURL("/absolute-path") && !isURL("https://a:b:c/") && !isURL("../relative-path") && !isURL("")
ip("127.0.0.1").family() == 4 && ip("::1").family() == 6 && ip("::1").isLoopback()
ip("0.0.0.0").isUnspecified() && ip("224.0.0.1").isLinkLocalMulticast() && !ip("224.0.1.1").isLinkLocalMulticast()
ip("169.254.169.254").isLinkLocalUnicast() && ip("192.168.0.1").isGlobalUnicast()
!ip("255.255.255.255").isGlobalUnicast() && !ip("ff00::1").isGlobalUnicast() && ip("2001:db8::abcd").isGlobalUnicast()
ip.isCanonical("2001:db8::abcd") && !ip.isCanonical("2001:DB8::ABCD")
isIP("::1") && !isIP("127.0.0.256") && !isIP("fe80::1%eth0") && !isIP("::ffff:1.2.3.4")
cidr("192.168.0.0/24").containsIP(ip("192.168.0.1")) && !cidr("192.168.0.0/24").containsIP("192.168.1.1")
cidr("192.168.0.0/16").containsCIDR("192.168.10.0/24") && !cidr("192.168.1.0/24").containsCIDR(cidr("192.168.2.0/24"))
cidr("192.168.0.1/24").ip() == ip("192.168.0.1") && cidr("192.168.0.1/24") != cidr("192.168.0.1/24").masked()
cidr("::1/128").prefixLength() == 128 && isCIDR("::1/128") && !isCIDR("::1/129") && !isCIDR("10.0.0.1")
"abc 123".find("[0-9]+") == "123" && "abc 123".find("xyz") == ""
"123 abc 456".findAll("[0-9]+") == ["123", "456"] && "123 abc 456".findAll("[0-9]+", 1) == ["123"]
"a1".findAll("[0-9]*") == ["", "1"]
[1, 2, 3].isSorted() && !["b", "a"].isSorted() && [].isSorted()
[1, 3].sum() == 4 && [1.0, 3.0].sum() == 4.0 && [].sum() == 0
[duration("1m"), duration("1s")].sum() == duration("61s")
[1, 3].min() == 1 && ["a", "b"].max() == "b"
[1, 2, 3, 4].slice(1, 3) == [2, 3] && [[1], [2, [3]]].flatten() == [1, 2, [3]] && [[1, [2]]].flatten(2) == [1, 2]
[3, 1, 2].sort() == [1, 2, 3] && [1, 2, 2, 1].distinct() == [1, 2]
lists.range(3) == [0, 1, 2] && ["b", "a", "b"].distinct().sort()[0] == "a" && [].flatten() == []
sets.contains([1, 2], [2]) && sets.equivalent([1], [1, 1]) && !sets.intersects([1], [2])
semver("1.2.3").compareTo(semver("2.0.0")) == -1 && semver("1.2.3").major() == 1
semver("1.0.0-alpha.2").isLessThan(semver("1.0.0-alpha.10")) && semver("1.0.0-rc.1").isLessThan(semver("1.0.0"))
semver("1.0.0+a") == semver("1.0.0+b")
semver("v1.0", true) == semver("1.0.0") && isSemver("01.01.01", true) && !isSemver("v1.0") && !isSemver("01.1.1")
!format.dns1123Label().validate("my-label-name").hasValue()
format.dns1123Label().validate("My_label").hasValue()
format.dns1123LabelPrefix().validate("my-") == format.labelValue().validate("")
format.byte().validate("?").value() == ["invalid base64"]
format.named("uuid").hasValue() && !format.named("nobody").hasValue()
!format.named("uuid").value().validate("123e4567-e89b-12d3-a456-426614174000").hasValue()
"a".indexOf("a") == 0 && optional.of(1).hasValue()
"""


@pytest.mark.parametrize("expression", TRUE.strip().splitlines())
def test_what_is_documented_holds(expression):
    assert cel.check(expression, {}, cel.Types()) == "bool"
    assert cel.evaluate(expression, {}) is True


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("quantity('Three').sign() == 0", "quantities must match the regular expression"),
        ("quantity('0.5').asInteger() == 0", "cannot convert value to integer"),
        (
            "url('https://a:b:c/').getHost() == ''",
            'URL parse error during conversion from string: parse "https://a:b:c/": invalid port ":c" after host',
        ),
        ("url('../a').getHost() == ''", 'parse "../a": invalid URI for request'),
        (
            "ip('127.0.0.256').family() == 4",
            'IP Address "127.0.0.256" parse error during conversion from string: ParseAddr("127.0.0.256"): IPv4 field '
            "has value >255",
        ),
        ("ip('::ffff:1.2.3.4').family() == 4", 'IPv4-mapped IPv6 address "::ffff:1.2.3.4" is not allowed'),
        ("cidr('10.0.0.0/33').prefixLength() == 33", 'netip.ParsePrefix("10.0.0.0/33"): prefix length out of range'),
        ("'a'.find('(') == ''", "Illegal regex: error parsing regexp: missing closing ): `(`"),
        ("dyn([]).min() == 1", "min called on empty list"),
        ("dyn([1, 'a']).sum() == 1", "no such overload"),
        ("quantity(dyn(1)).sign() == 1", "no such overload"),
        ("semver('200K').major() == 1", "No Major.Minor.Patch elements found"),
        ("semver('1.0.x').major() == 1", 'Invalid character(s) found in patch number "x"'),
        ("format.uri().validate('/').value() == []", "optional.none() dereference"),
    ],
)
def test_what_has_no_value_says_why(expression, told):
    with pytest.raises(cel.Failed) as failed:
        cel.evaluate(expression, {})
    assert told in str(failed.value)


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("['a'].sum() == 'a'", "found no matching overload for 'sum' applied to '(list(string))'"),
        ("quantity(1) == quantity('1')", "found no matching overload for 'quantity' applied to '(int)'"),
        ("ip('::1') == quantity('1')", "found no matching overload for '_==_'"),
        ("[1, 2].sum() == 'a'", "found no matching overload for '_==_' applied to '(int, string)'"),
    ],
)
def test_types_are_checked_when_a_rule_is_written(expression, told):
    with pytest.raises(cel.BadExpression) as refused:
        cel.check(expression, {}, cel.Types())
    assert told in str(refused.value)


@pytest.mark.parametrize("expression", ["optional.of(1)", "[optional.of(1)]", "{'a': [optional.none()]}"])
def test_an_optional_is_no_value_outside_of_an_expression(expression):
    with pytest.raises(cel.IsOptional):
        cel.evaluate(expression, {})


def test_a_function_is_given_no_map_of_optionals_which_the_library_does_not_outlive():
    with pytest.raises(cel.BadExpression, match="not supported by this server"):
        cel.check("sets.contains([{'a': optional.of(1)}], [])", {}, cel.Types())
    assert cel.evaluate("[1, 2].sum() == {'a': 3}.a", {})
    assert cel.evaluate("x.?a.orValue([]).sum() == 0", {"x": {}})


def test_what_a_function_makes_can_be_a_variable_of_another_expression():
    held = cel.again(cel.evaluate("quantity('1Gi')", {}))
    assert cel.evaluate("limit.isLessThan(quantity('2Gi'))", {"limit": held})
