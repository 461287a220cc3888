"""Server-side apply and managedFields through the API and kubectl."""

import json

import pytest

APPLY, MERGE, JSON = "application/apply-patch+yaml", "application/merge-patch+json", "application/json-patch+json"


@pytest.fixture
def space(api_server):
    name = api_server.request("POST", "/api/v1/namespaces", {"metadata": {"generateName": "ssa-"}})[1]["metadata"][
        "name"
    ]
    return f"/api/v1/namespaces/{name}"


def managers_of(obj):
    return {
        (each["manager"], each["operation"], each.get("subresource", "")): each["fieldsV1"]
        for each in obj["metadata"].get("managedFields", ())
    }


def config_map(**data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


def apply(api_server, path, obj, manager, **more):
    query = "&".join(f"{key}={value}" for key, value in {"fieldManager": manager, **more}.items())
    return api_server.request("PATCH", f"{path}?{query}", obj, content_type=APPLY)


def test_an_apply_that_changes_nothing_is_no_write(api_server, space):
    made = apply(api_server, f"{space}/configmaps/a", config_map(k="1"), "one")
    assert made[0] == 201
    assert apply(api_server, f"{space}/configmaps/a", config_map(k="1"), "one") == (200, made[1])


def test_what_admission_gives_a_pod_nobody_manages(api_server, space):
    api_server.request("POST", f"{space}/serviceaccounts", {"metadata": {"name": "default"}})
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "busybox:1.36"}]}}
    made = api_server.request("POST", f"{space}/pods", pod)[1]
    assert len(made["spec"]["tolerations"]) == 2
    assert made["spec"]["serviceAccountName"] == "default"
    (managed,) = managers_of(made).values()
    assert {"f:tolerations", "f:serviceAccountName", "f:volumes"}.isdisjoint(managed["f:spec"])


def test_a_status_through_the_main_resource_is_nobodys(api_server, space):
    condition = {
        "type": "Odd",
        "status": "True",
        "reason": "No",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    _, made = apply(api_server, f"{space}/services/s", {**service, "status": {"conditions": [condition]}}, "one")
    assert list(managers_of(made)[("one", "Apply", "")]) == ["f:spec"]
    path, status = f"{space}/services/s/status?fieldManager=lb", {"status": {"conditions": [condition]}}
    _, changed = api_server.request("PATCH", path, status, content_type=MERGE)
    assert list(managers_of(changed)[("lb", "Update", "status")]) == ["f:status"]


def test_a_scale_takes_the_replicas_from_who_applied_them(api_server, space):
    space = space.replace("/api/v1", "/apis/apps/v1")
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}
    apply(api_server, f"{space}/deployments/d", deployment, "one")
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 2}}
    code, refused = apply(api_server, f"{space}/deployments/d/scale", scale, "hpa")
    assert (code, refused["message"]) == (409, 'Apply failed with 1 conflict: conflict with "one": .spec.replicas')
    assert apply(api_server, f"{space}/deployments/d/scale", scale, "hpa", force="true")[1]["spec"] == {"replicas": 2}
    managers = managers_of(api_server.request("GET", f"{space}/deployments/d")[1])
    assert managers[("hpa", "Apply", "scale")] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in managers[("one", "Apply", "")]["f:spec"]


def test_an_autoscaler_has_its_managers_in_whichever_version_it_is_written(api_server, space):
    path = space.replace("/api/v1", "/apis/autoscaling/v2") + "/horizontalpodautoscalers/h"
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    hpa = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"}}
    apply(api_server, path, {**hpa, "spec": {"scaleTargetRef": target, "maxReplicas": 3}}, "one")
    older = {**hpa, "apiVersion": "autoscaling/v1", "spec": {"maxReplicas": 4}}
    code, refused = apply(api_server, path.replace("/v2/", "/v1/"), older, "two")
    assert (code, refused["details"]["causes"][0]["field"]) == (409, ".spec.maxReplicas")


