"""Admission webhooks: a real HTTPS server is asked about what is written, may change it, warn of it and refuse it."""

import base64
import json
import threading
import uuid
from pathlib import Path

import pytest

from labkit.glassbox import pki
from labkit.glassbox.apiserver.admission.matching import Question, is_ruled
from labkit.glassbox.apiserver.request import Request
from labkit.glassbox.apiserver.routes import parse
from labkit.glassbox.resources import REGISTRY
from tests import webhook_server
from tests.embedded import eventually

GROUP = "/apis/admissionregistration.k8s.io/v1"
RULE = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}


def pair_for(directory, *names):
    """Return a file with a certificate and its key, and the authority that signed it, in base64."""
    pki.ensure(directory, [pki.Leaf("hook", "hook", names=names)], [])
    pair = directory / "pair"
    pair.write_bytes((directory / "hook.crt").read_bytes() + (directory / "hook.key").read_bytes())
    return pair, base64.b64encode((directory / "ca.crt").read_bytes()).decode()


@pytest.fixture(scope="module")
def hooks(tmp_path_factory):
    """A running webhook server: (URL, authority)."""
    pair, authority = pair_for(tmp_path_factory.mktemp("hook"), "127.0.0.1")
    server = webhook_server.serve(pair)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_address[1]}", authority
    server.shutdown()


@pytest.fixture
def configure(api_server, namespace, hooks):
    """Return what configures webhooks of the namespace: configure(kind, path, **more); they go with the test."""
    made = []

    def make(kind, *paths, **more):
        selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
        webhooks = [
            {
                "name": f"{path.strip('/')}.example.com",
                "clientConfig": {"url": hooks[0] + path, "caBundle": hooks[1]},
                "rules": [RULE],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "namespaceSelector": selector,
                **more,
            }
            for path in paths
        ]
        where = f"{GROUP}/{kind}webhookconfigurations"
        obj = {"metadata": {"name": f"{kind}-{uuid.uuid4().hex[:6]}"}, "webhooks": webhooks}
        code, answer = api_server.request("POST", where, obj)
        assert code == 201, answer
        made.append(f"{where}/{obj['metadata']['name']}")

    webhook_server.ASKED.clear()
    yield make
    for each in made:
        api_server.request("DELETE", each)


@pytest.fixture
def write(api_server, namespace):
    """Return what creates a ConfigMap with labels: write("name", label="value") → (status, answer)."""

    def create(name, path="configmaps", query="", **labels):
        obj = {"metadata": {"name": name, "labels": labels}, "data": {"a": "1"}}
        return api_server.request("POST", f"/api/v1/namespaces/{namespace}/{path}{query}", obj)

    return create


def test_a_refusal_is_the_clients_in_the_webhooks_words(configure, write):
    configure("validating", "/deny")
    assert write("good")[0] == 201
    code, refusal = write("bad", bad="yes")
    assert (code, refusal["reason"]) == (403, "Forbidden")
    assert refusal["message"] == 'admission webhook "deny.example.com" denied the request: bad is bad'


def test_a_refusal_without_words_is_a_400(configure, write):
    configure("validating", "/no")
    code, refusal = write("c")
    assert (code, refusal["message"]) == (
        400,
        'admission webhook "no.example.com" denied the request without explanation',
    )


def test_a_webhook_changes_what_is_stored(configure, write, api_server, namespace):
    configure("mutating", "/label")
    assert write("c", own="x")[1]["metadata"]["labels"] == {"own": "x", "hooked": "yes"}
    stored = api_server.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/c")[1]
    assert stored["metadata"]["labels"] == {"own": "x", "hooked": "yes"}


def test_updates_patches_and_deletions_are_asked_about_with_the_object_before(configure, write, api_server, namespace):
    write("c", own="x")
    configure("validating", "/deny")
    path = f"/api/v1/namespaces/{namespace}/configmaps/c"
    change = {"metadata": {"labels": {"more": "y"}}}
    api_server.request("PATCH", path, change, content_type="application/merge-patch+json")
    api_server.request("DELETE", path)
    asked = [(r["operation"], r["name"], bool(r["object"]), r["oldObject"]) for _, r in webhook_server.ASKED]
    assert [each[:3] for each in asked] == [("UPDATE", "c", True), ("DELETE", "c", False)]
    assert [each[3]["metadata"]["labels"].get("more") for each in asked] == [None, "y"]


def test_what_was_refused_for_one_of_many_deletes_none(configure, write, api_server, namespace):
    write("a")
    write("b", bad="yes")
    configure("validating", "/deny")
    code, _ = api_server.request("DELETE", f"/api/v1/namespaces/{namespace}/configmaps")
    left = api_server.request("GET", f"/api/v1/namespaces/{namespace}/configmaps")[1]["items"]
    assert (code, [each["metadata"]["name"] for each in left]) == (403, ["a", "b"])


