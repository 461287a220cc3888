"""What webhook configurations must satisfy: what is asked about, whom, and how an answer is waited for.

Upstream: pkg/apis/admissionregistration/validation/validation.go, …/apiserver/pkg/util/webhook/validation.go
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from labkit.glassbox.errors import Cause
from labkit.glassbox.resources import cel
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.expressions import ALWAYS, conditions
from labkit.glassbox.resources.validation.fields import (
    duplicate,
    every,
    invalid,
    items,
    one_of,
    required,
    unsupported,
)
from labkit.glassbox.resources.validation.metadata import label_selector

OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
SIDE_EFFECTS, REVIEWS = ("None", "NoneOnDryRun"), ("v1", "v1beta1")
FORM = "; desired format: https://host[/path]"


def configuration(obj: dict) -> Iterator[Cause]:
    seen: set = set()
    for path, hook in items(obj.get("webhooks"), "webhooks"):
        yield from _webhook(hook, path)
        name = hook.get("name", "")
        if name and name in seen:
            yield duplicate(f"{path}.name", name)
        seen.add(name)


def _webhook(hook: dict, path: str) -> Iterator[Cause]:
    yield from _qualified(hook.get("name", ""), f"{path}.name")
    yield from every(rule, hook.get("rules"), f"{path}.rules")
    yield from one_of(f"{path}.failurePolicy", hook.get("failurePolicy"), ("Fail", "Ignore"))
    yield from one_of(f"{path}.matchPolicy", hook.get("matchPolicy"), ("Equivalent", "Exact"))
    if "sideEffects" not in hook:
        yield required(f"{path}.sideEffects", f"must specify one of {', '.join(SIDE_EFFECTS)}")
    yield from one_of(f"{path}.sideEffects", hook.get("sideEffects"), SIDE_EFFECTS)
    if not 1 <= hook.get("timeoutSeconds", 10) <= 30:
        told = "the timeout value must be between 1 and 30 seconds"
        yield invalid(f"{path}.timeoutSeconds", hook["timeoutSeconds"], told)
    for selector in ("namespaceSelector", "objectSelector"):
        yield from label_selector(hook.get(selector) or {}, f"{path}.{selector}")
    yield from one_of(f"{path}.reinvocationPolicy", hook.get("reinvocationPolicy"), ("IfNeeded", "Never"))
    yield from _client(hook.get("clientConfig") or {}, f"{path}.clientConfig")
    yield from conditions(hook.get("matchConditions"), (*ALWAYS, *cel.AUTHORIZERS), f"{path}.matchConditions")
    yield from _versions(hook.get("admissionReviewVersions") or [], f"{path}.admissionReviewVersions")


def _qualified(name: str, path: str) -> Iterator[Cause]:
    if not name:
        yield required(path)
    elif told := names.dns_subdomain(name):
        yield invalid(path, name, ",".join(told))
    elif name.count(".") < 2:
        yield invalid(path, name, "should be a domain with at least three segments separated by dots")


def rule(rule: dict, path: str) -> Iterator[Cause]:
    yield from _some(rule, "operations", path, "operations")
    for at, each in items(rule.get("operations"), f"{path}.operations"):
        if each not in OPERATIONS:
            yield unsupported(at, each, OPERATIONS)
    yield from _some(rule, "apiGroups", path, "API groups")
    yield from _some(rule, "apiVersions", path, "API versions")
    yield from (required(at) for at, each in items(rule.get("apiVersions"), f"{path}.apiVersions") if not each)
    yield from _resources(rule.get("resources") or [], f"{path}.resources")
    yield from one_of(f"{path}.scope", rule.get("scope"), ("*", "Cluster", "Namespaced"))


def _some(rule: dict, field: str, path: str, others: str) -> Iterator[Cause]:
    given = rule.get(field) or []
    if not given:
        yield required(f"{path}.{field}")
    elif "*" in given and len(given) > 1:
        yield invalid(f"{path}.{field}", given, f"if '*' is present, must not specify other {others}")


def _resources(given: list[str], path: str) -> Iterator[Cause]:
    if not given:
        yield required(path)
    whole: set[str] = set()
    for at, each in items(given, path):
        name, slash, sub = each.partition("/")
        if not each:
            yield required(at)
        for wide in (f"{name}/*", f"*/{sub}") if slash else ():
            if wide in whole:
                yield invalid(at, each, f"if '{wide}' is present, must not specify {each}")
        if slash and "*" in (name, sub):
            whole.add(each)
    if len(given) > 1 and "*/*" in given:
        yield invalid(path, given, "if '*/*' is present, must not specify other resources")
    if "*" in given and any("/" not in each and each != "*" for each in given):
        yield invalid(path, given, "if '*' is present, must not specify other resources without subresources")


def _client(client: dict, path: str) -> Iterator[Cause]:
    service = client.get("service")
    if ("url" in client) == (service is not None):
        yield required(path, "exactly one of url or service is required")
    elif service is not None:
        yield from _service(service, f"{path}.service")
    else:
        yield from url(client["url"], f"{path}.url")


def url(given: str, path: str) -> Iterator[Cause]:
    if given.startswith(":"):
        yield required(path, f'url must be a valid URL: parse "{given}": missing protocol scheme{FORM}')
        return
    parts = urlsplit(given)
    if parts.scheme != "https":
        yield invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{FORM}")
    if not parts.netloc:
        yield invalid(path, parts.netloc, f"host must be specified{FORM}")
    user = parts.netloc.rpartition("@")[0]
    for part, told in (
        (user, "user information is not permitted in the URL"),
        (parts.fragment, "fragments are not permitted in the URL"),
        (parts.query, "query parameters are not permitted in the URL"),
    ):
        if part:
            yield invalid(path, part, told)


def _service(service: dict, path: str) -> Iterator[Cause]:
    for field in ("name", "namespace"):
        if not service.get(field):
            yield required(f"{path}.{field}")
    for told in names.port(service.get("port", 443)):
        yield invalid(f"{path}.port", service["port"], f"port is not valid: {told}")
    yield from _url_path(service.get("path", ""), f"{path}.path")


def _url_path(given: str, path: str) -> Iterator[Cause]:
    if given in ("", "/"):
        return
    if not given.startswith("/"):
        yield invalid(path, given, "must start with a '/'")
    for index, step in enumerate(given[1:].removesuffix("/").split("/")):
        if not step:
            yield invalid(path, given, f"segment[{index}] may not be empty")
        for told in names.dns_subdomain(step) if step else ():
            yield invalid(path, given, f"segment[{index}]: {told}")


def _versions(given: list[str], path: str) -> Iterator[Cause]:
    if not given:
        yield required(path, f"must specify one of {', '.join(REVIEWS)}")
        return
    for index, (at, each) in enumerate(items(given, path)):
        if each in given[:index]:
            yield invalid(at, each, "duplicate version")
        else:
            yield from names.check(names.dns_1035_label, at, each)
    if not set(given) & set(REVIEWS):
        yield invalid(path, given, f"must include at least one of {', '.join(REVIEWS)}")
