"""Patches: JSON, merge and strategic, as pure functions."""

import pytest

from labkit.glassbox.apiserver.patch import (
    Unpatchable,
    as_converter_says,
    as_go_prints,
    json_patch,
    merge_patch,
)
from labkit.glassbox.apiserver.strategic_patch import strategic_merge
from labkit.glassbox.errors import ApiError

POD_SPEC = "io.k8s.api.core.v1.PodSpec"
DEPLOYMENT_SPEC = "io.k8s.api.apps.v1.DeploymentSpec"


def test_a_merge_patch_merges_objects_removes_by_null_and_replaces_lists():
    assert merge_patch({"a": {"b": 1, "c": 2}, "l": [1]}, {"a": {"b": None, "d": 3}, "l": [2]}) == {
        "a": {"c": 2, "d": 3},
        "l": [2],
    }


@pytest.mark.parametrize(
    ("operation", "result"),
    [
        ({"op": "add", "path": "/a/-", "value": 3}, {"a": [1, 2, 3]}),
        ({"op": "add", "path": "/a/0", "value": 3}, {"a": [3, 1, 2]}),
        ({"op": "remove", "path": "/a/0"}, {"a": [2]}),
        ({"op": "replace", "path": "/a/1", "value": 9}, {"a": [1, 9]}),
        ({"op": "add", "path": "/x~1y~0z", "value": 1}, {"a": [1, 2], "x/y~z": 1}),
        ({"op": "copy", "from": "/a/0", "path": "/b"}, {"a": [1, 2], "b": 1}),
        ({"op": "move", "from": "/a", "path": "/b"}, {"b": [1, 2]}),
        ({"op": "test", "path": "/a/0", "value": 1}, {"a": [1, 2]}),
        ({"op": "add", "path": "/a/-1", "value": 3}, {"a": [1, 2, 3]}),
        ({"op": "remove", "path": "/a/-1"}, {"a": [1]}),
        ({"op": "replace", "path": "/a/-2", "value": 3}, {"a": [3, 2]}),
    ],
)
def test_a_json_patch_operation(operation, result):
    assert json_patch({"a": [1, 2]}, [operation]) == result


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a/0", "value": 2},
        {"op": "test", "path": "/a/0", "value": 1.0},
        {"op": "test", "path": "/a/0", "value": True},
        {"op": "remove", "path": "/a/-3"},
        {"op": "remove", "path": "/missing"},
        {"op": "add", "path": "/missing/x", "value": 1},
        {"op": "remove", "path": "/a/7"},
        {"op": "frob", "path": "/a"},
        {"op": "add", "value": 1},
    ],
)
def test_a_json_patch_that_does_not_fit_is_refused(operation):
    with pytest.raises(Unpatchable):
        json_patch({"a": [1, 2]}, [operation])


def test_containers_merge_by_name():
    spec = {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}
    merged = strategic_merge(spec, {"containers": [{"name": "b", "image": "2"}]}, POD_SPEC)
    assert merged["containers"] == [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]


@pytest.mark.parametrize(
    ("held", "patch", "result"),
    [
        (["a"], ["a", "b"], ["a", "b"]),
        (["a", "b"], ["b", "c"], ["a", "b", "c"]),
        (["a", "b", "c"], ["c", "a"], ["b", "c", "a"]),
        (["a"], ["b", "c"], ["b", "c", "a"]),
    ],
)
def test_a_merged_list_has_the_order_of_the_patch_among_what_it_does_not_name(held, patch, result):
    old, change = ({"containers": [{"name": name} for name in names]} for names in (held, patch))
    assert [each["name"] for each in strategic_merge(old, change, POD_SPEC)["containers"]] == result


def test_a_list_element_is_deleted_by_directive():
    spec = {"containers": [{"name": "a"}, {"name": "b"}]}
    merged = strategic_merge(spec, {"containers": [{"name": "a", "$patch": "delete"}]}, POD_SPEC)
    assert merged["containers"] == [{"name": "b"}]


def test_a_list_is_replaced_by_directive():
    spec = {"containers": [{"name": "a"}]}
    merged = strategic_merge(spec, {"containers": [{"name": "c"}, {"$patch": "replace"}]}, POD_SPEC)
    assert merged["containers"] == [{"name": "c"}]


def test_a_list_is_put_in_the_order_asked_for():
    spec = {"containers": [{"name": "a"}, {"name": "b"}]}
    change = {
        "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
        "containers": [{"name": "a", "image": "x"}],
    }
    assert strategic_merge(spec, change, POD_SPEC)["containers"] == [{"name": "b"}, {"name": "a", "image": "x"}]


def test_a_list_without_merge_key_is_replaced():
    spec = {"containers": [{"name": "a", "command": ["x", "y"]}]}
    merged = strategic_merge(spec, {"containers": [{"name": "a", "command": ["z"]}]}, POD_SPEC)
    assert merged["containers"] == [{"name": "a", "command": ["z"]}]


