"""Which certificate a host name gets, as the client's hello names it: an Ingress' secret, else the controller's own.

Upstream: github.com/kubernetes/ingress-nginx, internal/ingress/controller/store/backend_ssl.go
"""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from labkit.glassbox import objects
from labkit.glassbox.ingress.routes import matches


@dataclass(frozen=True)
class Wanted:
    """One host's secret."""

    ingress: str
    host: str
    secret: str  # namespace/name


@dataclass
class Certificates:
    """TLS contexts by host; a secret is read anew when it has changed."""

    default: ssl.SSLContext
    by_host: dict[str, ssl.SSLContext] = field(default_factory=dict)
    held: dict[str, tuple[str, ssl.SSLContext]] = field(default_factory=dict)  # by secret, and of which version

    def __post_init__(self) -> None:
        self.default.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        fitting = [host for host in self.by_host if matches(host, (name or "").lower())]
        if fitting:
            connection.context = self.by_host[max(fitting, key=lambda host: (host[:1] not in ("", "*"), len(host)))]

    def update(self, wanted: Iterable[Wanted], secrets: Mapping[str, dict]) -> dict[Wanted, str]:
        """Serve these; return what is wrong with which."""
        found: dict[str, ssl.SSLContext] = {}
        faults: dict[Wanted, str] = {}
        for each in wanted:
            try:
                found.setdefault(each.host, self._context(each.secret, secrets))
            except (KeyError, ValueError, OSError) as error:
                why = "not found" if each.secret not in secrets else f"has no certificate and key that fit: {error}"
                faults[each] = f'secrets "{each.secret.partition("/")[2]}" {why}'
        self.by_host = found
        return faults

    def _context(self, key: str, secrets: Mapping[str, dict]) -> ssl.SSLContext:
        secret = secrets[key]
        version = secret["metadata"]["resourceVersion"]
        if self.held.get(key, ("",))[0] != version:
            self.held[key] = (version, context_of(secret["data"]))
        return self.held[key][1]


def wanted(ingresses: Iterable[dict]) -> Iterator[Wanted]:
    """Return the hosts that have a secret; an entry without hosts is for those of the rules."""
    for ingress in ingresses:
        rules = [rule.get("host", "") for rule in ingress["spec"].get("rules") or []]
        for entry in ingress["spec"].get("tls") or []:
            if name := entry.get("secretName"):
                for host in entry.get("hosts") or rules or [""]:
                    yield Wanted(objects.key(ingress), host, f"{objects.namespace(ingress)}/{name}")


def context_of(data: Mapping[str, str]) -> ssl.SSLContext:
    """Return a context for a secret's certificate. Raises KeyError, ValueError or OSError."""
    context = server_context()
    with tempfile.NamedTemporaryFile() as pair:  # the ssl module takes them from files alone
        pair.write(b"\n".join(base64.b64decode(data[name]) for name in ("tls.crt", "tls.key")))
        pair.flush()
        context.load_cert_chain(pair.name)
    return context


def server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    return context
