"""A namespace goes with all that is in it; each new one has its service account and the cluster's authority at once."""

import uuid

import pytest

from labkit.glassbox.controllers.namespace import conditions
from labkit.glassbox.errors import ApiError
from tests.components import client, controllers, pod
from tests.embedded import eventually


def said(left):
    return {each["type"]: (each["status"], each["reason"], each["message"]) for each in conditions(left)}


def test_an_empty_namespace_says_so():
    told = said({})
    assert {status for status, _, _ in told.values()} == {"False"}
    assert told["NamespaceContentRemaining"][1:] == ("ContentRemoved", "All content successfully removed")
    assert told["NamespaceFinalizersRemaining"][1:] == (
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
    )


def test_what_is_left_is_counted_by_kind_and_by_finalizer():
    held = {"metadata": {"finalizers": ["example.com/hold"]}}
    told = said({"pods.": [{"metadata": {}}], "configmaps.": [held, held]})
    assert told["NamespaceContentRemaining"] == (
        "True",
        "SomeResourcesRemain",
        "Some resources are remaining: configmaps. has 2 resource instances, pods. has 1 resource instances",
    )
    assert told["NamespaceFinalizersRemaining"] == (
        "True",
        "SomeFinalizersRemain",
        "Some content in the namespace has finalizers remaining: example.com/hold in 2 resource instances",
    )


# -- the controllers' process against an API server alone


@pytest.fixture(scope="module")
def api(api_server):
    with controllers(api_server.kubeconfig, "namespace-controller", "service-account-controller"):
        yield client(api_server)


@pytest.fixture
def room(api):
    """A namespace with its service account."""
    name = "r-" + uuid.uuid4().hex[:8]
    api.create("namespaces", {"metadata": {"name": name}})
    eventually(lambda: has_account(api, name))
    return name


def has_account(api, namespace):
    return any(each["metadata"]["name"] == "default" for each in api.list("serviceaccounts", namespace)["items"])


def is_gone(api, name):
    return not api.list("namespaces", field_selector=f"metadata.name={name}")["items"]


def remaining(api, name):
    found = api.get("namespaces", name)["status"].get("conditions") or []
    return {each["type"]: each["message"] for each in found if each["status"] == "True"}


def test_a_service_account_that_is_deleted_comes_back(api, room):
    api.delete("serviceaccounts", "default", room)
    eventually(lambda: has_account(api, room))


def test_all_that_is_in_it_goes_with_a_namespace(api, room):
    api.create("pods", pod("p", room))
    for number in range(3):
        api.create("configmaps", {"metadata": {"name": f"c{number}", "namespace": room}})
    api.create("secrets", {"metadata": {"name": "s", "namespace": room}})
    api.delete("namespaces", room)
    eventually(lambda: is_gone(api, room))
    for resource in ("pods", "configmaps", "secrets", "serviceaccounts"):
        assert api.list(resource, room)["items"] == []


def test_a_namespace_waits_for_what_a_finalizer_holds_and_goes_as_soon_as_it_is_let_go(api, room):
    held = {"name": "held", "namespace": room, "finalizers": ["example.com/hold"]}
    api.create("configmaps", {"metadata": held})
    api.delete("namespaces", room)
    assert eventually(lambda: remaining(api, room)) == {
        "NamespaceContentRemaining": "Some resources are remaining: configmaps. has 1 resource instances",
        "NamespaceFinalizersRemaining": (
            "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
        ),
    }
    assert not is_gone(api, room)
    api.patch("configmaps", "held", room, {"metadata": {"finalizers": None}})
    eventually(lambda: is_gone(api, room), within=2)


def test_pods_go_before_what_they_may_need_to_the_end(api, room):
    api.create("pods", pod("p", room, metadata={"finalizers": ["example.com/hold"]}))
    api.create("configmaps", {"metadata": {"name": "needed", "namespace": room}})
    api.delete("namespaces", room)
    eventually(lambda: remaining(api, room))
    assert api.get("configmaps", "needed", room)["metadata"]["name"] == "needed"
    api.patch("pods", "p", room, {"metadata": {"finalizers": None}})
    eventually(lambda: is_gone(api, room), within=2)


def test_nothing_new_comes_into_a_namespace_that_goes(api, room):
    held = {"name": "held", "namespace": room, "finalizers": ["example.com/hold"]}
    api.create("configmaps", {"metadata": held})
    api.delete("namespaces", room)
    with pytest.raises(ApiError, match="because it is being terminated"):
        api.create("configmaps", {"metadata": {"name": "late", "namespace": room}})
    api.patch("configmaps", "held", room, {"metadata": {"finalizers": None}})
    eventually(lambda: is_gone(api, room))