def test_retained_keys_drop_the_others():
    spec = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}
    merged = strategic_merge(spec, {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}, DEPLOYMENT_SPEC)
    assert merged == {"strategy": {"type": "Recreate"}}


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"containers": [{"image": "x"}]}, 500, "map: map[image:x] does not contain declared merge key: name"),
        ({"containers": [{"name": "a", "$patch": "x"}]}, 500, "unknown patch type: x in map: map[$patch:x name:a]"),
        ({"$patch": "merge"}, 500, "unknown patch type: merge in map: map[$patch:merge]"),
        ({"containers": ["x"]}, 500, "list element types are not identical: [[map[name:a]] [x]]"),
        ({"$setElementOrder/containers": "x"}, 500, "expected a []interface {}, but received a string"),
        ({"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "a"}]}, 500,
         "The order in patch list:\n[map[name:a]]\n doesn't match $setElementOrder list:\n[map[name:b]]\n"),
        ({"$retainKeys": "hostname", "hostname": "h"}, 400, "invalid patch format of retainKeys"),
        ({"$patch": None}, 500, "unknown patch type: %!s(<nil>) in map: map[$patch:<nil>]"),
        ({"$patch": 1}, 500, "unknown patch type: %!s(int64=1) in map: map[$patch:1]"),
        ({"containers": [{"name": "a", "$patch": "merge"}]}, 500,
         "merging lists cannot yet be specified in the patch"),
        ({"containers": [[]]}, 500, "list element types are not identical: [[map[name:a]] [[]]]"),
        ({"$setElementOrder/containers": {}}, 500,
         "expected a []interface {}, but received a map[string]interface {}"),
        ({"$setElementOrder/containers": None}, 500, "expected a []interface {}, but received a %!s(<nil>)"),
        ({"$setElementOrder/containers": ["a"]}, 500, "value for key 0 is not a map"),
        ({"$setElementOrder/containers": [{}]}, 500, "map: map[] does not contain declared merge key: name"),
        ({"$setElementOrder/bogus": []}, 500,
         'unable to find api field in struct PodSpec for the json field "bogus"'),
        ({"$setElementOrder": []}, 400, "invalid patch format of setElementOrder list"),
        ({"$deleteFromPrimitiveList": []}, 400, "invalid patch format of primitive list"),
    ],
)  # fmt: skip
def test_what_a_strategic_merge_cannot_read(change, code, told):
    with pytest.raises(ApiError) as refusal:
        strategic_merge({"containers": [{"name": "a"}]}, change, POD_SPEC)
    assert (refusal.value.code, refusal.value.message) == (code, told)


def test_what_is_merged_into_nothing_is_taken_without_nulls_and_directives():
    change = {"hostAliases": [{"$patch": "delete", "ip": "1.1.1.1"}], "affinity": {"$patch": "replace"}}
    change |= {"securityContext": {"runAsUser": None, "fsGroup": 1}}
    assert strategic_merge({}, change, POD_SPEC) == {"hostAliases": [], "securityContext": {"fsGroup": 1}}


def test_what_the_server_alone_has_keeps_the_place_of_its_key():
    ports = [{"port": 80, "name": "a"}, {"port": 81}, {"port": 80, "name": "b"}]
    change = {"$setElementOrder/ports": [{"port": 81}]}
    assert strategic_merge({"ports": ports}, change, "io.k8s.api.core.v1.ServiceSpec") == {
        "ports": [ports[0], ports[2], ports[1]]
    }


def test_a_patch_sets_only_what_it_retains():
    with pytest.raises(ApiError, match="invalid patch format of retainKeys"):
        strategic_merge({}, {"$retainKeys": ["hostname"], "subdomain": "s"}, POD_SPEC)


@pytest.mark.parametrize("strange", ["x", None])
def test_elements_that_have_no_key_are_merged_as_they_are(strange):
    assert strategic_merge({}, {"containers": [strange, strange]}, POD_SPEC) == {"containers": [strange, strange]}


def test_a_key_may_be_of_any_type():
    assert strategic_merge({}, {"containers": [{"name": {}}]}, POD_SPEC) == {"containers": [{"name": {}}]}


def test_finalizers_merge_and_single_ones_are_deleted():
    meta = {"finalizers": ["a/b", "c/d"]}
    change = {"$deleteFromPrimitiveList/finalizers": ["a/b"], "finalizers": ["e/f"]}
    merged = strategic_merge(meta, change, "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
    assert merged == {"finalizers": ["e/f", "c/d"]}


@pytest.mark.parametrize(
    ("given", "wanted", "told"),
    [
        ("string", "int32", "unrecognized type: int32"),
        ("number", "string", "cannot convert int64 to string"),
        ("number 1.5", "int32", "cannot convert float64 to int32"),
        ("string", "[]v1.Container", "cannot restore slice from string"),
        ("number", "map[string]string", "cannot restore map from int64"),
        ("array", "v1.PodSpec", "cannot restore struct from: slice"),
    ],
)
def test_a_wrong_type_in_a_strategic_patch_is_told_by_the_converter(given, wanted, told):
    assert as_converter_says(f"json: cannot unmarshal {given} into Go struct field A.b of type {wanted}") == told


def test_a_strategic_patch_is_shown_as_go_prints_it():
    assert as_go_prints({"b": [1, "x"], "a": {"c": None, "d": True}}) == "map[a:map[c:<nil> d:true] b:[1 x]]"
