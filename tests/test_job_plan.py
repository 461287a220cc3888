"""A job's arithmetic: what ended how, which pods are made, when it is over. Literal in, literal out."""

import pytest

from labkit.glassbox import clock
from labkit.glassbox.controllers import job_plan, job_pods
from labkit.glassbox.controllers.job_plan import Plan, Round, Streak, as_text, indexes

NOW = 1767225600.0  # 2026-01-01T00:00:00Z


def job(status=None, **spec):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1.36"}]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "sum", "namespace": "n", "uid": "j"},
        "spec": {"parallelism": 1, "completions": 1, "backoffLimit": 6, "template": template, **spec},
        "status": status or {},
    }


def indexed(status=None, **spec):
    return job(status, **{"completionMode": "Indexed", "completions": 5, "parallelism": 2, **spec})


def pod(name, phase="Running", *, index=None, ago=0, code=None, tracked=True, deleting=False, failures=None):
    notes = {job_pods.INDEX: index, job_pods.FAILURES: failures}
    state = {"terminated": {"exitCode": code, "finishedAt": clock.rfc3339(NOW - ago)}} if code is not None else {}
    created = clock.rfc3339(NOW - 100)
    return {
        "metadata": {
            "name": name,
            "namespace": "n",
            "uid": name,
            "creationTimestamp": created,
            "annotations": {key: str(value) for key, value in notes.items() if value is not None},
            "finalizers": [job_pods.TRACKING] if tracked else [],
            **({"deletionTimestamp": created} if deleting else {}),
        },
        "spec": {},
        "status": {"phase": phase, "containerStatuses": [{"name": "c", "restartCount": 0, "state": state}]},
    }


def failed(name="f", **more):
    return pod(name, "Failed", **{"code": 1, **more})


def succeeded(name="s", **more):
    return pod(name, "Succeeded", code=0, **more)


def at(job, *pods, streak=None):
    return Round.of(job, list(pods), streak or Streak(), NOW)


def names(plan):
    return [each["metadata"]["name"] for each in plan.delete]


@pytest.mark.parametrize(
    ("given", "pods", "made"),
    [
        (job(), [], 1),
        (job(parallelism=3, completions=2), [], 2),
        (job(parallelism=2, completions=5), [succeeded(), pod("a")], 1),
        (job({"succeeded": 4}, parallelism=2, completions=5), [], 1),
        (job(parallelism=2, completions=3), [succeeded("s1"), succeeded("s2"), succeeded("s3")], 0),
        (job(parallelism=0), [], 0),
        (job(), [pod("going", deleting=True, tracked=False)], 1),
        (job(podReplacementPolicy="Failed"), [pod("going", deleting=True)], 0),
    ],
)
def test_as_many_pods_are_made_as_are_missing(given, pods, made):
    assert len(job_plan.plan(at(given, *pods)).create) == made


def test_without_completions_the_first_success_stops_new_pods():
    queue = job(parallelism=3)
    del queue["spec"]["completions"]
    assert len(job_plan.plan(at(queue)).create) == 3
    assert job_plan.plan(at(queue, succeeded(), pod("a"))) == Plan()
    assert not job_plan.is_complete(at(queue, succeeded(), pod("a")))
    assert job_plan.is_complete(at(queue, succeeded()))


def test_a_suspended_job_gives_up_its_pods():
    assert names(job_plan.plan(at(job(suspend=True), pod("a")))) == ["a"]


def test_less_parallelism_means_fewer_pods():
    assert len(job_plan.plan(at(job(parallelism=1, completions=5), pod("a"), pod("b"), pod("c"))).delete) == 2


