"""The cluster's keys: certificate authority, certificates, bearer tokens, the key of service accounts, kubeconfigs.

Made once for a cluster and kept in its state directory; renewed when less than a month of their year is left. The
token file is the list of those who use the API by a token: one line a user, `token,user,uid,"groups"`.

Invariants: every file is written whole and 0600, in a private directory; a file that is there is complete. The stamp
`renew-after` is written last, so that a half-made set is made again. `ensure` imports `cryptography` only when
there is something to make.
Left out: RSA, revocation.

Upstream: cmd/kubeadm/app/phases/certs, staging/src/k8s.io/apiserver/plugin/pkg/authenticator/token/tokenfile
"""

import base64
import csv
import io
import ipaddress
import json
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

LEAF_LIFETIME = timedelta(days=365)
CA_LIFETIME = timedelta(days=3650)
RENEW_BEFORE = timedelta(days=30)
CLOCK_SKEW = timedelta(hours=1)  # certificates hold already for a client whose clock is behind
EXTENDED = {"client auth": "CLIENT_AUTH", "server auth": "SERVER_AUTH"}
STAMP = "renew-after"
TOKENS = "tokens.csv"
ACCOUNTS_KEY = "sa.key"  # signs service accounts' tokens


@dataclass(frozen=True)
class Leaf:
    """One certificate to have: its file's name, its subject, the names and addresses that it serves."""

    file: str
    common_name: str
    organization: str = ""
    names: tuple[str, ...] = ()  # empty: a client's certificate


@dataclass(frozen=True)
class User:
    """One line of the token file."""

    name: str
    groups: tuple[str, ...]


def ensure(directory: Path, leaves: list[Leaf], users: list[User], now: datetime | None = None) -> None:
    """Make what is missing or about to expire; raises OSError where the directory cannot be written."""
    now = now or datetime.now(UTC)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    _ensure_tokens(directory / TOKENS, users)
    if not (directory / ACCOUNTS_KEY).exists():
        write_private(directory / ACCOUNTS_KEY, _pem(_new_key()))
    renew = not (_is_current(directory / STAMP, now) and (directory / "ca.key").exists())
    missing = [leaf for leaf in leaves if renew or not (directory / f"{leaf.file}.crt").exists()]
    if not missing:
        return
    authority = _authority(directory, now)
    for leaf in missing:
        _write_pair(directory, leaf.file, *_issue(authority, leaf, now))
    if renew:
        write_private(directory / STAMP, (now + LEAF_LIFETIME - RENEW_BEFORE).isoformat())


def sign(request: bytes, authority: tuple[Path, Path], usages: list[str], lifetime: timedelta) -> bytes:
    """Return the certificate for a signing request, both PEM; `authority` is its certificate and its key.

    The subject and its other names are those that are asked for: who approved has looked at them.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

    wanted, now = x509.load_pem_x509_csr(request), datetime.now(UTC)
    issuer = x509.load_pem_x509_certificate(authority[0].read_bytes())
    key = load_pem_private_key(authority[1].read_bytes(), None)
    builder = _certificate(wanted.subject, issuer.subject, wanted.public_key(), now, lifetime)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(certificates=False, key_encipherment="key encipherment" in usages), True)
    extended = [getattr(x509.ExtendedKeyUsageOID, name) for usage, name in EXTENDED.items() if usage in usages]
    builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    for each in wanted.extensions:
        if each.oid == x509.ExtensionOID.SUBJECT_ALTERNATIVE_NAME:
            builder = builder.add_extension(each.value, each.critical)
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    builder = builder.add_extension(signer, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)  # type: ignore[arg-type]


def tokens(directory: Path) -> dict[str, str]:
    """Return each user's token."""
    return {row[1]: row[0] for row in csv.reader(io.StringIO((directory / TOKENS).read_text()))}


