"""What the kubelet decides to do for a pod."""

import pytest

from labkit.glassbox.kubelet.actions import compute_actions, next_backoff
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
