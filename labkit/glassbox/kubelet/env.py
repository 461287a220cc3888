"""Computes a container's environment and command line: pure but for the look-ups it is handed.

Order, later wins: the image's, HOSTNAME, the services, envFrom in order, env in order. $(NAME) in values, command and
args stands for an earlier variable; $$(NAME) is a literal $(NAME); an unknown name is left as it is.

Upstream: pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables), third_party/forked/golang/expansion/expand.go
"""

import base64
import json
import re
from collections.abc import Callable, Mapping

from labkit.glassbox import quantity
from labkit.glassbox.errors import ApiError

Lookup = Callable[[str, str], dict]  # resource, name in the pod's namespace -> object; raises ApiError

REFERENCE = re.compile(r"\$(?:(\$)|\(([^()]*)\))")


class ConfigError(Exception):
    """The container's configuration cannot be made; it waits with reason CreateContainerConfigError."""


def expand(text: str, known: Mapping[str, str]) -> str:
    """Replace $(NAME) by what is known under that name."""

    def value(match: re.Match) -> str:
        if match[1]:
            return "$"
        return known.get(match[2], match[0])

    return REFERENCE.sub(value, text)


def environment(pod: dict, container: dict, base: Mapping[str, str], facts: Mapping[str, str], lookup: Lookup) -> dict:
    """Return the container's environment; `facts` are the field paths that only a running pod has.

    Raises ConfigError.
    """
    result = dict(base)
    for source in container.get("envFrom") or []:
        result |= _from_source(source, lookup)
    for variable in container.get("env") or []:
        value = _value(pod, container, variable, facts, lookup)
        if value is not None:
            result[variable["name"]] = expand(value, result) if "value" in variable else value
    return result


def command(container: dict, image_command: tuple[str, ...], env: Mapping[str, str]) -> list[str]:
    """Return what to run: command and args of the spec; an image's own command only when neither is given."""
    if not container.get("command") and not container.get("args"):
        return list(image_command)
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    return [expand(word, env) for word in words]


def _from_source(source: dict, lookup: Lookup) -> dict[str, str]:
    prefix = source.get("prefix", "")
    for field, resource in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
        if reference := source.get(field):
            found = fetch(lookup, resource, reference)
            return {prefix + key: value.decode() for key, value in data_of(found).items()} if found else {}
    return {}


def _value(pod: dict, container: dict, variable: dict, facts: Mapping[str, str], lookup: Lookup) -> str | None:
    source = variable.get("valueFrom")
    if not source:
        return variable.get("value", "")
    if reference := source.get("fieldRef"):
        return field_value(pod, reference["fieldPath"], facts)
    if reference := source.get("resourceFieldRef"):
        return resource_value(pod, container["name"], reference, facts)
    for field, resource in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
        if reference := source.get(field):
            return _key_of(lookup, resource, reference, pod)
    raise ConfigError(f"{', '.join(source)} is not implemented by this kubelet")


def _key_of(lookup: Lookup, resource: str, reference: dict, pod: dict) -> str | None:
    found = fetch(lookup, resource, reference)
    value = data_of(found).get(reference["key"]) if found else None
    if value is None and not reference.get("optional"):
        kind = "ConfigMap" if resource == "configmaps" else "Secret"
        where = f"{pod['metadata']['namespace']}/{reference['name']}"
        raise ConfigError(f"couldn't find key {reference['key']} in {kind} {where}")
    return None if value is None else value.decode()


def fetch(lookup: Lookup, resource: str, reference: dict) -> dict | None:
    """Return a ConfigMap or Secret, None for an optional one that is not there; raises ConfigError."""
    try:
        return lookup(resource, reference.get("name") or reference["secretName"])
    except ApiError as error:
        if error.code == 404 and reference.get("optional"):
            return None
        name = reference.get("name") or reference["secretName"]
        kind = resource.removesuffix("s")
        raise ConfigError(f'{kind} "{name}" not found' if error.code == 404 else error.message) from None


def data_of(found: dict) -> dict[str, bytes]:
    """Return what a ConfigMap or a Secret holds, as bytes."""
    if found.get("kind") == "Secret" or "type" in found:
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    text = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    return text | {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}


def field_value(pod: dict, path: str, facts: Mapping[str, str]) -> str:
    """Return what the downward API says for a field path; raises ConfigError."""
    if path in facts:
        return facts[path]
    if match := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
        return (pod["metadata"].get(match[1]) or {}).get(match[2], "")
    if path in ("metadata.labels", "metadata.annotations"):
        held = pod["metadata"].get(path.partition(".")[2]) or {}
        return "\n".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted(held.items()))
    section, _, name = path.partition(".")
    value = (pod.get(section) or {}).get(name)
    if section not in ("metadata", "spec") or value is None:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return str(value)


def resource_value(pod: dict, container_name: str, reference: dict, facts: Mapping[str, str]) -> str:
    """Return a request or limit in units of the divisor, rounded up; what is not limited is the node's."""
    name = reference.get("containerName") or container_name
    every = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
    resources = next(each for each in every if each["name"] == name).get("resources") or {}
    kind, _, resource = reference["resource"].partition(".")
    held = (resources.get(kind) or {}).get(resource)
    if held is None:
        held = facts.get(f"allocatable.{resource}", "0") if kind == "limits" else "0"
    divisor = quantity.parse(reference.get("divisor") or "1") or quantity.parse("1")
    return str(int(-(-quantity.parse(held) // divisor)))
