"""What a lesson holds in its hand: a cluster, a namespace of its own, and the four verbs wait, predict, check, draw.

A lesson starts in an empty namespace: what an earlier run left there is removed first, so that a notebook can be run
twice, or again after a failure, with the same output. The namespaces of two students, or of two lessons, differ by
name, so they do not meet. A namespace that the kit did not make is used as it is and never removed.
"""

import json
import os
import re
import shlex
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from labkit import cluster as clusters
from labkit import nbgrader, throwaway
from labkit.api import Api
from labkit.checks import Grader, Verdict
from labkit.draw import Draw
from labkit.errors import ApiFailure, ClusterError, ParameterError
from labkit.predict import Predictions
from labkit.say import say, warn
from labkit.timeline import Timeline
from labkit.wait import Target, Waiter, parse_condition

if TYPE_CHECKING:
    from labkit.widgets.checks import CheckPanel
    from labkit.widgets.live import LiveView
    from labkit.widgets.panel import ComponentPanel
    from labkit.widgets.shown import Shown

    Shows = TypeVar("Shows", bound=Shown)

OWNER = "app.kubernetes.io/managed-by"
LESSON, STUDENT, PART_OF = "labkit.dev/lesson", "labkit.dev/student", "labkit.dev/part-of"
ANSWERS = "LABKIT_ANSWERS"  # set by a grader: the file that takes the answers
GRADED = "LABKIT_GRADED"  # set by a grader: kubeconfig and namespace, whatever cluster a notebook names
NAMESPACE_SECONDS, ACCOUNT_SECONDS = 90.0, 30.0


