"""The name of a pod template: pod-template-hash.

The same template always has the same hash, so that a rollback finds its old replica set again. Upstream hashes Go's own
printing of the struct, which nothing but Go can repeat; here it is FNV-1a over the template's canonical JSON. What is
upstream's: the function, the collision count mixed in, the alphabet without vowels and look-alikes.

Upstream: pkg/controller/controller_utils.go (ComputeHash), staging/src/k8s.io/apimachinery/pkg/util/rand
"""

import orjson

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
OFFSET, PRIME = 2166136261, 16777619  # FNV, 32 bits


def fnv32a(data: bytes) -> int:
    value = OFFSET
    for byte in data:
        value = ((value ^ byte) * PRIME) & 0xFFFFFFFF
    return value


def revision_hash(data: dict, collisions: int) -> str:
    """Return the hash of a revision's data, upstream's own: FNV-1 over the JSON and the count of collisions."""
    value = OFFSET
    for byte in orjson.dumps(data, option=orjson.OPT_SORT_KEYS) + str(collisions).encode():
        value = (value * PRIME & 0xFFFFFFFF) ^ byte
    return safe_encode(str(value))


def safe_encode(text: str) -> str:
    """Return the text in letters that never spell a word."""
    return "".join(ALPHABET[ord(character) % len(ALPHABET)] for character in text)


def template_hash(template: dict, collisions: int | None) -> str:
    """Return the hash of a pod template, another one for each collision."""
    data = orjson.dumps(template, option=orjson.OPT_SORT_KEYS)
    if collisions is not None:
        data += collisions.to_bytes(8, "little")
    return safe_encode(str(fnv32a(data)))
