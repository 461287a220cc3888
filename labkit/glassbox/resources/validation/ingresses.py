"""What an Ingress and an IngressClass must satisfy.

Upstream: pkg/apis/networking/validation/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import (
    IMMUTABLE,
    forbidden,
    invalid,
    items,
    one_of,
    required,
    too_long,
)

PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
BAD_SEQUENCES, BAD_ENDINGS = ("//", "/./", "/../", "%2f", "%2F"), ("/..", "/.")
OLD_CLASS = "kubernetes.io/ingress.class"


def ingress(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        yield invalid("spec", spec.get("rules"), "either `defaultBackend` or `rules` must be specified")
    if spec.get("defaultBackend") is not None:
        yield from _backend(spec["defaultBackend"], "spec.defaultBackend")
    for index, rule in enumerate(spec.get("rules") or []):
        yield from _rule(rule, f"spec.rules[{index}]")
    for index, entry in enumerate(spec.get("tls") or []):
        for number, host in enumerate(entry.get("hosts") or []):
            yield from names.check(_host_rule(host), f"spec.tls[{index}].hosts[{number}]", host)
        if entry.get("secretName"):
            yield from names.check(names.dns_subdomain, f"spec.tls[{index}].secretName", entry["secretName"])
    if spec.get("ingressClassName") is not None:
        yield from names.check(names.dns_subdomain, "spec.ingressClassName", spec["ingressClassName"])


def one_class(obj: dict) -> Iterator[Cause]:
    """Refuse a new object whose annotation names another class than its field."""
    wanted, old = dig(obj, "spec.ingressClassName"), (obj["metadata"].get("annotations") or {}).get(OLD_CLASS)
    if None not in (wanted, old) and wanted != old:
        yield invalid(f"annotations.{OLD_CLASS}", old, "must match `ingressClassName` when both are specified")


def status(given: dict) -> Iterator[Cause]:
    for at, each in items(dig(given, "loadBalancer.ingress"), "status.loadBalancer.ingress"):
        if each.get("ip"):
            yield from names.check(names.address, f"{at}.ip", each["ip"])
        if host := each.get("hostname"):
            yield from names.check(names.dns_subdomain, f"{at}.hostname", host)
            yield from _no_address(host, f"{at}.hostname")


def warnings(obj: dict) -> list[str]:
    if OLD_CLASS in (obj["metadata"].get("annotations") or {}):
        return [f"annotation \"{OLD_CLASS}\" is deprecated, please use 'spec.ingressClassName' instead"]
    return []


def _host_rule(host: str) -> names.Rule:
    return names.wildcard_subdomain if "*" in host else names.dns_subdomain


def _rule(given: dict, path: str) -> Iterator[Cause]:
    if host := given.get("host"):
        yield from _no_address(host, f"{path}.host")
        yield from names.check(_host_rule(host), f"{path}.host", host)
    http = given.get("http")
    if http is not None and not http.get("paths"):
        yield required(f"{path}.http.paths")
    for index, each in enumerate((http or {}).get("paths") or []):
        yield from _path(each, f"{path}.http.paths[{index}]")


def _path(given: dict, path: str) -> Iterator[Cause]:
    kind, value = given.get("pathType"), given.get("path", "")
    if kind is None:
        yield required(f"{path}.pathType", "pathType must be specified")
    elif kind in ("Exact", "Prefix"):
        if not value.startswith("/"):
            yield invalid(f"{path}.path", value, "must be an absolute path")
        elif value:
            yield from _malformed(value, f"{path}.path")
    elif kind == "ImplementationSpecific":
        if value and not value.startswith("/"):
            yield invalid(f"{path}.path", value, "must be an absolute path")
    else:
        yield from one_of(f"{path}.pathType", kind, PATH_TYPES)
    yield from _backend(given.get("backend") or {}, f"{path}.backend")


def _malformed(value: str, path: str) -> Iterator[Cause]:
    for each in BAD_SEQUENCES:
        if each in value:
            yield invalid(path, value, f"must not contain '{each}'")
    for each in BAD_ENDINGS:
        if value.endswith(each):
            yield invalid(path, value, f"cannot end with '{each}'")


def _backend(given: dict, path: str) -> Iterator[Cause]:
    service, resource = given.get("service"), given.get("resource")
    if service is not None and resource is not None:
        yield invalid(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        yield from _reference(resource, f"{path}.resource")
    elif service is None:
        yield invalid(path, "", "resource or service backend is required")
    else:
        yield from _service(service, path)


def _reference(given: dict, path: str) -> Iterator[Cause]:
    if given.get("apiGroup") is not None:
        yield from names.check(names.dns_subdomain, f"{path}.apiGroup", given["apiGroup"])
    for field in ("kind", "name"):
        yield from names.needed(names.path_segment, f"{path}.{field}", given.get(field), f"{field} is required")


def _service(given: dict, path: str) -> Iterator[Cause]:
    yield from names.needed(names.dns_label, f"{path}.service.name", given.get("name"))
    port = given.get("port") or {}
    if port.get("name") and port.get("number"):
        yield invalid(path, "", "cannot set both port name & port number")
    elif port.get("name"):
        yield from names.check_port(port["name"], f"{path}.service.port.name")
    elif port.get("number"):
        yield from names.check_port(port["number"], f"{path}.service.port.number")
    else:
        yield required(path, "port name or number is required")


def _no_address(text: str, path: str) -> Iterator[Cause]:
    if names.is_address(text):
        yield invalid(path, text, "must be a DNS name, not an IP address")


def ingress_class(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    controller = spec.get("controller", "")
    if len(controller) > 250:
        yield too_long("spec.controller", 250)
    yield from names.domain_prefixed_path("spec.controller", controller)
    given = spec.get("parameters")
    if given is None:
        return
    yield from _reference(given, "spec.parameters")
    scope, namespace = given.get("scope"), given.get("namespace")
    yield from one_of("spec.parameters.scope", scope, ("Cluster", "Namespace"))
    told = f"`parameters.scope` is set to '{scope}'"
    if scope == "Namespace" and namespace is None:
        yield required("spec.parameters.namespace", told)
    elif scope == "Namespace":
        yield from names.check(names.dns_label, "spec.parameters.namespace", namespace)
    elif scope == "Cluster" and namespace is not None:
        yield forbidden("spec.parameters.namespace", told)


def same_controller(obj: dict, old: dict) -> Iterator[Cause]:
    wanted, held = ((each.get("spec") or {}).get("controller", "") for each in (obj, old))
    if wanted != held:
        yield invalid("spec.controller", wanted, IMMUTABLE)