def test_a_name_that_is_drawn_is_the_one_that_was_shown(configure, api_server, namespace):
    configure("validating", "/warn")
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    made = api_server.request("POST", path, {"metadata": {"generateName": "g-"}})[1]["metadata"]
    shown = webhook_server.ASKED[-1][1]["object"]["metadata"]
    assert (shown["name"], shown["uid"]) == (made["name"], made["uid"])


def test_a_later_change_is_shown_again_to_who_wants_to_see_it(configure, write):
    configure("mutating", "/count", "/label", reinvocationPolicy="IfNeeded")
    assert write("c")[1]["metadata"]["annotations"] == {"count": "2"}


def test_nobody_is_asked_again_unless_he_wants_to_be(configure, write):
    configure("mutating", "/count", "/label")
    assert write("c")[1]["metadata"]["annotations"] == {"count": "1"}


def test_warnings_reach_the_client(configure, api_server, namespace):
    configure("validating", "/warn")
    shown = api_server.kubectl("-n", namespace, "create", "configmap", "c", check=False)
    assert "Warning: mind the gap" in shown


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/slow", "context deadline exceeded"),
        ("/broken", "an error on the server ("),
        ("/odd", "received invalid webhook response: expected response.uid="),
    ],
)
def test_a_webhook_that_fails_fails_the_write_or_is_passed_over(configure, write, path, told):
    configure("validating", path, timeoutSeconds=1)
    code, refusal = write("c")
    assert (code, refusal["reason"]) == (500, "InternalError")
    assert f'failed calling webhook "{path[1:]}.example.com": ' in refusal["message"]
    assert told in refusal["message"]


def test_a_failure_that_may_be_ignored_is(configure, write):
    configure("validating", "/broken", failurePolicy="Ignore")
    assert write("c")[0] == 201


def test_a_validating_webhook_that_patches_has_failed(configure, write):
    configure("validating", "/patch")
    assert "validating webhook may not return response.patch" in write("c")[1]["message"]


def test_a_patch_that_does_not_fit_is_an_error(configure, write):
    configure("mutating", "/patch")
    assert write("c")[0] == 500


def test_a_certificate_of_another_authority_is_not_trusted(configure, write, hooks, tmp_path):
    _, other = pair_for(tmp_path, "127.0.0.1")
    configure("validating", "/deny", clientConfig={"url": f"{hooks[0]}/deny", "caBundle": other})
    assert "x509: certificate signed by unknown authority" in write("c")[1]["message"]


def test_who_has_side_effects_only_in_earnest_is_told_of_a_dry_run(configure, write):
    configure("validating", "/deny", sideEffects="NoneOnDryRun")
    assert write("c", query="?dryRun=All")[0] == 201
    assert webhook_server.ASKED[-1][1]["dryRun"] is True


def test_objects_are_selected_by_their_labels(configure, write):
    configure("validating", "/no", objectSelector={"matchLabels": {"ask": "yes"}})
    assert write("quiet")[0] == 201
    assert write("asked", ask="yes")[0] == 400


def test_another_version_of_the_same_objects_is_shown_as_the_rule_names_it(configure, api_server, namespace):
    rule = {"operations": ["*"], "apiGroups": ["autoscaling"], "apiVersions": ["v1"], "resources": ["*"]}
    configure("mutating", "/label", rules=[rule])
    target = {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}
    path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
    made = api_server.request(
        "POST", path, {"metadata": {"name": "h"}, "spec": {"scaleTargetRef": target, "maxReplicas": 3}}
    )
    asked = webhook_server.ASKED[-1][1]
    assert (asked["kind"]["version"], asked["requestKind"]["version"]) == ("v1", "v2")
    assert asked["object"]["apiVersion"] == "autoscaling/v1"
    assert made[1]["metadata"]["labels"] == {"hooked": "yes"}
    assert made[1]["spec"]["metrics"]


def test_a_scale_is_asked_about_as_a_scale(configure, api_server, namespace):
    api_server.kubectl("-n", namespace, "create", "deployment", "d", "--image=busybox:1.36", "--replicas=0")
    rule = {"operations": ["UPDATE"], "apiGroups": ["apps"], "apiVersions": ["*"], "resources": ["deployments/scale"]}
    configure("validating", "/no", rules=[rule])
    shown = api_server.kubectl("-n", namespace, "scale", "deployment", "d", "--replicas=3", check=False)
    assert "denied the request" in shown
    assert webhook_server.ASKED[-1][1]["object"]["kind"] == "Scale"


