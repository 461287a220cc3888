"""Kinds that a cluster keeps although nothing of its own needs them, and those that tell of the API server itself."""

import json

import pytest

from tests.embedded import eventually

GROUPS = "/apis/{}/v1/{}"


def post(api_server, group, plural, obj):
    return api_server.request("POST", GROUPS.format(group, plural), obj)


def test_the_api_servers_own_groups_have_an_apiservice_each(api_server):
    found = json.loads(api_server.kubectl("get", "apiservices", "-o", "json"))["items"]
    groups = api_server.request("GET", "/apis")[1]["groups"]
    assert {each["metadata"]["name"] for each in found} >= {f"v1.{each['name']}" for each in groups[:5]} | {"v1."}
    assert all(each["status"]["conditions"][0]["reason"] == "Local" for each in found)


def test_an_apiservice_of_another_server_says_that_nothing_is_passed_on(api_server, namespace):
    service = {"namespace": namespace, "name": "s"}
    spec = {"group": "a.example.com", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1}
    obj = {"metadata": {"name": "v1.a.example.com"}, "spec": {**spec, "service": service}}
    code, made = post(api_server, "apiregistration.k8s.io", "apiservices", obj)
    assert (code, made["spec"]["service"]["port"], made["status"]) == (201, 443, {})
    shown = eventually(
        lambda: "NotServed" in (out := api_server.kubectl("get", "apiservice", "v1.a.example.com")) and out
    )
    assert f"{namespace}/s" in shown
    api_server.kubectl("delete", "apiservice", "v1.a.example.com")


def test_a_services_addresses_come_and_go_as_objects(api_server, namespace):
    made = api_server.request(
        "POST",
        f"/api/v1/namespaces/{namespace}/services",
        {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}},
    )[1]
    path = GROUPS.format("networking.k8s.io", "ipaddresses") + f"/{made['spec']['clusterIP']}"
    held = eventually(lambda: (found := api_server.request("GET", path))[0] == 200 and found[1])
    assert held["spec"]["parentRef"] == {"resource": "services", "namespace": namespace, "name": "s"}
    api_server.request("DELETE", f"/api/v1/namespaces/{namespace}/services/s")
    assert eventually(lambda: api_server.request("GET", path)[0] == 404)


def test_a_further_range_of_services_says_that_none_is_taken_from_it(api_server):
    path = GROUPS.format("networking.k8s.io", "servicecidrs")
    api_server.request("POST", path, {"metadata": {"name": "more"}, "spec": {"cidrs": ["192.0.2.0/24"]}})

    def conditions():
        return api_server.request("GET", f"{path}/more")[1]["status"].get("conditions")

    assert [each["reason"] for each in eventually(conditions)] == ["NotServed"]
    code, refusal = api_server.request(
        "PUT", f"{path}/more", {"metadata": {"name": "more"}, "spec": {"cidrs": ["::/1"]}}
    )
    assert (code, refusal["details"]["causes"][0]["field"]) == (422, "spec.cidrs")
    api_server.request("DELETE", f"{path}/more")


def test_a_flow_schema_says_whether_its_priority_level_exists(api_server):
    api_server.kubectl("apply", "-f", "-", stdin=json.dumps(flow_schema("lost", "none")))

    def shown():
        return api_server.kubectl("get", "flowschema", "lost", "--no-headers").split()[-1]

    eventually(lambda: shown() == "True")
    level = {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "PriorityLevelConfiguration",
        "metadata": {"name": "none"},
        "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}},
    }
    api_server.kubectl("create", "-f", "-", stdin=json.dumps(level))
    assert eventually(lambda: shown() == "False")
    api_server.kubectl("delete", "flowschema/lost", "prioritylevelconfiguration/none")


def flow_schema(name, level):
    return {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": {"name": name},
        "spec": {"priorityLevelConfiguration": {"name": level}},
    }


