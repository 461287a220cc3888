"""What a controller has done and its copy has not shown yet.

Upstream: pkg/controller/controller_utils.go (ControllerExpectations); there counts with a time limit, here UIDs.
"""

from __future__ import annotations

import threading

from labkit.glassbox import objects
from labkit.glassbox.informer import Informer


class Expectations:
    """Per key: UIDs of objects created that the copy must show, and of deleted ones that it must show as going.

    Noted after the write succeeded: what failed is not expected, and a copy that was faster has met it already.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.created_: dict[str, dict[str, dict]] = {}
        self.deleted_: dict[str, dict[str, dict]] = {}

    def created(self, key: str, obj: dict) -> None:
        with self.lock:
            self.created_.setdefault(key, {})[objects.uid(obj)] = obj

    def deleted(self, key: str, obj: dict) -> None:
        with self.lock:
            self.deleted_.setdefault(key, {})[objects.uid(obj)] = obj

    def forget(self, key: str) -> None:
        with self.lock:
            self.created_.pop(key, None)
            self.deleted_.pop(key, None)

    def met(self, key: str, copy: Informer) -> bool:
        """Tell whether the copy has caught up with all that was done for the key."""
        with self.lock:
            created, deleted = self.created_.get(key, {}), self.deleted_.get(key, {})
            for uid in [uid for uid, obj in created.items() if has_passed(copy, obj)]:
                del created[uid]
            for uid in [uid for uid, obj in deleted.items() if is_going(copy, obj)]:
                del deleted[uid]
            return not created and not deleted


def has_passed(copy: Informer, obj: dict) -> bool:
    """Tell whether the copy is at or past the version at which the object was created."""
    known = copy.get(objects.key(obj))
    if known is not None and objects.uid(known) == objects.uid(obj):
        return True
    return bool(copy.version) and int(copy.version) >= int(obj["metadata"]["resourceVersion"])


def is_going(copy: Informer, obj: dict) -> bool:
    """Tell whether the copy shows the object as gone or going."""
    known = copy.get(objects.key(obj))
    return known is None or objects.uid(known) != objects.uid(obj) or objects.is_deleting(known)
