"""Which request goes to which service: all Ingresses of this controller's classes as one table. Pure.

An exact host goes before a wildcard, a wildcard before no host; then the longest path, and of two as long the Exact
one; then the oldest Ingress. A wildcard stands for one label. A Prefix matches element by element. What no rule takes
goes to a default backend, if an Ingress names one.

Upstream: https://kubernetes.io/docs/concepts/services-networking/ingress/#path-types
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from labkit.glassbox import objects
from labkit.glassbox.objects import dig
from labkit.glassbox.service_endpoints import Endpoint, by_service, endpoints_of, usable

CONTROLLER = "labkit.glassbox/ingress"
OLD_CLASS = "kubernetes.io/ingress.class"  # an annotation


@dataclass(frozen=True)
class Backend:
    """A port of a service, and what is behind it now or what is wrong with it."""

    service: str = ""  # namespace/name
    port: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    fault: str = ""


@dataclass(frozen=True)
class Route:
    """One path of one host."""

    ingress: str
    host: str
    path: str
    exact: bool
    backend: Backend
    is_default: bool = False

    @property
    def rank(self) -> tuple:
        """Lowest first: who goes before whom."""
        host = 2 if not self.host else 1 if self.host.startswith("*.") else 0
        return (self.is_default, host, -len(self.path.rstrip("/")), not self.exact)

    def takes(self, host: str, path: str) -> bool:
        return matches(self.host, host) and (path == self.path if self.exact else is_below(path, self.path))


def matches(pattern: str, host: str) -> bool:
    """Tell whether a rule for `pattern`, "" for any, is for this host."""
    if pattern.startswith("*."):
        label, _, rest = host.partition(".")
        return bool(label) and rest == pattern[2:]
    return pattern in ("", host)


def is_below(path: str, prefix: str) -> bool:
    """Tell whether all elements of `prefix` begin `path`: /foo is above /foo/bar, not above /foobar."""
    return f"{path}/".startswith(f"{prefix.rstrip('/')}/")


def find(table: Iterable[Route], host: str, path: str) -> Backend | None:
    """Return where a request goes: the first that takes it."""
    return next((route.backend for route in table if route.takes(host, path)), None)


def owned(ingresses: Iterable[dict], classes: Iterable[dict], controller: str = CONTROLLER) -> list[dict]:
    """Return the Ingresses of the controller's classes, the oldest first."""
    own = {objects.name(each) for each in classes if dig(each, "spec.controller") == controller}
    found = [each for each in ingresses if _class(each) in own]
    return sorted(found, key=lambda each: (each["metadata"]["creationTimestamp"], objects.key(each)))


def _class(ingress: dict) -> str | None:
    return dig(ingress, "spec.ingressClassName") or objects.annotations(ingress).get(OLD_CLASS)


def table(ingresses: Iterable[dict], services: Mapping[str, dict], slices: Iterable[dict]) -> list[Route]:
    """Return the routes of the Ingresses, the first to be tried first."""
    found = by_service(slices)
    return sorted((route for each in ingresses for route in _routes(each, services, found)), key=lambda r: r.rank)


def _routes(ingress: dict, services: Mapping[str, dict], slices: Mapping[str, list[dict]]) -> Iterator[Route]:
    key, spec = objects.key(ingress), ingress["spec"]

    def backend(given: dict) -> Backend:
        return _backend(objects.namespace(ingress), given, services, slices)

    for rule in spec.get("rules") or []:
        host = rule.get("host", "")
        paths = dig(rule, "http.paths") or []
        for each in paths:
            yield Route(key, host, each.get("path") or "/", each["pathType"] == "Exact", backend(each["backend"]))
        if not paths and spec.get("defaultBackend"):
            yield Route(key, host, "/", False, backend(spec["defaultBackend"]))
    if spec.get("defaultBackend"):
        yield Route(key, "", "/", False, backend(spec["defaultBackend"]), is_default=True)


def _backend(namespace: str, given: dict, services: Mapping[str, dict], slices: Mapping[str, list[dict]]) -> Backend:
    if "resource" in given:
        return Backend(fault=f"a {given['resource']['kind']} as backend is not implemented by this controller")
    name, wanted = given["service"]["name"], given["service"]["port"]
    key, port = f"{namespace}/{name}", str(wanted.get("name") or wanted.get("number"))
    service = services.get(key)
    if service is None:
        return Backend(key, port, fault=f'services "{name}" not found')
    if service["spec"].get("type") == "ExternalName":
        return Backend(key, port, fault=f'service "{name}" of type ExternalName is not implemented by this controller')
    for each in service["spec"].get("ports") or []:
        if port in (each.get("name"), str(each["port"])):
            return Backend(key, port, tuple(usable(endpoints_of(slices.get(key, ()), each.get("name") or ""))))
    return Backend(key, port, fault=f'service "{name}" has no port {port}')
