"""Stateful sets: the next step, names and claims as tables; and sets of real pods."""

import pytest

from labkit.glassbox.controllers import statefulset_pods as identity
from labkit.glassbox.controllers.statefulset_plan import plan, status_of
from tests import components
from tests.components import become_ready, client, controllers, events, names, workload
from tests.embedded import eventually
from tests.live import fresh_namespace, logs

NOW = 1767225600.0  # 2026-01-01T00:00:00Z


def stateful(replicas, *, partition=0, start=None, policy="OrderedReady", strategy="RollingUpdate", **spec):
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    rolling = {"rollingUpdate": {"partition": partition}} if strategy == "RollingUpdate" else {}
    ordinals = {"ordinals": {"start": start}} if start is not None else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "web", "namespace": "n", "uid": "set", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template,
            "podManagementPolicy": policy,
            "updateStrategy": {"type": strategy, **rolling},
            **ordinals,
            **spec,
        },
    }


def pod(ordinal, state="ready", revision="web-new"):
    """A pod that is ready, starting, failed, succeeded or going (ready, and being deleted)."""
    metadata = {"name": f"web-{ordinal}", "namespace": "n", "labels": {"controller-revision-hash": revision}}
    if state == "going":
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    is_ready = state in ("ready", "going")
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2025-12-31T23:59:50Z"}
    phase = {"starting": "Pending", "failed": "Failed", "succeeded": "Succeeded"}.get(state, "Running")
    return {"metadata": metadata, "spec": {}, "status": {"phase": phase, "conditions": [ready] if is_ready else []}}


def step(sts, *pods):
    make, delete = plan(sts, list(pods), "web-new", NOW)
    return make, [each["metadata"]["name"] for each in delete]


def old(ordinal, state="ready"):
    return pod(ordinal, state, "web-old")


@pytest.mark.parametrize(
    ("sts", "pods", "make", "delete"),
    [
        (stateful(3), [], [0], []),
        (stateful(3), [pod(0)], [1], []),
        (stateful(3), [pod(0, "starting")], [], []),
        (stateful(3), [pod(0), pod(2)], [1], []),
        (stateful(3), [pod(0), pod(1), pod(2)], [], []),
        (stateful(2, minReadySeconds=60), [pod(0)], [], []),
        (stateful(3, start=5), [pod(5)], [6], []),
        (stateful(3), [pod(0), pod(1, "failed"), pod(2)], [], ["web-1"]),
        (stateful(1), [pod(0, "succeeded")], [], ["web-0"]),
        (stateful(2), [pod(0, "going")], [], []),
    ],
)
def test_in_order_each_pod_is_made_when_the_one_before_is_available(sts, pods, make, delete):
    assert step(sts, *pods) == (make, delete)


@pytest.mark.parametrize(
    ("sts", "pods", "delete"),
    [
        (stateful(1), [pod(0), pod(1), pod(2)], ["web-2"]),
        (stateful(1), [pod(0), pod(1), pod(2, "going")], []),
        (stateful(1), [pod(0, "starting"), pod(1)], []),
        (stateful(1), [pod(0), pod(1), pod(2, "starting")], ["web-2"]),
        (stateful(1), [pod(0), pod(1, "starting"), pod(2, "starting")], []),
        (stateful(1), [pod(0), pod(1, "starting"), pod(2)], ["web-2"]),
        (stateful(0), [pod(0)], ["web-0"]),
        (stateful(2, start=3), [pod(3), pod(4), pod(0)], ["web-0"]),
    ],
)
def test_in_order_pods_are_given_up_from_the_highest_one_at_a_time(sts, pods, delete):
    assert step(sts, *pods) == ([], delete)


def test_in_parallel_all_pods_are_made_and_given_up_at_once():
    assert step(stateful(3, policy="Parallel"), pod(1, "starting")) == ([0, 2], [])
    assert step(stateful(1, policy="Parallel"), pod(0), pod(1), pod(2)) == ([], ["web-2", "web-1"])
    assert step(stateful(2, policy="Parallel"), pod(0, "failed"), pod(1)) == ([], ["web-0"])


