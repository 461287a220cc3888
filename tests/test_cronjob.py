"""A cron job starts a job when it is due, once, and makes up for the latest start alone."""

from datetime import UTC

import pytest

from labkit.glassbox import clock, cron
from labkit.glassbox.controllers.cronjob import CronJobController, Due, beyond_history, due, job_from
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.informer import inform
from tests.components import client, controllers, events, names
from tests.embedded import eventually

NOON = 1767268800.0  # 2026-01-01T12:00:00Z


def cronjob(name="tick", namespace="n", *, last=None, created=NOON - 86400, **spec):
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1.36", "command": ["true"]}]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {"spec": pod}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "namespace": namespace, "uid": "c", "creationTimestamp": clock.rfc3339(created)},
        "spec": {"schedule": "* * * * *", "jobTemplate": template, **spec},
        "status": {"lastScheduleTime": clock.rfc3339(last)} if last else {},
    }


def due_at(given, now):
    return due(given, cron.parse(given["spec"]["schedule"]), UTC, now)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (cronjob(last=NOON), Due(None, 0, NOON + 60)),
        (cronjob(last=NOON - 60), Due(NOON, 1, NOON + 60)),
        (cronjob(last=NOON - 600), Due(NOON, 10, NOON + 60)),
        (cronjob(created=NOON - 30), Due(NOON, 1, NOON + 60)),
        (cronjob(last=NOON - 86400), Due(NOON, 1440, NOON + 60)),
        (cronjob(last=NOON - 86400, startingDeadlineSeconds=90), Due(NOON, 2, NOON + 60)),
        (cronjob(schedule="0 0 31 2 *"), Due(None, 0, None)),
        (cronjob(schedule="30 6-16/4 * * *", last=NOON - 86400), Due(NOON - 5400, 2, NOON + 9000)),  # an estimate
        (cronjob(schedule="@every 7m", last=NOON - 900), Due(NOON - 60, 2, NOON + 360)),
    ],
)
def test_the_latest_missed_start_is_due(given, expected):
    assert due_at(given, NOON + 5) == expected


def test_the_job_of_a_start():
    made = job_from({**cronjob(timeZone="Europe/Berlin")}, NOON)
    assert made["metadata"]["name"] == "tick-29454480"
    assert made["metadata"]["labels"] == {"a": "b"}
    when = "batch.kubernetes.io/cronjob-scheduled-timestamp"
    assert made["metadata"]["annotations"] == {when: "2026-01-01T13:00:00+01:00"}
    assert [owner["kind"] for owner in made["metadata"]["ownerReferences"]] == ["CronJob"]


def ended(name, how, start):
    status = {"conditions": [{"type": how, "status": "True"}], "startTime": clock.rfc3339(start)}
    return {"metadata": {"name": name}, "status": status}


def test_the_oldest_of_each_kind_go_first():
    jobs = [ended("old", "Complete", NOON), ended("new", "Complete", NOON + 60), ended("bad", "Failed", NOON)]
    surplus = beyond_history(cronjob(successfulJobsHistoryLimit=1, failedJobsHistoryLimit=1), jobs)
    assert [job["metadata"]["name"] for job in surplus] == ["old"]
    assert len(beyond_history(cronjob(successfulJobsHistoryLimit=0, failedJobsHistoryLimit=0), jobs)) == 3


# -- the controller against an API server; its clock is the test's


@pytest.fixture
def held(api_server, namespace):
    """A controller whose clock stands still where the test puts it, and that looks when the test says so."""
    api = client(api_server)
    cache = inform(api, "cronjobs", "jobs")
    controller = CronJobController(api, cache, EventRecorder(api, "cronjob-controller"))
    for informer in cache.values():
        informer.start()
        informer.wait_for_sync()
    yield controller
    for informer in cache.values():
        informer.stop()


