"""MutatingAdmissionPolicies: how a write is changed before it is stored, said in CEL, put in force by bindings."""

import uuid

import pytest

from labkit.glassbox.resources import cel_mutation
from labkit.glassbox.resources.cel import BadExpression, Failed
from tests.test_custom_resources import define, widget

GROUP = "/apis/admissionregistration.k8s.io/v1"
POLICIES, BINDINGS = f"{GROUP}/mutatingadmissionpolicies", f"{GROUP}/mutatingadmissionpolicybindings"
LABEL = "Object{metadata: Object.metadata{labels: {'a': 'x'}}}"


def merge(expression):
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def patch(expression):
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


def rules(*resources, group="", operations=("CREATE",)):
    return {"apiGroups": [group], "apiVersions": ["*"], "operations": list(operations), "resources": list(resources)}


def policy(name, *mutations, about=None, **spec):
    constraints = {"resourceRules": [about or rules("configmaps")], **spec.pop("match", {})}
    spec = {"reinvocationPolicy": "Never", "matchConstraints": constraints, "mutations": list(mutations), **spec}
    return {"metadata": {"name": name}, "spec": spec}


@pytest.fixture
def in_force(api_server, namespace):
    """Put policies in force in the test's namespace, in the order of their names, and take them back."""
    made = []

    def put(*mutations, bound=None, **spec):
        name = f"p-{len(made)}-{uuid.uuid4().hex[:6]}"
        selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
        obj = policy(name, *mutations, **{**spec, "match": selector | spec.get("match", {})})
        code, answer = api_server.request("POST", POLICIES, obj)
        assert code == 201, answer
        spec = {"policyName": name, **(bound or {})}
        code, answer = api_server.request("POST", BINDINGS, {"metadata": {"name": name}, "spec": spec})
        assert code == 201, answer
        made.append(name)
        return name

    yield put
    for name in made:
        api_server.request("DELETE", f"{BINDINGS}/{name}")
        api_server.request("DELETE", f"{POLICIES}/{name}")


@pytest.fixture
def create(api_server, namespace):
    """Return what creates a ConfigMap: create("name", data={…}) → (status, answer)."""

    def post(name, **fields):
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        return api_server.request("POST", path, {"metadata": {"name": name}, **fields})

    return post


def test_an_apply_configuration_is_merged_into_what_is_written(in_force, create):
    in_force(merge(LABEL))
    code, made = create("c", data={"own": "1"})
    assert (code, made["metadata"]["labels"], made["data"]) == (201, {"a": "x"}, {"own": "1"})


def test_operations_change_what_the_mutations_before_have_left(in_force, create):
    key = "jsonpatch.escapeKey('example.com/b')"
    in_force(
        merge(LABEL),
        patch(f"[JSONPatch{{op: 'copy', from: '/metadata/labels/a', path: '/metadata/labels/' + {key}}}]"),
    )
    assert create("c")[1]["metadata"]["labels"] == {"a": "x", "example.com/b": "x"}


def test_a_patch_that_does_not_fit_is_refused_in_upstream_s_words(in_force, create):
    name = in_force(patch("[JSONPatch{op: 'add', path: '/data/a', value: '1'}]"))
    told = (
        f"policy '{name}' with binding '{name}' denied request: JSON Patch: add operation does not apply: "
        'doc is missing path: "/data/a": missing value'
    )
    code, refused = create("c")
    assert (code, refused["reason"], refused["message"]) == (403, "Invalid", told)
    assert refused["details"] == {"name": "c", "kind": "configmaps", "causes": [{"message": told}]}


def test_a_failed_test_leaves_the_object_as_it_is(in_force, create):
    operations = "JSONPatch{op: 'test', path: '/data/a', value: '2'}, JSONPatch{op: 'remove', path: '/data/a'}"
    in_force(patch(f"[{operations}]"))
    assert create("c", data={"a": "1"})[1]["data"] == {"a": "1"}
    assert "data" not in create("d", data={"a": "2"})[1]


def test_what_fails_is_passed_over_where_failures_are_ignored(in_force, create):
    in_force(merge("Object{data: object.nope}"), merge(LABEL), failurePolicy="Ignore")
    assert create("c")[1]["metadata"]["labels"] == {"a": "x"}
    in_force(merge("Object{data: object.nope}"))
    told = "expression 'Object{data: object.nope}' resulted in error: no such key: nope"
    assert create("d")[1]["message"].endswith(told)


