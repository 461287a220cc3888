"""What probes and lifecycle hooks must satisfy: exactly one way of asking, and sane times.

Upstream: validateProbe, validateHandler in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import forbidden, invalid, not_negative, one_of, required

HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def probe(given: dict | None, path: str, ready: bool) -> Iterator[Cause]:
    """Check a probe; the others than that of readiness end a container, and a single success must be enough."""
    if given is None:
        return
    yield from handler(given, path)
    for field in NUMBERS:
        yield from not_negative(f"{path}.{field}", given.get(field))
    grace = given.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        yield invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")
    if ready and grace is not None:
        yield invalid(f"{path}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
    if not ready and given.get("successThreshold", 1) != 1:
        yield invalid(f"{path}.successThreshold", given["successThreshold"], "must be 1")


def lifecycle(given: dict | None, path: str, grace: int | None) -> Iterator[Cause]:
    """Check hooks; one that sleeps must end before its pod is killed, within `grace` seconds."""
    for field in ("postStart", "preStop"):
        if given and given.get(field) is not None:
            yield from handler(given[field], f"{path}.{field}", grace)


def handler(given: dict, path: str, grace: int | None = None) -> Iterator[Cause]:
    found = [field for field in HANDLERS if given.get(field) is not None]
    for index, field in enumerate(found):
        if index:
            yield forbidden(f"{path}.{field}", "may not specify more than 1 handler type")
        elif field in _CHECKS:
            yield from _CHECKS[field](given[field], f"{path}.{field}")
        elif grace is not None and not 0 <= (seconds := given[field].get("seconds", 0)) <= grace:
            told = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
            yield invalid(f"{path}.{field}", seconds, told)
    if not found:
        yield required(path, "must specify a handler type")


def _exec(given: dict, path: str) -> Iterator[Cause]:
    if not given.get("command"):
        yield required(f"{path}.command")


def _http(given: dict, path: str) -> Iterator[Cause]:
    if not given.get("path"):
        yield required(f"{path}.path")
    yield from _port(given, path)
    yield from one_of(f"{path}.scheme", given.get("scheme"), ("HTTP", "HTTPS"))
    for each in given.get("httpHeaders") or []:
        yield from names.check(names.http_header, f"{path}.httpHeaders", each.get("name", ""))


def _port(given: dict, path: str) -> Iterator[Cause]:
    yield from names.check_port(given.get("port", 0), f"{path}.port")


_CHECKS = {"exec": _exec, "httpGet": _http, "tcpSocket": _port, "grpc": _port}
