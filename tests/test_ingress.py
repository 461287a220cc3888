"""Ingress: from a host's name and a path to a service's pods."""

import datetime
import json
import socket
import ssl
import urllib.error
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from labkit.glassbox.ingress.routes import Backend, Route, find, is_below, matches
from tests.embedded import eventually
from tests.live import fresh_namespace, make

INGRESS = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"}


@pytest.mark.parametrize(
    ("path", "prefix", "below"),
    [("/foo/bar", "/foo", True), ("/foobar", "/foo", False), ("/foo", "/foo/", True), ("/any", "/", True)],
)
def test_a_prefix_matches_element_by_element(path, prefix, below):
    assert is_below(path, prefix) is below


@pytest.mark.parametrize(
    ("pattern", "host", "same"),
    [("a.example", "a.example", True), ("*.example", "a.example", True), ("*.example", "b.a.example", False),
     ("*.example", "example", False), ("", "any", True)],
)  # fmt: skip
def test_a_wildcard_stands_for_one_label(pattern, host, same):
    assert matches(pattern, host) is same


def test_the_most_exact_rule_goes_first():
    def route(host, path, exact=False, default=False):
        return Route("n/i", host, path, exact, Backend(f"{host}{path}{'!' if exact else ''}"), default)

    rules = [route("", "/", default=True), route("*.example", "/"), route("a.example", "/"), route("a.example", "/x"),
             route("a.example", "/x", exact=True)]  # fmt: skip
    table = sorted(rules, key=lambda each: each.rank)

    def taken(host, path):
        return find(table, host, path).service

    assert taken("a.example", "/x") == "a.example/x!"
    assert taken("a.example", "/x/y") == "a.example/x"
    assert taken("a.example", "/y") == "a.example/"
    assert taken("b.example", "/x") == "*.example/"
    assert taken("other", "/x") == "/"


# -- on a cluster, from the host's loopback


@pytest.fixture(scope="module")
def namespace(cluster):
    with fresh_namespace(cluster) as name:
        for app in ("red", "blue"):
            make(cluster, name, server(app), service(app))
        yield name


def server(app):
    command = (
        f"mkdir -p /www/sub; echo {app} | tee /www/index.html > /www/sub/index.html; exec httpd -f -p 8080 -h /www"
    )
    container = {"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", command]}
    container["readinessProbe"] = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    metadata = {"name": app, "labels": {"app": app}}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def service(app):
    spec = {"selector": {"app": app}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": app}, "spec": spec}


def rule(host, *paths):
    listed = [{"path": path, "pathType": kind, "backend": {"service": {"name": name, "port": {"number": 80}}}}
              for path, kind, name in paths]  # fmt: skip
    return {"host": host, "http": {"paths": listed}}


def ports(cluster):
    """Return the host's ports for HTTP and HTTPS."""
    told = cluster.kubectl("get", "service", "ingress", "-n", "kube-system", "-o", "json", check=False).stdout
    return [port["nodePort"] for port in json.loads(told)["spec"]["ports"]] if told else None


def fetch(cluster, host, path="/"):
    """Return status and text of an answer, None where nobody answers yet."""
    request = urllib.request.Request(f"http://127.0.0.1:{ports(cluster)[0]}{path}", headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode().strip()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode().strip()
    except OSError:
        return None


def test_two_hosts_and_two_paths_lead_to_their_services(cluster, namespace):
    rules = [rule("red.example", ("/", "Prefix", "red")),
             rule("both.example", ("/", "Prefix", "red"), ("/sub", "Prefix", "blue"))]  # fmt: skip
    make(cluster, namespace, {**INGRESS, "metadata": {"name": "colours"}, "spec": {"rules": rules}})
    eventually(lambda: ports(cluster), within=10)
    eventually(lambda: fetch(cluster, "red.example") == (200, "red"), within=20)
    assert fetch(cluster, "both.example") == (200, "red")
    assert fetch(cluster, "both.example", "/sub/") == (200, "blue")
    assert fetch(cluster, "nobody.example") == (404, "default backend - 404")
    told = cluster.kubectl("get", "ingress", "colours", "-n", namespace, "-o", "json")
    ingress = json.loads(told)
    assert ingress["spec"]["ingressClassName"] == "glassbox"
    assert ingress["status"]["loadBalancer"]["ingress"] == [{"ip": "172.30.0.2"}]


def test_a_missing_service_is_503_and_an_event(cluster, namespace):
    rules = [rule("gone.example", ("/", "Prefix", "nowhere"))]
    make(cluster, namespace, {**INGRESS, "metadata": {"name": "gone"}, "spec": {"rules": rules}})
    eventually(lambda: fetch(cluster, "gone.example") == (503, "Service Temporarily Unavailable"), within=20)
    told = ("get", "events", "-n", namespace, "--field-selector", "involvedObject.name=gone", "-o", "json")
    eventually(lambda: 'services \\"nowhere\\" not found' in cluster.kubectl(*told))


def certificate(host):
    """Return a key and a certificate for a host, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now,
                                      now + datetime.timedelta(days=1))  # fmt: skip
    signed = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), False).sign(key, hashes.SHA256())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form), signed.public_bytes(serialization.Encoding.PEM)


def test_tls_ends_at_the_ingress_with_the_certificate_of_its_secret(cluster, namespace, tmp_path):
    for name, content in zip(("key", "crt"), certificate("safe.example"), strict=True):
        (tmp_path / name).write_bytes(content)
    files = f"--cert={tmp_path}/crt", f"--key={tmp_path}/key"
    cluster.kubectl("create", "secret", "tls", "safe", *files, "-n", namespace)
    spec = {"tls": [{"hosts": ["safe.example"], "secretName": "safe"}]}
    spec["rules"] = [rule("safe.example", ("/", "Prefix", "red"))]
    make(cluster, namespace, {**INGRESS, "metadata": {"name": "safe"}, "spec": spec})
    eventually(lambda: ports(cluster), within=10)
    context = ssl.create_default_context(cafile=str(tmp_path / "crt"))

    def ask():
        try:
            with (
                socket.create_connection(("127.0.0.1", ports(cluster)[1]), timeout=5) as plain,
                context.wrap_socket(plain, server_hostname="safe.example") as safe,
            ):
                safe.sendall(b"GET / HTTP/1.1\r\nHost: safe.example\r\nConnection: close\r\n\r\n")
                return b"".join(iter(lambda: safe.recv(4096), b""))
        except OSError:  # not yet
            return b""

    assert b"red" in eventually(lambda: b"200 OK" in (answer := ask()) and answer, within=20)
