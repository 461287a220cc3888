"""Objects are decoded as Go decodes them; defaults are upstream's; merge keys come from the definitions."""

import re

import orjson
import pytest

from labkit.glassbox.apiserver import openapi_v2, schema
from labkit.glassbox.errors import ApiError
from labkit.glassbox.resources import REGISTRY


def decoded(kind, obj, validation="Strict", raw=b""):
    return schema.decode(REGISTRY.find(kind), obj, field_validation=validation, raw=raw)


def refusal(kind, obj, validation="Strict", raw=b""):
    """Return what a refusal says after "cannot be handled as a Kind: "."""
    with pytest.raises(ApiError) as refused:
        decoded(kind, obj, validation, raw)
    assert (refused.value.code, refused.value.reason) == (400, "BadRequest")
    return refused.value.message.partition(" cannot be handled as a ")[2].partition(": ")[2]


POD = {
    "metadata": {"name": "p"},
    "spec": {"containers": [{"name": "c", "image": "b", "imagee": "x"}], "nope": {"a": 1}},
}


def test_unknown_fields_are_told_by_path():
    told = 'unknown field "spec.containers[0].imagee"', 'unknown field "spec.nope"'
    assert refusal("pods", POD) == "strict decoding error: " + ", ".join(told)
    kept, warnings = decoded("pods", POD, "Warn")
    assert warnings == list(told)
    assert kept["spec"] == {"containers": [{"name": "c", "image": "b"}]}
    assert decoded("pods", POD, "Ignore")[1] == []


def test_names_of_fields_are_case_sensitive():
    assert refusal("configmaps", {"metadata": {"Name": "x"}, "Data": {}}) == (
        'strict decoding error: unknown field "metadata.Name", unknown field "Data"'
    )


def test_repeated_fields_are_found_in_the_text():
    raw = b'{"metadata":{"name":"a","name":"b"},"data":{"k":"1","k":"2"}}'
    told = 'duplicate field "metadata.name", duplicate field "data.k"'
    assert refusal("configmaps", {"metadata": {"name": "b"}, "data": {"k": "2"}}, raw=raw) == (
        f"strict decoding error: {told}"
    )


@pytest.mark.parametrize(
    ("kind", "obj", "told"),
    [
        ("configmaps", {"data": {"a": 1}}, "number into Go struct field ConfigMap.data of type string"),
        ("configmaps", {"data": []}, "array into Go struct field ConfigMap.data of type map[string]string"),
        ("configmaps", {"metadata": "x"}, "string into Go struct field ConfigMap.metadata of type v1.ObjectMeta"),
        (
            "configmaps",
            {"metadata": {"labels": {"a": True}}},
            "bool into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            "deployments",
            {"spec": {"replicas": "three"}},
            "string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "deployments",
            {"spec": {"replicas": 1.5}},
            "number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "deployments",
            {"spec": {"replicas": 99999999999}},
            "number 99999999999 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "pods",
            {"spec": {"containers": {}}},
            "object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
    ],
)
def test_a_wrong_type_is_told_as_go_tells_it(kind, obj, told):
    assert refusal(kind, obj) == f"json: cannot unmarshal {told}"


def test_a_bad_quantity_is_told_the_syntax():
    limits = {"resources": {"limits": {"cpu": "abc"}}}
    told = refusal("pods", {"spec": {"containers": [{"name": "c", **limits}]}})
    assert told.startswith("quantities must match the regular expression")


def test_quantities_become_canonical():
    limits = {"resources": {"limits": {"cpu": 1.5, "memory": 1073741824}}}
    pod, _ = decoded("pods", {"spec": {"containers": [{"name": "c", **limits}]}})
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1500m", "memory": "1073741824"}


def test_null_is_absent():
    assert decoded("configmaps", {"metadata": {"name": "n", "labels": None}, "data": None})[0] == {
        "metadata": {"name": "n"}
    }


# -- defaults


def defaulted(kind, obj):
    schema.apply_defaults(REGISTRY.find(kind), obj)
    return obj


def test_a_pod_is_defaulted():
    pod = defaulted("pods", {"spec": {"containers": [{"name": "c", "image": "busybox"}]}})
    assert pod["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "busybox",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "Always",
            }
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("busybox", "Always"),
        ("busybox:latest", "Always"),
        ("busybox:1.36", "IfNotPresent"),
        ("registry.example:5000/busybox", "Always"),
        ("busybox@sha256:" + "0" * 64, "IfNotPresent"),
    ],
)
def test_only_a_moving_tag_is_pulled_each_time(image, policy):
    pod = defaulted("pods", {"spec": {"containers": [{"name": "c", "image": image}]}})
    assert pod["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_limits_are_requests_where_none_are_made():
    container = {"name": "c", "image": "b", "resources": {"limits": {"cpu": "1"}}}
    pod = defaulted("pods", {"spec": {"containers": [container]}})
    assert pod["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1"}


def test_less_than_a_thousandth_is_rounded_up():
    container = {"name": "c", "image": "b", "resources": {"limits": {"cpu": "1500u", "memory": "1Gi"}}}
    pod = defaulted("pods", {"spec": {"containers": [container]}})
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "2m", "memory": "1Gi"}


def test_a_pod_s_own_limits_count_its_containers_huge_pages():
    container = {"name": "c", "image": "b", "resources": {"limits": {"hugepages-2Mi": "2Mi", "cpu": "1"}}}
    pod = defaulted("pods", {"spec": {"containers": [container], "resources": {"limits": {"cpu": "2"}}}})
    assert pod["spec"]["resources"] == {
        "limits": {"cpu": "2", "hugepages-2Mi": "2Mi"},
        "requests": {"cpu": "1", "hugepages-2Mi": "2Mi"},
    }