def test_componentstatuses_tell_who_is_not_there(api_server):
    shown = api_server.kubectl("get", "componentstatuses", check=False)
    assert "Warning: v1 ComponentStatus is deprecated in v1.19+" in shown
    lines = {line.split()[0]: line.split()[1] for line in shown.splitlines() if line}
    assert (lines["etcd-0"], lines["scheduler"]) == ("Healthy", "Unhealthy")


def test_a_pod_takes_over_what_its_runtime_class_says(api_server, namespace):
    tolerations = [{"key": "rt", "operator": "Exists"}]
    class_ = {"handler": "h", "overhead": {"podFixed": {"cpu": "10m"}}, "scheduling": {"tolerations": tolerations}}
    post(api_server, "node.k8s.io", "runtimeclasses", {"metadata": {"name": f"c-{namespace}"}, **class_})
    path = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"containers": [{"name": "c", "image": "busybox:1.36"}], "runtimeClassName": f"c-{namespace}"}
    made = api_server.request("POST", path, {"metadata": {"name": "p"}, "spec": spec})[1]["spec"]
    assert (made["overhead"], made["tolerations"][-1]) == ({"cpu": "10m"}, tolerations[0])
    code, refusal = api_server.request(
        "POST", path, {"metadata": {"name": "q"}, "spec": {**spec, "runtimeClassName": "none"}}
    )
    assert code == 403
    assert refusal["message"] == 'pods "q" is forbidden: pod rejected: RuntimeClass "none" not found'


def test_the_old_door_of_the_scheduler_binds_the_pod_that_the_body_names(api_server, namespace):
    path = f"/api/v1/namespaces/{namespace}"
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "busybox:1.36"}]}}
    api_server.request("POST", f"{path}/pods", pod)
    target = {"kind": "Node", "name": "n1"}
    code, _ = api_server.request("POST", f"{path}/bindings", {"metadata": {"name": "p"}, "target": target})
    assert code == 201
    assert api_server.request("GET", f"{path}/pods/p")[1]["spec"]["nodeName"] == "n1"


@pytest.mark.parametrize(
    ("binding", "code", "told"),
    [
        ({"metadata": {"name": "x"}}, 400, "name in URL does not match name in Binding object"),
        ({"metadata": {"name": "p", "namespace": "x"}}, 400,
         "the namespace of the provided object does not match the namespace sent on the request"),
        ({"metadata": {"name": "p"}, "target": {}}, 500, "target.name: Required value"),
        ({"metadata": {"name": "p"}, "target": {"kind": "Pod"}}, 500,
         '[target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>", target.name: Required value]'),
        ({"metadata": {"name": "p"}, "target": {"name": "n"}}, 409,
         'Operation cannot be fulfilled on pods/binding "p": pod p has non-empty .spec.schedulingGates'),
    ],
)  # fmt: skip
def test_a_binding_that_cannot_be_made(api_server, namespace, binding, code, told):
    spec = {"containers": [{"name": "c", "image": "busybox:1.36"}], "schedulingGates": [{"name": "g"}]}
    path = f"/api/v1/namespaces/{namespace}/pods"
    api_server.request("POST", path, {"metadata": {"name": "p"}, "spec": spec})
    answered, refusal = api_server.request("POST", f"{path}/p/binding", binding)
    assert (answered, refusal["message"]) == (code, told)


def test_a_binding_brings_its_annotations_and_ends_a_nomination(api_server, namespace):
    path = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"containers": [{"name": "c", "image": "busybox:1.36"}]}
    api_server.request("POST", path, {"metadata": {"name": "p"}, "spec": spec})
    merge = {"content_type": "application/merge-patch+json"}
    nomination = {"status": {"nominatedNodeName": "n"}}
    assert api_server.request("PATCH", f"{path}/p/status", nomination, **merge)[0] == 200
    bound = {"metadata": {"name": "p", "annotations": {"why": "room"}}, "target": {"name": "n"}}
    assert api_server.request("POST", f"{path}/p/binding", bound)[0] == 201
    _, pod = api_server.request("GET", f"{path}/p")
    assert (pod["metadata"]["annotations"], "nominatedNodeName" in pod["status"]) == ({"why": "room"}, False)
    nomination = {"status": {"nominatedNodeName": "-n"}}
    assert api_server.request("PATCH", f"{path}/p/status", nomination, **merge)[0] == 422


