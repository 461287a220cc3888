"""Writes pods' statuses to the API: each once, when it is another than the last one written or seen.

Invariant: conditions of other hands (readiness gates, DisruptionTarget) are as the API has them; ours are as last
reported, even while our own cache of pods lags behind.

Upstream: pkg/kubelet/status/status_manager.go
"""

from collections.abc import Mapping

from labkit.glassbox import objects
from labkit.glassbox.errors import ApiError
from labkit.glassbox.kubelet import pods
from labkit.glassbox.kubelet.actions import Observed
from labkit.glassbox.kubelet.conditions import OWN_CONDITIONS
from labkit.glassbox.kubelet.resizing import PENDING
from labkit.glassbox.kubelet.runtime import Actual
from labkit.glassbox.kubelet.status import Verdict, Waiting, status_of
from labkit.glassbox.kubelet.surroundings import Surroundings


class Reporter:
    """The last status reported of each pod."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self._reported: dict[str, dict] = {}

    def report(
        self,
        pod: dict,
        actual: Actual,
        waiting: Mapping[str, Waiting] | None = None,
        observed: Observed | None = None,
        verdict: Verdict | None = None,
    ) -> None:
        """Write the pod's status if it has changed; raises ApiError."""
        uid, known = objects.uid(pod), self._reported.get(objects.uid(pod))
        seen = {**pod, "status": _merged(known, pod)} if known and not pods.is_finished(pod) else pod
        now, address = self.around.clock.now(), self.around.node.address
        status = status_of(seen, actual, waiting or {}, address, now, observed or Observed(), verdict)
        if status == known or (known is None and status == pod.get("status")):
            return
        patch = {"metadata": {"uid": uid}, "status": as_patch(status, seen)}
        name, namespace = objects.name(pod), objects.namespace(pod)
        try:
            self.around.api.patch("pods", name, namespace, patch, kind="strategic", subresource="status")
        except ApiError as error:
            if error.code not in (404, 409):  # gone, or another pod of the same name
                raise
        self._reported[uid] = status

    def forget(self, uid: str) -> None:
        """Forget a pod."""
        self._reported.pop(uid, None)


def as_patch(status: dict, pod: dict | None = None) -> dict:
    """Return the strategic patch that makes a pod's status this one, and leaves others' conditions alone."""
    own = [each for each in status.get("conditions") or [] if each["type"] in OWN_CONDITIONS]
    over = pod and objects.condition(pod, PENDING) and not any(each["type"] == PENDING for each in own)
    gone = [{"type": PENDING, "$patch": "delete"}] if over else []
    patch = {name: value for name, value in status.items() if name != "conditions"}
    if own or gone:
        patch["conditions"] = [*({"reason": None, "message": None, **each} for each in own), *gone]
        patch["$setElementOrder/conditions"] = [{"type": each["type"]} for each in own]
    for field in ("podIPs", "hostIPs"):
        if field in status:
            patch[field] = [{"$patch": "replace"}, *status[field]]
    return patch


def _merged(known: dict, pod: dict) -> dict:
    others = [each for each in (pod.get("status") or {}).get("conditions") or [] if each["type"] not in OWN_CONDITIONS]
    own = [each for each in known.get("conditions") or [] if each["type"] in OWN_CONDITIONS]
    return {**known, "conditions": [*own, *others]}
