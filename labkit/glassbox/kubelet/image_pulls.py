"""Gives a container its image, or says in upstream's words why it waits for one.

Nothing is pulled here, so an image is present or cannot be had. The states are a real kubelet's all the same:
ErrImagePull at each attempt, ImagePullBackOff between them, attempts 10 s apart and then ever rarer, up to 5 min.

Upstream: pkg/kubelet/images/image_manager.go (EnsureImageExists)
"""

from dataclasses import dataclass

from labkit.glassbox import objects
from labkit.glassbox.clock import Clock
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.kubelet import pods
from labkit.glassbox.kubelet.actions import FIRST_BACKOFF, LONGEST_BACKOFF
from labkit.glassbox.kubelet.images import Image, ImageError, Images
from labkit.glassbox.kubelet.status import Waiting

SHOWN = 2.0  # seconds for which a failed attempt is shown as such, before the back-off is


@dataclass
class Failure:
    """The last failed attempt to get a container's image."""

    delay: float  # seconds until the next attempt
    at: float
    error: Waiting
    told: bool = False  # that it backs off

    @property
    def due(self) -> float:
        """When to try again."""
        return self.at + self.delay


class ImagePulls:
    """The images of a node and the failed attempts to get one."""

    def __init__(self, images: Images, events: EventRecorder, time: Clock) -> None:
        self.images, self.events, self.clock = images, events, time
        self._failures: dict[tuple[str, str], Failure] = {}  # (uid, container)

    def image(self, pod: dict, container: dict) -> Image | Waiting:
        """Return the container's image, or why it waits."""
        name, path, now = container["image"], pods.field_path(pod, container["name"]), self.clock.now()
        key = objects.uid(pod), container["name"]
        last = self._failures.get(key)
        if last and now < last.due:
            fresh = now < last.at + SHOWN or last.error.reason != "ErrImagePull"
            return last.error if fresh else self._back_off(pod, name, path, last)
        try:
            image = self.images.resolve(name)
        except ImageError as error:
            delay = min(last.delay * 2, LONGEST_BACKOFF) if last else FIRST_BACKOFF
            waiting = self._failed(pod, container, path, error)
            self._failures[key] = Failure(delay, now, waiting)
            return waiting
        self._failures.pop(key, None)
        message = f'Container image "{name}" already present on machine and can be accessed by the pod'
        self.events.event(pod, "Normal", "Pulled", message, field_path=path)
        return image

    def delay(self, pod: dict, container: dict) -> float:
        """Return the seconds after which to look again: soon, to show the back-off, then when it is over."""
        last = self._failures.get((objects.uid(pod), container["name"]))
        if last is None:
            return 0.0
        showing = last.error.reason == "ErrImagePull" and not last.told
        return max((last.at + SHOWN if showing else last.due) - self.clock.now(), 0.0)

    def forget(self, uid: str) -> None:
        """Forget the attempts of a pod."""
        self._failures = {key: value for key, value in self._failures.items() if key[0] != uid}

    def _failed(self, pod: dict, container: dict, path: str, error: ImageError) -> Waiting:
        name, message = container["image"], str(error)
        if error.reason == "InvalidImageName":
            self.events.event(pod, "Warning", "InspectFailed", message, field_path=path)
        elif container.get("imagePullPolicy") == "Never":
            message = f'Container image "{name}" is not present with pull policy of Never'
            self.events.event(pod, "Warning", "ErrImageNeverPull", message, field_path=path)
            error.reason = "ErrImageNeverPull"
        else:
            self.events.event(pod, "Normal", "Pulling", f'Pulling image "{name}"', field_path=path)
            text = f'Failed to pull image "{name}": {message}'
            self.events.event(pod, "Warning", "Failed", text, field_path=path)
        self.events.event(pod, "Warning", "Failed", f"Error: {error.reason}", field_path=path)
        return Waiting(error.reason, message)

    def _back_off(self, pod: dict, name: str, path: str, last: Failure) -> Waiting:
        if not last.told:
            last.told = True
            self.events.event(pod, "Normal", "BackOff", f'Back-off pulling image "{name}"', field_path=path)
            self.events.event(pod, "Warning", "Failed", "Error: ImagePullBackOff", field_path=path)
        message = f'Back-off pulling image "{name}": {last.error.reason}: {last.error.message}'
        return Waiting("ImagePullBackOff", message)