def test_managed_fields_may_be_written_reset_and_garbage_is_not_taken(api_server, space):
    path = f"{space}/configmaps/a"
    apply(api_server, path, config_map(k="1"), "one")
    entry = {
        "manager": "x",
        "operation": "Apply",
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"bad": {}},
    }
    _, kept = api_server.request("PATCH", path, {"metadata": {"managedFields": [entry]}}, content_type=MERGE)
    assert list(managers_of(kept)) == [("one", "Apply", "")]
    entry["fieldsV1"] = {"f:data": {"f:k": {}}}
    operation = {"op": "replace", "path": "/metadata/managedFields", "value": [entry]}
    _, moved = api_server.request("PATCH", path, [operation], content_type=JSON)
    assert list(managers_of(moved)) == [("x", "Apply", "")]
    assert (
        "managedFields"
        not in api_server.request("PUT", path, {**moved, "metadata": {"name": "a", "managedFields": []}})[1]["metadata"]
    )


def test_yaml_repeats_no_key_and_what_looks_like_a_time_is_text(api_server, space):
    path = f"{space}/configmaps/a?fieldManager=one&fieldValidation="
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  day: 2026-01-01\n"
    _, made = api_server.request("PATCH", f"{path}Strict", body, content_type=APPLY)
    assert made["data"] == {"day": "2026-01-01"}
    code, refused = api_server.request("PATCH", f"{path}Strict", body + b"  day: b\n", content_type=APPLY)
    assert (code, refused["message"]) == (
        400,
        "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n"
        '  line 6: key "day" already set in map',
    )


def test_who_may_patch_but_not_create_cannot_make_an_object_by_applying(api_server, space):
    namespace = space.rpartition("/")[2]
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}
    api_server.request("POST", f"{roles}/roles", {"metadata": {"name": "p"}, "rules": [rule]})
    binding = {
        "metadata": {"name": "p"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "p"},
    }
    binding["subjects"] = [{"kind": "User", "name": "student"}]
    assert api_server.request("POST", f"{roles}/rolebindings", binding)[0] == 201
    path = f"{space}/configmaps/a?fieldManager=one"
    code, refused = api_server.request("PATCH", path, config_map(), content_type=APPLY, user="student")
    assert (code, 'User "student" cannot create resource "configmaps"' in refused["message"]) == (403, True)


def test_kubectl_goes_over_from_client_side_to_server_side_apply(api_server, space):
    namespace = ["-n", space.rpartition("/")[2]]
    api_server.kubectl("apply", *namespace, "-f", "-", stdin=json.dumps(config_map(k="1", old="x")))
    applied = api_server.kubectl("apply", "--server-side", *namespace, "-f", "-", stdin=json.dumps(config_map(k="2")))
    assert applied == "configmap/a serverside-applied\n"
    shown = json.loads(api_server.kubectl("get", "cm", "a", *namespace, "-o", "json", "--show-managed-fields"))
    assert shown["data"] == {"k": "2"}
    assert ("kubectl", "Apply", "") in managers_of(shown)
    assert ("kubectl-client-side-apply", "Update", "") not in managers_of(shown)
    note = json.loads(shown["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"])
    assert note["data"] == {"k": "2"}


def test_a_custom_resource_is_merged_as_its_schema_says(api_server, space):
    group = f"{space.rpartition('/')[2]}.example.com"
    item = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "n": {"type": "integer"}}}
    parts = {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"parts": parts}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    spec = {"group": group, "scope": "Namespaced", "names": {"plural": "gears", "kind": "Gear"}, "versions": [version]}
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert api_server.request("POST", definitions, {"metadata": {"name": f"gears.{group}"}, "spec": spec})[0] == 201
    path = space.replace("/api/v1", f"/apis/{group}/v1") + "/gears/g"
    gear = {"apiVersion": f"{group}/v1", "kind": "Gear", "metadata": {"name": "g"}}
    assert apply(api_server, path, {**gear, "spec": {"parts": [{"id": "a", "n": 1}]}}, "one")[0] == 201
    _, made = apply(api_server, path, {**gear, "spec": {"parts": [{"id": "b", "n": 2}]}}, "two")
    assert made["spec"]["parts"] == [{"id": "a", "n": 1}, {"id": "b", "n": 2}]
    code, refused = apply(api_server, path, {**gear, "spec": {"parts": [{"id": "a", "n": 3}]}}, "two")
    told = 'Apply failed with 1 conflict: conflict with "one": .spec.parts[id="a"].n'
    assert (code, refused["message"]) == (409, told)
    _, written = api_server.request("POST", path.rpartition("/")[0], {**gear, "metadata": {"name": "h"}, "spec": {}})
    assert managers_of(written)[("Python-urllib", "Update", "")] == {"f:spec": {}}
