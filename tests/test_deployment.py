"""Deployments: how far each step may go, as tables; and rollouts of real pods."""

import json

import pytest

from labkit.glassbox import objects
from labkit.glassbox.controllers import deployment_status, rollout
from labkit.glassbox.controllers.deployment import annotations_for, beyond_history, was_scaled
from tests.components import client, controllers, events, names, workload
from tests.embedded import eventually

NOW = 1767225600.0  # 2026-01-01T00:00:00Z


def deployment(replicas, surge="25%", unavailable="25%", status=None, **spec):
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    metadata = {"name": "web", "namespace": "n", "generation": 1}
    return {
        "metadata": metadata,
        "spec": {"replicas": replicas, "strategy": strategy, **spec},
        "status": status or {},
    }


def rs(name, replicas, available=None, *, minute=0, **annotations):
    notes = {f"deployment.kubernetes.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    created = f"2026-01-01T00:{minute:02}:00Z"
    count = replicas if available is None else available
    return {
        "metadata": {"name": name, "creationTimestamp": created, "annotations": notes},
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas, "availableReplicas": count},
    }


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "bounds"),
    [
        (4, "25%", "25%", (1, 1)),
        (10, "25%", "25%", (3, 2)),
        (2, "25%", "25%", (1, 0)),
        (1, 0, "25%", (0, 1)),
        (3, 0, 0, (0, 1)),
        (3, 2, 5, (2, 3)),
        (0, "25%", "25%", (0, 0)),
        (10, "100%", "0%", (10, 0)),
    ],
)
def test_percentages_round_up_for_surge_and_down_for_unavailable_never_both_to_none(
    replicas, surge, unavailable, bounds
):
    assert rollout.bounds(deployment(replicas, surge, unavailable)) == bounds


@pytest.mark.parametrize(
    ("wanted", "surge", "new", "old", "size"),
    [
        (10, 0, 0, 10, 0),
        (10, 5, 0, 10, 5),
        (10, 5, 5, 10, 5),
        (10, 5, 5, 5, 10),
        (10, 2, 10, 0, 10),
        (6, 0, 10, 0, 6),
        (10, "25%", 0, 10, 3),
    ],
)
def test_the_new_set_grows_as_far_as_surge_allows(wanted, surge, new, old, size):
    fresh = rs("new", new)
    assert rollout.new_size(deployment(wanted, surge, 1), fresh, [fresh, rs("old", old)]) == size


@pytest.mark.parametrize(
    ("wanted", "unavailable", "new", "new_available", "old", "old_available", "sizes"),
    [
        (10, 0, 0, 0, 10, 10, {}),
        (10, 2, 0, 0, 10, 10, {"old": 8}),
        (10, 2, 2, 0, 10, 10, {"old": 8}),
        (10, 2, 0, 0, 10, 8, {"old": 8}),
        (10, 0, 5, 5, 10, 10, {"old": 5}),
        (10, 0, 5, 0, 10, 10, {}),
        (2, 0, 1, 1, 2, 2, {"old": 1}),
    ],
)
def test_old_sets_shrink_as_far_as_unavailable_allows(
    wanted, unavailable, new, new_available, old, old_available, sizes
):
    fresh, stale = rs("new", new, new_available, minute=9), rs("old", old, old_available)
    assert rollout.old_sizes(deployment(wanted, 5, unavailable), fresh, [stale]) == sizes


def test_pods_that_never_became_available_go_before_those_that_are():
    sets = [rs("older", 3, 3, minute=1), rs("broken", 2, 0, minute=2)]
    assert rollout.old_sizes(deployment(3, 2, 1), rs("new", 0, minute=3), sets) == {"broken": 0, "older": 2}


