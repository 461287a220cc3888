"""What ConfigMaps and Secrets must satisfy: keys that can be file names, a size that etcd would bear.

Upstream: ValidateConfigMap, ValidateSecret in pkg/apis/core/validation/validation.go
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.json_faults import GO_TYPES, json_fault
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import forbidden, invalid, required, too_long, unchanged

LIMIT = 1024 * 1024  # bytes of all values
IMMUTABLE = "field is immutable when `immutable` is set"
# secret type → keys that it must have
REQUIRED_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def decoded_size(encoded: str) -> int:
    """Return how many bytes a base64 text stands for."""
    return len(encoded) * 3 // 4 - encoded[-2:].count("=")


def config_map(obj: dict) -> Iterator[Cause]:
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for key in data:
        yield from names.check(names.config_key, f"data[{key}]", key)
        if key in binary:
            yield invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    for key in binary:
        yield from names.check(names.config_key, f"binaryData[{key}]", key)
    if sum(len(value.encode()) for value in data.values()) + sum(map(decoded_size, binary.values())) > LIMIT:
        yield too_long("[]", LIMIT)  # upstream names the whole by an empty path, which prints so


def secret(obj: dict) -> Iterator[Cause]:
    data = obj.get("data") or {}
    for key in data:
        yield from names.check(names.config_key, f"data[{key}]", key)
    if sum(map(decoded_size, data.values())) > LIMIT:
        yield too_long("data", LIMIT)
    kind = obj.get("type", "")
    for key in REQUIRED_KEYS.get(kind, ()):
        if key not in data or (key == "ssh-privatekey" and not data[key]):
            yield required(f"data[{key}]")
        elif key.startswith(".docker"):
            yield from _is_json(key, data[key])
    if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & set(data):
        yield required("data[username]")
        yield required("data[password]")
    if kind == "kubernetes.io/service-account-token":
        account = "kubernetes.io/service-account.name"
        if not (obj["metadata"].get("annotations") or {}).get(account):
            yield required(f"metadata.annotations[{account}]")


def _is_json(key: str, encoded: str) -> Iterator[Cause]:
    """Refuse a text that Go cannot read as an object."""
    text = base64.b64decode(encoded)
    try:
        value, told = json.loads(text), ""
    except ValueError:
        value, told = None, json_fault(text)
    if value is not None and not isinstance(value, dict):
        told = f"json: cannot unmarshal {GO_TYPES[type(value)]} into Go value of type map[string]interface {{}}"
    if told:
        yield invalid(f"data[{key}]", "<secret contents redacted>", told)


def same_type(obj: dict, old: dict) -> Iterator[Cause]:
    yield from unchanged("type", obj.get("type"), old.get("type"))


def kept_if_immutable(obj: dict, old: dict) -> Iterator[Cause]:
    """Refuse changes of what was declared immutable; that declaration cannot be taken back either."""
    if not old.get("immutable"):
        return
    if not obj.get("immutable"):
        yield forbidden("immutable", IMMUTABLE)
    for field in ("data", "binaryData"):
        if (obj.get(field) or {}) != (old.get(field) or {}):
            yield forbidden(field, IMMUTABLE)