class Lab:
    """A lesson's place on a cluster.

    cluster    glassbox, glassbox:NAME, kubeconfig, kubeconfig:CONTEXT, or the path of a kubeconfig
    namespace  where the lesson works; "" makes one from lesson and student
    student    who works, "" when alone
    seed       for all that is drawn by lot, so that a run can be repeated
    lesson     the lesson's number, e.g. "03": it finds the rubric
    fresh      False keeps what an earlier run left in the namespace
    alone      works on a cluster of its own, of two nodes, where the kit can make one: for a lesson that breaks it
    """

    def __init__(self, *, cluster: str = clusters.DEFAULT, namespace: str = "", student: str = "", seed: int = 0,
                 lesson: str = "", fresh: bool = True, alone: bool = False) -> None:  # fmt: skip
        self.lesson, self.student, self.seed = lesson, student, seed
        if graded := os.environ.get(GRADED):
            cluster, namespace = graded.split()
        self.namespace = namespace or default_namespace(lesson, student)
        check_name(self.namespace)
        self._own: throwaway.OwnCluster | None = None
        self.cluster = (alone and self._place_alone(cluster)) or clusters.connect(cluster)
        self.kubeconfig = clusters.enter(self.cluster, self.namespace)
        self._owned = self._enter_namespace(fresh)
        self._waiter = Waiter(self.api, self.namespace)
        self._predictions = Predictions(lesson, student, _work_dir())
        self._grader = Grader(self.api, self.namespace, lesson, tell=say)
        self._shown: dict[str, Shown] = {}
        self._answers: dict[str, object] = {}
        self.draw = Draw(self.api, self.namespace)

    @property
    def api(self) -> Api:
        """The connection: objects as plain dicts, as kubectl -o json shows them."""
        return self.cluster.api

    def can(self, what: str) -> bool:
        """Tell whether this cluster can do it, e.g. "stop-components" or "nodes>=2"."""
        return self.cluster.can(what)

    def on_node(self, node: str, command: str) -> str:
        """Run a command in a node's network, as `ssh NODE COMMAND` would; return what it says.

        Raises ClusterError where there is no way in: ask lab.can("run-on-nodes") first.
        """
        return self.cluster.provider.run_on(self.cluster.name, node, shlex.split(command))

    def wait(self, target: str, condition: str, *, timeout: float = 60, namespace: str | None = None) -> None:
        """Wait until e.g. "pod/web" is "Ready", "deployment/web" is "Available", "pod/web" is "Deleted".

        A pod may be named by a selector: "pods app=web". Raises WaitTimeout after `timeout` seconds, telling what was
        seen last.
        """
        self._waiter.wait(target, condition, timeout=timeout, namespace=namespace)

    def predict(self, number: str, answer: object) -> None:
        """Record what you expect, before you look; a prediction is never marked."""
        self._predictions.commit(number, answer)

    def check(self, number: str, *, answer: object = None) -> Verdict | float | None:
        """Look at the cluster (or at the answer given) and say how exercise `number` stands.

        Where nbgrader runs the notebook, print that and return the points instead, as nbgrader reads them.
        """
        self._answers[number] = answer
        if handed_in := os.environ.get(ANSWERS):
            hand_in_answer(Path(handed_in), number, answer)
            return None
        if nbgrader.grades():
            return nbgrader.grade(lambda: self._grader.check(number, answer=answer))
        return self._grader.check(number, answer=answer)

    def live(self) -> "LiveView":
        """Show the namespace as it is at every moment: pods by node, events; scale and kill there by a click."""
        from labkit.widgets.live import LiveView

        return self._show("live", LiveView(self.api, self.namespace))

    def panel(self) -> "ComponentPanel":
        """Show the cluster's components, to stop and start them; raises ClusterError where nobody may.

        Ask lab.can("stop-components") first.
        """
        from labkit.widgets.panel import ComponentPanel

        self.cluster.provider.components(self.cluster.name)
        return self._show("panel", ComponentPanel(self.cluster))

    def check_panel(self) -> "CheckPanel":
        """Show all exercises of the lesson, with buttons to check them and a bar of how many pass."""
        from labkit.widgets.checks import CheckPanel

        def check(number: str) -> Verdict:
            return self._grader.check(number, answer=self._answers.get(number))

        return self._show("checks", CheckPanel(self.api, self.namespace, self._grader.titles(), check))

    def _show(self, what: str, shown: "Shows") -> "Shows":
        """Keep one of each kind alive: a cell that is run again ends what it showed before."""
        if before := self._shown.pop(what, None):
            before.close()
        self._shown[what] = shown
        return shown

    def make_namespace(self, suffix: str) -> str:
        """Make a second namespace, "<namespace>-<suffix>", empty; cleanup removes it too. Return its name."""
        name = f"{self.namespace}-{suffix}"
        check_name(name)
        try:
            self._remove_namespace(name)
            self._make_namespace(name)
        except ApiFailure as failure:
            if failure.code != 403:
                raise
            self.api.items("pods", name)  # one that was made for the student, or the refusal is told
        return name

    def timeline(self) -> Timeline:
        """Begin to follow who writes what in this namespace; `.draw()` then shows it."""
        return Timeline(self.api, self.namespace)

    def own_cluster(self) -> throwaway.OwnCluster | None:
        """Start a second cluster, yours alone, for steps that change a cluster as a whole; cleanup removes it.

        Return None, and say so, where the lesson works on a cluster that the kit has not made.
        """
        if not self.can("throwaway"):
            say("• skipped: these steps change a whole cluster, and this one is not yours alone")
            return None
        say("• starting a cluster that is yours alone, of one node (a second or two)")
        self._own = throwaway.start(f"{self.cluster.name}-{self.namespace}")
        say("✓ it is up")
        return self._own

    def cleanup(self) -> None:
        """Remove the lesson's namespaces and all that is in them, and wait until they are gone; and its own cluster."""
        for shown in self._shown.values():
            shown.close()
        if self._own:
            self._own.remove()
        if self._own and self._own.name == self.cluster.name:
            say("✓ removed the cluster that was yours alone")
            return
        names = [self.namespace] if self._owned else []
        names += self._second_namespaces()
        for name in names:
            self._start_removal(name)
        for name in names:
            self._waiter.gone("namespaces", name, timeout=NAMESPACE_SECONDS)
        if self._owned:
            say(f"✓ removed namespace {self.namespace}")
        else:
            say(f"• kept namespace {self.namespace}: the kit did not make it")

    def __repr__(self) -> str:
        return f"Lab {self.lesson} in namespace {self.namespace}"

    def _place_alone(self, cluster: str) -> clusters.Cluster | None:
        if started := throwaway.instead_of(cluster, self.namespace):
            self._own = started[1]
            say("✓ a cluster that is yours alone is up, of two nodes")
            return started[0]
        say("• this cluster is not yours alone: the steps that stop its components are skipped")
        return None

    def _enter_namespace(self, fresh: bool) -> bool:
        """Make the namespace, empty; return whether it is ours to remove."""
        try:
            found = self.api.get("namespaces", self.namespace)
            if found is not None and not _is_ours(found):
                warn(f"namespace {self.namespace} was there before: used as it is, never removed")
                return False
            if found is not None and (fresh or found["metadata"].get("deletionTimestamp")):
                for name in [self.namespace, *self._second_namespaces()]:
                    self._remove_namespace(name)
                found = None
            if found is None:
                self._make_namespace(self.namespace)
            return True
        except ApiFailure as failure:
            if failure.code != 403:
                raise
        return self._borrow_namespace()

    def _borrow_namespace(self) -> bool:
        """Without the right to make namespaces, work in one that was made for the student."""
        try:
            self.api.items("pods", self.namespace)
        except ApiFailure as failure:
            raise ClusterError(
                f"you may neither make nor use namespace {self.namespace!r} on this cluster",
                value=failure.what,
                expected="a namespace in which you may create pods",
                next_step="ask for one and name it: namespace='…', or use the embedded cluster: cluster='glassbox'",
            ) from None
        return False

    def _second_namespaces(self) -> list[str]:
        try:
            found = self.api.items("namespaces", label_selector=f"{PART_OF}={self.namespace}")
        except ApiFailure:
            return []
        return [n["metadata"]["name"] for n in found if n["metadata"]["name"] != self.namespace]

    def _make_namespace(self, name: str) -> None:
        """Make it and wait for its service account: a pod that comes before it is refused."""
        self.api.create("namespaces", self._namespace_object(name))
        account = Target("serviceaccount", "default")
        try:
            Waiter(self.api, name).until(account, parse_condition("Exists"), timeout=ACCOUNT_SECONDS, namespace=name)
        except ApiFailure as failure:
            if failure.code != 403:  # without the right to look, go on
                raise

    def _namespace_object(self, name: str) -> dict[str, Any]:
        labels = {OWNER: "labkit", PART_OF: self.namespace, LESSON: self.lesson, STUDENT: label_value(self.student)}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}

    def _remove_namespace(self, name: str) -> None:
        self._start_removal(name)
        Waiter(self.api, self.namespace).gone("namespaces", name, timeout=NAMESPACE_SECONDS)

    def _start_removal(self, name: str) -> None:
        self.api.delete("namespaces", name)
        # A container that ignores SIGTERM would hold its namespace for 30 s: one second is enough for a lesson's pods.
        self.api.delete("pods", "", name, grace=1)