@pytest.mark.parametrize(
    ("sts", "pods", "delete"),
    [
        (stateful(3), [old(0), old(1), old(2)], ["web-2"]),
        (stateful(3), [old(0), old(1), pod(2)], ["web-1"]),
        (stateful(3, policy="Parallel"), [old(0), old(1), pod(2, "starting")], []),
        (stateful(3, policy="Parallel"), [old(0), old(1), old(2)], ["web-2"]),
        (stateful(3, partition=2), [old(0), old(1), old(2)], ["web-2"]),
        (stateful(3, partition=2), [old(0), old(1), pod(2)], []),
        (stateful(3, partition=9), [old(0), old(1), old(2)], []),
        (stateful(3, strategy="OnDelete"), [old(0), old(1), old(2)], []),
        (stateful(2, start=4, partition=1), [old(4), old(5)], ["web-5"]),
    ],
)
def test_an_update_goes_from_the_highest_pod_down_to_the_partition_one_at_a_time(sts, pods, delete):
    assert step(sts, *pods) == ([], delete)


def test_scaling_comes_before_updating():
    assert step(stateful(3), old(0), old(1)) == ([2], [])


def test_the_status_counts_and_names_the_revisions():
    pods = [pod(0), old(1), old(2, "starting"), old(3, "going")]
    assert status_of(stateful(4), pods, "web-old", "web-new", 0, NOW) == {
        "observedGeneration": 1,
        "replicas": 4,
        "readyReplicas": 3,
        "currentReplicas": 2,
        "updatedReplicas": 1,
        "currentRevision": "web-old",
        "updateRevision": "web-new",
        "collisionCount": 0,
        "availableReplicas": 3,
    }


def test_when_all_pods_are_of_the_new_revision_it_becomes_the_current_one():
    def current(sts, *pods):
        return status_of(sts, list(pods), "web-old", "web-new", 0, NOW)["currentRevision"]

    assert current(stateful(2), pod(0), pod(1)) == "web-new"
    assert current(stateful(2), pod(0), pod(1, "starting")) == "web-old"
    assert current(stateful(2), old(0), pod(1)) == "web-old"
    assert current(stateful(2, strategy="OnDelete"), pod(0), pod(1)) == "web-old"


# -- names and claims

CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
}


def test_a_pod_has_its_name_as_host_name_and_its_ordinal_in_its_labels():
    sts = stateful(2, serviceName="peers", volumeClaimTemplates=[CLAIM])
    sts["spec"]["template"]["spec"]["volumes"] = [{"name": "tmp", "emptyDir": {}}, {"name": "data", "emptyDir": {}}]
    revision = {"metadata": {"name": "web-abc"}, "data": {"spec": {"template": sts["spec"]["template"]}}}
    made = identity.pod_from(sts, revision, 1)
    assert made["metadata"]["name"] == "web-1"
    assert made["metadata"]["labels"] == {
        "app": "web",
        "statefulset.kubernetes.io/pod-name": "web-1",
        "apps.kubernetes.io/pod-index": "1",
        "controller-revision-hash": "web-abc",
    }
    assert (made["spec"]["hostname"], made["spec"]["subdomain"]) == ("web-1", "peers")
    assert made["spec"]["volumes"] == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-1"}},
        {"name": "tmp", "emptyDir": {}},
    ]


def test_only_a_name_of_the_set_and_a_number_has_an_ordinal():
    sts = stateful(1)
    given = ("web-0", "web-12", "web-x", "web-1-0", "webs-0", "web-")
    assert [identity.ordinal_of(sts, {"metadata": {"name": name}}) for name in given] == [0, 12, None, None, None, None]


