"""Quantities in CEL: exact numbers, compared and added.

Upstream: staging/src/k8s.io/apiserver/pkg/cel/library/quantity.go
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Context, Decimal

from labkit.glassbox import quantity

EXACT = Context(prec=60)
SMALLEST = Decimal("1e-9")
INT64 = 2**63


def parse(text: str) -> Decimal:
    """Return the value of a quantity. Raises ValueError in upstream's words."""
    value = quantity.parse(text)
    return value.quantize(SMALLEST, ROUND_CEILING, EXACT) if int(value.as_tuple().exponent) < -9 else value


def text(value: Decimal) -> str:
    """Return a value as a text that equal values share."""
    return str(value.normalize(EXACT))


def is_one(given: str) -> bool:
    return quantity.PATTERN.fullmatch(given) is not None


def add(value: Decimal, other: Decimal | int) -> Decimal:
    return EXACT.add(value, Decimal(other))


def sub(value: Decimal, other: Decimal | int) -> Decimal:
    return EXACT.subtract(value, Decimal(other))


def sign(value: Decimal) -> int:
    return (value > 0) - (value < 0)


def is_integer(value: Decimal) -> bool:
    return value == value.to_integral_value() and -INT64 <= value < INT64


def integer(value: Decimal) -> int:
    """Return a whole number of 64 bits. Raises ValueError."""
    if not is_integer(value):
        raise ValueError("cannot convert value to integer")
    return int(value)
