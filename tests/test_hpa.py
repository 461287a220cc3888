"""How many replicas the load wants, how fast they may come and go, and how an autoscaler tells of it."""

import itertools

import pytest

from labkit.glassbox import clock
from labkit.glassbox.controllers import hpa_behavior
from labkit.glassbox.controllers.hpa import HorizontalPodAutoscalerController, without_adapter
from labkit.glassbox.controllers.hpa_behavior import Memory
from labkit.glassbox.controllers.hpa_replicas import NoMetric, Question, Reading, Target, readings_of, replicas
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.informer import inform
from tests.components import client, events, pod, workload
from tests.embedded import eventually

NOW = 1767225600.0  # 2026-01-01T00:00:00Z
CPU = Question("cpu", "", Target(percent=50))


def running(name, *, asks="100m", ready=True, since=3600, **status):
    then = clock.rfc3339(NOW - since)
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": then}
    container = {"name": "c", "resources": {"requests": {"cpu": asks} if asks else {}}}
    return {
        "metadata": {"name": name, "namespace": "n"},
        "spec": {"containers": [container]},
        "status": {"phase": "Running", "startTime": then, "conditions": [condition], **status},
    }


def used(*values):
    """Readings of the pods a, b, c … in millicores."""
    return {name: Reading(value, NOW, 15) for name, value in zip("abcdefgh", values, strict=False)}


def three(**more):
    return [running(name, **more) for name in "abc"]


def wanted(current, pods, readings, question=CPU):
    return replicas(current, pods, readings, question, NOW)[0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((50, 50, 50), 3),
        ((54, 54, 54), 3),  # within the tolerance
        ((100, 100, 100), 6),
        ((60, 60, 60), 4),
        ((10, 10, 10), 1),
        ((0, 0, 0), 0),
    ],
)
def test_replicas_follow_the_use(values, expected):
    assert wanted(3, three(), used(*values)) == expected


def test_an_average_value_needs_no_requests():
    question = Question("cpu", "", Target(value=20))
    assert wanted(3, three(asks=None), used(40, 40, 40), question) == 6


def test_a_tolerance_of_the_direction():
    assert wanted(3, three(), used(54, 54, 54), Question("cpu", "", Target(percent=50, above=0.05))) == 4


def test_a_pod_without_a_reading_never_speeds_the_change():
    assert wanted(3, three(), used(100, 100)) == 4  # counts as idle: 200 of 300, not of 200
    assert wanted(3, three(), used(10, 10)) == 3  # counts as all that it asks for: 120 of 300 is near enough


def test_a_pod_that_is_only_starting_counts_as_idle_when_more_are_wanted():
    pods = [*three()[:2], running("c", since=20, ready=False)]
    assert wanted(3, pods, used(100, 100, 500)) == 4
    pending = [*three()[:2], running("c", phase="Pending")]
    assert wanted(3, pending, used(100, 100)) == 4


def test_pods_that_go_or_have_failed_do_not_count():
    pods = [*three()[:2], running("c", phase="Failed")]
    assert wanted(3, pods, used(50, 50, 900)) == 3
    assert wanted(2, pods, used(100, 100, 900)) == 4


@pytest.mark.parametrize(
    ("pods", "readings", "why"),
    [
        ([], {}, "no pods returned by selector while calculating replica count"),
        (three(), {}, "did not receive metrics for targeted pods (pods might be unready)"),
        (three(asks=None), used(1, 1, 1), "missing request for cpu in container c of Pod a"),
    ],
)
def test_why_there_is_no_answer(pods, readings, why):
    with pytest.raises(NoMetric) as failed:
        wanted(3, pods, readings)
    assert str(failed.value) == why


