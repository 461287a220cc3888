"""The probe: a pod of a plain Python in the service's namespace, in which the visitor runs, and the line to it.

From inside, since that is where a service's name and address mean something; a pod, since that is to be had on every
cluster. What cannot be asked for want of a probe is nobody's fault: ClusterError, and the verdict is "could not check".
"""

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

from labkit import kubectl
from labkit.api import Api, Object
from labkit.errors import ClusterError, WaitTimeout
from labkit.wait import Target, Waiter, parse_condition

IMAGE = "python:3"
START_SECONDS, TALK_SECONDS, LIFE_SECONDS = 60.0, 120.0, 900
SLEEP = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit()); signal.pause()"


class Probe:
    """A running probe; made for one check, and gone after it."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api, self.namespace = api, namespace
        self.name = api.create("pods", pod(), namespace)["metadata"]["name"]
        try:
            ready = parse_condition("Ready")
            Waiter(api, namespace).until(Target("pods", self.name), ready, timeout=START_SECONDS, namespace=namespace)
            self._line = self._connect()
        except WaitTimeout as late:
            self._remove()
            raise ClusterError("the pod that asks your service does not start", value=late.value) from None
        except BaseException:
            self._remove()
            raise

    def ask(self, plan: dict[str, Any]) -> Object:
        """Have the visitor do as the plan says and return its report; see visitor.py."""
        return self._tell(plan)

    def start_load(self, plan: dict[str, Any]) -> None:
        self._tell({"load": plan})

    def stop_load(self) -> Object:
        """Return what came of the load."""
        return self._tell({"stop": True})

    def close(self) -> None:
        """Remove the pod."""
        self._line.kill()
        self._line.communicate()
        self._remove()

    def _remove(self) -> None:
        self.api.delete("pods", self.name, self.namespace, grace=0)  # at once: the next picture shows no probe

    def _connect(self) -> "subprocess.Popen[str]":
        program = Path(__file__).with_name("visitor.py").read_text()
        where = ["--kubeconfig", str(self.api.kubeconfig), "-n", self.namespace]
        where += ["--context", self.api.context] if self.api.context else []
        command = [str(kubectl.find()), *where, "exec", "-i", self.name, "--", "python3", "-c", program]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1)

    def _tell(self, what: dict[str, Any]) -> Object:
        assert self._line.stdin is not None
        assert self._line.stdout is not None
        guard = threading.Timer(TALK_SECONDS, self._line.kill)
        guard.start()
        try:
            self._line.stdin.write(json.dumps(what) + "\n")
            return json.loads(self._line.stdout.readline())
        except (OSError, ValueError):
            self._line.kill()
            said = self._line.communicate()[1].strip().splitlines()
            raise ClusterError(
                f"the pod {self.name}, which asks your service, does not answer",
                value=said[-1] if said else f"nothing within {TALK_SECONDS:g} s",
                next_step="check again: it is made anew",
            ) from None
        finally:
            guard.cancel()


def pod() -> Object:
    """Return the probe's pod; it ends by itself, should nobody be left to remove it."""
    labels = {"app.kubernetes.io/managed-by": "labkit"}
    container = {
        "name": "visitor",
        "image": IMAGE,
        "command": ["python3", "-c", SLEEP],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
    }
    spec = {
        "containers": [container],
        "restartPolicy": "Never",
        "activeDeadlineSeconds": LIFE_SECONDS,
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "labkit-probe-", "labels": labels},
        "spec": spec,
    }
