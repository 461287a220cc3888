"""JSON patch (RFC 6902) as kube-apiserver applies it, in the words of the library that it uses.

Pure, but for the document, which is used up.

Upstream: gopkg.in/evanphx/json-patch.v4/patch.go
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import orjson


class Unpatchable(Exception):
    """A patch that does not fit the document."""


class TestFailed(Unpatchable):
    """A value that is not what a patch asked it to be."""


def json_patch(document: Any, operations: list[dict]) -> Any:
    """Return document after the operations, all or none. Raises Unpatchable."""
    for operation in operations:
        try:
            _operate(document, operation)
        except (KeyError, TypeError, AttributeError):
            raise Unpatchable("operation failed to decode path: missing value") from None
    return document


def _operate(document: Any, operation: dict) -> None:
    name, path = operation["op"], operation["path"]
    if name == "add":
        holder, last = _holder(document, path, f'add operation does not apply: doc is missing path: "{path}"')
        _put(holder, last, operation.get("value"), path)
    elif name == "remove":
        told = f'remove operation does not apply: doc is missing path: "{path}"'
        _take(*_holder(document, path, told), f"error in remove for path: '{path}'")
    elif name == "replace":
        told = "replace operation does not apply: doc is missing"
        holder, last = _holder(document, path, f"{told} path: {path}")
        if isinstance(holder, list) and _index(holder, last) is None:
            raise Unpatchable(f"{told} key: {path}: missing value")
        holder[_key(holder, last)] = operation.get("value")  # a missing key is made
    elif name == "test":
        holder, last = _holder(document, path, f"test operation does not apply: is missing path: {path}")
        if _written(_get(holder, last)) != _written(operation.get("value")):
            raise TestFailed(f"testing value {path} failed: test failed")
    elif name in ("copy", "move"):
        _carry(document, name, operation["from"], path)
    else:
        raise Unpatchable(f"Unexpected kind: {name}")


def _written(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)  # Python takes 1 for 1.0 and for true


def _carry(document: Any, name: str, source: str, path: str) -> None:
    told = f"{name} operation does not apply: doc is missing"
    holder, last = _holder(document, source, f"{told} from path: {source}")
    if name == "move":
        value = _take(holder, last, f"error in move for path: '{source}'")
    else:  # of a key that is not there, null
        failed = f"error in copy for from: '{source}'" if isinstance(holder, list) else ""
        value = deepcopy(_get(holder, last, failed))
    _put(*_holder(document, path, f"{told} destination path: {path}"), value, path)


def _holder(document: Any, path: str, told: str) -> tuple[Any, str]:
    """Return what holds the value at a path, and the value's key there. Raises Unpatchable."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")]
    if parts.pop(0) or not parts:
        raise Unpatchable(f"{told}: missing value")
    for part in parts[:-1]:
        document = _get(document, part)
    if not isinstance(document, dict | list):
        raise Unpatchable(f"{told}: missing value")
    return document, parts[-1]


def _index(items: list, part: str) -> int | None:
    """Return the index of an item that is there; a negative one counts from the end."""
    at = int(part) if part.removeprefix("-").isdigit() else len(items)
    return at % len(items) if -len(items) <= at < len(items) else None


def _key(holder: Any, part: str) -> Any:
    return _index(holder, part) if isinstance(holder, list) else part


def _get(holder: Any, part: str, failed: str = "") -> Any:
    """Return a value; None for one that is not there, unless that is to be told. Raises Unpatchable."""
    key = _key(holder, part) if isinstance(holder, dict | list) else None
    if key is None or (isinstance(holder, dict) and key not in holder):
        if failed:
            raise Unpatchable(f"{failed}: {_absent(holder, part)}")
        return None
    return holder[key]


def _absent(holder: Any, part: str) -> str:
    if isinstance(holder, dict):
        return f"Unable to remove nonexistent key: {part}: missing value"
    return f"Unable to access invalid index: {part}: invalid index referenced"


def _take(holder: Any, part: str, failed: str) -> Any:
    value = _get(holder, part, failed)
    del holder[_key(holder, part)]
    return value


def _put(holder: Any, part: str, value: Any, path: str) -> None:
    if isinstance(holder, dict):
        holder[part] = value
    elif part == "-":
        holder.append(value)
    elif (at := _index([*holder, None], part)) is not None:  # the place after the last one is one too
        holder.insert(at, value)
    else:
        raise Unpatchable(f"error in add for path: '{path}': {_absent(holder, part)}")
