"""What Go's JSON parser says of a text that is no JSON.

Upstream: encoding/json/scanner.go
"""

from __future__ import annotations

import json

GO_TYPES = {list: "array", str: "string", int: "number", float: "number", bool: "bool"}
DEEPEST = 1000  # levels that the parser goes down; Go's goes down 10,000


def json_fault(body: bytes) -> str:
    """Return what Go's JSON parser says of a broken body."""
    text = body.decode(errors="replace")
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        rest = text[error.pos :].lstrip()
        if not rest or error.msg.startswith("Unterminated"):
            return "unexpected end of JSON input"
        where = "looking for beginning of value"
        if "property name" in error.msg:
            where = "looking for beginning of object key string"
        elif "delimiter" in error.msg:
            where = "after object key:value pair" if "," in error.msg else "after object key"
        elif "Extra data" in error.msg:
            where = "after top-level value"
        return f"invalid character {_quoted(rest[0])} {where}"
    except RecursionError:
        return "exceeded max depth"
    return "exceeded max depth" if text.count("{") + text.count("[") > DEEPEST else "invalid JSON"


def _quoted(character: str) -> str:
    """Return a character as Go's JSON parser quotes it: what cannot be printed is escaped."""
    return {"'": r"'\''", '"': "'\"'"}.get(character) or repr(character)
