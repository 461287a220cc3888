"""Signs what is approved, and forgets requests that have had their time.

The signers are this cluster's own three: clients of the API, kubelets as clients, kubelets as servers. Others' requests
are left to them.
Left out: approving the requests of kubelets by itself, since nodes here have their certificates from the beginning.

Upstream: pkg/controller/certificates/{signer/signer.go,cleaner/cleaner.go}, pkg/apis/certificates/helpers.go
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from labkit.glassbox import clock, objects, pki
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.objects import dig

REQUESTS = "certificatesigningrequests"
CLIENT, KUBELET, SERVING = (
    f"kubernetes.io/{each}" for each in ("kube-apiserver-client", "kube-apiserver-client-kubelet", "kubelet-serving")
)
OPTIONAL = ("digital signature", "key encipherment")
LONGEST, SHORTEST = timedelta(days=365), timedelta(minutes=10)
KEPT = {"Approved": 3600.0, "Denied": 3600.0, "Failed": 3600.0, "": 24 * 3600.0}  # seconds, by what was decided


class CertificateController(Controller):
    """The key is a request."""

    name = "certificate-controller"

    def __init__(self, api, cache, recorder, authority: tuple[Path, Path]):
        self.authority = authority
        super().__init__(api, cache, recorder)

    @property
    def watches(self):
        return {REQUESTS: itself}

    def reconcile(self, key: str) -> None:
        request = self.cache[REQUESTS].get(key)
        if request is None:
            return
        if (left := seconds_left(request, self.now())) <= 0:
            self.api.delete(REQUESTS, objects.name(request), uid=objects.uid(request))
            return
        if is_due(request):
            self.api.update_status(REQUESTS, {**request, "status": self.signed(request)})
        self.queue.add_after(key, left)

    def signed(self, request: dict) -> dict:
        """Return the status with the certificate, or with why there is none."""
        spec, status = request["spec"], request["status"]
        pem, usages = base64.b64decode(spec["request"]), spec["usages"]
        if told := next(faults(spec["signerName"], pem, usages), ""):
            failed = {"type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": told}
            return {**status, "conditions": objects.set_condition(status.get("conditions"), failed, self.now())}
        certificate = pki.sign(pem, self.authority, usages, lifetime(spec.get("expirationSeconds")))
        return {**status, "certificate": base64.b64encode(certificate).decode()}


def is_due(request: dict) -> bool:
    """Tell whether a request waits for our signature."""
    if dig(request, "status.certificate") or request["spec"]["signerName"] not in (CLIENT, KUBELET, SERVING):
        return False
    return objects.is_true(request, "Approved") and not objects.is_true(request, "Failed")


def seconds_left(request: dict, now: float) -> float:
    """Return how long a request is kept: an hour after the decision, a day without one."""
    conditions = dig(request, "status.conditions") or []
    decided = [(each.get("lastUpdateTime"), KEPT[each["type"]]) for each in conditions if each["type"] in KEPT]
    made = (request["metadata"]["creationTimestamp"], KEPT[""])
    since = [(time, kept) for time, kept in decided if time] or [made]
    return max(clock.parse(time) + kept for time, kept in since) - now


def lifetime(seconds: int | None) -> timedelta:
    """Return how long a certificate holds: as long as was asked for, within limits."""
    return LONGEST if seconds is None else min(max(timedelta(seconds=seconds), SHORTEST), LONGEST)


def faults(signer: str, pem: bytes, usages: list[str]) -> Iterator[str]:
    """Yield why the signer does not sign a request, in upstream's words."""
    if signer == CLIENT:
        for each in usages:
            if each not in (*OPTIONAL, "client auth"):
                yield f"invalid usage for client certificate: {each}"
        if "client auth" not in usages:
            yield "missing required usage for client certificate: client auth"
        return
    yield from _node_faults(pem, serving=signer == SERVING)
    needed = {"digital signature", "server auth" if signer == SERVING else "client auth"}
    if set(usages) not in (needed, {*needed, "key encipherment"}):
        yield f"usages did not match [{' '.join(sorted({*needed, 'key encipherment'}))}]"


def _node_faults(pem: bytes, serving: bool) -> Iterator[str]:
    from cryptography import x509

    request = x509.load_pem_x509_csr(pem)
    groups, names = (
        [each.value for each in request.subject.get_attributes_for_oid(oid)]
        for oid in (x509.NameOID.ORGANIZATION_NAME, x509.NameOID.COMMON_NAME)
    )
    if groups != ["system:nodes"]:
        yield "subject organization is not system:nodes"
    if not str((names or [""])[0]).startswith("system:node:"):
        yield "subject common name does not begin with system:node: "
    found = [each.value for each in request.extensions if isinstance(each.value, x509.SubjectAlternativeName)]
    kinds = {type(name) for each in found for name in each}
    if serving and not kinds & {x509.DNSName, x509.IPAddress}:
        yield "DNS or IP subjectAltName is required"
    allowed = {x509.DNSName, x509.IPAddress} if serving else set()
    words: dict[type, str] = {
        x509.DNSName: "DNS",
        x509.RFC822Name: "Email",
        x509.IPAddress: "IP",
        x509.UniformResourceIdentifier: "URI",
    }
    for kind in kinds - allowed:
        yield f"{words.get(kind, 'other')} subjectAltNames are not allowed"