@pytest.mark.parametrize(
    ("before", "after", "sizes", "result"),
    [
        (10, 12, {"new": 10}, {"new": 12}),
        (10, 5, {"new": 10}, {"new": 5}),
        (10, 20, {"new": 5, "old": 5}, {"new": 10, "old": 10}),
        (10, 5, {"new": 8, "old": 2}, {"new": 4, "old": 1}),
        (10, 0, {"new": 5, "old": 5}, {"new": 0, "old": 0}),
        (4, 5, {"new": 2, "old": 2}, {"new": 3, "old": 2}),
    ],
)
def test_scaling_in_the_middle_of_a_rollout_gives_each_set_its_share(before, after, sizes, result):
    notes = {"max_replicas": str(before)}
    sets = [rs(name, size, 0, minute=9 if name == "new" else 0, **notes) for name, size in sizes.items()]
    own = deployment(after, 0, 1, status={"replicas": before})
    new = next(each for each in sets if each["metadata"]["name"] == "new")
    assert rollout.scaled_sizes(own, sets, new) == result


def test_a_scaling_is_seen_by_the_notes_on_sets_that_have_pods():
    assert was_scaled(deployment(5), [rs("a", 3, desired_replicas="3")])
    assert not was_scaled(deployment(5), [rs("a", 5, desired_replicas="5"), rs("b", 0, desired_replicas="3")])
    assert not was_scaled(deployment(5), [rs("a", 3)])


def test_a_set_that_comes_back_keeps_the_revisions_that_it_had():
    had = rs("a", 0, revision="1")
    notes = annotations_for(deployment(1), had, "3")
    assert notes["deployment.kubernetes.io/revision"] == "3"
    assert notes["deployment.kubernetes.io/revision-history"] == "1"
    again = {"metadata": {"name": "a", "annotations": notes}}
    assert annotations_for(deployment(1), again, "5")["deployment.kubernetes.io/revision-history"] == "1,3"


def test_the_oldest_empty_sets_are_beyond_history():
    sets = [rs("c", 0, revision="3"), rs("a", 0, revision="1"), rs("b", 1, revision="2")]
    assert names(beyond_history(deployment(1, revisionHistoryLimit=1), sets)) == {"a"}
    assert beyond_history(deployment(1), sets) == []


def progressing(reason, message="m", updated="2025-12-31T23:59:00Z", status="True"):
    return {
        "type": "Progressing",
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": updated,
        "lastTransitionTime": updated,
    }


def judged(own, sets, new):
    status, look_again = deployment_status.status_of(own, sets, new, NOW)
    told = next((each for each in status["conditions"] if each["type"] == "Progressing"), None)
    return told, look_again


def with_progress(replicas, told, deadline=600, **options):
    status = {"observedGeneration": 1, "conditions": [told] if told else [], **options.pop("status", {})}
    return deployment(replicas, status=status, progressDeadlineSeconds=deadline, **options)


