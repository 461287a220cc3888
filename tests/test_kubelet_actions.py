"""What the kubelet decides to do for a pod."""

from dataclasses import replace

import pytest

from labkit.glassbox.kubelet.actions import Health, Observed, compute_actions, next_backoff
from labkit.glassbox.kubelet.recall import recall
from labkit.glassbox.kubelet.runtime import Actual, Container, Sandbox

SANDBOX = Sandbox("uid", "default", "web", "web", "10.244.1.2", 0, ready=True)
DEAD_SANDBOX = Sandbox("uid", "default", "web", "web", "10.244.1.2", 0, ready=False)


def pod(policy="Always", containers=("web",), init=()):
    spec = {"restartPolicy": policy, "containers": [{"name": name, "image": "busybox"} for name in containers]}
    if init:
        spec["initContainers"] = [{"name": name, "image": "busybox"} for name in init]
    return {"metadata": {"name": "web", "namespace": "default", "uid": "uid"}, "spec": spec}


def container(name="web", attempt=0, exit_code=None, lived=1.0, ended=100.0, backoff=0.0):
    finished = None if exit_code is None else ended
    return Container(
        name, attempt, "id", "busybox", "sha256:0", "/log", backoff, ended - lived, ended - lived, finished, exit_code
    )


def actual(*containers, sandbox=SANDBOX):
    found = {}
    for each in containers:
        found[each.name] = (*found.get(each.name, ()), each)
    return Actual(sandbox, found)


def started(todo):
    return [(start.container["name"], start.attempt) for start in todo.start]


def test_a_new_pod_gets_a_sandbox_and_all_its_containers():
    todo = compute_actions(pod(containers=("a", "b")), Actual(), now=0)
    assert todo.new_sandbox
    assert started(todo) == [("a", 0), ("b", 0)]


def test_a_pod_that_runs_needs_nothing():
    todo = compute_actions(pod(), actual(container()), now=100)
    assert (todo.new_sandbox, todo.start, todo.again_after) == (False, (), None)


def test_the_first_restart_is_at_once_and_the_second_waits_ten_seconds():
    first = compute_actions(pod(), actual(container(exit_code=1)), now=100)
    assert started(first) == [("web", 1)]
    assert first.start[0].backoff == 10

    second = compute_actions(pod(), actual(container(attempt=1, exit_code=1, backoff=10)), now=103)
    assert second.start == ()
    assert second.backing_off == {"web": 10}
    assert second.again_after == 7


@pytest.mark.parametrize(("before", "after"), [(0, 10), (10, 20), (20, 40), (160, 300), (300, 300)])
def test_the_back_off_doubles_up_to_five_minutes(before, after):
    assert next_backoff(container(exit_code=1, backoff=before)) == after


def test_a_container_that_lived_long_starts_again_at_once():
    todo = compute_actions(pod(), actual(container(attempt=5, exit_code=1, backoff=160, lived=601)), now=101)
    assert started(todo) == [("web", 6)]
    assert todo.start[0].backoff == 10


@pytest.mark.parametrize(
    ("policy", "code", "restarts"),
    [("Always", 0, True), ("Always", 1, True), ("OnFailure", 0, False), ("OnFailure", 1, True), ("Never", 1, False)],
)
def test_restart_policy(policy, code, restarts):
    todo = compute_actions(pod(policy), actual(container(exit_code=code)), now=101)
    assert bool(todo.start) is restarts
    assert todo.stop_sandbox is not restarts


def test_a_pod_that_is_over_keeps_its_sandbox_until_its_last_container_ends():
    todo = compute_actions(
        pod("Never", containers=("a", "b")), actual(container("a", exit_code=0), container("b")), now=101
    )
    assert (todo.start, todo.stop_sandbox) == ((), False)


def test_a_dead_sandbox_is_made_anew_and_its_containers_start_again():
    todo = compute_actions(pod(), actual(container(exit_code=137), sandbox=DEAD_SANDBOX), now=101)
    assert todo.new_sandbox
    assert started(todo) == [("web", 1)]


