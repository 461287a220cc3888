"""What a trial has to take back, written into the cluster before it is done and removed once it is taken back.

A kernel may be killed in a trial's midst; the next check then finds here what the student's service was like. In a
Secret, since it may hold a password. Taking a step back twice must do no harm.
"""

import base64
import json
from typing import Any

from labkit.api import Api

NAME = "labkit-trial"

Step = dict[str, Any]  # as faults.py reads it


def discard(api: Api, namespace: str) -> None:
    """Remove notes that no trial has written, whatever holds them: what they say must not be done."""
    if api.get("secrets", NAME, namespace):
        api.merge("secrets", NAME, {"metadata": {"finalizers": None}}, namespace)
        api.delete("secrets", NAME, namespace)


class Journal:
    """The steps to take back in one namespace, in the order in which they were done."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api, self.namespace = api, namespace
        found = api.get("secrets", NAME, namespace)
        self._stored = found is not None
        self.steps: list[Step] = json.loads(base64.b64decode(found["data"]["steps"])) if found else []

    def note(self, *steps: Step) -> None:
        """Write steps down; only then may they be done."""
        self.steps += steps
        data = {"stringData": {"steps": json.dumps(self.steps)}}
        if self._stored:
            self.api.merge("secrets", NAME, data, self.namespace)
        else:
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}, **data}
            self.api.create("secrets", secret, self.namespace)
        self._stored = True

    def close(self) -> None:
        """Forget them: they are taken back."""
        if self._stored:
            self.api.delete("secrets", NAME, self.namespace)
        self.steps, self._stored = [], False
