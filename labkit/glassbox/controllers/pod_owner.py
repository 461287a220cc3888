"""What replica sets, stateful sets, daemon sets and jobs do alike: they watch their pods and never act on an old copy.

The copy of the pods may be behind this controller's own writes; acting on it again would make a pod twice. So a key
waits until the copy has seen what the last round created and deleted.

Upstream: pkg/controller/controller_utils.go (ControllerExpectations), and each controller's processNextWorkItem
"""

from __future__ import annotations

from labkit.glassbox import objects
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.controllers import pods as podutil
from labkit.glassbox.controllers.claims import Claimants
from labkit.glassbox.controllers.pod_control import PodControl

LOOK_AGAIN = 0.05  # seconds, when the copy is behind


class PodOwnerController(Controller):
    """A controller of one kind. A subclass says `kind`, `resource` and sync(owner)."""

    kind = resource = ""
    control: type[PodControl] = PodControl

    def __init__(self, api, cache, recorder):
        super().__init__(api, cache, recorder)
        self.pods = self.control(api, recorder)

    @property
    def watches(self):
        pods = Claimants(self.kind, self.cache[self.resource], self.cache["pods"])
        return {self.resource: itself, "pods": pods.keys}

    def reconcile(self, key: str) -> None:
        owner = self.cache[self.resource].get(key)
        if owner is None:
            self.pods.expectations.forget(key)  # gone: the garbage collector takes its pods
        elif self.pods.is_seen(key, self.cache["pods"]):
            self.sync(owner)
        else:
            self.queue.add_after(key, LOOK_AGAIN)

    def sync(self, owner: dict) -> None:
        """Bring the owner's pods to what its spec says."""
        raise NotImplementedError

    def report(self, owner: dict, status: dict, pods: list[dict]) -> None:
        """Write the status if it is another, and look again when the next ready pod becomes available."""
        if status != owner.get("status"):
            self.api.update_status(self.resource, {**owner, "status": status})
        if wait := podutil.until_available(pods, podutil.min_ready(owner), self.now()):
            self.queue.add_after(objects.key(owner), wait)