def test_a_list_with_keys_is_merged_by_them(in_force, api_server, namespace):
    limits = "Object.spec.containers.resources{limits: {'cpu': '100m'}}"
    containers = f"object.spec.containers.map(c, Object.spec.containers{{name: c.name, resources: {limits}}})"
    in_force(merge(f"Object{{spec: Object.spec{{containers: {containers}}}}}"), about=rules("pods"))
    spec = {"containers": [{"name": each, "image": f"{each}:1"} for each in ("a", "b")]}
    made = api_server.request("POST", f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": "p"}, "spec": spec})
    found = [(each["image"], each["resources"]["limits"]["cpu"]) for each in made[1]["spec"]["containers"]]
    assert found == [("a:1", "100m"), ("b:1", "100m")]


@pytest.mark.parametrize(
    ("configuration", "told"),
    [
        ("Object{spec: Object.spec{nope: 1}}", "failed to convert patch object to typed object: .spec.nope: field not"),
        ("Object{spec: Object.spec{nodeSelector: {'a': 'b'}}}", "arrays, maps or structs: .spec.nodeSelector"),
        ("Object{spec: Object.metadata{}}", 'type mismatch: unexpected type name "Object.metadata", expected "Object.'),
    ],
)
def test_a_configuration_that_does_not_fit_the_kind_is_refused(in_force, api_server, namespace, configuration, told):
    in_force(merge(configuration), about=rules("pods"))
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    code, refused = api_server.request("POST", f"/api/v1/namespaces/{namespace}/pods", pod)
    assert (code, told in refused["message"]) == (403, True), refused


def test_variables_conditions_and_parameters_are_those_of_validating_policies(in_force, create):
    create("defaults", data={"team": "blue"})
    in_force(
        merge("Object{metadata: Object.metadata{labels: {'team': variables.team}}}"),
        variables=[{"name": "team", "expression": "params.data.team"}],
        matchConditions=[{"name": "unowned", "expression": "!has(object.metadata.labels)"}],
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        bound={"paramRef": {"name": "defaults", "parameterNotFoundAction": "Deny"}},
    )
    assert create("c")[1]["metadata"]["labels"] == {"team": "blue"}
    assert create("d", metadata={"name": "d", "labels": {"team": "red"}})[1]["metadata"]["labels"] == {"team": "red"}


def test_a_policy_is_asked_again_if_it_wants_to_see_what_later_ones_change(in_force, create):
    counted = "Object{data: {'labels': has(object.metadata.labels) ? string(size(object.metadata.labels)) : '0'}}"
    for again, seen in (("Never", "0"), ("IfNeeded", "1")):
        in_force(merge(counted), reinvocationPolicy=again)
        in_force(merge(LABEL))
        assert create(f"c-{again.lower()}")[1]["data"] == {"labels": seen}


def test_an_update_is_changed_and_then_validated(in_force, create, api_server, namespace):
    create("c", data={"a": "1"})
    in_force(merge("Object{data: {'Bad/Key': 'x'}}"), about=rules("configmaps", operations=("UPDATE",)))
    path = f"/api/v1/namespaces/{namespace}/configmaps/c"
    code, refused = api_server.request("PUT", path, {"metadata": {"name": "c"}, "data": {"a": "2"}})
    assert (code, refused["details"]["causes"][0]["field"]) == (422, "data[Bad/Key]")


def test_a_scale_is_changed_by_its_own_shape(in_force, create, api_server, namespace):
    spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}}
    spec["template"] = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    where = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    api_server.request("POST", where, {"metadata": {"name": "d"}, "spec": spec})
    about = rules("deployments/scale", group="apps", operations=("UPDATE",))
    in_force(merge("Object{spec: Object.spec{replicas: object.spec.replicas > 3 ? 3 : 0}}"), about=about)
    scaled = api_server.request("PUT", f"{where}/d/scale", {"metadata": {"name": "d"}, "spec": {"replicas": 9}})[1]
    assert scaled["spec"]["replicas"] == 3


def test_a_custom_resource_is_changed_by_its_schema(in_force, api_server, namespace):
    crd, path = define(api_server)
    about = rules(crd["spec"]["names"]["plural"], group="test.example.com")
    in_force(merge("Object{spec: Object.spec{size: object.spec.size + 1}}"), about=about)
    path = path.replace("default", namespace)
    assert api_server.request("POST", path, widget(crd, spec={"size": 3}))[1]["spec"] == {"size": 4}
    in_force(merge("Object{spec: Object.spec{size: 'big'}}"), about=about)
    told = "failed to convert patch object to typed object: .spec.size: expected numeric (int or float), got &value."
    assert told in api_server.request("POST", path, widget(crd, "v", spec={"size": 3}))[1]["message"]


@pytest.mark.parametrize(
    ("mutation", "path", "told"),
    [
        (patch("[]"), "jsonPatch.expression", "must evaluate to list(JSONPatch) but got list(dyn)"),
        (merge("object"), "applyConfiguration.expression", "must evaluate to Object but got dyn"),
        (merge("Object{x: Object.nope.}"), "applyConfiguration.expression", "Syntax error"),
        (patch("[JSONPatch{nope: 1}]"), "jsonPatch.expression", "<input>:1:16: undefined field 'nope'"),
        ({"patchType": "JSONPatch"}, "jsonPatch", "must be specified when patchType is JSONPatch"),
        ({**patch("[]"), "patchType": "Merge"}, "patchType", 'supported values: "ApplyConfiguration", "JSONPatch"'),
    ],
)
def test_a_policy_whose_patch_is_none_is_refused(api_server, mutation, path, told):
    code, refused = api_server.request("POST", POLICIES, policy("bad", mutation))
    cause = refused["details"]["causes"][0]
    assert (code, cause["field"], told in cause["message"]) == (422, f"spec.mutations[0].{path}", True), cause


def test_a_deletion_has_nothing_to_change(api_server):
    about = rules("configmaps", operations=("DELETE",))
    refused = api_server.request("POST", POLICIES, policy("bad", merge(LABEL), about=about))[1]
    told = '"DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"'
    assert refused["details"]["causes"][0]["message"] == f"Unsupported value: {told}"
    assert refused["details"]["causes"][0]["field"] == "spec.matchConstraints.resourceRules.operations"


def test_objects_in_texts_and_comments_are_no_types():
    found = cel_mutation.evaluate("Object{data: {'a': 'Object.spec{', 'n': 2}} // Object.nope{", {})
    assert found == {"data": {"a": "Object.spec{", "n": 2}}


def test_a_value_that_json_does_not_have_is_refused():
    with pytest.raises(Failed, match="type is not convertable to JSON"):
        cel_mutation.evaluate("Object{a: type(1)}", {})


def test_an_expression_that_makes_too_many_types_is_refused():
    expression = ", ".join(f"Object.f{n}{{g{n}: 1}}" for n in range(400))
    with pytest.raises(BadExpression, match="401 types with 802 names are more than is taken here"):
        cel_mutation.Patches(f"[{expression}]")