def test_readings_add_up_containers_or_pick_one():
    metric = {
        "metadata": {"name": "a", "namespace": "n"},
        "timestamp": "2026-01-01T00:00:00Z",
        "window": "15.000s",
        "containers": [{"name": "c", "usage": {"cpu": "1500000n"}}, {"name": "d", "usage": {"cpu": "2m"}}],
    }
    assert readings_of([metric], "cpu", "") == {"a": Reading(4, NOW, 15)}
    assert readings_of([metric], "cpu", "d") == {"a": Reading(2, NOW, 15)}
    with pytest.raises(NoMetric, match="container x not present in metrics for pod n/a"):
        readings_of([metric], "cpu", "x")


# -- how fast


def bounded(current, desired, memory=None, **spec):
    return hpa_behavior.limit(memory or Memory(), {"maxReplicas": 100, **spec}, current, desired, NOW)


def behavior(direction, *policies, **more):
    policies = [{"type": kind, "value": value, "periodSeconds": period} for kind, value, period in policies]
    return {"behavior": {direction: {**more, **({"policies": policies} if policies else {})}}}


@pytest.mark.parametrize(
    ("current", "desired", "spec", "allowed", "reason"),
    [
        (3, 5, {}, 5, "DesiredWithinRange"),
        (1, 9, {}, 4, "ScaleUpLimit"),
        (5, 50, {}, 10, "ScaleUpLimit"),
        (5, 50, {"maxReplicas": 8}, 8, "TooManyReplicas"),
        (5, 0, {}, 1, "TooFewReplicas"),
        (5, 1, {"minReplicas": 2}, 2, "TooFewReplicas"),
        (5, 50, behavior("scaleUp", ("Pods", 1, 60)), 6, "ScaleUpLimit"),
        (5, 50, behavior("scaleUp", ("Pods", 1, 60), ("Percent", 100, 60)), 10, "ScaleUpLimit"),
        (5, 50, behavior("scaleUp", ("Pods", 1, 60), ("Percent", 100, 60), selectPolicy="Min"), 6, "ScaleUpLimit"),
        (5, 50, behavior("scaleUp", selectPolicy="Disabled"), 5, "ScaleUpLimit"),
        (10, 1, behavior("scaleDown", ("Pods", 2, 60)), 8, "ScaleDownLimit"),
        (10, 1, behavior("scaleDown", ("Percent", 50, 60), ("Pods", 2, 60)), 5, "ScaleDownLimit"),
        (10, 1, behavior("scaleDown", ("Percent", 50, 60), ("Pods", 2, 60), selectPolicy="Min"), 8, "ScaleDownLimit"),
        (10, 1, behavior("scaleDown", selectPolicy="Disabled"), 10, "ScaleDownLimit"),
    ],
)
def test_how_far_it_may_go_at_once(current, desired, spec, allowed, reason):
    found, (why, _) = bounded(current, desired, **spec)
    assert (found, why) == (allowed, reason)


def test_what_was_added_in_the_period_counts():
    spec = behavior("scaleUp", ("Pods", 4, 60))
    assert bounded(8, 50, Memory(changes=[(NOW - 30, 3)]), **spec)[0] == 9
    assert bounded(8, 50, Memory(changes=[(NOW - 90, 3)]), **spec)[0] == 12


def test_a_lull_of_less_than_five_minutes_takes_nothing_away():
    memory, spec = Memory(recommendations=[(NOW, 5)]), {"maxReplicas": 10}
    assert hpa_behavior.stabilize(memory, spec, 5, 2, NOW + 290)[0] == 5
    followed, (reason, _) = hpa_behavior.stabilize(memory, spec, 5, 2, NOW + 299)
    assert (followed, reason) == (5, "ScaleDownStabilized")
    assert hpa_behavior.stabilize(memory, spec, 5, 2, NOW + 301)[0] == 2


def test_growing_waits_only_for_a_window_of_its_own():
    memory, spec = Memory(recommendations=[(NOW, 2)]), {"maxReplicas": 10}
    assert hpa_behavior.stabilize(memory, spec, 2, 6, NOW + 1)[0] == 6
    careful = {**spec, **behavior("scaleUp", stabilizationWindowSeconds=60)}
    followed, (reason, _) = hpa_behavior.stabilize(memory, careful, 2, 6, NOW + 30)
    assert (followed, reason) == (2, "ScaleUpStabilized")


