"""Eviction: a deletion that asks the pod's disruption budget first.

A pod that is finished, pending or being deleted disturbs nobody and just goes. Else the one budget that selects it must
allow a disruption; it is charged for it at once, and the pod noted in status.disruptedPods, so that the next eviction
is measured against what is left before the disruption controller has looked. An unready pod that the budget can spare
is not charged: it did not count as healthy.

Upstream: pkg/registry/core/pod/storage/eviction.go
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace as with_changes

import orjson

from labkit.glassbox import clock, errors, objects
from labkit.glassbox.apiserver.admission import webhooks
from labkit.glassbox.apiserver.admission.node_restriction import restrict_eviction
from labkit.glassbox.apiserver.decoding import decode
from labkit.glassbox.apiserver.deletion import Options, check_preconditions, delete_row, options_of
from labkit.glassbox.apiserver.objects_at_rest import prefix
from labkit.glassbox.apiserver.reads import read
from labkit.glassbox.apiserver.request import Answer, Api, Request
from labkit.glassbox.apiserver.writes import check_namespace, replace
from labkit.glassbox.resources import Resource, Strategy
from labkit.glassbox.resources.pod_disruption_budget import POD_DISRUPTION_BUDGETS
from labkit.glassbox.selectors import from_label_selector
from labkit.glassbox.store import Row

EVICTION = Resource(
    group="policy",
    kind="Eviction",
    plural="evictions",
    strategy=Strategy(),
)
OLD_EVICTION = with_changes(EVICTION, version="v1beta1")  # older clients send it; nothing else is left of that version
REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."
SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
MOST_DISRUPTED = 2000  # pods that one budget keeps track of


def evict(request: Request, api: Api) -> Answer:
    """Delete a pod if its budget allows it. Raises ApiError 400, 403, 404, 409, 429, 500."""
    request.check_options("CreateOptions")
    sent = decode(request, OLD_EVICTION if b"policy/v1beta1" in request.body else EVICTION)
    check_namespace(sent, request)
    options = delete_options(request, sent)
    row = read(api.store, request.resource, request.route.namespace, request.route.name)
    pod = orjson.loads(row.value)
    restrict_eviction(request, pod)
    webhooks.review(request, "CREATE", sent, None, api)
    if not goes_freely(pod):
        found = list(budgets_of(pod, api))
        if len(found) > 1:
            raise errors.ApiError(500, "", SEVERAL)
        for budget_row, budget in found:
            if objects.is_true(pod, "Ready") or not may_lose_unready(budget):
                charge(request, budget_row, budget, options, api)
    _delete(request, row, pod, options, api)
    return Answer(201, obj={"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


def delete_options(request: Request, eviction: dict) -> Options:
    """Return how to delete the pod. Raises ApiError 400 where the body and the URL disagree."""
    if eviction["metadata"].get("name") != request.route.name:
        raise errors.bad_request("name in URL does not match name in Eviction object")
    given = dict(eviction.get("deleteOptions") or {})
    asked = [request.query["dryRun"]] if request.dry_run else []
    if asked and given.get("dryRun", asked) != asked:
        shown = (f"[{' '.join(each)}]" for each in (asked, given["dryRun"]))
        raise errors.bad_request("Non-matching dry-run options in request and content: " + " and ".join(shown))
    return options_of({**given, "dryRun": given.get("dryRun") or asked})


def goes_freely(pod: dict) -> bool:
    return objects.is_deleting(pod) or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed", "Pending")


def budgets_of(pod: dict, api: Api) -> Iterator[tuple[Row, dict]]:
    """Yield the budgets of the pod's namespace that select it."""
    for row in api.store.rows(prefix(POD_DISRUPTION_BUDGETS, objects.namespace(pod)))[0]:
        budget = orjson.loads(row.value)
        selector = budget["spec"].get("selector")
        if selector is not None and from_label_selector(selector).matches(objects.labels(pod)):
            yield row, budget


def may_lose_unready(budget: dict) -> bool:
    """Tell whether a pod that is not ready goes without being counted."""
    status = budget["status"]
    wanted = status.get("desiredHealthy", 0)
    return budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow" or (
        status.get("currentHealthy", 0) >= wanted > 0
    )


def charge(request: Request, row: Row, budget: dict, options: Options, api: Api) -> None:
    """Take one of the disruptions that a budget allows. Raises ApiError 403 or 429."""
    check(budget)
    status = budget["status"]
    status["disruptionsAllowed"] -= 1
    if not status["disruptionsAllowed"]:
        told = {"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": ""}
        told["observedGeneration"] = status.get("observedGeneration", 0)
        status["conditions"] = objects.set_condition(status.get("conditions"), told, api.clock.now())
    if not options.dry_run:
        now = clock.rfc3339(api.clock.now())
        status["disruptedPods"] = {**(status.get("disruptedPods") or {}), request.route.name: now}
        write = with_changes(request, resource=POD_DISRUPTION_BUDGETS)
        replace(write, api, row, budget, orjson.loads(row.value))


def check(budget: dict) -> None:
    """Raise ApiError 403 or 429 where a budget allows no disruption."""
    status, name = budget["status"], objects.name(budget)
    allowed = status.get("disruptionsAllowed", 0)
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise refused(f"The disruption budget {name} is still being processed by the server.", retry_after=10)
    if allowed < 0:
        raise errors.forbidden("poddisruptionbudget", name, "pdb disruptions allowed is negative", "policy")
    if len(status.get("disruptedPods") or ()) > MOST_DISRUPTED:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise errors.forbidden("poddisruptionbudget", name, why, "policy")
    if allowed == 0:
        wanted, there = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        told = f"The disruption budget {name} needs {wanted} healthy pods and has {there} currently"
        condition = objects.condition(budget, "DisruptionAllowed") or {}
        if condition.get("reason") == "SyncFailed":
            told = f"The disruption budget {name} does not allow evicting pods currently because it failed sync: "
            told += condition.get("message", "")
        raise refused(told)


def refused(why: str, retry_after: int = 0) -> errors.ApiError:
    return errors.too_many_requests(REFUSED, [{"reason": "DisruptionBudget", "message": why}], retry_after)


def _delete(request: Request, row: Row, pod: dict, options: Options, api: Api) -> None:
    """Note on the pod why it goes, then delete it."""
    check_preconditions(request.resource, pod, options)
    if not options.dry_run:
        told = {
            "type": "DisruptionTarget",
            "observedGeneration": pod["metadata"].get("generation", 0),
            "status": "True",
            "lastProbeTime": None,
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
        }
        status = pod.setdefault("status", {})
        status["conditions"] = objects.set_condition(status.get("conditions"), told, api.clock.now())
        replace(request, api, row, pod, orjson.loads(row.value))
        options = with_changes(options, version=None)  # it was that one, and only the note has changed it
        row = read(api.store, request.resource, request.route.namespace, request.route.name)
    delete_row(request.resource, row, options, api)
