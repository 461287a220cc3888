"""Nobody gives rights that he does not have."""

import pytest

from labkit.glassbox.apiserver.auth import User
from labkit.glassbox.apiserver.authorization.bootstrap import rule_of
from labkit.glassbox.apiserver.authorization.escalation import covers, parts, refusal
from labkit.glassbox.apiserver.authorization.rbac import Grant, Grants

RBAC = "/apis/rbac.authorization.k8s.io/v1"
JANE = User("jane", groups=("dev", "system:authenticated"))


@pytest.mark.parametrize(
    ("own", "wanted", "covered"),
    [
        ("* | * | *", "get | apps | deployments/scale", True),
        ("get list | core | pods", "get list | core | pods", True),
        ("get | core | pods", "get list | core | pods", False),
        ("get | core | pods", "get | core | pods | one", True),
        ("get | core | pods | one", "get | core | pods", False),
        ("get | core | pods | one", "get | core | pods | two", False),
        ("get | core | */status", "get | core | pods/status", True),
        ("get | core | pods", "get | core | pods/status", False),
        ("get | core | pods", "get | core | *", False),
        ("get | /x/*", "get | /x/y", True),
        ("* | * | *", "get | /x", False),
    ],
)
def test_a_rule_covers_what_it_allows_whole(own, wanted, covered):
    assert all(covers(rule_of(own), part) for part in parts(rule_of(wanted))) == covered


def test_a_refusal_lists_what_is_missing_put_together():
    wanted = [rule_of("create get | apps | deployments"), rule_of("* | core | pods secrets"), rule_of("get | /x")]
    told = refusal(JANE, Grants((Grant(rule_of("get | /x"), ""),)), wanted)
    assert told == (
        'user "jane" (groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not currently '
        "held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["*"]}\n'
        '{APIGroups:[""], Resources:["secrets"], Verbs:["*"]}\n'
        '{APIGroups:["apps"], Resources:["deployments"], Verbs:["create" "get"]}'
    )


@pytest.fixture
def student(api_server, namespace):
    """A student who may see to roles, read configmaps, and bind the role `view`."""
    rules = [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
    ]
    rules[0]["verbs"] = ["create", "get", "update", "patch"]
    bind = {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["bind"]}
    rules.append({**bind, "resourceNames": ["view"]})
    where = f"{RBAC}/namespaces/{namespace}"
    api_server.request("POST", f"{where}/roles", {"metadata": {"name": "mine"}, "rules": rules})
    subject, role = {"kind": "User", "name": "student"}, {"kind": "Role", "name": "mine"}
    api_server.request(
        "POST", f"{where}/rolebindings", {"metadata": {"name": "mine"}, "roleRef": role, "subjects": [subject]}
    )
    return lambda method, path, body, **more: api_server.request(
        method, f"{where}/{path}", body, user="student", **more
    )


def role(name, resource="configmaps", verb="get"):
    return {"metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": [resource], "verbs": [verb]}]}


def binding(name, kind, bound):
    return {"metadata": {"name": name}, "roleRef": {"kind": kind, "name": bound}}


def test_rights_that_one_has_can_be_given_on(student):
    assert student("POST", "roles", role("ok"))[0] == 201
    assert student("POST", "rolebindings", binding("ok", "Role", "ok"))[0] == 201


def test_a_role_cannot_say_more(student):
    code, refusal = student("POST", "roles", role("more", "secrets"))
    assert (code, refusal["message"].splitlines()[-1]) == (
        403,
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}',
    )


def test_nor_can_it_grow_by_a_change(student):
    student("POST", "roles", role("r"))
    patch = {"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]}
    assert student("PATCH", "roles/r", patch, content_type="application/merge-patch+json")[0] == 403
    labels = {"metadata": {"labels": {"a": "b"}}}
    assert student("PATCH", "roles/r", labels, content_type="application/merge-patch+json")[0] == 200


def test_a_binding_cannot_give_more(student):
    assert student("POST", "rolebindings", binding("b", "ClusterRole", "cluster-admin"))[0] == 403


def test_the_verb_bind_allows_it_for_one_role(student):
    assert student("POST", "rolebindings", binding("b", "ClusterRole", "view"))[0] == 201


def test_a_role_that_is_not_there_cannot_be_bound(student):
    code, refusal = student("POST", "rolebindings", binding("b", "Role", "none"))
    assert (code, refusal["message"]) == (404, 'rolebindings.rbac.authorization.k8s.io "none" not found')
