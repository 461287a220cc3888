"""What nobody owns any longer goes; the three ways to delete an owner."""

import pytest

from labkit.glassbox import objects
from labkit.glassbox.controllers.garbage_collector import blocks, is_waiting
from labkit.glassbox.errors import ApiError
from tests.components import client, controllers, names
from tests.embedded import eventually


def reference(owner, *, block=True):
    return {**objects.owner_reference(owner, "ConfigMap", "v1", controller=False), "blockOwnerDeletion": block}


def test_an_object_waits_by_the_finalizer_that_its_deletion_set():
    deleting = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["foregroundDeletion"]}}
    assert is_waiting(deleting, "foregroundDeletion")
    assert not is_waiting(deleting, "orphan")
    assert not is_waiting({"metadata": {"finalizers": ["foregroundDeletion"]}}, "foregroundDeletion")


def test_a_dependent_blocks_its_owner_only_if_its_reference_says_so():
    owner = {"metadata": {"name": "o", "uid": "1"}}
    assert blocks({"metadata": {"ownerReferences": [reference(owner)]}}, owner)
    assert not blocks({"metadata": {"ownerReferences": [reference(owner, block=False)]}}, owner)


# -- the controller's process against an API server alone


@pytest.fixture(scope="module")
def api(api_server):
    with controllers(api_server.kubeconfig, "garbage-collector-controller"):
        yield client(api_server)


def make(api, namespace, name, *owners, finalizers=()):
    metadata = {"name": name, "namespace": namespace, "finalizers": list(finalizers)}
    metadata["ownerReferences"] = [each if "kind" in each and "uid" in each else reference(each) for each in owners]
    return api.create("configmaps", {"metadata": metadata})


def there(api, namespace):
    return names(api.list("configmaps", namespace)["items"])


def finalizers(api, namespace, name):
    return api.get("configmaps", name, namespace)["metadata"].get("finalizers") or []


def test_background_dependents_and_theirs_follow_the_owner(api, namespace):
    owner = make(api, namespace, "owner")
    make(api, namespace, "grandchild", make(api, namespace, "child", owner))
    make(api, namespace, "bystander")
    api.delete("configmaps", "owner", namespace, propagation_policy="Background")
    eventually(lambda: there(api, namespace) == {"bystander"})


def test_orphans_stay_without_their_reference(api, namespace):
    make(api, namespace, "child", make(api, namespace, "owner"))
    api.delete("configmaps", "owner", namespace, propagation_policy="Orphan")
    eventually(lambda: there(api, namespace) == {"child"})
    assert "ownerReferences" not in api.get("configmaps", "child", namespace)["metadata"]


def test_foreground_the_owner_stays_until_the_last_dependent_that_blocks_it_has_gone(api, namespace):
    make(api, namespace, "child", make(api, namespace, "owner"), finalizers=["example.com/hold"])
    api.delete("configmaps", "owner", namespace, propagation_policy="Foreground")
    eventually(lambda: objects.is_deleting(api.get("configmaps", "child", namespace)))
    assert finalizers(api, namespace, "owner") == ["foregroundDeletion"]
    api.patch("configmaps", "child", namespace, {"metadata": {"finalizers": None}})
    eventually(lambda: there(api, namespace) == set())


def test_foreground_a_dependent_that_does_not_block_is_not_waited_for(api, namespace):
    owner = make(api, namespace, "owner")
    make(api, namespace, "child", reference(owner, block=False), finalizers=["example.com/hold"])
    api.delete("configmaps", "owner", namespace, propagation_policy="Foreground")
    eventually(lambda: there(api, namespace) == {"child"})


def test_foreground_goes_down_through_the_generations(api, namespace):
    child = make(api, namespace, "child", make(api, namespace, "owner"))
    make(api, namespace, "grandchild", child, finalizers=["example.com/hold"])
    api.delete("configmaps", "owner", namespace, propagation_policy="Foreground")
    eventually(lambda: objects.is_deleting(api.get("configmaps", "grandchild", namespace)))
    assert finalizers(api, namespace, "child") == ["foregroundDeletion"]
    api.patch("configmaps", "grandchild", namespace, {"metadata": {"finalizers": None}})
    eventually(lambda: there(api, namespace) == set())


def test_an_owner_that_never_was_collects_its_dependent(api, namespace):
    absent = {"metadata": {"name": "absent", "uid": "00000000-0000-0000-0000-000000000000"}}
    make(api, namespace, "child", absent)
    eventually(lambda: there(api, namespace) == set())


def test_another_object_of_the_owners_name_is_not_the_owner(api, namespace):
    owner = make(api, namespace, "owner")
    child = make(api, namespace, "child", owner, finalizers=["example.com/hold"])
    api.delete("configmaps", "owner", namespace, propagation_policy="Background")
    make(api, namespace, "owner")
    eventually(lambda: objects.is_deleting(api.get("configmaps", objects.name(child), namespace)))
    assert there(api, namespace) == {"owner", "child"}


def test_one_of_two_owners_keeps_its_dependent_which_forgets_the_other(api, namespace):
    first, second = make(api, namespace, "first"), make(api, namespace, "second")
    make(api, namespace, "child", first, second)
    api.delete("configmaps", "first", namespace, propagation_policy="Background")
    eventually(lambda: api.get("configmaps", "child", namespace)["metadata"]["ownerReferences"] == [reference(second)])


def test_what_a_kind_unknown_here_owns_is_left_alone(api, namespace):
    stranger = {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": "1"}
    make(api, namespace, "child", stranger)
    make(api, namespace, "marker", {"metadata": {"name": "absent", "uid": "2"}})
    eventually(lambda: there(api, namespace) == {"child"})


def test_what_has_no_namespace_cannot_lose_an_owner_that_has_one(api, namespace):
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "1"}
    node = api.create("nodes", {"metadata": {"name": f"node-{namespace}", "ownerReferences": [owner]}})
    make(api, namespace, "marker", {"metadata": {"name": "absent", "uid": "2"}})
    eventually(lambda: there(api, namespace) == set())
    assert api.get("nodes", objects.name(node))["metadata"]["uid"] == objects.uid(node)


def test_a_dependent_that_its_owner_outlives_is_nobodys_concern(api, namespace):
    make(api, namespace, "child", make(api, namespace, "owner"))
    api.delete("configmaps", "child", namespace)
    with pytest.raises(ApiError, match="not found"):
        api.get("configmaps", "child", namespace)
    assert there(api, namespace) == {"owner"}
