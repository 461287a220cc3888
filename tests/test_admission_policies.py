"""ValidatingAdmissionPolicies: what may be written, said in CEL, put in force by bindings."""

import uuid

import pytest

from tests.embedded import eventually

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
TRUE = {"name": "b", "expression": "true"}
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"


def rules(*operations, resources=("configmaps",), groups=("",)):
    return {
        "apiGroups": list(groups),
        "apiVersions": ["v1"],
        "operations": list(operations),
        "resources": list(resources),
    }


@pytest.fixture
def in_force(api_server, namespace):
    """Put policies in force in the test's namespace, and take them back."""
    made = []

    def put(*validations, operations=("CREATE", "UPDATE"), actions=("Deny",), bound=None, **spec):
        name = f"p-{uuid.uuid4().hex[:8]}"
        selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
        constraints = {"resourceRules": [rules(*operations)], "namespaceSelector": selector, **spec.pop("match", {})}
        told = [each if isinstance(each, dict) else {"expression": each} for each in validations]
        policy = {"metadata": {"name": name}, "spec": {"matchConstraints": constraints, "validations": told, **spec}}
        binding = {"policyName": name, "validationActions": list(actions), **(bound or {})}
        code, answer = api_server.request("POST", POLICIES, policy)
        assert code == 201, answer
        code, answer = api_server.request("POST", BINDINGS, {"metadata": {"name": name}, "spec": binding})
        assert code == 201, answer
        made.append(name)
        return name

    yield put
    for name in made:
        api_server.request("DELETE", f"{BINDINGS}/{name}")
        api_server.request("DELETE", f"{POLICIES}/{name}")


def create(server, namespace, name="c", **fields):
    return server.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": name}, **fields})


def change(server, path, patch):
    return server.request("PATCH", path, patch, content_type="application/merge-patch+json")


def test_a_policy_without_a_binding_forbids_nothing(api_server, namespace, in_force):
    name = in_force("false")
    api_server.request("DELETE", f"{BINDINGS}/{name}")
    assert create(api_server, namespace)[0] == 201


def test_what_breaks_a_rule_is_refused_in_upstream_s_words(api_server, namespace, in_force):
    name = in_force({"expression": "object.data.a != 'x'", "message": "no x", "reason": "Forbidden"})
    code, refused = create(api_server, namespace, data={"a": "x"})
    told = f"ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: no x"
    assert (code, refused["reason"], refused["details"]["causes"]) == (403, "Forbidden", [{"message": told}])
    assert refused["message"] == f'configmaps "c" is forbidden: {told}'
    assert create(api_server, namespace, data={"a": "y"})[0] == 201


def test_an_expression_that_fails_refuses_unless_failures_are_ignored(api_server, namespace, in_force):
    in_force("object.data.a == 'x'", failurePolicy="Ignore")
    assert create(api_server, namespace)[0] == 201
    in_force("object.data.a == 'x'")
    assert "resulted in error: no such key: data" in create(api_server, namespace, "d")[1]["message"]


def test_variables_are_told_once_and_used_by_each_other(api_server, namespace, in_force):
    variables = [
        {"name": "made", "expression": "timestamp(object.metadata.creationTimestamp)"},
        {"name": "year", "expression": "variables.made.getFullYear()"},
    ]
    in_force(
        {"expression": "variables.year < 2000", "messageExpression": "'made in ' + string(variables.year)"},
        variables=variables,
    )
    assert "denied request: made in 2" in create(api_server, namespace)[1]["message"]


def test_a_variable_that_fails_does_no_harm_where_it_is_not_needed(api_server, namespace, in_force):
    variables = [{"name": "a", "expression": "object.data.a"}, {"name": "b", "expression": "variables.a + 'b'"}]
    in_force("!has(object.data) || variables.b != 'xb'", variables=variables)
    assert create(api_server, namespace, "without")[0] == 201
    assert create(api_server, namespace, "with", data={"a": "x"})[0] == 422
    refused = create(api_server, namespace, "other", data={"c": "x"})[1]["message"]
    told = 'composited variable "b" fails to evaluate: composited variable "a" fails to evaluate: no such key: a'
    assert refused.endswith(f"resulted in error: {told}")


