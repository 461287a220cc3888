"""The access matrix: each verb, on a sample of resources, by everybody from nobody to the administrator."""

import time
import uuid

import pytest

from labkit.glassbox import pki, tokens
from labkit.glassbox.apiserver.auth import User
from labkit.glassbox.apiserver.authorization import Attributes, Authorizer, bootstrap
from labkit.glassbox.apiserver.impersonation import acting
from labkit.glassbox.clock import SystemClock
from labkit.glassbox.errors import ApiError
from labkit.glassbox.resources.rbac import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES
from labkit.glassbox.store import Store
from labkit.glassbox.tokens import SigningKey

RBAC = "/apis/rbac.authorization.k8s.io/v1"
CORE, APPS = "/api/v1", "/apis/apps/v1"
METHODS = {
    "get": ("GET", "/x"),
    "list": ("GET", ""),
    "watch": ("GET", "?watch=1&timeoutSeconds=1"),
    "create": ("POST", "?dryRun=All"),
    "update": ("PUT", "/x?dryRun=All"),
    "patch": ("PATCH", "/x?dryRun=All"),
    "delete": ("DELETE", "/x?dryRun=All"),
    "deletecollection": ("DELETE", "?dryRun=All"),
}
ON_ONE = ("get", "update", "patch", "delete")
# what stands in a refusal: group version, plural, group, whether it lives in a namespace
SAMPLE = [
    (CORE, "pods", "", True),
    (CORE, "configmaps", "", True),
    (CORE, "secrets", "", True),
    (CORE, "nodes", "", False),
    (APPS, "deployments", "apps", True),
    (RBAC, "roles", "rbac.authorization.k8s.io", True),
    (RBAC, "clusterroles", "rbac.authorization.k8s.io", False),
]
ROLE = [{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["get", "list", "watch", "create"]}]
IDENTITIES = ("nobody", "a wrong token", "an expired token", "without roles", "with a role", "admin")


@pytest.fixture(scope="module")
def place(api_server):
    """A namespace with two service accounts, of which one has a role; and everybody's token."""
    namespace = "access-" + uuid.uuid4().hex[:6]
    api_server.request("POST", f"{CORE}/namespaces", {"metadata": {"name": namespace}})
    where = f"{CORE}/namespaces/{namespace}/serviceaccounts"
    accounts = [
        api_server.request("POST", where, {"metadata": {"name": name}})[1] for name in ("bare", "clerk", "default")
    ]
    role, subject = {"kind": "Role", "name": "clerk"}, {"kind": "ServiceAccount", "name": "clerk"}
    at = f"{RBAC}/namespaces/{namespace}"
    api_server.request("POST", f"{at}/roles", {"metadata": {"name": "clerk"}, "rules": ROLE})
    binding = {"metadata": {"name": "clerk"}, "roleRef": role, "subjects": [subject]}
    api_server.request("POST", f"{at}/rolebindings", binding)
    key = SigningKey(api_server.pki / pki.ACCOUNTS_KEY)
    now = time.time()
    fresh = [key.sign(tokens.claims_of(each, {}, [tokens.ISSUER], now, 3600)) for each in accounts[:2]]
    old = key.sign(tokens.claims_of(accounts[0], {}, [tokens.ISSUER], now - 7200, 600))
    given = dict(zip(IDENTITIES, (None, "wrong", old, *fresh, "kubernetes-admin"), strict=True))
    return namespace, given


def names(namespace):
    account = f"system:serviceaccount:{namespace}"
    return {"nobody": "system:anonymous", "without roles": f"{account}:bare", "with a role": f"{account}:clerk"}


def expected(identity, verb, resource, namespace):
    """Return (status, message) of a refusal, None where the request comes through."""
    _, plural, group, namespaced = resource
    if identity in ("a wrong token", "an expired token"):
        return 401, "Unauthorized"
    allowed = plural in ROLE[0]["resources"] and verb in ROLE[0]["verbs"]
    if identity == "admin" or (identity == "with a role" and allowed):
        return None
    what = f"{plural}.{group}" if group else plural
    subject = f'{what} "x"' if verb in ON_ONE else what
    scope = f'in the namespace "{namespace}"' if namespaced else "at the cluster scope"
    told = f'User "{names(namespace)[identity]}" cannot {verb} resource "{plural}" in API group "{group}" {scope}'
    return 403, f"{subject} is forbidden: {told}"


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("resource", SAMPLE, ids=lambda resource: resource[1])
def test_everybody_is_answered_as_upstream_does(api_server, place, identity, resource):
    namespace, given = place
    version, plural, _, namespaced = resource
    where = f"/namespaces/{namespace}" if namespaced else ""
    found = {}
    for verb, (method, rest) in METHODS.items():
        body = {"metadata": {"name": "x"}} if method in ("POST", "PUT", "PATCH") else None
        more = {"content_type": "application/merge-patch+json"} if verb == "patch" else {}
        path = f"{version}{where}/{plural}{rest}"
        code, answer = api_server.request(method, path, body, user=given[identity], **more)
        found[verb] = (code, answer["message"]) if code in (401, 403) else None
    assert found == {verb: expected(identity, verb, resource, namespace) for verb in METHODS}


