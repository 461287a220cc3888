"""The probe: a pod of a plain Python in the service's namespace, in which the visitor runs, and the line to it.

From inside, since that is where a service's name and address mean something; a pod, since that is to be had on every
cluster. What cannot be asked for want of a probe is nobody's fault: ClusterError, and the verdict is "could not check".
"""

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import yaml

from labkit import kubectl
from labkit.api import Api, Object
from labkit.errors import ClusterError, WaitTimeout
from labkit.trials.admitted import create
from labkit.wait import Condition, Target, Waiter, parse_condition

POD = Path(__file__).with_name("probe.yaml")
START_SECONDS, TALK_SECONDS = 60.0, 120.0
READY = parse_condition("Ready")


def is_unschedulable(pod: Object) -> bool:
    """Tell whether no node has room for the pod."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "PodScheduled" and c.get("reason") == "Unschedulable" for c in conditions)


class Probe:
    """A running probe; made for one check, and gone after it."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api, self.namespace = api, namespace
        pod = yaml.safe_load(POD.read_text())
        self.name = create(api, namespace, pod)
        try:
            if self._has_no_room():  # what the service asks for fills the nodes: one that asks for nothing has room
                self._remove()
                pod["spec"]["containers"][0].pop("resources")
                self.name = create(api, namespace, pod)
                self._has_no_room()
            self._line = self._connect()
        except WaitTimeout as late:
            self._remove()
            raise ClusterError("the pod that asks your service does not start", value=late.value) from None
        except BaseException:
            self._remove()
            raise

    def _has_no_room(self) -> bool:
        """Wait until the pod is ready, or has no place on any node; tell whether that is so."""
        settled = Condition("Ready", lambda found: READY.holds(found) or any(map(is_unschedulable, found)))
        Waiter(self.api, self.namespace).until(Target("pods", self.name), settled, timeout=START_SECONDS,
                                               namespace=self.namespace)  # fmt: skip
        return is_unschedulable(self.api.get("pods", self.name, self.namespace) or {})

    def ask(self, plan: dict[str, Any]) -> Object:
        """Have the visitor do as the plan says and return its report; see visitor.py."""
        return self._tell(plan)

    def start_load(self, plan: dict[str, Any]) -> None:
        self._tell({"load": plan})

    def stop_load(self) -> Object:
        """Return what came of the load."""
        return self._tell({"stop": True})

    def close(self) -> None:
        """Remove the pod; one that cannot be removed ends by itself."""
        self._line.kill()
        self._line.communicate()
        try:
            self._remove()
        except ClusterError:
            pass

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