def make(controller, namespace, **spec):
    """Make a cron job and return the time at which its first start is due."""
    body = cronjob(namespace=namespace, **spec)
    body["metadata"] = {"name": "tick", "namespace": namespace}
    made = controller.api.create("cronjobs", body)
    eventually(lambda: controller.cache["cronjobs"].get(f"{namespace}/tick"))
    return (clock.parse(made["metadata"]["creationTimestamp"]) // 60 + 1) * 60


def look(controller, namespace, now):
    """Have the controller look at that time; return the names of the jobs that there are then."""
    controller.now = lambda: now
    controller.reconcile(f"{namespace}/tick")
    jobs = controller.api.list("jobs", namespace)["items"]
    stored = controller.api.get("cronjobs", "tick", namespace)["metadata"]["resourceVersion"]
    eventually(lambda: controller.cache["cronjobs"].get(f"{namespace}/tick")["metadata"]["resourceVersion"] == stored)
    eventually(lambda: names(controller.cache["jobs"].list(namespace)) == names(jobs))
    return sorted(names(jobs))


def finish(controller, namespace, name, now, how="Complete"):
    """Say of a job what the job controller would say when it has ended."""
    at = clock.rfc3339(now)
    target = "SuccessCriteriaMet" if how == "Complete" else "FailureTarget"
    conditions = [{"type": each, "status": "True", "lastTransitionTime": at} for each in (target, how)]
    status = {"conditions": conditions, "startTime": at, **({"completionTime": at} if how == "Complete" else {})}
    controller.api.patch("jobs", name, namespace, {"status": status}, subresource="status")
    eventually(lambda: (controller.cache["jobs"].get(f"{namespace}/{name}").get("status") or {}).get("conditions"))


def status(controller, namespace):
    return controller.api.get("cronjobs", "tick", namespace)["status"]


def test_a_job_is_made_each_minute_and_once(held, namespace):
    first = make(held, namespace)
    assert look(held, namespace, first - 1) == []
    assert look(held, namespace, first) == [f"tick-{int(first) // 60}"]
    assert look(held, namespace, first + 30) == [f"tick-{int(first) // 60}"]
    assert len(look(held, namespace, first + 60)) == 2
    assert status(held, namespace)["lastScheduleTime"] == clock.rfc3339(first + 60)
    assert len(status(held, namespace)["active"]) == 2


def test_a_job_that_ended_leaves_the_list_and_is_told(held, namespace):
    first = make(held, namespace)
    [name] = look(held, namespace, first)
    finish(held, namespace, name, first + 5)
    look(held, namespace, first + 10)
    assert status(held, namespace).get("active") is None
    assert status(held, namespace)["lastSuccessfulTime"] == clock.rfc3339(first + 5)
    told = eventually(lambda: (found := events(held.api, namespace, "tick"))[1:] and found)
    assert told == [
        ("SuccessfulCreate", f"Created job {name}"),
        ("SawCompletedJob", f"Saw completed job: {name}, condition: Complete"),
    ]


def test_forbid_waits_for_the_job_before(held, namespace):
    first = make(held, namespace, concurrencyPolicy="Forbid")
    [name] = look(held, namespace, first)
    assert look(held, namespace, first + 60) == [name]
    finish(held, namespace, name, first + 65)
    assert len(look(held, namespace, first + 70)) == 2


def test_replace_deletes_the_job_before(held, namespace):
    first = make(held, namespace, concurrencyPolicy="Replace")
    [name] = look(held, namespace, first)
    assert name not in look(held, namespace, first + 60)


def test_a_suspended_cron_job_starts_nothing(held, namespace):
    first = make(held, namespace, suspend=True)
    assert look(held, namespace, first + 600) == []


def test_a_start_after_its_deadline_is_missed(held, namespace):
    first = make(held, namespace, schedule="@hourly", startingDeadlineSeconds=10)
    due = (first // 3600 + 1) * 3600
    assert look(held, namespace, due + 20) == []
    assert len(look(held, namespace, due + 3600 + 5)) == 1


def test_too_many_missed_starts_are_told(held, namespace):
    first = make(held, namespace)
    assert len(look(held, namespace, first + 200 * 60)) == 1
    message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
    assert ("TooManyMissedTimes", message) in eventually(lambda: events(held.api, namespace, "tick"))


def test_only_so_many_ended_jobs_are_kept(held, namespace):
    first = make(held, namespace, successfulJobsHistoryLimit=1)
    for minute in range(3):
        now = first + minute * 60
        for name in look(held, namespace, now):
            if not held.cache["jobs"].get(f"{namespace}/{name}").get("status", {}).get("conditions"):
                finish(held, namespace, name, now + 5)
    assert len(look(held, namespace, first + 150)) == 1


def test_the_process_makes_up_for_a_start_that_was_missed(api_server, namespace):
    api = client(api_server)
    with controllers(api_server.kubeconfig, "cronjob-controller"):
        body = cronjob(namespace=namespace, schedule="0 0 * * *")
        del body["metadata"]["uid"], body["metadata"]["creationTimestamp"]
        api.create("cronjobs", body)
        api.patch(
            "cronjobs",
            "tick",
            namespace,
            {"status": {"lastScheduleTime": "2026-01-01T00:00:00Z"}},
            subresource="status",
        )
        eventually(lambda: api.list("jobs", namespace)["items"])