@pytest.mark.parametrize(
    ("path", "codes"),
    [
        ("/version", (200, 401, 401, 200, 200, 200)),
        ("/readyz", (200, 401, 401, 200, 200, 200)),
        ("/livez/ping", (403, 401, 401, 403, 403, 200)),
        ("/api", (403, 401, 401, 200, 200, 200)),
        ("/apis", (403, 401, 401, 200, 200, 200)),
        ("/openapi/v3", (403, 401, 401, 200, 200, 200)),
        ("/", (403, 401, 401, 403, 403, 200)),
        ("/metrics", (403, 401, 401, 403, 403, 404)),
        ("/openid/v1/jwks", (403, 401, 401, 200, 200, 200)),
    ],
)
def test_pages_are_open_to_those_whom_the_default_bindings_name(api_server, place, path, codes):
    assert tuple(api_server.request("GET", path, user=token)[0] for token in place[1].values()) == codes


# --- asking


def ask(api_server, kind, spec, user, namespace=""):
    where = f"/namespaces/{namespace}" if namespace else ""
    return api_server.request(
        "POST", f"/apis/authorization.k8s.io/v1{where}/{kind.lower()}s", {"spec": spec}, user=user
    )


def test_a_client_may_ask_what_it_may(api_server, place):
    namespace, given = place
    wanted = {"namespace": namespace, "verb": "create", "resource": "pods"}
    _, review = ask(api_server, "SelfSubjectAccessReview", {"resourceAttributes": wanted}, given["with a role"])
    binding = f'RoleBinding "clerk/{namespace}" of Role "clerk" to ServiceAccount "clerk/{namespace}"'
    assert review["status"] == {"allowed": True, "reason": f"RBAC: allowed by {binding}"}


def test_it_may_not_ask_about_others(api_server, place):
    spec = {"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods"}}
    assert ask(api_server, "SubjectAccessReview", spec, place[1]["with a role"])[0] == 403
    assert ask(api_server, "SubjectAccessReview", spec, place[1]["admin"])[1]["status"] == {"allowed": False}


def test_a_url_that_is_not_named_is_asked_about_all_the_same(api_server, place):
    """Upstream's rule: what is there at all, be it empty, makes it a question about a URL."""
    _, given = place
    told = [ask(api_server, "SelfSubjectAccessReview", {"nonResourceAttributes": {}}, given[who])
            for who in ("admin", "without roles")]  # fmt: skip
    assert [(code, review["status"]["allowed"]) for code, review in told] == [(201, True), (201, False)]


def test_its_rules_are_those_of_its_roles_in_that_namespace(api_server, place):
    namespace, given = place
    told = [
        ask(api_server, "SelfSubjectRulesReview", {"namespace": where}, given["with a role"])[1]["status"]
        for where in (namespace, "default")
    ]
    assert [ROLE[0] in status["resourceRules"] for status in told] == [True, False]


def test_kubectl_can_ask(api_server, place):
    namespace, _ = place
    account = f"--as=system:serviceaccount:{namespace}:clerk"
    assert api_server.kubectl("auth", "can-i", "create", "pods", "-n", namespace, account) == "yes\n"
    assert api_server.kubectl("auth", "can-i", "delete", "pods", "-n", namespace, account, check=False) == "no\n"
    assert "Username" in api_server.kubectl("auth", "whoami", account)


# --- acting as another


def may(rule):
    """An authorizer under which jane has one rule beside what everybody has."""
    store, clock = Store(":memory:"), SystemClock()
    bootstrap.reconcile(store, clock)
    policy = {"cluster_roles": {"jane": [rule]}, "cluster_role_bindings": {"jane": ["User jane"]}}
    for resource, namespace, obj in bootstrap.expand(policy):
        assert resource in (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS)
        bootstrap._ensure(store, resource, namespace, obj, "2026-01-01T00:00:00Z")
    return Authorizer(store)


@pytest.mark.parametrize(
    ("rule", "headers", "allowed"),
    [
        ("impersonate | core | users | joe", {"Impersonate-User": "joe"}, True),
        ("impersonate | core | users | joe", {"Impersonate-User": "ann"}, False),
        ("impersonate | core | users", {"Impersonate-User": "joe", "Impersonate-Group": "dev"}, False),
        ("impersonate | core | users groups", {"Impersonate-User": "joe", "Impersonate-Group": "dev"}, True),
        ("impersonate | core | users", {"Impersonate-User": "system:serviceaccount:a:b"}, False),
        ("impersonate | core | serviceaccounts", {"Impersonate-User": "system:serviceaccount:a:b"}, True),
        ("impersonate | core | users", {"Impersonate-User": "joe", "Impersonate-Extra-Scopes": "view"}, False),
        ("impersonate-on:user-info:list | core | pods", {"Impersonate-User": "joe"}, False),
        (
            "impersonate:user-info impersonate-on:user-info:list | core authentication.k8s.io | pods users",
            {"Impersonate-User": "joe"},
            True,
        ),
    ],
)
def test_who_may_act_as_another_is_told_by_rules(rule, headers, allowed):
    jane, asked = User("jane", groups=("system:authenticated",)), Attributes("list", resource="pods")
    if allowed:
        assert acting(jane, headers, asked, may(rule)).name == headers["Impersonate-User"]
    else:
        with pytest.raises(ApiError, match="forbidden"):
            acting(jane, headers, asked, may(rule))
