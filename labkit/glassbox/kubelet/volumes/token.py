"""A service account's token in a file, renewed when four fifths of its life, or a day, are over.

The file itself tells when that is: a kubelet that starts again goes on with the token that is there.

Upstream: pkg/kubelet/token/token_manager.go
"""

import json
from pathlib import Path

from labkit.glassbox import objects, tokens
from labkit.glassbox.errors import ApiError
from labkit.glassbox.kubelet.env import ConfigError
from labkit.glassbox.kubelet.volumes.sources import Sources

DAY = 24 * 3600
LEAST_USED = 0.8  # of its life
HOUR = 3600


def token(pod: dict, wanted: dict, file: Path, sources: Sources) -> bytes:
    """Return the token in the file if it is young enough, else a new one. Raises ConfigError."""
    seconds = wanted.get("expirationSeconds", HOUR)
    try:
        held = file.read_bytes()
        if is_young(held, seconds, sources.now):
            return held
    except OSError:
        pass
    account = pod["spec"].get("serviceAccountName", "default")
    try:
        issued = sources.request_token(account, request_for(pod, wanted, seconds))
    except ApiError as error:
        raise ConfigError(f"failed to fetch token: {error.message}") from None
    return issued["status"]["token"].encode()


def request_for(pod: dict, wanted: dict, seconds: int) -> dict:
    """Return the TokenRequest for a token that ends with the pod."""
    bound = {"kind": "Pod", "apiVersion": "v1", "name": objects.name(pod), "uid": objects.uid(pod)}
    audiences = [wanted["audience"]] if wanted.get("audience") else []
    spec = {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": bound}
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}


def is_young(held: bytes, seconds: int, now: float) -> bool:
    """Tell whether a token need not be renewed yet. How long it was asked to live counts, not how long it does."""
    try:
        issued = json.loads(tokens.decoded(held.decode().split(".")[1]))["iat"]
    except (ValueError, IndexError, KeyError):
        return False
    return now < issued + min(LEAST_USED * seconds, DAY)
