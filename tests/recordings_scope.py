"""What of a recording is compared: all but what its vendor and the age of its store made.

Each exclusion stands here once, so that all else of such an exchange is compared.
"""

import re
from urllib.parse import parse_qs, urlsplit

from tests.normalise import RECORDED_VERSION, SAFE, as_ours

TOKEN_OF_REVISION_1 = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJ4In0"


def is_compared(exchange: dict) -> bool:
    """Tell whether an answer does not depend on how far the recorded etcd was compacted: 200, 410 or an ERROR event."""
    query = parse_qs(urlsplit(exchange["request"]["path"]).query)
    old = query.get("resourceVersion") == ["1"] or query.get("continue") == [TOKEN_OF_REVISION_1]
    return not old or exchange["response"]["status"] == 422


def within_scope(exchange: dict) -> dict:
    """Return the exchange as it would have been recorded from a server without what is the recorded one's own."""
    response = {key: _without(value) for key, value in exchange["response"].items()}
    return {**exchange, "request": _as_sent(exchange), "response": response}


def _as_sent(exchange: dict) -> dict:
    """Return the request as its answer shows that it was: some were written down after the recorder had changed them.

    An accepted write cannot have named revision 1, and what was created has the name that was asked for.
    """
    request, response = exchange["request"], exchange["response"]
    if not isinstance(request["body"], dict) or not isinstance(request["body"].get("metadata"), dict):
        return request
    metadata = dict(request["body"]["metadata"])
    if response["status"] == 200 and metadata.get("resourceVersion") == "1":
        del metadata["resourceVersion"]
    if request["method"] == "POST" and response["status"] == 201 and metadata.get("name"):
        metadata["name"] = (response["body"].get("metadata") or {}).get("name", metadata["name"])
    return {**request, "body": {**request["body"], "metadata": metadata}}


def _without(value):
    if isinstance(value, dict):
        return {key: _of_ours(value, key, _without(item)) for key, item in value.items() if item != UNLIMITED}
    if isinstance(value, list):
        return [_without(item) for item in value]
    return as_ours(_VERSION.sub(r"\1<rv>", without_vendors_source(value))) if isinstance(value, str) else value


def _of_ours(owner: dict, key: str, item):
    """Return a field's value with a placeholder for what is drawn by lot or tells what the server is made of."""
    prefix = owner.get("generateName", "")[:58]
    if key == "name" and prefix and isinstance(item, str) and re.fullmatch(rf"[{SAFE}]{{5}}", item[len(prefix) :]):
        return f"{prefix}<suffix>"
    if key == "healthCheckNodePort":
        return f"<port-{item}>"
    return "<own>" if owner.get("compiler") == "gc" and key in RECORDED_VERSION else item


UNLIMITED = {"memory": "9007199254740988Ki"}  # a control group of version 1 tells "no limit" as a number
# A text's resourceVersion is a plain number of the recorder's.
_VERSION = re.compile(r'(resourceVersion\\*": ?\\*"|resourceVersion: ")(\d+)')


_HUNK = re.compile(r"(?m)^@@ -(\d+),(\d+) \+(\d+),(\d+) @@\n")
_VENDORS = re.compile(
    r"(?m)^(-     \}),\n-     \{\n(?:-      .*\n){16}-     \}\n(?=-    \])"
)  # the last of the sources
VENDORS_LINES = 18


def without_vendors_source(text: str) -> str:
    """Return the difference between two pods' specs as if their token volumes had not the recorded vendor's source."""
    if "pod updates may not change" not in text or "@@" not in text:
        return text
    shown, found = 'service-ca.crt"' in text, iter(_HUNK.finditer(text))
    first = next(found).start()

    def moved(hunk: re.Match) -> str:
        line, lines, new, more = map(int, hunk.groups())
        if shown and hunk.start() == first:  # the source itself is in the first
            return f"@@ -{line},{lines - VENDORS_LINES} +{new},{more} @@\n"
        return f"@@ -{line - VENDORS_LINES},{lines} +{new - (0 if shown else VENDORS_LINES)},{more} @@\n"

    return _VENDORS.sub(r"\1\n", _HUNK.sub(moved, text)) if shown else _HUNK.sub(moved, text)
