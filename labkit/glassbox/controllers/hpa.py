"""Scales what it targets so that its pods' use stays near a target: every 15 seconds, through the scale subresource.

Of several metrics the one that wants most replicas decides; one that cannot be had keeps the target from shrinking.
What was recommended and done lately is remembered here alone: a controller that starts again has forgotten it.

Left out: the AmbiguousSelector check. Metrics of type Pods, Object and External fail as on a cluster that has no
adapter for them.

Upstream: pkg/controller/podautoscaler/horizontal.go
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

from labkit.glassbox import clock, objects, quantity, selectors
from labkit.glassbox.controller import Controller
from labkit.glassbox.controllers import hpa_behavior, hpa_replicas
from labkit.glassbox.controllers.hpa_behavior import Memory
from labkit.glassbox.controllers.hpa_replicas import NoMetric, Question, Target
from labkit.glassbox.errors import ApiError
from labkit.glassbox.resources import REGISTRY

SYNC_PERIOD = 15.0  # seconds
RESOURCE, CONTAINER = "Resource", "ContainerResource"
NO_CUSTOM = "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"
NO_TARGET = (
    "invalid resource metric source: neither an average utilization target nor an average value (usage) target was set"
)
NO_EXTERNAL = "unable to fetch metrics from external metrics API: the server could not find the requested resource"


class Stuck(Exception):
    """The round is over, and its conditions and events say why."""


@dataclass(frozen=True)
class Proposal:
    """How many replicas a metric wants, its name in messages, and its current value for the status."""

    replicas: int = -1
    name: str = ""
    status: dict = field(default_factory=lambda: {"type": ""})


class HorizontalPodAutoscalerController(Controller):
    """One round a key and period: read the scale and the metrics, decide, write the scale."""

    name = "horizontal-pod-autoscaler-controller"
    source = "horizontal-pod-autoscaler"

    def __init__(self, api, cache, recorder, period: float = SYNC_PERIOD):
        self.period = period
        self.memories: dict[str, Memory] = {}
        super().__init__(api, cache, recorder)

    @property
    def watches(self):
        return {"horizontalpodautoscalers": self.later}

    def later(self, hpa: dict) -> list[str]:
        """A change never makes a round come sooner: its own status is one."""
        self.queue.add_after(objects.key(hpa), self.period)
        return []

    def reconcile(self, key: str) -> None:
        copy = self.cache["horizontalpodautoscalers"].get(key)
        if copy is None:
            self.memories.pop(key, None)
            return
        self.queue.add_after(key, self.period)
        hpa = {**copy, "status": deepcopy(copy.get("status") or {})}
        try:
            self.scale(hpa, self.memories.setdefault(key, Memory()))
        except Stuck:
            pass
        if hpa["status"] != copy.get("status"):
            self.api.update_status("horizontalpodautoscalers", hpa)

    def scale(self, hpa: dict, memory: Memory) -> None:
        spec, status, now = hpa["spec"], hpa["status"], self.now()
        scale = self.get_scale(hpa)
        current = scale["spec"].get("replicas", 0)
        memory.recommendations = memory.recommendations or [(now, current)]
        least, desired, why = spec.get("minReplicas", 1), current, ""
        if current == 0 and least:
            message = "scaling is disabled since the replica count of the target is zero"
            self.tell(hpa, "ScalingActive", False, "ScalingDisabled", message)
        elif current > spec["maxReplicas"]:
            desired, why = spec["maxReplicas"], "Current number of replicas above Spec.MaxReplicas"
        elif current < least:
            desired, why = least, "Current number of replicas below Spec.MinReplicas"
        else:
            status |= {"currentReplicas": current}
            best = self.best_proposal(hpa, scale)
            why = f"{best.name} above target" if best.replicas > current else "All metrics below target"
            desired = self.normalize(hpa, memory, current, best.replicas)
        if desired != current:
            self.rescale(hpa, scale, desired, why)
            memory.changes.append((now, desired - current))
            status["lastScaleTime"] = clock.rfc3339(now)
        status |= {"currentReplicas": current, "desiredReplicas": desired}

    def normalize(self, hpa: dict, memory: Memory, current: int, wanted: int) -> int:
        """Return how many replicas it may be now, and say what bounds it."""
        calm, why = hpa_behavior.stabilize(memory, hpa["spec"], current, wanted, self.now())
        self.tell(hpa, "AbleToScale", True, *why)
        desired, why = hpa_behavior.limit(memory, hpa["spec"], current, calm, self.now())
        self.tell(hpa, "ScalingLimited", desired != calm, *why)
        return desired

    def tell(self, hpa: dict, type: str, value: bool, reason: str, message: str) -> None:
        new = {"type": type, "status": str(value), "reason": reason, "message": message}
        hpa["status"]["conditions"] = objects.set_condition(hpa["status"].get("conditions"), new, self.now())

    # -- the target

    def get_scale(self, hpa: dict) -> dict:
        target = hpa["spec"]["scaleTargetRef"]
        kind = REGISTRY.for_kind(target.get("apiVersion", ""), target["kind"])
        try:
            if kind is None:
                group = target.get("apiVersion", "").rpartition("/")[0]
                raise ApiError(404, "NotFound", f'no matches for kind "{target["kind"]}" in group "{group}"')
            scale = self.api.get(kind.group_plural, target["name"], objects.namespace(hpa), "scale")
        except ApiError as error:
            self.recorder.event(hpa, "Warning", "FailedGetScale", error.message)
            message = f"the HPA controller was unable to get the target's current scale: {error.message}"
            self.tell(hpa, "AbleToScale", False, "FailedGetScale", message)
            raise Stuck from error
        message = "the HPA controller was able to get the target's current scale"
        self.tell(hpa, "AbleToScale", True, "SucceededGetScale", message)
        return scale

    def rescale(self, hpa: dict, scale: dict, desired: int, why: str) -> None:
        target, told = hpa["spec"]["scaleTargetRef"], f"New size: {desired}; reason: {why}"
        kind = REGISTRY.for_kind(target["apiVersion"], target["kind"])
        assert kind is not None  # its scale was read
        version = {"resourceVersion": scale["metadata"]["resourceVersion"]}
        patch = {"metadata": version, "spec": {"replicas": desired}}
        try:
            where = target["name"], objects.namespace(hpa)
            self.api.patch(kind.group_plural, *where, patch, subresource="scale")
        except ApiError as error:
            self.recorder.event(hpa, "Warning", "FailedRescale", f"{told}; error: {error.message}")
            message = f"the HPA controller was unable to update the target scale: {error.message}"
            self.tell(hpa, "AbleToScale", False, "FailedUpdateScale", message)
            raise Stuck from error
        message = f"the HPA controller was able to update the target scale to {desired}"
        self.tell(hpa, "AbleToScale", True, "SucceededRescale", message)
        self.recorder.event(hpa, "Normal", "SuccessfulRescale", told)

    # -- the metrics

    def best_proposal(self, hpa: dict, scale: dict) -> Proposal:
        """Return the proposal of most replicas; stuck when no metric can be had, or not all to shrink by."""
        current, metrics = scale["spec"].get("replicas", 0), hpa["spec"].get("metrics") or []
        selector = scale["status"].get("selector")
        if not selector:
            self.recorder.event(hpa, "Warning", "SelectorRequired", "selector is required")
            self.tell(hpa, "ScalingActive", False, "InvalidSelector", "the HPA target's scale is missing a selector")
            raise self.stuck(hpa, "selector is required")
        proposals, failures = [], []
        for metric in metrics:
            try:
                proposals.append(self.propose(hpa, selector, current, metric))
            except NoMetric as error:
                proposals.append(Proposal())
                failures.append((metric, str(error)))
        best = max(proposals, key=lambda each: each.replicas)
        hpa["status"]["currentMetrics"] = [each.status for each in proposals]
        if failures and (len(failures) == len(metrics) or best.replicas < current):
            metric, why = failures[0]
            message = f"the HPA was unable to compute the replica count: {why}"
            self.tell(hpa, "ScalingActive", False, f"FailedGet{metric['type']}Metric", message)
            count = f"{len(failures)} invalid out of {len(metrics)}"
            raise self.stuck(hpa, f"invalid metrics ({count}), first error is: {what_failed(metric)}: {why}")
        message = f"the HPA was able to successfully calculate a replica count from {best.name}"
        self.tell(hpa, "ScalingActive", True, "ValidMetricFound", message)
        return best

    def stuck(self, hpa: dict, why: str) -> Stuck:
        self.recorder.event(hpa, "Warning", "FailedComputeMetricsReplicas", why)
        return Stuck()

    def propose(self, hpa: dict, selector: str, current: int, metric: dict) -> Proposal:
        """Return what one metric proposes. Raises NoMetric, after telling of it."""
        try:
            if metric["type"] not in (RESOURCE, CONTAINER):
                raise NoMetric(without_adapter(metric, objects.namespace(hpa)))
            return self.propose_by_resource(hpa, selector, current, metric)
        except NoMetric as error:
            self.recorder.event(hpa, "Warning", f"FailedGet{metric['type']}Metric", str(error))
            raise

    def propose_by_resource(self, hpa: dict, selector: str, current: int, metric: dict) -> Proposal:
        source = source_of(metric)
        question = question_of(hpa, source)
        kind = "utilization" if question.target.percent is not None else "usage"
        try:
            readings = self.readings(objects.namespace(hpa), selector, question)
            matching = selectors.parse_labels(selector)
            pods = [p for p in self.cache["pods"].list(objects.namespace(hpa)) if matching.matches(objects.labels(p))]
            replicas, use = hpa_replicas.replicas(current, pods, readings, question, self.now())
        except NoMetric as error:
            raise NoMetric(f"failed to get {question.resource} {kind}: {error}") from error
        value: dict[str, str | int] = {"averageValue": quantity.canonical(f"{use.average}m")}
        value |= {} if use.percent is None else {"averageUtilization": use.percent}
        named = {field: source[field] for field in ("name", "container") if field in source}
        name = f"{question.resource} {'container ' if question.container else ''}resource"
        name += " utilization (percentage of request)" if use.percent is not None else ""
        return Proposal(replicas, name, {"type": metric["type"], field_of(metric): {**named, "current": value}})

    def readings(self, namespace: str, selector: str, question: Question):
        prefix = f"unable to get metrics for resource {question.resource}: "
        try:
            found = self.api.list("pods.metrics.k8s.io", namespace, label_selector=selector)["items"]
            if not found:
                raise NoMetric("no metrics returned from resource metrics API")
            return hpa_replicas.readings_of(found, question.resource, question.container)
        except ApiError as error:
            told = f"unable to fetch metrics from resource metrics API: {error.message}"
            raise NoMetric(prefix + told) from error
        except NoMetric as error:
            raise NoMetric(f"{prefix}{error}") from error


def field_of(metric: dict) -> str:
    """Return the field that holds the metric's source: Resource's is "resource"."""
    return metric["type"][0].lower() + metric["type"][1:]


def source_of(metric: dict) -> dict:
    return metric[field_of(metric)]


def question_of(hpa: dict, source: dict) -> Question:
    """Return what is asked of a resource. Raises NoMetric for a source without a target."""
    target, behavior = source["target"], hpa["spec"].get("behavior") or {}
    above, below = (
        float(quantity.parse((behavior.get(each) or {}).get("tolerance", hpa_replicas.TOLERANCE)))
        for each in ("scaleUp", "scaleDown")
    )
    if "averageValue" in target:
        wanted = Target(quantity.millicores(target["averageValue"]), None, below, above)
    elif "averageUtilization" in target:
        wanted = Target(None, target["averageUtilization"], below, above)
    else:
        raise NoMetric(NO_TARGET)
    return Question(source["name"], source.get("container", ""), wanted)


def without_adapter(metric: dict, namespace: str) -> str:
    """Return how a metric fails that only an adapter could serve."""
    source = source_of(metric)
    name, by_value = source["metric"]["name"], source["target"]["type"] == "Value"
    if metric["type"] == "Pods":
        return f"unable to get metric {name}: {NO_CUSTOM}"
    if metric["type"] == "Object":
        described = source["describedObject"]
        why = f"unable to get metric {name}: {described['kind']} on {namespace} {described['name']}/{NO_CUSTOM}"
        return why if by_value else f"failed to get {name} object metric: {why}"
    selector = selectors.in_go(source["metric"].get("selector"))
    why = f"unable to get external metric {namespace}/{name}/{selector}: {NO_EXTERNAL}"
    why += f" (get {name}.external.metrics.k8s.io)"
    return f"failed to get {'external metric ' + name if by_value else name + ' external metric'}: {why}"


def what_failed(metric: dict) -> str:
    name = source_of(metric).get("name") or source_of(metric)["metric"]["name"]
    return {
        RESOURCE: f"failed to get {name} resource metric value",
        CONTAINER: f"failed to get {name} container metric value",
        "External": f"failed to get {name} external metric value",
    }.get(metric["type"], f"failed to get {metric['type'].lower()} metric value")