def test_claims_are_named_after_template_set_and_ordinal():
    [claim] = identity.claims_from(stateful(1, volumeClaimTemplates=[CLAIM]), 0)
    assert claim["metadata"] == {"name": "data-web-0", "namespace": "n", "labels": {"app": "web"}}
    assert claim["spec"] == CLAIM["spec"]


@pytest.mark.parametrize(
    ("deleted", "scaled", "within", "beyond"),
    [
        ("Retain", "Retain", [], []),
        ("Delete", "Retain", ["StatefulSet"], ["StatefulSet"]),
        ("Retain", "Delete", [], ["Pod"]),
        ("Delete", "Delete", ["StatefulSet"], ["Pod"]),
    ],
)
def test_whom_a_claim_goes_with_follows_the_retention_policy(deleted, scaled, within, beyond):
    policy = {"whenDeleted": deleted, "whenScaled": scaled}
    sts = stateful(1, volumeClaimTemplates=[CLAIM], persistentVolumeClaimRetentionPolicy=policy)

    def owners(ordinal):
        [claim] = identity.claims_from(sts, ordinal)
        return [each["kind"] for each in identity.owners_of_claim(sts, claim, ordinal, pod(ordinal))]

    assert (owners(0), owners(1)) == (within, beyond)


def test_a_claim_that_goes_with_an_earlier_pod_makes_the_next_one_wait():
    claim = {"metadata": {"ownerReferences": [{"kind": "Pod", "name": "web-1", "uid": "earlier"}]}}
    assert identity.is_going(stateful(2), claim, 1)
    assert not identity.is_going(stateful(2), claim, 0)


# -- the controller's process against an API server alone: pods are ready when the test says so


@pytest.fixture(scope="module")
def api(api_server):
    with controllers(api_server.kubeconfig, "statefulset-controller"):
        yield client(api_server)


def make(api, namespace, replicas, **spec):
    return api.create("statefulsets", workload("StatefulSet", "web", namespace, replicas, spec=spec))


def pods(api, namespace):
    return sorted(names(api.list("pods", namespace)["items"]))


def appear(api, namespace, *expected):
    """Wait until the pods are these, say that they are ready, and return them."""
    eventually(lambda: pods(api, namespace) == sorted(expected))
    found = [api.get("pods", name, namespace) for name in expected]
    for each in found:
        become_ready(api, each)
    return found


def status(api, namespace):
    return api.get("statefulsets", "web", namespace)["status"]


def replaced(api, namespace, name, image):
    """Wait until the pod runs another image, and say that it is ready; one without a node goes at once."""
    found = api.list("pods", namespace, field_selector=f"metadata.name={name}")["items"]
    if found and found[0]["spec"]["containers"][0]["image"] == image:
        become_ready(api, found[0])
        return True
    return False


def revisions(api, namespace):
    found = api.list("controllerrevisions", namespace)["items"]
    return {each["revision"]: each["metadata"]["name"] for each in found}


def set_image(api, namespace, image):
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}
    api.patch("statefulsets", "web", namespace, patch, kind="strategic")


def test_the_second_pod_comes_when_the_first_is_ready_and_both_are_told_of(api, namespace):
    make(api, namespace, 2, serviceName="peers")
    [first] = appear(api, namespace, "web-0")
    appear(api, namespace, "web-0", "web-1")
    eventually(lambda: status(api, namespace).get("readyReplicas") == 2)
    assert (first["spec"]["hostname"], first["spec"]["subdomain"]) == ("web-0", "peers")
    [revision] = revisions(api, namespace).values()
    assert status(api, namespace) == {
        "observedGeneration": 1,
        "replicas": 2,
        "readyReplicas": 2,
        "currentReplicas": 2,
        "updatedReplicas": 2,
        "currentRevision": revision,
        "updateRevision": revision,
        "collisionCount": 0,
        "availableReplicas": 2,
    }
    assert eventually(lambda: (found := events(api, namespace, "web"))[1:] and found) == [
        ("SuccessfulCreate", "Create Pod web-0 in StatefulSet web successful"),
        ("SuccessfulCreate", "Create Pod web-1 in StatefulSet web successful"),
    ]