def test_a_variable_may_be_an_optional(api_server, namespace, in_force):
    variables = [
        {"name": "a", "expression": "object.?data.a"},
        {"name": "size", "expression": "variables.a.orValue('').size()"},
    ]
    in_force("variables.a.hasValue() ? variables.size > 1 : variables.size == 0", variables=variables)
    assert create(api_server, namespace, "none")[0] == 201
    assert create(api_server, namespace, "long", data={"a": "xy"})[0] == 201
    assert create(api_server, namespace, "short", data={"a": "x"})[0] == 422


def test_an_update_sees_the_older_object_and_a_deletion_it_alone(api_server, namespace, in_force):
    create(api_server, namespace, data={"a": "1"})
    path = f"/api/v1/namespaces/{namespace}/configmaps/c"
    in_force(
        "object == null ? oldObject.data.a == '2' : int(object.data.a) > int(oldObject.data.a)",
        operations=("UPDATE", "DELETE"),
    )
    assert change(api_server, path, {"data": {"a": "0"}})[0] == 422
    assert api_server.request("DELETE", path)[0] == 422
    assert change(api_server, path, {"data": {"a": "2"}})[0] == 200
    assert api_server.request("DELETE", path)[0] == 200


def test_the_request_and_the_namespace_are_seen(api_server, namespace, in_force):
    expression = f"request.userInfo.username != 'kubernetes-admin' || namespaceObject.metadata.name != '{namespace}'"
    in_force(f"{expression} || request.operation != 'CREATE' || request.resource.resource != 'configmaps'")
    assert create(api_server, namespace)[0] == 422


