"""Roles and bindings: who may do what, in upstream's words."""

import pytest
import yaml

from labkit.glassbox.apiserver.auth import ANONYMOUS, MASTERS, User
from labkit.glassbox.apiserver.authorization import Attributes, Authorizer, bootstrap, forbidden
from labkit.glassbox.apiserver.authorization.attributes import attributes_of
from labkit.glassbox.apiserver.authorization.bootstrap import completed, expand, rule_of
from labkit.glassbox.apiserver.authorization.rbac import allows
from labkit.glassbox.apiserver.routes import parse
from labkit.glassbox.clock import SystemClock
from labkit.glassbox.controllers.cluster_role_aggregation import aggregated
from labkit.glassbox.store import Store
from tests.components import client, controllers
from tests.embedded import eventually

JANE = User("jane", groups=("dev", "system:authenticated"))
ROBOT = User("system:serviceaccount:shop:robot", groups=("system:serviceaccounts", "system:serviceaccounts:shop"))
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.mark.parametrize(
    ("rule", "asked", "allowed"),
    [
        ("get | core | pods", Attributes("get", resource="pods", namespace="a"), True),
        ("get | core | pods", Attributes("list", resource="pods"), False),
        ("get | core | pods", Attributes("get", resource="pods", subresource="log"), False),
        ("get | core | pods/log", Attributes("get", resource="pods", subresource="log"), True),
        ("get | core | pods/log", Attributes("get", resource="pods"), False),
        ("get | * | */scale", Attributes("get", "apps", "deployments", "scale"), True),
        ("get | * | */scale", Attributes("get", "apps", "deployments"), False),
        ("get | apps | *", Attributes("get", "apps", "deployments", "scale"), True),
        ("get | apps | *", Attributes("get", "batch", "jobs"), False),
        ("* | * | *", Attributes("get", path="/metrics"), False),
        ("get | core | secrets | one", Attributes("get", resource="secrets", name="one"), True),
        ("get | core | secrets | one", Attributes("get", resource="secrets", name="two"), False),
        ("list | core | secrets | one", Attributes("list", resource="secrets"), False),
        ("get | /healthz/*", Attributes("get", path="/healthz/ping"), True),
        ("get | /healthz/*", Attributes("get", path="/healthz"), False),
    ],
)
def test_a_rule_allows_what_it_names(rule, asked, allowed):
    assert allows(rule_of(rule), asked) == allowed


def test_who_lists_one_object_by_a_selector_asks_for_that_one():
    path = "/api/v1/namespaces/a/secrets"
    asked = attributes_of("GET", path, parse("GET", path), {"fieldSelector": "metadata.name=only"})
    assert (asked.verb, asked.name) == ("list", "only")


# --- who


@pytest.fixture
def authorizer():
    store = Store(":memory:")
    bootstrap.reconcile(store, SystemClock())
    return Authorizer(store)


def test_a_member_of_masters_needs_no_role():
    empty = Authorizer(Store(":memory:"))
    assert empty.decide(User("root", groups=(MASTERS,)), Attributes("delete", resource="nodes")).allowed


@pytest.mark.parametrize(
    ("user", "path", "allowed"),
    [
        (ANONYMOUS, "/version", True),
        (ANONYMOUS, "/api", False),
        (JANE, "/api", True),
        (JANE, "/openapi/v3", True),
        (JANE, "/metrics", False),
        (ROBOT, "/openid/v1/jwks", True),
        (JANE, "/openid/v1/jwks", False),
    ],
)
def test_the_default_bindings_open_a_few_pages(authorizer, user, path, allowed):
    assert authorizer.decide(user, Attributes("get", path=path)).allowed == allowed


def test_a_decision_tells_by_what(authorizer):
    user = User("system:serviceaccount:kube-system:deployment-controller")
    decision = authorizer.decide(user, Attributes("create", "apps", "replicasets", namespace="a"))
    role = '"system:controller:deployment-controller"'
    subject = 'ServiceAccount "deployment-controller/kube-system"'
    assert decision.reason == f"RBAC: allowed by ClusterRoleBinding {role} of ClusterRole {role} to {subject}"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Attributes("get", path="/x"), 'forbidden: User "jane" cannot get path "/x"'),
        (
            Attributes("get", "apps", "deployments", "scale", "a", "web"),
            'deployments.apps "web" is forbidden: User "jane" cannot get resource "deployments/scale" in API group '
            '"apps" in the namespace "a"',
        ),
        (
            Attributes("list", resource="nodes"),
            'nodes is forbidden: User "jane" cannot list resource "nodes" in API group "" at the cluster scope',
        ),
    ],
)
def test_a_refusal_says_which_right_is_missing(asked, told):
    assert forbidden(JANE, asked).message == told