def test_a_pod_that_goes_comes_back_under_its_name(api, namespace):
    make(api, namespace, 1)
    [before] = appear(api, namespace, "web-0")
    api.delete("pods", "web-0", namespace, grace_period_seconds=0)
    after = eventually(lambda: (names(api.list("pods", namespace)["items"])) and api.get("pods", "web-0", namespace))
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


def test_an_update_stops_at_the_partition_and_ends_when_that_is_lowered(api, namespace):
    make(api, namespace, 2, podManagementPolicy="Parallel", updateStrategy={"rollingUpdate": {"partition": 1}})
    appear(api, namespace, "web-0", "web-1")
    eventually(lambda: status(api, namespace).get("readyReplicas") == 2)
    set_image(api, namespace, "busybox:latest")
    eventually(lambda: replaced(api, namespace, "web-1", "busybox:latest"))
    eventually(lambda: status(api, namespace).get("updatedReplicas") == 1)
    assert status(api, namespace)["currentReplicas"] == 1
    api.patch("statefulsets", "web", namespace, {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}})
    eventually(lambda: replaced(api, namespace, "web-0", "busybox:latest"))
    newest = revisions(api, namespace)[2]
    eventually(lambda: status(api, namespace)["currentRevision"] == newest)


def test_going_back_gives_the_old_revision_the_next_number_and_history_is_kept_as_far_as_it_shall_be(api, namespace):
    make(api, namespace, 0, revisionHistoryLimit=1)
    first = eventually(lambda: revisions(api, namespace).get(1))
    set_image(api, namespace, "busybox:latest")
    eventually(lambda: revisions(api, namespace).get(2))
    set_image(api, namespace, "busybox:1.36")
    assert eventually(lambda: revisions(api, namespace).get(3)) == first
    set_image(api, namespace, "busybox:1")
    eventually(lambda: sorted(revisions(api, namespace)) == [3, 4])


def test_an_orphan_with_a_name_of_the_set_is_adopted_and_labelled(api, namespace):
    orphan = api.create("pods", components.pod("web-0", namespace, labels={"app": "web"}))
    sts = make(api, namespace, 1)
    adopted = eventually(
        lambda: (found := api.get("pods", "web-0", namespace))["metadata"].get("ownerReferences") and found
    )
    assert adopted["metadata"]["uid"] == orphan["metadata"]["uid"]
    assert adopted["metadata"]["ownerReferences"][0]["uid"] == sts["metadata"]["uid"]
    eventually(
        lambda: api.get("pods", "web-0", namespace)["metadata"]["labels"].get("apps.kubernetes.io/pod-index") == "0"
    )


def test_claims_come_before_their_pod_and_stay_with_the_policy(api, namespace):
    policy = {"whenDeleted": "Retain", "whenScaled": "Delete"}
    make(api, namespace, 2, podManagementPolicy="Parallel", volumeClaimTemplates=[CLAIM])
    appear(api, namespace, "web-0", "web-1")
    assert names(api.list("persistentvolumeclaims", namespace)["items"]) == {"data-web-0", "data-web-1"}
    api.patch(
        "statefulsets", "web", namespace, {"spec": {"persistentVolumeClaimRetentionPolicy": policy, "replicas": 1}}
    )
    [owner] = eventually(
        lambda: api.get("persistentvolumeclaims", "data-web-1", namespace)["metadata"].get("ownerReferences")
    )
    assert (owner["kind"], owner["name"]) == ("Pod", "web-1")
    assert "ownerReferences" not in api.get("persistentvolumeclaims", "data-web-0", namespace)["metadata"]
    assert ("SuccessfulCreate", "Create Claim data-web-0 Pod web-0 in StatefulSet web success") in events(
        api, namespace, "web"
    )


