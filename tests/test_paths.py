"""The part of kubectl's JSONPath in which checks say where a value lies."""

import pytest

from labkit.errors import LabError
from labkit.paths import find_values, parse_path

INGRESS = {
    "metadata": {"labels": {"app.kubernetes.io/name": "sites"}},
    "rules": [
        {"host": "shop.example", "http": {"paths": [{"path": "/", "to": "shop"}, {"path": "/cart", "to": "cart"}]}},
        {"host": "blog.example", "http": {"paths": [{"path": "/", "to": "blog"}]}},
    ],
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".rules[0].host", ["shop.example"]),
        ("rules[1].host", ["blog.example"]),
        (".rules[*].http.paths[*].to", ["shop", "cart", "blog"]),
        (".metadata.labels['app.kubernetes.io/name']", ["sites"]),
        ('.rules[?(@.host=="shop.example")].http.paths[*].to', ["shop", "cart"]),
        (".rules[?(@.host=='blog.example')].http.paths[?(@.path=='/')].to", ["blog"]),
        (".rules[?(@.http.paths=='/')].host", []),
        (".rules[?(@.nothing=='shop.example')].host", []),
        (".rules[7].host", []),
        (".metadata[0]", []),
    ],
)
def test_values_at_a_path_come_in_the_objects_order(path, expected):
    assert find_values(INGRESS, parse_path(path)) == expected


@pytest.mark.parametrize("path", [".rules[0:2]", ".rules[?(@.port>80)]", ".rules[-1]", ".rules["])
def test_what_is_not_implemented_is_refused_with_the_place_and_what_there_is(path):
    with pytest.raises(LabError, match=r"cannot be read from '\[") as error:
        parse_path(path)
    assert "ranges are not implemented" in str(error.value)