def kubeconfig(directory: Path, *, server: str, cluster: str, user: str, certificate: str = "") -> str:
    """Return a kubeconfig, in JSON (which is YAML), that names `server` and carries the user's token.

    With `certificate`, a Leaf's file, it names that certificate and its key instead.
    """
    credential = (
        {"token": tokens(directory)[user]}
        if not certificate
        else {
            "client-certificate": str(directory / f"{certificate}.crt"),
            "client-key": str(directory / f"{certificate}.key"),
        }
    )
    authority = base64.b64encode((directory / "ca.crt").read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster,
        "clusters": [{"name": cluster, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": user, "user": credential}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
    }
    return json.dumps(config, indent=2) + "\n"


def write_private(path: Path, content: str | bytes) -> None:
    """Write a file whole, readable by its owner alone: others see the old content or the new, never a part.

    What root writes belongs to whom the directory belongs: the machine, which is not root's (unprivileged.py).
    """
    data = content.encode() if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            if os.geteuid() == 0:
                os.fchown(fd, path.parent.stat().st_uid, path.parent.stat().st_gid)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _ensure_tokens(path: Path, users: list[User]) -> None:
    """Add who is missing; whoever of the system is no longer named here loses his token."""
    held = list(csv.reader(io.StringIO(path.read_text()))) if path.exists() else []
    wanted = {user.name for user in users}
    rows = [row for row in held if row[1] in wanted or not row[1].startswith("system:")]
    known = {row[1] for row in rows}
    rows += [[secrets.token_urlsafe(32), u.name, u.name, ",".join(u.groups)] for u in users if u.name not in known]
    if rows != held or not path.exists():
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows(rows)
        write_private(path, table.getvalue())


def _is_current(stamp: Path, now: datetime) -> bool:
    try:
        return now < datetime.fromisoformat(stamp.read_text())
    except (OSError, ValueError):
        return False


@dataclass(frozen=True)
class _Authority:
    key: "EllipticCurvePrivateKey"
    certificate: "x509.Certificate"


def _authority(directory: Path, now: datetime) -> _Authority:
    """Load the certificate authority; make one when there is none or when it ends before a new leaf would."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        certificate = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
        key = load_pem_private_key((directory / "ca.key").read_bytes(), None)
        if certificate.not_valid_after_utc > now + LEAF_LIFETIME and certificate.public_key() == key.public_key():
            return _Authority(key, certificate)  # type: ignore[arg-type]  # the loader cannot know the kind
    except (OSError, ValueError):
        pass
    authority = _self_signed(now)
    _write_pair(directory, "ca", authority.key, authority.certificate)
    return authority


def _self_signed(now: datetime) -> _Authority:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    key = _new_key()
    name = _subject(Leaf("ca", "glassbox-ca"))
    builder = _certificate(name, name, key.public_key(), now, CA_LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(certificates=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return _Authority(key, builder.sign(key, hashes.SHA256()))


def _issue(authority: _Authority, leaf: Leaf, now: datetime) -> tuple["EllipticCurvePrivateKey", "x509.Certificate"]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    key = _new_key()
    issuer = authority.certificate.subject
    builder = _certificate(_subject(leaf), issuer, key.public_key(), now, LEAF_LIFETIME)
    usage = x509.ExtendedKeyUsageOID.SERVER_AUTH if leaf.names else x509.ExtendedKeyUsageOID.CLIENT_AUTH
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = builder.add_extension(signer, critical=False)
    if leaf.names:
        alternatives = [_general_name(name) for name in leaf.names]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return key, builder.sign(authority.key, hashes.SHA256())


def _certificate(subject, issuer, public_key, now: datetime, lifetime: timedelta) -> "x509.CertificateBuilder":
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _subject(leaf: Leaf) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    organization = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, leaf.organization)] if leaf.organization else []
    return x509.Name([*organization, x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)])


def _general_name(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, certificates: bool, key_encipherment: bool = False) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_pair(directory: Path, file: str, key: "EllipticCurvePrivateKey", certificate: "x509.Certificate") -> None:
    """Write the key first: a certificate that is there has its key."""
    from cryptography.hazmat.primitives.serialization import Encoding

    write_private(directory / f"{file}.key", _pem(key))
    write_private(directory / f"{file}.crt", certificate.public_bytes(Encoding.PEM))


def _new_key() -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: "EllipticCurvePrivateKey") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