def test_the_authorizer_is_asked_about_who_sends_the_request_and_about_service_accounts(
    api_server, namespace, in_force
):
    account = f"authorizer.serviceAccount('{namespace}', 'default')"
    reads = f"{account}.group('').resource('secrets').namespace('{namespace}')"
    in_force("authorizer.requestResource.check('delete').allowed()", f"{reads}.name('a').check('get').allowed()")
    assert "failed expression: authorizer.serviceAccount" in create(api_server, namespace)[1]["message"]
    group = "/apis/rbac.authorization.k8s.io/v1"
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"], "verbs": ["get"]}
    role = {"metadata": {"name": "reads"}, "rules": [rule]}
    api_server.request("POST", f"{group}/namespaces/{namespace}/roles", role)
    binding = {
        "metadata": {"name": "reads"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reads"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
    }
    api_server.request("POST", f"{group}/namespaces/{namespace}/rolebindings", binding)
    eventually(lambda: create(api_server, namespace)[0] == 201)


def test_match_conditions_narrow_a_policy_down(api_server, namespace, in_force):
    in_force("false", matchConditions=[{"name": "named", "expression": "object.metadata.name == 'bad'"}])
    assert create(api_server, namespace, "good")[0] == 201
    assert create(api_server, namespace, "bad")[0] == 422


def test_excluded_resources_and_names_are_let_alone(api_server, namespace, in_force):
    named = {**rules("CREATE"), "resourceNames": ["free"]}
    in_force("false", match={"excludeResourceRules": [named]})
    assert create(api_server, namespace, "free")[0] == 201
    assert create(api_server, namespace, "bound")[0] == 422


def test_a_binding_narrows_its_policy_down(api_server, namespace, in_force):
    in_force("false", bound={"matchResources": {"objectSelector": {"matchLabels": {"strict": "yes"}}}})
    assert create(api_server, namespace)[0] == 201
    labelled = {"metadata": {"name": "d", "labels": {"strict": "yes"}}}
    assert api_server.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", labelled)[0] == 422


def test_parameters_come_from_an_object_of_the_namespace(api_server, namespace, in_force):
    create(api_server, namespace, "limits", data={"max": "3"})
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    reference = {"name": "limits", "parameterNotFoundAction": "Deny"}
    in_force("int(object.data.n) <= int(params.data.max)", paramKind=kind, bound={"paramRef": reference})
    assert create(api_server, namespace, "few", data={"n": "3"})[0] == 201
    assert create(api_server, namespace, "many", data={"n": "4"})[0] == 422
    missing = {"selector": {"matchLabels": {"no": "such"}}, "parameterNotFoundAction": "Deny"}
    in_force("true", paramKind=kind, bound={"paramRef": missing})
    assert "no params found" in create(api_server, namespace, "other", data={"n": "1"})[1]["message"]


def test_a_warning_is_told_and_the_write_succeeds(api_server, namespace, in_force):
    name = in_force("false", actions=("Warn", "Audit"))
    body = {"metadata": {"name": "c"}}
    with api_server.open("POST", f"/api/v1/namespaces/{namespace}/configmaps", body) as answer:
        told = (
            f"Validation failed for ValidatingAdmissionPolicy '{name}' with binding '{name}': failed expression: false"
        )
        assert answer.headers["Warning"] == f'299 - "{told}"'


def test_policies_are_not_subject_to_policies(api_server, namespace, in_force):
    in_force("false", match={"resourceRules": [rules("*", resources=("*",), groups=("*",))], "namespaceSelector": {}})
    name = in_force("true")
    assert api_server.request("DELETE", f"{BINDINGS}/{name}")[0] == 200


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("variables.x == 1", "<input>:1:1: undeclared reference to 'variables'"),
        ("authorizer.group('').check('get')", "no matching overload for 'check' applied to"),
        ("1", "must evaluate to bool"),
        ("quantity('1') == 1", "no matching overload for '_==_' applied to '(kubernetes.Quantity, int)'"),
    ],
)
def test_a_policy_that_does_not_compile_is_refused(api_server, expression, fault):
    spec = {"matchConstraints": {"resourceRules": [rules("CREATE")]}, "validations": [{"expression": expression}]}
    code, refused = api_server.request("POST", POLICIES, {"metadata": {"name": "bad"}, "spec": spec})
    assert (code, fault in refused["message"]) == (422, True)


def test_a_misspelt_variable_is_refused(api_server):
    spec = {
        "matchConstraints": {"resourceRules": [rules("CREATE")]},
        "variables": [{"name": "right", "expression": "1"}],
        "validations": [{"expression": "variables.wrong == 1"}],
    }
    refused = api_server.request("POST", POLICIES, {"metadata": {"name": "bad"}, "spec": spec})[1]
    assert "undefined field 'wrong'" in refused["message"]


def test_a_policy_s_status_tells_of_fields_that_its_kinds_do_not_have(api_server, in_force):
    name = in_force("object.data.a == 'x' && object.spec.nope", {"expression": "true", "messageExpression": "object.x"})

    def told():
        return api_server.request("GET", f"{POLICIES}/{name}")[1]["status"].get("typeChecking")

    found = eventually(told)["expressionWarnings"]
    assert [each["fieldRef"] for each in found] == [
        "spec.validations[0].expression",
        "spec.validations[1].messageExpression",
    ]
    where = "/v1, Kind=ConfigMap: ERROR: <input>:1:31: undefined field 'spec'"
    assert found[0]["warning"].startswith(where)


def test_a_policy_that_fits_its_kinds_has_nothing_told_of_it(api_server, in_force):
    name = in_force("variables.b || (has(object.data) && object.metadata.name != '')", variables=[TRUE])

    def status():
        return api_server.request("GET", f"{POLICIES}/{name}")[1]["status"]

    assert eventually(status) == {"observedGeneration": 1, "typeChecking": {}}
