"""Protobuf bodies: the real kubectl writes them; garbage is refused."""

import json

import pytest

from labkit.glassbox.apiserver.protobuf import MAGIC, decode


def test_a_body_without_the_magic_bytes_is_refused():
    with pytest.raises(ValueError, match=r"expected prefix \[107 56 115 0\]"):
        decode(b"k8s")


def test_an_unknown_field_is_an_error():
    with pytest.raises(ValueError, match="unknown field 15"):
        decode(MAGIC + bytes([15 << 3, 1]))


def test_a_body_that_is_cut_off_is_refused():
    with pytest.raises(ValueError, match="unexpected EOF"):
        decode(MAGIC + b"\x0a\x20v1")


def test_kubectls_typed_creations_arrive_whole(api_server, namespace):
    kubectl = api_server.kubectl
    kubectl("-n", namespace, "create", "configmap", "c", "--from-literal=a=1", "--from-literal=b=")
    kubectl("-n", namespace, "create", "secret", "generic", "s", "--from-literal=p=w")
    kubectl("-n", namespace, "create", "deployment", "d", "--image=busybox:1.36", "--replicas=0", "--", "sleep", "1")
    kubectl("-n", namespace, "create", "service", "clusterip", "v", "--tcp=80:http")
    kubectl("-n", namespace, "create", "serviceaccount", "a")

    def got(*what):
        return json.loads(kubectl("-n", namespace, "get", *what, "-o", "json"))

    assert got("configmap", "c")["data"] == {"a": "1", "b": ""}
    assert got("secret", "s")["data"] == {"p": "dw=="}
    assert got("deployment", "d")["spec"]["replicas"] == 0
    assert got("deployment", "d")["spec"]["template"]["spec"]["containers"][0]["command"] == ["sleep", "1"]
    assert got("service", "v")["spec"]["ports"][0]["targetPort"] == "http"
    assert "generation" not in got("serviceaccount", "a")["metadata"]
