"""Quantities: "100m", "1Gi", "0.5": exact numbers, read and written as Kubernetes does.

A value is a Decimal; canonical text keeps the family of the suffix (decimal, binary) and the fewest digits.

Left out: quantities of more than 64 characters or with an exponent beyond 99, which are refused.

Upstream: staging/src/k8s.io/apimachinery/pkg/api/resource/quantity.go
"""

import re
from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_UP, Context, Decimal

BINARY = {
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
DECIMAL = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
}
PATTERN = re.compile(
    r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?0*[0-9]{1,2})?"
)
LONGEST = 64  # characters
EXACT = Context(prec=200)  # digits: more than any quantity has
MOST = Decimal(2**63 - 1)  # of what has a binary suffix
SYNTAX = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def parse(text: str | int | float | Decimal) -> Decimal:
    """Return the quantity's value (units, bytes or cores). Raises ValueError in upstream's words."""
    if isinstance(text, (int, float, Decimal)):
        return Decimal(str(text))
    match = PATTERN.fullmatch(text)
    if not match or len(text) > LONGEST:
        raise ValueError(SYNTAX)
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix in BINARY:
        return max(-MOST, min(EXACT.multiply(number, BINARY[suffix]), MOST))
    if suffix in DECIMAL:
        return EXACT.multiply(number, DECIMAL[suffix])
    return number.scaleb(int(suffix[1:]), EXACT)


def millicores(text: str | int) -> int:
    """Return CPU in millicores, rounded up."""
    return int((parse(text) * 1000).to_integral_value(ROUND_CEILING))


def bytes_of(text: str | int) -> int:
    """Return memory or storage in bytes, rounded up."""
    return int(parse(text).to_integral_value(ROUND_CEILING))


def canonical(text: str | int | float) -> str:
    """Return the quantity as the API server writes it: "1000m" is "1", "1024Mi" is "1Gi"."""
    text = str(text)
    value = parse(text)
    match = PATTERN.fullmatch(text)
    suffix = (match[2] or "") if match else ""
    if suffix in BINARY and value == value.to_integral_value() and abs(value) >= 1024:
        return _with_suffix(value, BINARY)
    if _power(value) < -9:
        value = value.quantize(Decimal("1e-9"), ROUND_UP, EXACT)
    if suffix[:1] in ("e", "E") and suffix != "E":
        return _exponent(value)
    return _with_suffix(value, DECIMAL)


def in_thousandths(text: str) -> str:
    """Return a quantity, as it is written, without what is smaller than a thousandth: rounded up."""
    if text[-1:] not in ("n", "u") and "e-" not in text:
        return text
    value = parse(text).quantize(Decimal("1e-3"), ROUND_UP, EXACT)
    return _exponent(value) if "e" in text else _with_suffix(value, DECIMAL)


def written(value: Decimal, like: str = "") -> str:
    """Return a value as Kubernetes writes it, in the family (decimal, binary) of another quantity's suffix."""
    match = PATTERN.fullmatch(like)
    binary = bool(match and match[2] in BINARY) and value == value.to_integral_value() and abs(value) >= 1024
    return _with_suffix(value, BINARY if binary else DECIMAL)


def total(texts: Iterable[str]) -> str:
    """Return the sum of quantities, in the family of the first that is not zero."""
    added = [text for text in texts if parse(text)]
    return written(sum((parse(text) for text in added), Decimal(0)), added[0] if added else "")


def _power(value: Decimal) -> int:
    """Return the power of ten of the last digit."""
    return int(value.as_tuple().exponent)


def _with_suffix(value: Decimal, units: dict) -> str:
    if value == 0:
        return "0"
    for suffix, unit in sorted(units.items(), key=lambda item: -item[1]):
        count = EXACT.divide(value, unit)
        if count == count.to_integral_value():
            return f"{int(count)}{suffix}"
    return str(int(value))


def _exponent(value: Decimal) -> str:
    digits = value.normalize(EXACT)
    if digits == 0:
        return "0"
    power = _power(digits) // 3 * 3
    count = int(value.scaleb(-power, EXACT))
    return f"{count}e{power}" if power else str(count)