@pytest.mark.parametrize(
    ("group", "plural", "obj", "field"),
    [
        ("storage.k8s.io", "csidrivers", {"spec": {"fsGroupPolicy": "Some"}}, "spec.fsGroupPolicy"),
        ("storage.k8s.io", "csinodes", {"spec": {"drivers": [{"name": "d.example.com"}]}}, "spec.drivers[0].nodeID"),
        ("storage.k8s.io", "volumeattachments", {"spec": {"attacher": "a", "source": {}}}, "spec.nodeName"),
        ("storage.k8s.io", "volumeattributesclasses", {"driverName": "a"}, "parameters"),
        ("node.k8s.io", "runtimeclasses", {"handler": "a.b"}, "handler"),
        ("networking.k8s.io", "servicecidrs", {"spec": {"cidrs": ["10.0.0.1"]}}, "spec.cidrs[0]"),
        ("networking.k8s.io", "ipaddresses", {"spec": {"parentRef": {"name": "a", "resource": "b"}}}, "metadata.name"),
        ("apiregistration.k8s.io", "apiservices", {"spec": {"version": "v1"}}, "metadata.name"),
        (
            "flowcontrol.apiserver.k8s.io",
            "flowschemas",
            {"spec": {"priorityLevelConfiguration": {"name": "a"}, "matchingPrecedence": 1}},
            "spec.matchingPrecedence",
        ),
        (
            "networking.k8s.io",
            "ingressclasses",
            {"spec": {"controller": "a.b/c", "parameters": {"apiGroup": "", "kind": "K", "name": "n"}}},
            "spec.parameters.apiGroup",
        ),
        ("resource.k8s.io", "deviceclasses", {"spec": {"selectors": [{}]}}, "spec.selectors[0].cel"),
        ("resource.k8s.io", "resourceslices", {"spec": {"driver": "d", "pool": {"name": "p"}}}, "spec"),
    ],
)
def test_what_a_kind_cannot_be_is_refused_by_its_field(api_server, group, plural, obj, field):
    code, refusal = post(api_server, group, plural, {"metadata": {"name": "bad"}, **obj})
    assert code == 422, refusal
    assert field in [each["field"] for each in refusal["details"]["causes"]]


def test_a_claim_on_devices_is_kept_for_the_scheduler_that_allocates_it(api_server, namespace):
    path = f"/apis/resource.k8s.io/v1/namespaces/{namespace}/resourceclaims"
    wanted = {"name": "gpu", "exactly": {"deviceClassName": "gpus.example.com"}}
    claim = {"metadata": {"name": "c"}, "spec": {"devices": {"requests": [wanted]}}}
    made = api_server.request("POST", path, claim)[1]
    filled = {"deviceClassName": "gpus.example.com", "allocationMode": "ExactCount", "count": 1}
    assert made["spec"]["devices"]["requests"] == [{"name": "gpu", "exactly": filled}]
    assert api_server.kubectl("-n", namespace, "get", "resourceclaims", "--no-headers").split()[:2] == ["c", "pending"]
    found = {"request": "gpu", "driver": "d.example.com", "pool": "p", "device": "x"}
    made["status"] = {"allocation": {"devices": {"results": [found]}}}
    api_server.request("PUT", f"{path}/c/status", made)
    assert api_server.kubectl("-n", namespace, "get", "resourceclaims", "--no-headers").split()[1] == "allocated"
    wanted["exactly"]["count"] = 2
    code, refusal = api_server.request("PUT", f"{path}/c", claim)
    assert (code, refusal["details"]["causes"][0]["field"]) == (422, "spec")