@pytest.mark.parametrize(("failures", "wait"), [(1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (5000, 600)])
def test_each_failure_doubles_the_wait_up_to_ten_minutes(failures, wait):
    assert Streak(failures, NOW).wait(NOW) == wait


def test_a_failed_pod_is_replaced_after_the_wait():
    assert job_plan.plan(at(job(), failed(ago=4))) == Plan(wait=6.0)
    assert job_plan.plan(at(job(), failed(ago=10))).create == [None]


def test_a_success_ends_the_streak():
    assert Streak(3, NOW - 50).after([succeeded(ago=20)], [failed(ago=30)]) == Streak()
    assert Streak(3, NOW - 50).after([succeeded(ago=20)], [failed(ago=10)]) == Streak(1, NOW - 10)


@pytest.mark.parametrize(
    ("given", "pods", "reason"),
    [
        (job(), [failed()], None),
        (job(backoffLimit=0), [failed()], "BackoffLimitExceeded"),
        (job({"failed": 6}), [failed()], "BackoffLimitExceeded"),
        (job({"uncountedTerminatedPods": {"failed": ["f"]}}, backoffLimit=1), [failed()], None),
        (job(backoffLimit=0), [pod("gone", deleting=True)], "BackoffLimitExceeded"),
        (job({"startTime": clock.rfc3339(NOW - 5)}, activeDeadlineSeconds=5), [], "DeadlineExceeded"),
        (job({"startTime": clock.rfc3339(NOW - 4)}, activeDeadlineSeconds=5), [], None),
        (job({"startTime": clock.rfc3339(NOW - 9)}, activeDeadlineSeconds=5, suspend=True), [], None),
        (indexed(backoffLimitPerIndex=0, maxFailedIndexes=0), [failed(index=1)], "MaxFailedIndexesExceeded"),
        (indexed(backoffLimitPerIndex=0), [failed(index=1)], None),
        (indexed({"completedIndexes": "0-3"}, backoffLimitPerIndex=0), [failed(index=4)], "FailedIndexes"),
        (indexed({"completedIndexes": "0-3"}, backoffLimitPerIndex=1), [failed(index=4, failures=0)], None),
    ],
)
def test_how_a_job_fails(given, pods, reason):
    verdict = job_plan.verdict(at(given, *pods))
    assert (verdict and verdict.reason) == reason


def test_restarts_count_where_containers_are_started_again():
    restarted = pod("a")
    restarted["status"]["containerStatuses"][0]["restartCount"] = 2
    given = job(backoffLimit=2)
    assert job_plan.verdict(at(given, restarted)) is None
    given["spec"]["template"]["spec"]["restartPolicy"] = "OnFailure"
    assert job_plan.verdict(at(given, restarted)).reason == "BackoffLimitExceeded"


def rule(action, **when):
    return {"podFailurePolicy": {"rules": [{"action": action, **when}]}}


ON_42 = {"onExitCodes": {"operator": "In", "values": [42]}}
DISRUPTED = {"onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def test_a_pod_failure_policy_fails_the_job_in_upstreams_words():
    verdict = job_plan.verdict(at(job(**rule("FailJob", **ON_42)), failed(code=42)))
    message = "Container c for pod n/f failed with exit code 42 matching FailJob rule at index 0"
    assert (verdict.reason, verdict.message) == ("PodFailurePolicy", message)
    assert job_plan.verdict(at(job(**rule("FailJob", **ON_42)), failed(code=1))) is None


def test_an_ignored_failure_does_not_count():
    assert job_plan.verdict(at(job(backoffLimit=0, **rule("Ignore", **ON_42)), failed(code=42))) is None


def test_a_disruption_is_a_condition_that_a_rule_may_name():
    disrupted = failed()
    disrupted["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
    assert job_plan.verdict(at(job(backoffLimit=0, **rule("Ignore", **DISRUPTED)), disrupted)) is None


def test_fail_index_gives_up_at_once():
    given = indexed(backoffLimitPerIndex=3, **rule("FailIndex", **ON_42))
    assert at(given, failed(index=1, code=42, failures=0)).failed_indexes == {1}


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"succeededIndexes": "0-1"}, "Matched rules at index 0"),
        ({"succeededCount": 2}, "Matched rules at index 0"),
        ({"succeededIndexes": "0-4", "succeededCount": 2}, "Matched rules at index 0"),
        ({"succeededIndexes": "0,3"}, None),
        ({"succeededCount": 3}, None),
    ],
)
def test_a_success_policy_ends_a_job_early(policy, message):
    given = indexed({"completedIndexes": "0"}, successPolicy={"rules": [policy]})
    verdict = job_plan.verdict(at(given, succeeded(index=1), pod("a", index=2)))
    assert (verdict and verdict.message) == message


def test_the_first_free_indexes_come_first():
    given = indexed({"completedIndexes": "0"}, parallelism=3)
    assert job_plan.plan(at(given, pod("a", index=2))).create == [1, 3]


def test_of_two_pods_for_one_index_one_goes():
    assert names(job_plan.plan(at(indexed(), pod("a", index=1), pod("b", index=1)))) in (["a"], ["b"])
    assert names(job_plan.plan(at(indexed(), pod("stray"), pod("b", index=1), pod("far", index=9)))) == ["stray", "far"]


def test_each_index_has_a_wait_of_its_own():
    given = indexed(backoffLimitPerIndex=2, parallelism=5)
    waiting = failed("f0", index=0, ago=5, failures=0)
    due = failed("f1", index=1, ago=25, failures=1)
    assert job_plan.plan(at(given, waiting, due)).create == [1, 2, 3, 4]
    assert set(at(given, waiting, due).awaiting) == {0, 1}
    others = [pod(f"p{index}", index=index) for index in (1, 2, 3, 4)]
    assert job_plan.plan(at(given, waiting, *others)) == Plan(wait=5.0)


def test_a_pod_of_an_index_knows_it():
    made = job_pods.pod_for(indexed(backoffLimitPerIndex=2), 3, failed(index=3, failures=1))
    assert made["metadata"]["generateName"] == "sum-3-"
    assert made["metadata"]["labels"] == {job_pods.INDEX: "3"}
    assert made["metadata"]["annotations"] == {job_pods.INDEX: "3", job_pods.FAILURES: "2"}
    assert made["metadata"]["finalizers"] == [job_pods.TRACKING]
    assert made["spec"]["hostname"] == "sum-3"
    [variable] = made["spec"]["containers"][0]["env"]
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == f"metadata.labels['{job_pods.INDEX}']"


@pytest.mark.parametrize(("text", "found"), [("", set()), ("1", {1}), ("0,1", {0, 1}), ("0-2,5", {0, 1, 2, 5})])
def test_indexes_as_text(text, found):
    assert indexes(text, 10) == found
    assert as_text(found) == text


def test_indexes_beyond_the_completions_are_forgotten():
    assert indexes("0-9,12", 3) == {0, 1, 2}