def test_a_rollout_that_does_not_move_times_out_in_the_real_words():
    new = rs("web-1", 2, 0)
    own = with_progress(2, progressing("ReplicaSetUpdated"), 30, status={"replicas": 2, "updatedReplicas": 2})
    told, look_again = judged(own, [new], new)
    assert (told["status"], told["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert told["message"] == 'ReplicaSet "web-1" has timed out progressing.'
    assert look_again is None


def test_before_the_deadline_it_is_looked_at_again():
    new = rs("web-1", 2, 0)
    own = with_progress(2, progressing("ReplicaSetUpdated"), 100, status={"replicas": 2, "updatedReplicas": 2})
    told, look_again = judged(own, [new], new)
    assert told == progressing("ReplicaSetUpdated")
    assert look_again == pytest.approx(40.1)


def test_a_complete_rollout_says_so():
    new = rs("web-1", 2)
    told, look_again = judged(with_progress(2, progressing("ReplicaSetUpdated")), [new], new)
    assert (told["reason"], told["message"]) == (
        "NewReplicaSetAvailable",
        'ReplicaSet "web-1" has successfully progressed.',
    )
    assert look_again is None


@pytest.mark.parametrize("available", [0, 1])
def test_a_pod_lost_or_asked_for_after_a_complete_rollout_does_not_begin_another(available):
    new = rs("web-1", 2, available)
    told, look_again = judged(with_progress(5, progressing("NewReplicaSetAvailable")), [new], new)
    assert told == progressing("NewReplicaSetAvailable")
    assert look_again is None


def test_a_paused_deployment_has_no_deadline():
    new = rs("web-1", 2, 0)
    told, look_again = judged(with_progress(2, progressing("ReplicaSetUpdated"), 30, paused=True), [new], new)
    assert (told["status"], told["reason"], told["message"]) == ("Unknown", "DeploymentPaused", "Deployment is paused")
    assert look_again is None


def test_available_means_no_more_missing_than_may_be():
    def available(count):
        status, _ = deployment_status.status_of(deployment(4), [rs("a", 4, count)], None, NOW)
        return status["conditions"][0]["status"]

    assert [available(count) for count in (4, 3, 2)] == ["True", "True", "False"]


# -- on a cluster


@pytest.fixture
def room(cluster):
    """(client, namespace, kubectl in it) of a running cluster."""
    import uuid

    name, api = "d-" + uuid.uuid4().hex[:8], client(cluster)
    api.create("namespaces", {"metadata": {"name": name}})
    eventually(lambda: api.list("serviceaccounts", name)["items"])
    yield api, name, lambda *arguments: cluster.kubectl("-n", name, *arguments)
    api.delete("namespaces", name)


def rolled_out(kubectl):
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=20s")


def set_template(api, namespace, **env):
    container = {"name": "c", "env": [{"name": name, "value": value} for name, value in env.items()]}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    return api.patch("deployments", "web", namespace, patch, kind="strategic")


def test_a_rolling_update_never_has_fewer_ready_pods_than_max_unavailable_allows(room):
    api, namespace, kubectl = room
    strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    api.create("deployments", workload("Deployment", "web", namespace, 4, spec={"strategy": strategy}))
    rolled_out(kubectl)
    found = api.list("pods", namespace)
    pods = {each["metadata"]["name"]: each for each in found["items"]}
    old = set(pods)
    set_template(api, namespace, A="1")
    counts = []
    version = found["metadata"]["resourceVersion"]
    for type, each in api.watch("pods", namespace, resource_version=version, bookmarks=False):
        pods.pop(each["metadata"]["name"], None)
        if type != "DELETED" and "deletionTimestamp" not in each["metadata"]:
            pods[each["metadata"]["name"]] = each
        ready = {name for name, pod in pods.items() if objects.is_true(pod, "Ready")}
        counts.append((len(ready), len(pods)))
        if len(ready - old) == 4 and not old & pods.keys():
            break
    assert min(ready for ready, _ in counts) >= 3
    assert max(there for _, there in counts) <= 5


def test_recreate_never_runs_two_versions_side_by_side(room):
    api, namespace, kubectl = room
    spec = {"strategy": {"type": "Recreate"}}
    api.create("deployments", workload("Deployment", "web", namespace, 2, spec=spec))
    rolled_out(kubectl)
    old = names(api.list("pods", namespace)["items"])
    version = api.list("pods", namespace)["metadata"]["resourceVersion"]
    set_template(api, namespace, A="1")
    for type, each in api.watch("pods", namespace, resource_version=version, bookmarks=False):
        if type == "ADDED":
            break
        if type == "DELETED":
            old.discard(each["metadata"]["name"])
    assert old == set()
    rolled_out(kubectl)


def test_undo_brings_the_old_set_back_under_a_new_revision(room):
    api, namespace, kubectl = room
    api.create("deployments", workload("Deployment", "web", namespace, 1))
    rolled_out(kubectl)
    [first] = names(api.list("replicasets", namespace)["items"])
    set_template(api, namespace, A="1")
    rolled_out(kubectl)
    kubectl("rollout", "undo", "deployment/web")
    rolled_out(kubectl)
    sets = {each["metadata"]["name"]: each for each in api.list("replicasets", namespace)["items"]}
    assert len(sets) == 2
    assert sets[first]["spec"]["replicas"] == 1
    assert kubectl("rollout", "history", "deployment/web").split("\n")[2:4] == ["2         <none>", "3         <none>"]


def test_history_is_kept_as_far_as_it_shall_be(room):
    api, namespace, kubectl = room
    api.create("deployments", workload("Deployment", "web", namespace, 1, spec={"revisionHistoryLimit": 1}))
    for number in range(3):
        set_template(api, namespace, A=str(number))
        rolled_out(kubectl)
    eventually(lambda: len(api.list("replicasets", namespace)["items"]) == 2)


def test_a_paused_deployment_does_not_roll_until_it_is_resumed(room):
    api, namespace, kubectl = room
    api.create("deployments", workload("Deployment", "web", namespace, 1))
    rolled_out(kubectl)
    kubectl("rollout", "pause", "deployment/web")
    set_template(api, namespace, A="1")
    kubectl("scale", "deployment/web", "--replicas=2")
    eventually(lambda: api.get("deployments", "web", namespace)["status"].get("availableReplicas") == 2)
    assert len(api.list("replicasets", namespace)["items"]) == 1
    kubectl("rollout", "resume", "deployment/web")
    rolled_out(kubectl)
    assert len(api.list("replicasets", namespace)["items"]) == 2


def test_a_rollout_that_cannot_go_on_exceeds_its_deadline(room):
    api, namespace, _ = room
    spec = {"progressDeadlineSeconds": 1}
    made = workload("Deployment", "web", namespace, 1, image="no-such-image:1", spec=spec)
    api.create("deployments", made)

    def told():
        conditions = (api.get("deployments", "web", namespace).get("status") or {}).get("conditions") or []
        return [each for each in conditions if each.get("reason") == "ProgressDeadlineExceeded"]

    [condition] = eventually(told)
    [name] = names(api.list("replicasets", namespace)["items"])
    assert condition["message"] == f'ReplicaSet "{name}" has timed out progressing.'


def test_what_it_scales_is_told_in_order(room):
    api, namespace, kubectl = room
    api.create("deployments", workload("Deployment", "web", namespace, 2))
    rolled_out(kubectl)
    [old] = names(api.list("replicasets", namespace)["items"])
    set_template(api, namespace, A="1")
    rolled_out(kubectl)
    [new] = names(api.list("replicasets", namespace)["items"]) - {old}
    told = eventually(lambda: (found := events(api, namespace, "web"))[4:] and found)
    assert [message for _, message in told] == [
        f"Scaled up replica set {old} from 0 to 2",
        f"Scaled up replica set {new} from 0 to 1",
        f"Scaled down replica set {old} from 2 to 1",
        f"Scaled up replica set {new} from 1 to 2",
        f"Scaled down replica set {old} from 1 to 0",
    ]


def test_scaling_in_the_middle_of_a_rollout_grows_both_sets(api_server, namespace):
    api = client(api_server)
    with controllers(api_server.kubeconfig, "deployment-controller", "replicaset-controller"):
        api.create("deployments", workload("Deployment", "web", namespace, 10))
        eventually(lambda: len(api.list("pods", namespace)["items"]) == 10)
        set_template(api, namespace, A="1")
        eventually(lambda: len(api.list("replicasets", namespace)["items"]) == 2)
        api.patch("deployments", "web", namespace, {"spec": {"replicas": 20}})
        eventually(lambda: sum(each["spec"]["replicas"] for each in api.list("replicasets", namespace)["items"]) == 25)


def test_a_set_that_lost_its_owner_is_adopted_again(api_server, namespace):
    api = client(api_server)
    with controllers(api_server.kubeconfig, "deployment-controller"):
        api.create("deployments", workload("Deployment", "web", namespace, 1))
        [rs] = eventually(lambda: api.list("replicasets", namespace)["items"])
        name, owner = rs["metadata"]["name"], rs["metadata"]["ownerReferences"]
        api.patch("replicasets", name, namespace, {"metadata": {"ownerReferences": None}})
        again = eventually(lambda: api.get("replicasets", name, namespace)["metadata"].get("ownerReferences"))
    assert again == owner


def test_a_deployment_of_fifty_is_available_within_seconds(room):
    api, namespace, kubectl = room
    api.create("deployments", workload("Deployment", "web", namespace, 50))
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    status = json.loads(kubectl("get", "deployment", "web", "-o", "json"))["status"]
    assert status["availableReplicas"] == 50
