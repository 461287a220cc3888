"""APIService: who answers for a group and version of the API.

Those of this server are `Local`. One that names a Service is kept, and its condition says that this server passes
nothing on to others.

Upstream: staging/src/k8s.io/kube-aggregator/pkg/{registry/apiservice/strategy.go,apis/apiregistration/validation}
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import condition, dig
from labkit.glassbox.resources.columns import AGE, NAME, UNKNOWN
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import invalid, required

PACKAGE = "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1"


class APIServiceStrategy(Strategy):
    has_status = True
    name_rule = staticmethod(names.path_segment)

    def default(self, obj: dict) -> None:
        if service := dig(obj, "spec.service"):
            service.setdefault("port", 443)

    def prepare_for_create(self, obj: dict) -> None:
        super().prepare_for_create(obj)
        if not dig(obj, "spec.service"):
            since = {"status": "True", "lastTransitionTime": obj["metadata"]["creationTimestamp"]}
            told = {"reason": "Local", "message": "Local APIServices are always available"}
            obj["status"] = {"conditions": [{"type": "Available", **since, **told}]}

    def faults(self, obj: dict) -> Iterator[Cause]:
        spec, name = obj.get("spec") or {}, obj["metadata"].get("name", "")
        group, version = spec.get("group", ""), spec.get("version", "")
        if name != f"{version}.{group}":
            told = f'must be `spec.version+"."+spec.group`: {_quoted(f"{version}.{group}")}'
            yield invalid("metadata.name", name, told)
        if group:
            yield from names.check(names.dns_subdomain, "spec.group", group)
        elif version != "v1":
            yield required("spec.group", "only v1 may have an empty group and it better be legacy kube")
        yield from names.check(names.dns_1035_label, "spec.version", version)
        for field, most in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
            value = spec.get(field, 0)
            if not 0 < value <= most:
                yield invalid(f"spec.{field}", value, f"must be positive and less than {most}")
        yield from _server(spec)


def _quoted(text: str) -> str:
    return f'"{text}"'


def _server(spec: dict) -> Iterator[Cause]:
    service = spec.get("service")
    if service is None:
        if spec.get("caBundle"):
            size = len(base64.b64decode(spec["caBundle"]))
            yield invalid("spec.caBundle", f"{size} bytes", "local APIServices may not have a caBundle")
        if spec.get("insecureSkipTLSVerify"):
            told = "local APIServices may not have insecureSkipTLSVerify"
            yield invalid("spec.insecureSkipTLSVerify", True, told)
        return
    for field in ("namespace", "name"):
        if not service.get(field):
            yield required(f"spec.service.{field}")
    if names.port(service.get("port", 443)):
        yield invalid("spec.service.port", service["port"], "port is not valid: " + names.PORT_RANGE)
    if spec.get("insecureSkipTLSVerify") and spec.get("caBundle"):
        yield invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present")


def _service(obj: dict, now: float) -> str:
    service = dig(obj, "spec.service")
    return f"{service['namespace']}/{service['name']}" if service else "Local"


def _available(obj: dict, now: float) -> str:
    found = condition(obj, "Available")
    if found is None:
        return UNKNOWN
    return found["status"] if found["status"] == "True" else f"{found['status']} ({found.get('reason', '')})"


API_SERVICES = Resource(
    group="apiregistration.k8s.io",
    kind="APIService",
    plural="apiservices",
    definition=f"{PACKAGE}.APIService",
    namespaced=False,
    strategy=APIServiceStrategy(),
    categories=("api-extensions",),
    subresources=("status",),
    columns=(
        NAME,
        Column("Service", _service, description="The reference to the service that hosts this API endpoint."),
        Column("Available", _available, description="Whether this service is available."),
        AGE,
    ),
)