def test_a_pod_that_never_restarts_gets_no_second_sandbox():
    todo = compute_actions(pod("Never"), actual(container(exit_code=137), sandbox=DEAD_SANDBOX), now=101)
    assert (todo.new_sandbox, todo.start) == (False, ())


def test_init_containers_run_one_after_the_other_before_the_others():
    spec = pod(init=("one", "two"))
    assert started(compute_actions(spec, Actual(), now=0)) == [("one", 0)]
    assert started(compute_actions(spec, actual(container("one")), now=100)) == []
    assert started(compute_actions(spec, actual(container("one", exit_code=0)), now=100)) == [("two", 0)]
    done = actual(container("one", exit_code=0), container("two", exit_code=0))
    assert started(compute_actions(spec, done, now=100)) == [("web", 0)]


def test_a_failed_init_container_ends_a_pod_that_never_restarts():
    todo = compute_actions(pod("Never", init=("one",)), actual(container("one", exit_code=1)), now=101)
    assert todo.stop_sandbox
    assert todo.start == ()


def remembered(state, **more):
    status = {"name": "web", "containerID": "glassbox://id", "restartCount": 2, "state": state, **more}
    return {"status": {"containerStatuses": [status]}}


def test_after_the_machine_went_down_a_container_that_ran_is_lost_and_starts_again():
    was = {**pod(), **remembered({"running": {"startedAt": "1970-01-01T00:00:01Z"}})}
    found = recall(was, Actual(), now=50)
    assert (found.latest("web").exit_code, found.latest("web").reason) == (137, "ContainerStatusUnknown")
    todo = compute_actions(was, found, now=50)
    assert todo.new_sandbox
    assert started(todo) == [("web", 3)]


@pytest.mark.parametrize("policy", ["Never", "OnFailure"])
def test_after_the_machine_went_down_what_had_succeeded_does_not_run_again(policy):
    ended = {"exitCode": 0, "startedAt": "1970-01-01T00:00:01Z", "finishedAt": "1970-01-01T00:00:02Z"}
    was = {**pod(policy), **remembered({"terminated": ended})}
    assert compute_actions(was, recall(was, Actual(), now=50), now=50).start == ()


def test_what_the_runtime_knows_counts_more_than_what_the_api_remembers():
    was = {**pod(), **remembered({"running": {"startedAt": "1970-01-01T00:00:01Z"}})}
    assert recall(was, actual(container(attempt=3)), now=50).latest("web").running


def test_how_the_attempt_before_ended_is_remembered_too():
    ended = {"exitCode": 137, "startedAt": "1970-01-01T00:00:01Z", "finishedAt": "1970-01-01T00:00:02Z"}
    was = {**pod(), **remembered({"running": {}}, lastState={"terminated": ended})}
    assert [each.attempt for each in recall(was, actual(container(attempt=2)), now=50).containers["web"]] == [1, 2]


# sidecars and containers' own policies


def with_sidecar(policy="Always", init=("side", "one"), **probe):
    made = pod(policy, init=init)
    for each in made["spec"]["initContainers"]:
        if each["name"].startswith("side"):
            each |= {"restartPolicy": "Always", **probe}
    return made


def seen(**health):
    return Observed({name: Health(**each) for name, each in health.items()})


def test_a_sidecar_that_has_started_lets_the_next_init_container_begin():
    spec = with_sidecar(startupProbe={})
    assert started(compute_actions(spec, Actual(), now=0)) == [("side", 0)]
    there = actual(container("side"))
    assert started(compute_actions(spec, there, 100, seen(side={"started": False, "ready": False}))) == []
    assert started(compute_actions(spec, there, 100)) == [("one", 0)]
    done = actual(container("side"), container("one", exit_code=0))
    assert started(compute_actions(spec, done, 100)) == [("web", 0)]


def test_a_sidecar_that_ends_starts_again_beside_the_others():
    there = actual(container("side", exit_code=0), container("one", exit_code=0), container())
    assert started(compute_actions(with_sidecar("Never"), there, now=101)) == [("side", 1)]


