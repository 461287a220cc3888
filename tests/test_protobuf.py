"""Protobuf bodies: the real kubectl writes them; garbage is refused."""

import json
import struct

import pytest

from labkit.glassbox.apiserver.definitions import definitions
from labkit.glassbox.apiserver.protobuf import INLINED, MAGIC, decode, messages, read_message


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


def test_every_field_of_the_table_is_one_that_json_has():
    unknown = [
        (message, field)
        for message, fields in messages().items()
        for field, _ in fields.values()
        if (known := definitions().get("io." + message.replace("k8s.io.", "k8s.", 1), {}).get("properties"))
        and field not in known
        and field not in INLINED
    ]
    assert not unknown


def test_embedded_structs_arrive_where_json_has_their_fields(api_server, namespace):
    container = {
        "name": "c",
        "image": "busybox:1.36",
        "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "a"}}}],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        "livenessProbe": {"exec": {"command": ["true"]}},
    }
    pod = {"restartPolicy": "Never", "containers": [container], "volumes": [{"name": "v", "configMap": {"name": "m"}}]}
    spec = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": pod}}}}
    path = f"/apis/batch/v1/namespaces/{namespace}"
    made = api_server.request("POST", f"{path}/cronjobs", {"metadata": {"name": "c"}, "spec": spec})[1]
    api_server.kubectl("-n", namespace, "create", "job", "j", "--from=cronjob/c")
    job = api_server.request("GET", f"{path}/jobs/j")[1]
    assert job["spec"]["template"]["spec"] == made["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def part(number, body):
    """Return a field of a message: text, or another message, of less than 128 bytes."""
    tag = number << 3 | 2
    return bytes([tag] if tag < 128 else [tag & 127 | 128, tag >> 7]) + bytes([len(body)]) + body


def test_a_name_is_no_embedded_struct_whatever_its_field_is_called():
    envelope = part(1, part(1, b"node.k8s.io/v1") + part(2, b"RuntimeClass")) + part(2, part(2, b"runc"))
    assert decode(MAGIC + envelope) == {"kind": "RuntimeClass", "apiVersion": "node.k8s.io/v1", "handler": "runc"}


def test_every_message_that_the_table_names_is_in_it():
    scalars = {"string", "bytes", "bool", "int32", "int64", "double"}
    missing = {
        (message, field)
        for message, fields in messages().items()
        for field, kind in fields.values()
        if (inner := kind.removeprefix("[]").removeprefix("map ")) not in scalars
        and not {inner, f"{message.rpartition('.')[0]}.{inner}"} & set(messages())
    }
    assert not missing


def test_a_custom_resource_s_schema_arrives_as_json_has_it():
    text, number = part(5, b"string"), bytes([9 << 3 | 1]) + struct.pack("<d", 10)
    inner = part(8, part(1, b'{"x":1}')) + part(24, part(1, text)) + part(30, bytes([8, 1])) + number
    data = part(29, part(1, b"a") + part(2, inner)) + part(32, part(1, b"b") + part(2, part(2, b"c")))
    schema = read_message("k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps", data)
    assert schema["properties"] == {
        "a": {"default": {"x": 1}, "items": {"type": "string"}, "additionalProperties": True, "maximum": 10}
    }
    assert schema["dependencies"] == {"b": ["c"]}


def test_the_messages_that_the_definitions_know_have_all_their_fields():
    missing = {
        (message, field)
        for message, fields in messages().items()
        if (known := definitions().get("io." + message.replace("k8s.io.", "k8s.", 1), {}).get("properties"))
        and not any(name in INLINED for name, _ in fields.values())
        for field in set(known) - {name for name, _ in fields.values()} - {"apiVersion", "kind"}
    }
    assert not missing
