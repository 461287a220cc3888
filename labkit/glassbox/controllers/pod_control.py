"""How a controller makes and deletes the pods of an object: it tells of each, and then expects its copy to show it.

Upstream: pkg/controller/controller_utils.go (RealPodControl)
"""

from __future__ import annotations

from labkit.glassbox import objects
from labkit.glassbox.client import Client
from labkit.glassbox.controllers.expectations import Expectations
from labkit.glassbox.errors import ApiError
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.informer import Informer


class PodControl:
    """Writes pods in the name of an owner. Raises what the API refuses, after telling of it."""

    def __init__(self, api: Client, recorder: EventRecorder):
        self.api, self.recorder = api, recorder
        self.expectations = Expectations()

    def is_seen(self, key: str, copy: Informer) -> bool:
        """Tell whether the copy shows all that was done for the key: acting on an older one would do it twice."""
        return self.expectations.met(key, copy)

    def create(self, owner: dict, pod: dict) -> None:
        try:
            made = self.api.create("pods", pod)
        except ApiError as error:
            self.tell(owner, "Create", pod, error)
            raise
        self.expectations.created(objects.key(owner), made)
        self.tell(owner, "Create", made)

    def delete(self, owner: dict, pod: dict) -> None:
        try:
            self.api.delete("pods", objects.name(pod), objects.namespace(pod), uid=objects.uid(pod))
        except ApiError as error:
            if error.code in (404, 409):  # it is gone already, another has its name
                return
            self.tell(owner, "Delete", pod, error)
            raise
        self.expectations.deleted(objects.key(owner), pod)
        self.tell(owner, "Delete", pod)

    def tell(self, owner: dict, verb: str, pod: dict, error: ApiError | None = None) -> None:
        """Say in an event of the owner what was done with a pod, or why it could not be."""
        if error:
            self.recorder.event(owner, "Warning", f"Failed{verb}", self.refusal(owner, verb, pod, error))
        else:
            self.recorder.event(owner, "Normal", f"Successful{verb}", self.success(owner, verb, pod))

    def success(self, owner: dict, verb: str, pod: dict) -> str:
        return f"{verb.removesuffix('e')}ed pod: {objects.name(pod)}"

    def refusal(self, owner: dict, verb: str, pod: dict, error: ApiError) -> str:
        return f"Error {verb.lower().removesuffix('e')}ing: {error.message}"