def test_a_metric_without_an_adapter_fails_as_upstream_words_it():
    target = {"type": "AverageValue", "averageValue": "1"}
    metric = {"type": "Pods", "pods": {"metric": {"name": "requests"}, "target": target}}
    assert without_adapter(metric, "n") == (
        "unable to get metric requests: unable to fetch metrics from custom metrics API: "
        "no custom metrics API (custom.metrics.k8s.io) registered"
    )
    metric = {"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "1"}}}
    assert without_adapter(metric, "n") == (
        "failed to get external metric queue: unable to get external metric n/queue/nil: unable to fetch metrics from "
        "external metrics API: the server could not find the requested resource (get queue.external.metrics.k8s.io)"
    )


# -- the controller against an API server; the pods' use and the clock are the test's


@pytest.fixture
def autoscaler(api_server, namespace):
    """A controller that looks when the test says so, at pods that use what the test says."""
    api = client(api_server)
    cache = inform(api, "horizontalpodautoscalers", "pods")
    controller = HorizontalPodAutoscalerController(api, cache, EventRecorder(api, "horizontal-pod-autoscaler"))
    controller.use, listed = {}, api.list

    def listing(resource, namespace=None, **options):
        if resource != "pods.metrics.k8s.io":
            return listed(resource, namespace, **options)
        at = clock.rfc3339(controller.now())
        usage = {name: [{"name": "c", "usage": {"cpu": cpu}}] for name, cpu in controller.use.items()}
        items = [
            {"metadata": {"name": name, "namespace": namespace}, "timestamp": at, "window": "15s", "containers": each}
            for name, each in usage.items()
        ]
        return {"items": items}

    api.list = listing
    for informer in cache.values():
        informer.start()
        informer.wait_for_sync()
    yield controller
    for informer in cache.values():
        informer.stop()


def hpa(namespace, **spec):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"scaleTargetRef": target, "maxReplicas": 5, "metrics": [metric], **spec},
    }


def serve(controller, namespace, replicas=1):
    """Make a deployment whose pods have been ready for an hour."""
    controller.api.create("deployments", workload("Deployment", "web", namespace, replicas))
    long_ago = clock.rfc3339(controller.now() - 3600)
    for number in range(replicas):
        asks = {"containers": [{"name": "c", "image": "busybox:1.36", "resources": {"requests": {"cpu": "100m"}}}]}
        controller.api.create("pods", pod(f"web-{number}", namespace, labels={"app": "web"}, spec=asks))
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": long_ago}
        status = {"status": {"phase": "Running", "startTime": long_ago, "conditions": [ready]}}
        controller.api.patch("pods", f"web-{number}", namespace, status, kind="strategic", subresource="status")
        eventually(lambda n=number: controller.cache["pods"].get(f"{namespace}/web-{n}"))


def look(controller, namespace):
    """Have the controller look; return (replicas of the deployment, conditions as type → (status, reason, message))."""
    key = f"{namespace}/web"
    eventually(lambda: controller.cache["horizontalpodautoscalers"].get(key))
    controller.reconcile(key)
    stored = controller.api.get("horizontalpodautoscalers.autoscaling", "web", namespace)
    version = stored["metadata"]["resourceVersion"]
    copies = controller.cache["horizontalpodautoscalers"]
    eventually(lambda: copies.get(key)["metadata"]["resourceVersion"] == version)
    told = {each["type"]: (each["status"], each["reason"], each["message"]) for each in stored["status"]["conditions"]}
    return controller.api.get("deployments", "web", namespace)["spec"]["replicas"], told