# -- on a cluster


def test_kubectl_rolls_a_stateful_set_out_and_back(cluster):
    with fresh_namespace(cluster) as namespace:
        kubectl = lambda *arguments: cluster.kubectl("-n", namespace, *arguments)  # noqa: E731
        client(cluster).create("statefulsets", workload("StatefulSet", "web", namespace, 2))
        rolled_out = "partitioned roll out complete: 2 new pods have been updated..."
        kubectl("rollout", "status", "sts/web", "--timeout=30s")
        kubectl("set", "image", "sts/web", "c=busybox:latest")
        assert rolled_out in kubectl("rollout", "status", "sts/web", "--timeout=30s")
        assert kubectl("rollout", "undo", "sts/web") == "statefulset.apps/web rolled back\n"
        assert rolled_out in kubectl("rollout", "status", "sts/web", "--timeout=30s")
        assert kubectl("rollout", "history", "sts/web").split("\n")[2:4] == ["2         <none>", "3         <none>"]


def test_pods_that_were_left_behind_are_taken_over_by_a_set_of_the_same_name_as_they_are(cluster):
    with fresh_namespace(cluster) as namespace:
        api = client(cluster)
        make(api, namespace, 2, podManagementPolicy="Parallel")
        cluster.kubectl("-n", namespace, "rollout", "status", "sts/web", "--timeout=30s")
        before = {each["metadata"]["uid"] for each in api.list("pods", namespace)["items"]}
        cluster.kubectl("-n", namespace, "delete", "sts/web", "--cascade=orphan")
        sts = make(api, namespace, 2)
        cluster.kubectl("-n", namespace, "rollout", "status", "sts/web", "--timeout=30s")
        after = api.list("pods", namespace)["items"]
        assert {each["metadata"]["uid"] for each in after} == before
        assert {each["metadata"]["ownerReferences"][0]["uid"] for each in after} == {sts["metadata"]["uid"]}
        assert list(revisions(api, namespace)) == [1]


def test_a_pod_that_comes_back_finds_the_data_of_the_one_before(cluster):
    with fresh_namespace(cluster) as namespace:
        api, born = client(cluster), "test -f /data/born || date +%s%N > /data/born; cat /data/born; sleep 1000"
        made = workload("StatefulSet", "web", namespace, 1, command=("sh", "-c", born))
        made["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        made["spec"]["volumeClaimTemplates"] = [CLAIM]
        api.create("statefulsets", made)
        cluster.kubectl("-n", namespace, "rollout", "status", "sts/web", "--timeout=30s")
        told = eventually(lambda: logs(cluster, namespace, "web-0"))
        cluster.kubectl("-n", namespace, "delete", "pod/web-0")
        cluster.kubectl("-n", namespace, "rollout", "status", "sts/web", "--timeout=30s")
        assert eventually(lambda: logs(cluster, namespace, "web-0", check=False).stdout) == told


def test_claims_go_with_their_set_or_with_the_pods_that_are_too_many_where_the_policy_says_so(cluster):
    with fresh_namespace(cluster) as namespace:
        api, policy = client(cluster), {"whenDeleted": "Delete", "whenScaled": "Delete"}
        spec = {"persistentVolumeClaimRetentionPolicy": policy, "podManagementPolicy": "Parallel"}
        make(api, namespace, 2, volumeClaimTemplates=[CLAIM], **spec)
        cluster.kubectl("-n", namespace, "rollout", "status", "sts/web", "--timeout=30s")
        cluster.kubectl("-n", namespace, "scale", "sts/web", "--replicas=1")
        claims = lambda: names(api.list("persistentvolumeclaims", namespace)["items"])  # noqa: E731
        eventually(lambda: claims() == {"data-web-0"})
        cluster.kubectl("-n", namespace, "delete", "sts/web")
        eventually(lambda: claims() == set())
