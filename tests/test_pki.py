"""Certificates, tokens and kubeconfigs of one cluster."""

import json
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from labkit.glassbox import pki

SERVER = pki.Leaf("apiserver", "kube-apiserver", names=("127.0.0.1", "localhost"))
CLIENT = pki.Leaf("client", "kube-apiserver-kubelet-client", "system:masters")
ADMIN = pki.User("kubernetes-admin", ("system:masters",))


@pytest.fixture
def directory(tmp_path):
    pki.ensure(tmp_path / "pki", [SERVER, CLIENT], [ADMIN])
    return tmp_path / "pki"


def certificate(directory, file):
    return x509.load_pem_x509_certificate((directory / f"{file}.crt").read_bytes())


def test_a_server_s_certificate_passes_a_client_that_trusts_the_authority(directory):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(directory / "apiserver.crt", directory / "apiserver.key")
    server.load_verify_locations(directory / "ca.crt")
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=directory / "ca.crt")
    client.load_cert_chain(directory / "client.crt", directory / "client.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    ours = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    for end in (ours, theirs, ours, theirs):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert dict(pair[0] for pair in theirs.getpeercert()["subject"]) == {
        "commonName": "kube-apiserver-kubelet-client",
        "organizationName": "system:masters",
    }


def test_all_files_are_the_owner_s_alone(directory):
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
    assert directory.stat().st_mode & 0o777 == 0o700


def test_a_second_run_changes_nothing(directory):
    before = {path: path.read_bytes() for path in directory.iterdir()}
    pki.ensure(directory, [SERVER, CLIENT], [ADMIN])
    assert {path: path.read_bytes() for path in directory.iterdir()} == before


def test_a_new_node_s_certificate_and_token_are_added_to_the_others(directory):
    before = (directory / "apiserver.crt").read_bytes(), pki.tokens(directory)
    node = pki.Leaf("kubelet-node3", "system:node:node3", "system:nodes", names=("node3", "172.30.0.13"))
    pki.ensure(directory, [SERVER, node], [ADMIN, pki.User("system:node:node3", ("system:nodes",))])
    assert (directory / "apiserver.crt").read_bytes() == before[0]
    assert pki.tokens(directory).items() > before[1].items()
    assert certificate(directory, "kubelet-node3").issuer == certificate(directory, "ca").subject


def test_certificates_last_a_year_and_are_renewed_in_its_last_month(directory):
    first = certificate(directory, "apiserver")
    left = first.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=364) < left <= timedelta(days=365)
    pki.ensure(directory, [SERVER, CLIENT], [ADMIN], now=datetime.now(UTC) + timedelta(days=340))
    assert certificate(directory, "apiserver").not_valid_after_utc > first.not_valid_after_utc


def test_a_half_made_set_is_made_again(directory):
    (directory / pki.STAMP).unlink()
    (directory / "ca.key").unlink()
    pki.ensure(directory, [SERVER, CLIENT], [ADMIN])
    authority = certificate(directory, "ca")
    for file in ("apiserver", "client"):
        certificate(directory, file).verify_directly_issued_by(authority)


def test_a_kubeconfig_carries_server_authority_and_token(directory):
    text = pki.kubeconfig(directory, server="https://127.0.0.1:6443", cluster="labkit", user=ADMIN.name)
    config = json.loads(text)
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert config["users"][0]["user"]["token"] == pki.tokens(directory)[ADMIN.name]
    assert config["current-context"] == "labkit"


def test_a_token_s_groups_are_one_quoted_field(directory):
    pki.ensure(directory, [], [pki.User("system:node:node1", ("system:nodes", "system:masters"))])
    line = (directory / pki.TOKENS).read_text().splitlines()[-1]
    assert line.endswith(',system:node:node1,system:node:node1,"system:nodes,system:masters"')