def test_a_probe_is_defaulted():
    probe = {"httpGet": {"port": 80}}
    pod = defaulted("pods", {"spec": {"containers": [{"name": "c", "image": "b", "livenessProbe": probe}]}})
    assert pod["spec"]["containers"][0]["livenessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


def test_a_deployment_is_defaulted():
    spec = defaulted("deployments", {"spec": {"template": {"spec": {"containers": []}}}})["spec"]
    assert {field: spec[field] for field in spec if field != "template"} == {
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
    }


def test_what_is_set_stays():
    spec = defaulted("deployments", {"spec": {"replicas": 0, "strategy": {"type": "Recreate"}}})["spec"]
    assert (spec["replicas"], spec["strategy"]) == (0, {"type": "Recreate"})


# -- merging


def test_lists_are_merged_by_key():
    containers = schema.field("io.k8s.api.core.v1.PodSpec", "containers")
    assert (containers.is_list, containers.patch_strategy, containers.patch_merge_key) == (True, "merge", "name")
    assert containers.definition == "io.k8s.api.core.v1.Container"


def test_a_map_is_a_map():
    assert schema.field("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "labels").is_map


def test_nothing_is_known_of_a_field_that_does_not_exist():
    assert schema.field("io.k8s.api.core.v1.PodSpec", "nope") == schema.FieldInfo()


# -- OpenAPI


def test_each_group_version_served_has_a_document():
    paths = schema.openapi_v3_index()["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/coordination.k8s.io/v1", "apis/events.k8s.io/v1"} <= paths.keys()


def test_each_path_declares_the_parameters_in_it():
    for document in map(schema.openapi_v3, schema.openapi_v3_index()["paths"]):
        for path, item in document["paths"].items():
            declared = [each["name"] for each in item["parameters"] if each["in"] == "path" and each["required"]]
            assert sorted(declared) == sorted(re.findall("{(.+?)}", path))


def test_each_operation_has_a_name_of_its_own_as_upstream_makes_it():
    names = {}
    for document in map(schema.openapi_v3, schema.openapi_v3_index()["paths"]):
        for path, item in document["paths"].items():
            for method in item.keys() - {"parameters"}:
                assert names.setdefault(item[method]["operationId"], (method, path)) == (method, path)
    pods = "/api/v1/namespaces/{namespace}/pods"
    assert names["listCoreV1NamespacedPod"] == ("get", pods)
    assert names["listCoreV1PodForAllNamespaces"] == ("get", "/api/v1/pods")
    assert names["deleteCoreV1CollectionNamespacedPod"] == ("delete", pods)
    assert names["connectCoreV1PostNamespacedPodExec"] == ("post", f"{pods}/{{name}}/exec")
    assert names["createCoreV1NamespacedPodEviction"] == ("post", f"{pods}/{{name}}/eviction")
    assert names["getAppsV1APIResources"] == ("get", "/apis/apps/v1/")


def test_a_document_tells_that_fields_can_be_validated():
    document = schema.openapi_v3("apis/apps/v1")
    operation = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert operation["x-kubernetes-group-version-kind"] == {"group": "apps", "kind": "Deployment", "version": "v1"}
    assert "fieldValidation" in {parameter["name"] for parameter in operation["parameters"]}


def test_the_document_of_version_2_defines_all_that_it_refers_to():
    document = openapi_v2.openapi_v2()
    text = orjson.dumps(document).decode()
    assert set(re.findall('"#/definitions/(.+?)"', text)) <= document["definitions"].keys()
    port = document["definitions"]["io.k8s.api.core.v1.ServicePort"]["properties"]
    assert port["protocol"]["type"] == "string"
    assert port["targetPort"].keys() == {"$ref", "description"}


@pytest.mark.parametrize(
    ("kind", "obj"),
    [
        ("csinodes", {"spec": {"drivers": [{"name": "d", "nodeID": "n", "allocatable": {"count": 0}}]}}),
        ("statefulsets", {"status": {"replicas": 0, "availableReplicas": 0}}),
        ("services", {"spec": {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}, "loadBalancerClass": ""}}),
        ("pods", {"spec": {"containers": [], "dnsConfig": {"options": [{"name": "a", "value": ""}]}}}),
        ("pods", {"spec": {"containers": [], "volumes": [{"name": "a", "csi": {"driver": "d", "readOnly": False}}]}}),
    ],
)
def test_what_go_holds_by_a_pointer_stays_when_it_is_empty(kind, obj):
    assert decoded(kind, obj)[0] == obj


def test_what_go_holds_by_value_is_left_out_when_it_is_empty():
    probe = {"exec": {}, "timeoutSeconds": 0}
    container = {"name": "c", "livenessProbe": probe, "stdin": False, "image": ""}
    assert decoded("pods", {"spec": {"containers": [container]}})[0]["spec"]["containers"] == [
        {"name": "c", "livenessProbe": {"exec": {}}}
    ]


def test_null_is_a_map_entry_s_zero():
    assert decoded("configmaps", {"data": {"a": None}})[0] == {"data": {"a": ""}}
    assert decoded("limitranges", {"spec": {"limits": [{"type": "Pod", "max": {"cpu": None}}]}})[0] == {
        "spec": {"limits": [{"type": "Pod", "max": {"cpu": "0"}}]}
    }
    review = {"spec": {"user": "u", "extra": {"scopes": None}}}
    assert decoded("subjectaccessreviews", review)[0] == {"spec": {"user": "u", "extra": {"scopes": []}}}


@pytest.mark.parametrize("written", [0, ""])
def test_a_service_s_port_leads_to_itself_where_go_writes_the_zero_of_no_target(written):
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80, "targetPort": written}]}}
    schema.apply_defaults(REGISTRY.find("services"), service)
    assert service["spec"]["ports"][0]["targetPort"] == 80
