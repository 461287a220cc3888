"""What a certificate signing request must satisfy, and what may be written to what was decided about it.

Upstream: pkg/apis/certificates/validation/validation.go
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.validation import names
from labkit.glassbox.resources.validation.fields import (
    duplicate,
    forbidden,
    invalid,
    items,
    required,
    too_long,
    unique,
    unsupported,
)

USAGES = (
    *("any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment"),
    *("decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel"),
    *("ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime"),
    *("server auth", "signing", "timestamping"),
)
LEGACY = "kubernetes.io/legacy-unknown"
SHORTEST, LONGEST_SIGNER = 600, 253 + 1 + 253 + 1 + 63  # seconds; characters
PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s*\n(.*?)-----END \1-----", re.DOTALL)
STATUSES = ("False", "True", "Unknown")
DECISIONS = ("Approved", "Denied")


def request(obj: dict) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    if fault := _unreadable(spec.get("request", "")):
        yield invalid("spec.request", spec.get("request", ""), fault)
    usages = spec.get("usages") or []
    if not usages:
        yield required("spec.usages")
    for index, (path, each) in enumerate(items(usages, "spec.usages")):
        if each not in USAGES:
            yield unsupported(path, each, USAGES)
        if each in usages[:index]:
            yield duplicate(path, each)
    yield from _signer(spec.get("signerName", ""), "spec.signerName")
    if spec.get("expirationSeconds", SHORTEST) < SHORTEST:
        told = "may not specify a duration less than 600 seconds (10 minutes)"
        yield invalid("spec.expirationSeconds", spec["expirationSeconds"], told)


def _unreadable(encoded: str) -> str:
    from cryptography import x509  # only who asks for certificates pays for the import

    pem = base64.b64decode(encoded)
    if b"-----BEGIN CERTIFICATE REQUEST-----" not in pem:
        return "PEM block type must be CERTIFICATE REQUEST"
    try:
        return "" if x509.load_pem_x509_csr(pem).is_signature_valid else "x509: invalid signature"
    except ValueError as error:
        return f"asn1: {error}"


def _signer(name: str, path: str) -> Iterator[Cause]:
    domain, slash, rest = name.partition("/")
    if not name:
        yield required(path)
    elif name == LEGACY:
        yield invalid(path, name, "the legacy signerName is not allowed via this API version")
    elif not slash or "/" in rest:
        told = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        yield invalid(path, name, told)
    else:
        if len(domain) > 253:
            yield too_long(path, 253)
        yield from _labels(names.dns_label, domain, path)
        if "." not in domain:
            yield invalid(path, domain, "should be a domain with at least two segments separated by dots")
        yield from _labels(names.dns_subdomain, rest, path)
        if len(name) > LONGEST_SIGNER:
            yield too_long(path, LONGEST_SIGNER)


def _labels(rule: names.Rule, text: str, path: str) -> Iterator[Cause]:
    """Check what lies between dots, up to the first that breaks the rule."""
    bad = next((each for each in text.split(".") if rule(each)), None)
    for told in rule(bad) if bad is not None else ():
        yield invalid(path, text, f'validating label "{bad}": {told}')


def _conditions(obj: dict) -> Iterator[Cause]:
    seen: set = set()
    for path, each in items(dig(obj, "status.conditions"), "status.conditions"):
        kind, status = each.get("type", ""), each.get("status", "")
        if not kind:
            yield required(f"{path}.type")
        if status not in STATUSES:
            yield unsupported(f"{path}.status", status, STATUSES) if status else required(f"{path}.status")
        elif kind in (*DECISIONS, "Failed") and status != "True":
            yield unsupported(f"{path}.status", status, ("True",))
        if kind in DECISIONS and (seen & set(DECISIONS)) - {kind}:
            yield invalid("status.conditions", kind, "Approved and Denied conditions are mutually exclusive")
        yield from unique(f"{path}.type", kind, seen)


def _of(obj: dict, kind: str) -> dict | None:
    return next((each for each in dig(obj, "status.conditions") or [] if each.get("type") == kind), None)


def decided(obj: dict, old: dict) -> Iterator[Cause]:
    """Check a write of `approval`: a decision is never taken back."""
    yield from _conditions(obj)
    yield from _kept(obj, old)


def _kept(obj: dict, old: dict) -> Iterator[Cause]:
    for kind in (*DECISIONS, "Failed"):
        if _of(old, kind) and not _of(obj, kind):
            yield forbidden("status.conditions", f'updates may not remove a condition of type "{kind}"')


def signed(obj: dict, old: dict) -> Iterator[Cause]:
    """Check a write of `status`: it decides nothing, and a certificate that was issued stays."""
    given, held = dig(obj, "status.certificate"), dig(old, "status.certificate")
    yield from _conditions(obj)
    if given and given != held and (told := _no_certificate(base64.b64decode(given).decode("latin-1"))):
        yield invalid("status.certificate", "<certificate data>", told)
    yield from _kept(obj, old)
    for kind in DECISIONS:
        if _of(obj, kind) and _of(obj, kind) != _of(old, kind):
            done = "modify" if _of(old, kind) else "add"
            yield forbidden("status.conditions", f'updates may not {done} a condition of type "{kind}"')
    if held and given != held:
        yield forbidden("status.certificate", "updates may not modify existing certificate content")


def _no_certificate(text: str) -> str:
    """Tell what keeps a text from being certificates in PEM; "" of one that is."""
    from cryptography import x509

    blocks = PEM.findall(text)
    for kind, body in blocks:
        if kind != "CERTIFICATE":
            return f'only CERTIFICATE PEM blocks are allowed, found "{kind}"'
        if ":" in body:
            return "no PEM block headers are permitted"
        try:
            x509.load_der_x509_certificate(base64.b64decode(body))
        except ValueError:
            return "x509: malformed certificate"
    return "" if blocks else "must contain at least one CERTIFICATE PEM block"