def test_a_busy_deployment_grows_and_the_autoscaler_tells_why(autoscaler, namespace):
    serve(autoscaler, namespace)
    autoscaler.api.create("horizontalpodautoscalers", hpa(namespace))
    autoscaler.use = {"web-0": "150m"}
    grown, told = look(autoscaler, namespace)
    assert grown == 3
    assert told == {
        "AbleToScale": ("True", "SucceededRescale", "the HPA controller was able to update the target scale to 3"),
        "ScalingActive": (
            "True",
            "ValidMetricFound",
            "the HPA was able to successfully calculate a replica count from "
            "cpu resource utilization (percentage of request)",
        ),
        "ScalingLimited": ("False", "DesiredWithinRange", "the desired count is within the acceptable range"),
    }
    status = autoscaler.api.get("horizontalpodautoscalers", "web", namespace)["status"]
    assert (status["currentReplicas"], status["desiredReplicas"]) == (1, 3)
    current = {"averageUtilization": 150, "averageValue": "150m"}
    assert status["currentMetrics"] == [{"type": "Resource", "resource": {"name": "cpu", "current": current}}]
    told = eventually(lambda: events(autoscaler.api, namespace, "web"))
    reason = "New size: 3; reason: cpu resource utilization (percentage of request) above target"
    assert ("SuccessfulRescale", reason) in told


def test_an_idle_deployment_shrinks_when_five_minutes_have_passed(autoscaler, namespace):
    serve(autoscaler, namespace, replicas=3)
    autoscaler.api.create("horizontalpodautoscalers", hpa(namespace))
    autoscaler.use = dict.fromkeys(("web-0", "web-1", "web-2"), "1m")
    start = autoscaler.now()
    times = itertools.chain([start, start + 200], itertools.repeat(start + 301))
    sizes = []
    for now in itertools.islice(times, 3):
        autoscaler.now = lambda now=now: now
        size, told = look(autoscaler, namespace)
        sizes.append((size, told["AbleToScale"][1]))
    assert sizes == [(3, "ScaleDownStabilized"), (3, "ScaleDownStabilized"), (1, "SucceededRescale")]


def test_the_bounds_need_no_metrics(autoscaler, namespace):
    serve(autoscaler, namespace)
    autoscaler.api.create("horizontalpodautoscalers", hpa(namespace, minReplicas=2))
    assert look(autoscaler, namespace)[0] == 2
    reason = "New size: 2; reason: Current number of replicas below Spec.MinReplicas"
    assert ("SuccessfulRescale", reason) in eventually(lambda: events(autoscaler.api, namespace, "web"))


def test_a_target_of_zero_is_left_alone(autoscaler, namespace):
    serve(autoscaler, namespace, replicas=0)
    autoscaler.api.create("horizontalpodautoscalers", hpa(namespace))
    size, told = look(autoscaler, namespace)
    message = "scaling is disabled since the replica count of the target is zero"
    assert (size, told["ScalingActive"]) == (0, ("False", "ScalingDisabled", message))


def test_without_metrics_nothing_changes_and_it_says_so(autoscaler, namespace):
    serve(autoscaler, namespace)
    autoscaler.api.create("horizontalpodautoscalers", hpa(namespace))
    size, told = look(autoscaler, namespace)
    why = "failed to get cpu utilization: unable to get metrics for resource cpu: "
    why += "no metrics returned from resource metrics API"
    message = f"the HPA was unable to compute the replica count: {why}"
    assert (size, told["ScalingActive"]) == (1, ("False", "FailedGetResourceMetric", message))
    told = eventually(lambda: (found := events(autoscaler.api, namespace, "web"))[1:] and found)
    first = f"invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: {why}"
    assert told[-2:] == [("FailedGetResourceMetric", why), ("FailedComputeMetricsReplicas", first)]


def test_a_target_that_is_not_there(autoscaler, namespace):
    missing = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}
    autoscaler.api.create("horizontalpodautoscalers", hpa(namespace, scaleTargetRef=missing))
    autoscaler.api.create("deployments", workload("Deployment", "web", namespace, 1))
    message = 'the HPA controller was unable to get the target\'s current scale: deployments.apps "none" not found'
    assert look(autoscaler, namespace)[1] == {"AbleToScale": ("False", "FailedGetScale", message)}
