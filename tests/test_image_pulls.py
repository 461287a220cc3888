"""When a kubelet looks again for an image that it could not have."""

import pytest

from labkit.glassbox.kubelet.image_pulls import SHOWN, ImagePulls
from labkit.glassbox.kubelet.images import Images


class Time:
    seconds = 1000.0

    def now(self):
        return self.seconds

    def sleep(self, seconds):
        self.seconds += seconds


class Events:
    def __init__(self):
        self.told = []

    def event(self, pod, type, reason, message, *, field_path=""):
        self.told.append(f"{reason}: {message}")


@pytest.fixture
def time():
    return Time()


def waits(time, seconds, **container):
    """Look for the image whenever it is due, for so many seconds; return when that was, and why each time."""
    container = {"name": "c", "image": "nosuch", **container}
    pod = {"metadata": {"name": "p", "namespace": "d", "uid": "u"}, "spec": {"containers": [container]}}
    pulls, found, end = ImagePulls(Images([]), Events(), time), [], time.now() + seconds
    while time.now() < end:
        found.append((round(time.now() - end + seconds), pulls.image(pod, container).reason))
        time.sleep(pulls.delay(pod, container))
    return found


def test_a_failed_pull_is_shown_as_such_and_then_backs_off(time):
    assert waits(time, 80) == [
        (0, "ErrImagePull"),
        (SHOWN, "ImagePullBackOff"),
        (10, "ErrImagePull"),
        (10 + SHOWN, "ImagePullBackOff"),
        (30, "ErrImagePull"),
        (30 + SHOWN, "ImagePullBackOff"),
        (70, "ErrImagePull"),
        (70 + SHOWN, "ImagePullBackOff"),
    ]


@pytest.mark.parametrize(
    ("container", "reason"),
    [({"imagePullPolicy": "Never"}, "ErrImageNeverPull"), ({"image": "No Such"}, "InvalidImageName")],
)
def test_what_no_pull_can_help_is_looked_at_as_rarely(time, container, reason):
    assert waits(time, 80, **container) == [(0, reason), (10, reason), (30, reason), (70, reason)]
