"""CertificateSigningRequest: who asks for a certificate, who approves, and the certificate.

Upstream: pkg/registry/certificates/certificates/strategy.go
"""

from __future__ import annotations

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.columns import AGE, NAME, NONE, at, human_duration
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import certificates, names


class ApprovalStrategy(Strategy):
    """A write of `approval` changes the conditions alone."""

    def prepare_for_update(self, obj: dict, old: dict) -> None:
        given = dig(obj, "status.conditions")
        obj["spec"], obj["status"] = old["spec"], {k: v for k, v in old["status"].items() if k != "conditions"}
        if given:
            obj["status"]["conditions"] = given

    def validate_update(self, obj: dict, old: dict) -> list[Cause]:
        return [*super().validate_update(obj, old), *certificates.decided(obj, old)]


class CertificateSigningRequestStrategy(Strategy):
    """What is asked for never changes; a write of `status` leaves what was decided."""

    has_status = True
    name_rule: names.Rule = staticmethod(lambda name: [])
    faults = staticmethod(certificates.request)
    parts = {"approval": ApprovalStrategy()}

    def prepare_for_update(self, obj: dict, old: dict) -> None:
        super().prepare_for_update(obj, old)
        obj["spec"] = old["spec"]

    def change_faults(self, obj: dict, old: dict):
        return ()

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        return list(certificates.signed(obj, old))


def condition(obj: dict, now: float) -> str:
    """Return what has become of it, as upstream's printer tells it."""
    types = {each["type"] for each in dig(obj, "status.conditions") or []}
    decided = "Denied" if "Denied" in types else "Approved" if "Approved" in types else "Pending"
    failed = ["Failed"] if "Failed" in types else []
    return ",".join([decided, *failed, *(["Issued"] if dig(obj, "status.certificate") else [])])


def duration(obj: dict, now: float) -> str:
    seconds = dig(obj, "spec.expirationSeconds")
    return NONE if seconds is None else human_duration(seconds)


# Upstream's printer describes these columns in the words of the version before.
OF_SIGNER = """\
Requested signer for the request. It is a qualified name in the form: `scope-hostname.io/name`. \
If empty, it will be defaulted:
 1. If it's a kubelet client certificate, it is assigned
    "kubernetes.io/kube-apiserver-client-kubelet".
 2. If it's a kubelet serving certificate, it is assigned
    "kubernetes.io/kubelet-serving".
 3. Otherwise, it is assigned "kubernetes.io/legacy-unknown".
Distribution of trust for signers happens out of band. You can select on this field using `spec.signerName`."""

CERTIFICATE_SIGNING_REQUESTS = Resource(
    group="certificates.k8s.io",
    kind="CertificateSigningRequest",
    plural="certificatesigningrequests",
    namespaced=False,
    strategy=CertificateSigningRequestStrategy(),
    short_names=("csr",),
    subresources=("approval", "status"),
    columns=(
        NAME,
        AGE,
        Column("SignerName", at("spec.signerName"), description=OF_SIGNER),
        Column("Requestor", at("spec.username"), description="Base64-encoded PKCS#10 CSR data"),
        Column("RequestedDuration", duration, describes="spec.expirationSeconds"),
        Column(
            "Condition",
            condition,
            description="Conditions applied to the request, such as approval or denial.",
        ),
    ),
    field_labels=("spec.signerName",),
)
