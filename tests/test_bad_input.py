"""What is wrong is told in upstream's words, with the next step, and costs nothing that was there."""

import json
import os

import pytest

from tests.live import fresh_namespace, make, pod, wait

pytestmark = pytest.mark.cluster

LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character"
)
SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"


@pytest.fixture
def namespace(cluster):
    with fresh_namespace(cluster) as name:
        yield name


def refused(cluster, namespace, *arguments, given=None):
    """Run kubectl, which must fail, and return what it said."""
    text = given if given is None or isinstance(given, str) else json.dumps(given)
    run = cluster.kubectl(*arguments, "-n", namespace, input=text, check=False)
    assert run.returncode != 0, run.stdout
    return run.stderr


def changed(where, value):
    """A good pod with one thing changed: where is the path to it."""
    obj = pod("good", "sleep 1000")
    *path, last = where
    at = obj
    for step in path:
        at = at[step]
    at[last] = value
    return obj


@pytest.mark.parametrize(
    ("where", "value", "told"),
    [
        (("spec", "colour"), "red", 'strict decoding error: unknown field "spec.colour"'),
        (("spec", "containers", 0, "imagee"), "x", 'strict decoding error: unknown field "spec.containers[0].imagee"'),
        (
            ("spec", "terminationGracePeriodSeconds"),
            "soon",
            "json: cannot unmarshal string into Go struct field "
            "PodSpec.spec.terminationGracePeriodSeconds of type int64",
        ),
        (
            ("spec", "containers", 0, "image"),
            5,
            "json: cannot unmarshal number into Go struct field Container.spec.containers.image of type string",
        ),
        (("metadata", "name"), "Bad_Name", f'metadata.name: Invalid value: "Bad_Name": {SUBDOMAIN}'),
        (("metadata", "labels"), {"a": "b c"}, f'metadata.labels: Invalid value: "b c": {LABEL_VALUE}'),
        (("metadata", "labels"), {"a b": ""}, 'metadata.labels: Invalid value: "a b": name part must consist of'),
        (("spec", "containers"), [], "spec.containers: Required value"),
        (
            ("spec", "restartPolicy"),
            "Sometimes",
            'spec.restartPolicy: Unsupported value: "Sometimes": supported values:',
        ),
        (
            ("spec", "containers", 0, "name"),
            "C_0",
            'spec.containers[0].name: Invalid value: "C_0": a lowercase RFC 1123',
        ),
        (
            ("spec", "containers", 0, "volumeMounts"),
            [{"name": "lost", "mountPath": "/a"}],
            'spec.containers[0].volumeMounts[0].name: Not found: "lost"',
        ),
    ],
)
def test_a_pod_with_something_wrong_is_refused_and_not_made(cluster, namespace, where, value, told):
    assert told in refused(cluster, namespace, "create", "-f", "-", given=changed(where, value))
    assert cluster.kubectl("get", "pods", "-n", namespace, "-o", "name") == ""


def test_every_fault_is_told_at_once(cluster, namespace):
    twice = changed(("spec", "containers", 0, "name"), "C_0")
    twice["metadata"]["labels"] = {"a": "b c"}
    told = refused(cluster, namespace, "create", "-f", "-", given=twice)
    assert 'The Pod "good" is invalid:' in told
    assert "* metadata.labels: " in told
    assert "* spec.containers[0].name: " in told


def test_a_field_that_never_changes_is_told(cluster, namespace):
    cluster.kubectl("create", "deployment", "web", "--image=busybox:1.36", "-n", namespace)
    change = '[{"op": "replace", "path": "/spec/selector/matchLabels", "value": {"a": "b"}}]'
    told = refused(cluster, namespace, "patch", "deployment", "web", "--type=json", "-p", change)
    assert 'spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: field is immutable' in told


