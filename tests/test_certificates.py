"""Certificates by request: who may approve, what is signed, what is not, and that a certificate lets its bearer in."""

import base64
import json
import ssl
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from labkit.glassbox.controllers.certificate import CLIENT, KUBELET, SERVING, faults, seconds_left
from tests.embedded import eventually

NAMES = {"CN": x509.NameOID.COMMON_NAME, "O": x509.NameOID.ORGANIZATION_NAME}
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


def signing_request(alternatives=(), **subject):
    """Return a key and a request for that subject, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NAMES[each], value) for each, value in subject.items()])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), pem


def wanted(name, pem, signer=CLIENT, usages=("client auth",), **more):
    spec = {"request": base64.b64encode(pem).decode(), "signerName": signer, "usages": list(usages), **more}
    kind = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
    return {**kind, "metadata": {"name": name}, "spec": spec}


def test_an_approved_request_becomes_a_certificate_that_lets_its_bearer_in(cluster, tmp_path):
    key, pem = signing_request(CN="jane", O="team")
    cluster.kubectl("create", "-f", "-", input=json.dumps(wanted("jane", pem, expirationSeconds=7200)))
    assert "Pending" in cluster.kubectl("get", "csr", "jane")
    cluster.kubectl("certificate", "approve", "jane")
    eventually(lambda: "Approved,Issued" in cluster.kubectl("get", "csr", "jane"))
    certificate = base64.b64decode(cluster.kubectl("get", "csr", "jane", "-o", "jsonpath={.status.certificate}"))
    held = x509.load_pem_x509_certificate(certificate)
    assert (held.not_valid_after_utc - held.not_valid_before_utc).total_seconds() == pytest.approx(7200 + 3600, abs=5)
    (tmp_path / "pair").write_bytes(certificate + key)
    config = json.loads(cluster.kubectl("config", "view", "--raw", "-o", "json"))["clusters"][0]["cluster"]
    tls = ssl.create_default_context(cadata=base64.b64decode(config["certificate-authority-data"]).decode())
    tls.load_cert_chain(tmp_path / "pair")
    review = b'{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}'
    path = f"{config['server']}/apis/authentication.k8s.io/v1/selfsubjectreviews"
    asked = urllib.request.Request(path, review, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, context=tls, timeout=20) as answer:
        info = json.load(answer)["status"]["userInfo"]
    assert (info["username"], info["groups"]) == ("jane", ["team", "system:authenticated"])


def test_a_denied_request_is_never_signed(cluster):
    cluster.kubectl("create", "-f", "-", input=json.dumps(wanted("no", signing_request(CN="no")[1])))
    cluster.kubectl("certificate", "deny", "no")
    assert cluster.kubectl("get", "csr", "no", "--no-headers").split()[-1] == "Denied"
    assert cluster.kubectl("certificate", "approve", "no", check=False).returncode != 0


def test_what_a_signer_does_not_sign_is_marked_failed_with_the_reason(cluster):
    made = wanted("odd", signing_request(CN="odd")[1], usages=["client auth", "server auth"])
    cluster.kubectl("create", "-f", "-", input=json.dumps(made))
    cluster.kubectl("certificate", "approve", "odd")
    eventually(lambda: "Approved,Failed" in cluster.kubectl("get", "csr", "odd"))
    told = cluster.kubectl("get", "csr", "odd", "-o", 'jsonpath={.status.conditions[?(@.type=="Failed")].message}')
    assert told == "invalid usage for client certificate: server auth"


def test_who_asks_is_written_down_by_the_server_not_by_the_client(api_server):
    api_server.request("POST", REQUESTS, wanted("who", signing_request(CN="x")[1], username="somebody"))
    spec = api_server.request("GET", f"{REQUESTS}/who")[1]["spec"]
    assert (spec["username"], spec["groups"]) == ("kubernetes-admin", ["system:masters", "system:authenticated"])


def test_nobody_gets_a_client_certificate_of_the_almighty_group(api_server):
    code, refusal = api_server.request("POST", REQUESTS, wanted("root", signing_request(CN="x", O="system:masters")[1]))
    assert code == 403
    assert refusal["message"].endswith(
        "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
    )


def test_approving_needs_the_permission_for_the_signer(api_server):
    made = api_server.request("POST", REQUESTS, wanted("mine", signing_request(CN="x")[1]))[1]
    rule = {"apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests/approval"], "verbs": ["*"]}
    roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    api_server.request("POST", roles, {"metadata": {"name": "approves"}, "rules": [rule]})
    api_server.kubectl("create", "clusterrolebinding", "approves", "--clusterrole=approves", "--user=student")
    made["status"]["conditions"] = [{"type": "Approved", "status": "True", "reason": "R"}]
    code, refusal = api_server.request("PUT", f"{REQUESTS}/mine/approval", made, user="student")
    assert code == 403
    assert 'user not permitted to approve requests with signerName "kubernetes.io/kube-apiserver' in refusal["message"]
    sign = {"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": ["approve"]}
    every = {**sign, "resourceNames": ["kubernetes.io/*"]}
    api_server.request("PUT", f"{roles}/approves", {"metadata": {"name": "approves"}, "rules": [rule, every]})
    code, approved = api_server.request("PUT", f"{REQUESTS}/mine/approval", made, user="student")
    assert code == 200, approved
    assert approved["status"]["conditions"][0]["lastTransitionTime"]


def test_a_decision_is_never_taken_back(api_server):
    made = api_server.request("POST", REQUESTS, wanted("fixed", signing_request(CN="x")[1]))[1]
    made["status"]["conditions"] = [{"type": "Denied", "status": "True"}]
    made = api_server.request("PUT", f"{REQUESTS}/fixed/approval", made)[1]
    made["status"]["conditions"] = [{"type": "Approved", "status": "True"}]
    code, refusal = api_server.request("PUT", f"{REQUESTS}/fixed/approval", made)
    assert code == 422
    assert 'updates may not remove a condition of type "Denied"' in refusal["message"]


def test_the_legacy_signer_is_refused_by_its_name(api_server):
    asked = wanted("old", signing_request(CN="x")[1], signer="kubernetes.io/legacy-unknown")
    code, refusal = api_server.request("POST", REQUESTS, asked)
    assert (code, refusal["details"]["causes"][0]["field"]) == (422, "spec.signerName")


@pytest.mark.parametrize(
    ("signer", "subject", "alternatives", "usages", "told"),
    [
        (KUBELET, {"CN": "system:node:a", "O": "system:nodes"}, (), ("digital signature", "client auth"), None),
        (KUBELET, {"CN": "a", "O": "system:nodes"}, (), ("digital signature", "client auth"), "common name"),
        (KUBELET, {"CN": "system:node:a"}, (), ("digital signature", "client auth"), "organization"),
        (
            KUBELET,
            {"CN": "system:node:a", "O": "system:nodes"},
            (x509.DNSName("a"),),
            ("digital signature", "client auth"),
            "DNS subjectAltNames are not allowed",
        ),
        (SERVING, {"CN": "system:node:a", "O": "system:nodes"}, (), ("digital signature", "server auth"), "required"),
        (
            SERVING,
            {"CN": "system:node:a", "O": "system:nodes"},
            (x509.DNSName("a"),),
            ("digital signature", "server auth", "key encipherment"),
            None,
        ),
        (SERVING, {"CN": "system:node:a", "O": "system:nodes"}, (x509.DNSName("a"),), ("any",), "usages did not match"),
    ],
)
def test_each_signer_signs_what_is_its_own(signer, subject, alternatives, usages, told):
    found = list(faults(signer, signing_request(alternatives, **subject)[1], list(usages)))
    assert not found if told is None else told in found[0]


def test_a_request_is_kept_for_an_hour_after_the_decision_and_a_day_without():
    request = {"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "status": {}}
    at = 1767225600.0
    assert seconds_left(request, at + 100) == 24 * 3600 - 100
    request["status"]["conditions"] = [{"type": "Denied", "status": "True", "lastUpdateTime": "2026-01-01T00:10:00Z"}]
    assert seconds_left(request, at + 600) == 3600
