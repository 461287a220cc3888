"""What an Ingress and an IngressClass must satisfy.

Upstream: pkg/apis/networking/validation/validation.go
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import IMMUTABLE, forbidden, invalid, one_of, required

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
        if OLD_CLASS in (obj["metadata"].get("annotations") or {}):
            told = "can not be set when the class field is also set"
            yield invalid(f"annotations.{OLD_CLASS}", obj["metadata"]["annotations"][OLD_CLASS], told)


def warnings(obj: dict) -> list[str]:
    if OLD_CLASS in (obj["metadata"].get("annotations") or {}):
        return [f"annotation \"{OLD_CLASS}\" is deprecated, please use 'spec.ingressClassName' instead"]
    return []


def _host_rule(host: str) -> names.Rule:
    return names.wildcard_subdomain if "*" in host else names.dns_subdomain


def _rule(given: dict, path: str) -> Iterator[Cause]:
    if host := given.get("host"):
        if _is_address(host):
            yield invalid(f"{path}.host", host, "must be a DNS name, not an IP address")
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
        yield required(path, "resource or service backend is required")
    else:
        yield from _service(service, f"{path}.service")


def _reference(given: dict, path: str) -> Iterator[Cause]:
    if given.get("apiGroup") is not None:
        yield from names.check(names.dns_subdomain, f"{path}.apiGroup", given["apiGroup"])
    for field in ("kind", "name"):
        if not given.get(field):
            yield required(f"{path}.{field}")


def _service(given: dict, path: str) -> Iterator[Cause]:
    if not given.get("name"):
        yield required(f"{path}.name")
    else:
        yield from names.check(names.dns_label, f"{path}.name", given["name"])
    port = given.get("port") or {}
    if port.get("name") and port.get("number"):
        yield invalid(path, "", "cannot set both port name & port number")
    elif port.get("name"):
        for told in names.port_name(port["name"]):
            yield invalid(f"{path}.port.name", port["name"], told)
    elif port.get("number"):
        if not 1 <= port["number"] <= 65535:
            yield invalid(f"{path}.port.number", port["number"], names.PORT_RANGE)
    else:
        yield required(path, "port name or number is required")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def ingress_class(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    controller = spec.get("controller", "")
    if len(controller) > 250:
        yield Cause("FieldValueTooLong", "Too long: may not be more than 250 bytes", "spec.controller")
    yield from names.needed(names.domain_prefixed_path, "spec.controller", controller)
    given = spec.get("parameters")
    if given is None:
        return
    yield from _reference(given, "spec.parameters")
    scope = given.get("scope")
    if not scope:
        yield required("spec.parameters.scope")
    else:
        yield from one_of("spec.parameters.scope", scope, ("Cluster", "Namespace"))
    if scope == "Namespace" and not given.get("namespace"):
        yield required("spec.parameters.namespace", "`parameters.scope` is set to 'Namespace'")
    if scope == "Cluster" and given.get("namespace"):
        yield forbidden("spec.parameters.namespace", "`parameters.scope` is set to 'Cluster'")


def same_controller(obj: dict, old: dict) -> Iterator[Cause]:
    wanted, held = ((each.get("spec") or {}).get("controller", "") for each in (obj, old))
    if wanted != held:
        yield invalid("spec.controller", wanted, IMMUTABLE)
