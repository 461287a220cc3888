"""Quantities: values, and the one way in which each is written."""

import pytest

from labkit.glassbox.quantity import bytes_of, canonical, millicores, parse


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("0.1", "100m"),
        ("1024Mi", "1Gi"),
        ("0.5Gi", "512Mi"),
        ("1e3", "1e3"),
        ("1.5", "1500m"),
        ("1073741824", "1073741824"),
        ("0", "0"),
        ("2000", "2k"),
        ("1" * 40, "1" * 40),
        ("9999999999Ei", "9223372036854775807"),
        ("-1e-20", "-1e-9"),
    ],
)
def test_a_quantity_is_written_canonically(text, written):
    assert canonical(text) == written


@pytest.mark.parametrize(("text", "value"), [("1", 1000), ("250m", 250), ("0.0001", 1), (2, 2000)])
def test_millicores_are_rounded_up(text, value):
    assert millicores(text) == value


@pytest.mark.parametrize(("text", "value"), [("64Mi", 67108864), ("1k", 1000), ("1.5Gi", 1610612736)])
def test_bytes(text, value):
    assert bytes_of(text) == value


@pytest.mark.parametrize("text", ["abc", "", "1Kb", "1 Gi", "--1", "1e1000000", "1" * 1_000_000 + "x"])
def test_what_is_no_quantity_is_refused_in_upstreams_words(text):
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        parse(text)