def hand_in_answer(file: Path, number: str, answer: object) -> None:
    """Leave an answer for whoever marks the notebook: another process, once this one has ended."""
    with file.open("a") as answers:
        answers.write(json.dumps({"exercise": number, "answer": answer}, default=str) + "\n")
    say(f"• {number} is noted: it is judged after the run")


def default_namespace(lesson: str, student: str) -> str:
    """Return the namespace of a lesson and a student: lab-03-ana."""
    plain = unicodedata.normalize("NFKD", student).encode("ascii", "ignore").decode().lower()
    parts = ["lab", lesson, re.sub(r"[^a-z0-9]+", "-", plain).strip("-")]
    return "-".join(p for p in parts if p)[:50].strip("-")


def label_value(text: str) -> str:
    """Make a label value of any text: what the syntax does not allow becomes '_'."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text)[:63].strip("_")


def check_name(namespace: str) -> None:
    """Raise ParameterError unless it can name a namespace (RFC 1123 label)."""
    if len(namespace) > 63 or not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", namespace):
        raise ParameterError(
            "this cannot name a namespace",
            value=repr(namespace),
            expected="at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit",
            next_step="set the parameter namespace='…' to another name",
        )


def _is_ours(namespace: dict[str, Any]) -> bool:
    return (namespace["metadata"].get("labels") or {}).get(OWNER) == "labkit"


def _work_dir() -> Path:
    """Return where predictions go: the student's work folder, else the kit's own; never the course's checkout."""
    return Path(os.environ.get("LABKIT_WORK") or clusters.state_home())