def test_a_patch_of_a_wrong_type_is_shown(cluster, namespace):
    cluster.kubectl("create", "deployment", "web", "--image=busybox:1.36", "-n", namespace)
    told = refused(cluster, namespace, "patch", "deployment", "web", "-p", '{"spec": {"replicas": "three"}}')
    assert 'patch: Invalid value: "map[spec:map[replicas:three]]": unrecognized type: int32' in told


def test_a_running_pod_outlives_a_bad_change(cluster, namespace):
    make(cluster, namespace, pod("good", "sleep 1000"))
    told = refused(cluster, namespace, "apply", "-f", "-", given=pod("good", "sleep 2000"))
    assert "spec: Forbidden: pod updates may not change fields other than" in told
    wait(cluster, namespace, "good", "condition=Ready")


@pytest.mark.parametrize("obj", [{"apiVersion": "apps/v2", "kind": "Deployment"}, {"apiVersion": "v1", "kind": "Pood"}])
def test_a_kind_that_is_not_served_is_named(cluster, namespace, obj):
    told = refused(cluster, namespace, "apply", "-f", "-", given={**obj, "metadata": {"name": "x"}})
    assert f'no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}"' in told


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("{", "couldn't get version/kind; json parse error: unexpected end of JSON input"),
        ('{"kind": "Pod"', "couldn't get version/kind; json parse error: unexpected end of JSON input"),
        ("[]", "cannot unmarshal array into Go value"),
        ("\x00\x01", "invalid character '\\x00' looking for beginning of value"),
    ],
)
def test_a_malformed_body_is_refused(cluster, namespace, tmp_path, body, told):
    path = tmp_path / "body"
    path.write_text(body)
    assert told in refused(
        cluster, namespace, "create", "--raw", f"/api/v1/namespaces/{namespace}/pods", "-f", str(path)
    )


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (2**20 + 1, "Too long: may not be more than 1048576 bytes"),
        (2**22, "Request entity too large: limit is 3145728"),
    ],
)
def test_a_huge_object_is_refused_and_the_server_goes_on(cluster, namespace, size, told):
    huge = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "huge"}, "data": {"a": "x" * size}}
    assert told in refused(cluster, namespace, "create", "-f", "-", given=huge)
    assert cluster.kubectl("get", "--raw", "/readyz") == "ok"
    assert cluster.component("api-server")["state"] == "running"


def test_a_selector_that_cannot_be_read_is_told(cluster, namespace):
    assert "unable to parse requirement: found '' expected: '('" in refused(
        cluster, namespace, "get", "pods", "-l", "a in"
    )


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ("nosuch:9", "this cluster has no registry, and no image nosuch; there are: python:"),
        ("python:2.6-slim", "this host has no Python 2.6; it has: "),
    ],
)
def test_an_unknown_image_names_those_there_are(cluster, namespace, image, told):
    cluster.kubectl("run", "unknown", f"--image={image}", "-n", namespace)
    waiting = ".status.containerStatuses[0].state.waiting"
    wait(cluster, namespace, "unknown", f"jsonpath={{{waiting}.reason}}=ImagePullBackOff")
    assert told in cluster.kubectl("get", "pod", "unknown", "-n", namespace, "-o", f"jsonpath={{{waiting}.message}}")


def test_an_image_name_that_no_image_can_have_is_told(cluster, namespace):
    malformed = changed(("spec", "containers", 0, "image"), "UPPER CASE")
    make(
        cluster,
        namespace,
        malformed,
        until="jsonpath={.status.containerStatuses[0].state.waiting.reason}=InvalidImageName",
    )


def test_a_read_only_state_directory_is_named_with_the_next_step(throwaway):
    closed = throwaway.home / "closed"
    closed.mkdir(mode=0o555)
    throwaway.environment["LABKIT_HOME"] = str(closed)
    if os.access(closed, os.W_OK):
        pytest.skip("this user may write everywhere")
    up = throwaway.up()
    assert up.returncode == 1
    assert f"cannot write to the state directory {closed}/clusters/test" in up.stderr
    assert "export LABKIT_HOME=" in up.stderr