def test_sidecars_end_after_the_others():
    spec = with_sidecar("Never", init=("side",))
    todo = compute_actions(spec, actual(container("side"), container(exit_code=0)), now=101)
    assert ([each.container.name for each in todo.stop], todo.stop_sandbox) == (["side"], False)
    todo = compute_actions(spec, actual(container("side", exit_code=143), container(exit_code=0)), now=101)
    assert (todo.stop, todo.stop_sandbox) == ((), True)


def test_init_containers_run_again_in_a_new_sandbox():
    spec = pod(init=("one",))
    earlier = actual(container("one", exit_code=0), container(exit_code=137), sandbox=DEAD_SANDBOX)
    assert started(compute_actions(spec, earlier, now=200)) == [("one", 1)]
    anew = actual(container("one", exit_code=0), container(exit_code=137), sandbox=replace(SANDBOX, created_at=150))
    assert started(compute_actions(spec, anew, now=200)) == [("one", 1)]


@pytest.mark.parametrize(
    ("policy", "own", "code", "restarts"),
    [
        ("Always", {"restartPolicy": "Never"}, 1, False),
        ("Never", {"restartPolicy": "OnFailure"}, 1, True),
        ("Never", {"restartPolicy": "OnFailure"}, 0, False),
        ("Never", {"restartPolicy": "Never", "restartPolicyRules": "In 42"}, 42, True),
        ("Never", {"restartPolicy": "Never", "restartPolicyRules": "In 42"}, 41, False),
        ("Never", {"restartPolicy": "Never", "restartPolicyRules": "NotIn 42"}, 41, True),
    ],
)
def test_a_container_s_own_policy_and_rules_come_before_the_pod_s(policy, own, code, restarts):
    if rule := own.get("restartPolicyRules"):
        operator, value = rule.split()
        codes = {"operator": operator, "values": [int(value)]}
        own = {**own, "restartPolicyRules": [{"action": "Restart", "exitCodes": codes}]}
    made = pod(policy)
    made["spec"]["containers"][0] |= own
    assert bool(compute_actions(made, actual(container(exit_code=code)), now=101).start) is restarts


# containers that must not go on


def test_a_container_that_failed_its_liveness_probe_is_stopped_within_the_probe_s_own_grace():
    made = pod()
    made["spec"]["containers"][0]["livenessProbe"] = {"terminationGracePeriodSeconds": 3}
    (stop,) = compute_actions(made, actual(container()), 100, seen(web={"failed": "liveness"})).stop
    assert (stop.message, stop.grace) == ("Container web failed liveness probe, will be restarted", 3)


def test_a_pod_that_never_restarts_is_not_told_that_it_will_be():
    (stop,) = compute_actions(pod("Never"), actual(container()), 100, seen(web={"failed": "startup"})).stop
    assert stop.message == "Container web failed startup probe"


@pytest.mark.parametrize("policy", ["Always", "Never"])
def test_a_changed_image_costs_a_restart_whatever_the_policy_and_without_back_off(policy):
    old = replace(container(attempt=3, backoff=80), asked_image="busybox:1")
    (stop,) = compute_actions(pod(policy), actual(old), now=100).stop
    assert (stop.message, stop.renew) == ("Container web definition changed, will be restarted", True)
    ended = replace(old, exit_code=143, finished_at=100.0)
    todo = compute_actions(pod(policy), actual(ended), 101, Observed(renewed=frozenset({"web"})))
    assert (started(todo), todo.start[0].backoff) == ([("web", 4)], 10)


def test_a_container_whose_post_start_hook_failed_is_stopped():
    failed = frozenset({"web"})
    (stop,) = compute_actions(pod(), actual(container()), 100, Observed(hooked=failed, unhooked=failed)).stop
    assert stop.message == "FailedPostStartHook"


def test_a_post_start_hook_keeps_the_next_container_waiting():
    spec = pod(containers=("web", "next"))
    assert started(compute_actions(spec, actual(container()), 100, Observed(hooked=frozenset({"web"})))) == []
    assert started(compute_actions(spec, actual(container()), 100)) == [("next", 0)]