def test_nobody_locks_himself_out_of_the_configurations(configure, api_server):
    every = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}
    configure("validating", "/no", rules=[every], namespaceSelector={}, objectSelector={"matchLabels": {"no": "no"}})
    code, _ = api_server.request(
        "POST", f"{GROUP}/validatingwebhookconfigurations", {"metadata": {"name": "free", "labels": {"no": "no"}}}
    )
    assert code == 201
    api_server.request("DELETE", f"{GROUP}/validatingwebhookconfigurations/free")


def test_a_webhook_is_asked_on_its_conditions_alone(configure, write):
    configure("validating", "/deny", matchConditions=[{"name": "x", "expression": "object.metadata.name == 'asked'"}])
    assert write("free", bad="yes")[0] == 201
    assert write("asked", bad="yes")[0] == 403


def test_a_condition_that_fails_counts_as_the_failure_of_its_webhook(configure, write):
    missing = [{"name": "x", "expression": "object.data.missing == ''"}]
    configure("validating", "/deny", matchConditions=missing, failurePolicy="Ignore")
    assert write("ignored", bad="yes")[0] == 201
    configure("validating", "/deny", matchConditions=missing)
    code, refusal = write("refused")
    assert (code, "resulted in error: no such key: missing" in refusal["message"]) == (403, True)


def test_a_condition_that_does_not_compile_is_refused(api_server):
    hook = {"name": "a.example.com", "clientConfig": {"url": "https://x"}, "rules": [RULE], "sideEffects": "None"}
    hook |= {"admissionReviewVersions": ["v1"], "matchConditions": [{"name": "x", "expression": "params.x"}]}
    where = f"{GROUP}/validatingwebhookconfigurations"
    code, refusal = api_server.request("POST", where, {"metadata": {"name": "m"}, "webhooks": [hook]})
    assert (code, refusal["details"]["causes"][0]["field"]) == (422, "webhooks[0].matchConditions[0].expression")


@pytest.mark.parametrize(
    ("resources", "path", "is_meant"),
    [
        (["pods"], "/api/v1/namespaces/n/pods", True),
        (["pods"], "/api/v1/namespaces/n/pods/p/status", False),
        (["pods/*"], "/api/v1/namespaces/n/pods/p/status", True),
        (["*"], "/api/v1/namespaces/n/pods", True),
        (["*"], "/api/v1/namespaces/n/pods/p/status", False),
        (["*/status"], "/api/v1/namespaces/n/pods/p/status", True),
        (["*/*"], "/api/v1/namespaces/n/pods/p/status", True),
        (["services"], "/api/v1/namespaces/n/pods", False),
    ],
)
def test_rules_name_resources_and_subresources(resources, path, is_meant):
    route = parse("PUT", path)
    request = Request("PUT", route, REGISTRY.find("pods"), {})
    rule = {**RULE, "resources": resources}
    assert is_ruled(rule, REGISTRY.find("pods"), Question("UPDATE", request, {}, {})) == is_meant


def test_a_webhook_in_a_pod_is_reached_through_its_service(cluster, tmp_path, python_image):
    cluster.kubectl("create", "namespace", "hooks")
    pair, authority = pair_for(tmp_path, "hook.hooks.svc")
    program = Path(webhook_server.__file__)
    cluster.kubectl("-n", "hooks", "create", "configmap", "hook", f"--from-file={program}", f"--from-file={pair}")
    volume = {"name": "v", "configMap": {"name": "hook"}}
    container = {
        "name": "c",
        "image": f"python:{python_image}-slim",
        "command": ["python", "/v/webhook_server.py", "/v/pair", "8443"],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "hook", "labels": {"app": "hook"}}}
    cluster.kubectl(
        "-n",
        "hooks",
        "create",
        "-f",
        "-",
        input=json.dumps({**pod, "spec": {"containers": [container], "volumes": [volume]}}),
    )
    cluster.kubectl("-n", "hooks", "expose", "pod", "hook", "--port=443", "--target-port=8443")
    cluster.kubectl("-n", "hooks", "wait", "pod/hook", "--for=condition=Ready", "--timeout=50s")
    hook = {
        "name": "label.example.com",
        "clientConfig": {"service": {"namespace": "hooks", "name": "hook", "path": "/label"}, "caBundle": authority},
        "rules": [RULE],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "hooks"}},
    }
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}
    cluster.kubectl("create", "-f", "-", input=json.dumps({**kind, "metadata": {"name": "hooks"}, "webhooks": [hook]}))
    try:
        shown = ("-n", "hooks", "create", "configmap", "c", "-o", "jsonpath={.metadata.labels.hooked}")
        made = eventually(lambda: (done := cluster.kubectl(*shown, check=False)).returncode == 0 and done, within=20)
        assert made.stdout == "yes"
    finally:
        cluster.kubectl("delete", "mutatingwebhookconfiguration", "hooks")
        cluster.kubectl("delete", "namespace", "hooks", "--wait=false")