def test_a_right_counts_from_the_write_on_and_ends_with_the_binding(api_server, namespace):
    roles, bindings = (f"{RBAC}/namespaces/{namespace}/{plural}" for plural in ("roles", "rolebindings"))
    role = {"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "Group", "name": "students"}],
    }

    def code(where=namespace):
        return api_server.request("GET", f"/api/v1/namespaces/{where}/pods", user="student")[0]

    assert code() == 403
    api_server.request("POST", roles, role)
    api_server.request("POST", bindings, binding)
    assert (code(), code("default")) == (200, 403)
    api_server.request("DELETE", f"{bindings}/b")
    assert code() == 403


def test_a_binding_of_a_missing_role_is_told_in_the_refusal(api_server, namespace):
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"kind": "ClusterRole", "name": "nothing"},
        "subjects": [{"kind": "User", "name": "student"}],
    }
    api_server.request("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", binding)
    _, refusal = api_server.request("GET", f"/api/v1/namespaces/{namespace}/pods", user="student")
    assert refusal["message"].endswith(': RBAC: clusterrole.rbac.authorization.k8s.io "nothing" not found')


# --- what is refused


@pytest.mark.parametrize(
    ("plural", "body", "told"),
    [
        ("clusterroles", {"rules": [{"verbs": ["get"]}]}, "rules[0].apiGroups: Required value: resource rules must"),
        ("clusterroles", {"aggregationRule": {}}, "aggregationRule.clusterRoleSelectors: Required value: at least one"),
        ("roles", {"rules": [{"nonResourceURLs": ["/x"], "verbs": ["get"]}]}, "namespaced rules cannot apply to non-"),
        ("roles", {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": []}]}, "verbs must contain at least"),
        ("rolebindings", {"roleRef": {"kind": "User", "name": "x"}}, 'supported values: "Role", "ClusterRole"'),
        (
            "clusterrolebindings",
            {"roleRef": {"kind": "ClusterRole", "name": "x"}, "subjects": [{"kind": "ServiceAccount", "name": "a"}]},
            "subjects[0].namespace: Required value",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(api_server, namespace, plural, body, told):
    where = RBAC if plural.startswith("cluster") else f"{RBAC}/namespaces/{namespace}"
    code, refusal = api_server.request("POST", f"{where}/{plural}", {"metadata": {"name": "x"}, **body})
    assert (code, told in refusal["message"]) == (422, True), refusal["message"]


# --- the roles there are from the beginning


def test_a_role_that_has_lost_a_rule_gets_it_back():
    (_, _, wanted), *_ = expand({"cluster_roles": {"r": ["get | core | pods", "get | /x"]}})
    held = {**wanted, "rules": [wanted["rules"][1], rule_of("list | core | nodes")]}
    assert completed(held, wanted)["rules"] == [*held["rules"], wanted["rules"][0]]
    assert completed(wanted, wanted) is None


def test_a_role_that_is_not_to_be_touched_is_left_alone():
    (_, _, wanted), *_ = expand({"cluster_roles": {"r": ["get | core | pods"]}})
    frozen = {bootstrap.AUTO_UPDATE: "false"}
    assert completed({**wanted, "metadata": {**wanted["metadata"], "annotations": frozen}, "rules": []}, wanted) is None


def test_a_deleted_default_role_is_back_after_a_restart(own_api_server):
    own_api_server.request("DELETE", f"{RBAC}/clusterroles/system:discovery")
    assert own_api_server.request("GET", f"{RBAC}/clusterroles/system:discovery")[0] == 404
    own_api_server.stop()
    own_api_server.start()
    assert own_api_server.request("GET", f"{RBAC}/clusterroles/system:discovery")[0] == 200


def test_an_aggregate_has_the_rules_of_what_it_selects_each_once():
    one, other = rule_of("get | core | pods"), rule_of("get | apps | deployments")
    roles = [
        {"metadata": {"name": name, "labels": {"to": to}}, "rules": rules}
        for name, to, rules in (("b", "view", [one]), ("a", "view", [other, one]), ("c", "edit", [one]))
    ]
    role = {"metadata": {"name": "v"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "view"}}]}}
    assert aggregated(role, [*roles, role]) == [other, one]


def test_view_edit_and_admin_are_filled_by_their_controller(api_server):
    api = client(api_server)
    with controllers(api_server.kubeconfig, "clusterrole-aggregation-controller"):
        viewers = eventually(lambda: api.get("clusterroles", "view")["rules"])
        eventually(lambda: all(rule in (api.get("clusterroles", "admin")["rules"] or []) for rule in viewers))


def test_each_role_that_is_bound_from_the_beginning_exists():
    for name in bootstrap.POLICIES:
        made = list(expand(yaml.safe_load((bootstrap.Path(bootstrap.__file__).with_name(name)).read_text())))
        roles = {(obj["metadata"]["name"], where) for kind, where, obj in made if "rules" in obj}
        bound = {(obj["roleRef"]["name"], where) for kind, where, obj in made if "roleRef" in obj}
        assert bound <= roles, bound - roles
