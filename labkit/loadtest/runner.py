"""Where the generator runs: here, in a process of its own, in the cluster, as an Indexed Job, or on several machines,
by Locust; samples are lines.

In the cluster it is beside its target, the same way on every cluster: a ConfigMap carries the generator's files and the
plans, the image is a public Python, the samples are the pod's log, followed through the API. What one core cannot send
several pods share: the schedule is dealt out by lot, and all begin at an agreed time.

Invariants: what was made is removed, also after a failure; samples that came before a failure are kept.
"""

import contextlib
import json
import shlex
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from time import time
from typing import Any

from labkit.api import Api, Object
from labkit.errors import LabError
from labkit.loadtest.plan import Plan, shares
from labkit.loadtest.samples import Recorder, Run
from labkit.say import say
from labkit.wait import Condition, Target, Waiter

FILES = ("plan", "generator", "pace", "noise", "http1")
IMAGE = "python:3"
START_SECONDS, AGREED_SECONDS = 180.0, 8.0  # for an image that must be fetched; until several begin together
STARTED = ("Running", "Succeeded", "Failed")


class Load:
    """Carries out plans: in a cluster when an api is given, else here; `out` keeps the samples in a folder.

    The engine "locust" deals them out to so many workers (`generators`): processes here, or, when `master` is an
    address that other machines reach, whoever joins there; `users` is a file of Locust users.
    `progress` gets each line as it comes; `tell` gets a sentence when they are over, and one when some are void.
    """

    def __init__(self, api: Api | None = None, namespace: str = "", *, image: str = IMAGE, generators: int = 1,
                 engine: str = "own", master: str = "", users: str = "",
                 out: Path | None = None, progress: Callable[[str], None] | None = None,
                 tell: Callable[[str], None] = say) -> None:  # fmt: skip
        check_engine(engine, in_cluster=api is not None)
        self.api, self.namespace, self.image, self.generators = api, namespace, image, generators
        self.engine, self.master, self.users = engine, master, users
        self.out, self.progress, self.tell, self.recorder = out, progress, tell, Recorder()
        self.done: list[Run] = []  # all that were carried out
        self.sent = 0

    def run(self, *plans: Plan) -> list[Run]:
        """Carry out the plans, one after the other, and return their runs; raises LabError."""
        with self.start(*plans) as started:
            return started.result()

    @contextlib.contextmanager
    def start(self, *plans: Plan) -> Iterator[Future]:
        """Begin; in the block requests are being sent. `.result()` waits for the runs; an exception ends them early."""
        began = threading.Event()

        def note(line: str) -> None:
            if line.startswith("# "):
                began.set()
            if self.progress:
                self.progress(line)

        self.recorder = Recorder(self.out / f"samples-{self.sent:03}" if self.out else None, note)
        self.sent += 1
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(self._carry_out, plans)
            future.add_done_callback(lambda _: began.set())
            try:
                began.wait()
                yield future
                future.result()
            except BaseException:  # Ctrl-C too: the generator writes what it has, and it is kept
                self.recorder.end_early()
                raise

    def _carry_out(self, plans: Sequence[Plan]) -> list[Run]:
        try:
            if self.engine == "locust":
                by_locust(plans, self.recorder, self.generators, self.master, self.users, self.tell)
            elif self.api is None:
                here(plans, self.recorder)
            else:
                in_cluster(plans, self.recorder, self.api, self.namespace, self.image, self.generators)
        finally:
            self.recorder.close()
        done = self.recorder.runs()
        self.done += done
        self.tell(f"✓ {len(done)} run{'s' * (len(done) > 1)}")
        if void := [run.void[0] for run in done if run.void]:
            self.tell(f"∅ {len(void)} of {len(done)} void: the first for a {void[0]}")
        return done


def service_url(api: Api, namespace: str, name: str) -> str:
    """Return the URL by which pods of its namespace reach a Service's first port; raises LabError."""
    found = api.get("services", name, namespace)
    if found is None:
        raise LabError(f"no service {name} in namespace {namespace}", next_step=f"kubectl get services -n {namespace}")
    return f"http://{name}.{namespace}:{found['spec']['ports'][0]['port']}/"


def ready_pods(api: Api, namespace: str, service: str) -> list[str]:
    """Return the pods among which a Service should spread its connections: the ready ones of its EndpointSlices."""
    slices = api.items("endpointslices", namespace, label_selector=f"kubernetes.io/service-name={service}")
    each = [endpoint for one in slices for endpoint in one.get("endpoints") or []]
    return sorted(e["targetRef"]["name"] for e in each if e["conditions"].get("ready") and e.get("targetRef"))


def here(plans: Sequence[Plan], recorder: Recorder) -> None:
    """Run the generator on this machine; raises LabError when it cannot run."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file, tempfile.TemporaryFile("w+") as errors:
        file.write(plans_json(plans))
        file.flush()
        command = [sys.executable, "-m", "labkit.loadtest.generator", file.name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            assert process.stdout
            recorder.end_early = process.terminate
            _follow(process.stdout, recorder)
        if process.returncode not in (0, 130):
            errors.seek(0)
            raise LabError("the generator failed", value="\n".join(errors.read().splitlines()[-3:]))


def check_engine(engine: str, in_cluster: bool) -> None:
    """Raise LabError for an engine that cannot carry out plans there."""
    if engine not in ("own", "locust"):
        raise LabError("no such engine", value=repr(engine), expected="own or locust")
    if engine == "locust" and in_cluster:
        raise LabError("the engine 'locust' does not run in the cluster: public Python images lack it",
                       next_step="--generators N (more pods), or a URL that is reached from here")  # fmt: skip
    if engine == "locust" and find_spec("locust") is None:
        raise LabError("Locust is not installed", next_step="pip install 'kube-labkit[locust]'")


def by_locust(plans: Sequence[Plan], recorder: Recorder, count: int, master: str, users: str,
              tell: Callable[[str], None]) -> None:  # fmt: skip
    """Run Locust's master, and its workers unless others are to join; raises LabError when one is lost."""
    engine = [sys.executable, "-m", "labkit.loadtest.locust_engine"]
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".json"))
        errors = stack.enter_context(tempfile.TemporaryFile("w+"))
        file.write(plans_json(plans))
        file.flush()

        def begin(*arguments: str) -> subprocess.Popen:
            process = subprocess.Popen([*engine, *arguments], stdout=subprocess.PIPE, stderr=errors, text=True)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        leader = begin("master", file.name, str(count), master or "127.0.0.1:0")
        recorder.end_early = leader.terminate
        assert leader.stdout
        address = leader.stdout.readline().rpartition(" ")[2].strip()
        worker = ["worker", address, *([users] if users else [])]
        if master:
            tell(
                f"• waiting for {count} workers, on each machine: "
                f"python -m labkit.loadtest.locust_engine {shlex.join(worker)}"
            )
        else:
            for _ in range(count):
                threading.Thread(target=_end_with, args=(begin(*worker), leader), daemon=True).start()
        for text in leader.stdout:
            number, _, line = text.partition(" ")
            recorder.take(line, number)
        if leader.wait() not in (0, 130):
            errors.seek(0)
            raise LabError("Locust failed", value="\n".join(errors.read().splitlines()[-3:]))


def _end_with(worker: subprocess.Popen, leader: subprocess.Popen) -> None:
    """End the master when a worker of its own has failed: it would wait for it."""
    if worker.wait() > 0:
        leader.terminate()


def in_cluster(plans: Sequence[Plan], recorder: Recorder, api: Api, namespace: str, image: str, count: int) -> None:
    """Run the generator as a Job of `count` pods and follow their logs; raises LabError when a pod fails."""
    name = f"loadtest-{uuid.uuid4().hex[:8]}"
    if count > 1:
        begin, dealt = time() + AGREED_SECONDS, list[Plan]()
        for plan in plans:
            dealt += shares(plan, count, begin)
            begin += plan.seconds + plan.timeout + AGREED_SECONDS
        plans = dealt
    api.create("configmaps", config_map(name, plans), namespace)
    try:
        api.create("jobs", job(name, image, count), namespace)
        recorder.end_early = lambda: api.delete("jobs", name, namespace)
        pods = _started(api, namespace, name, count)
        seconds = START_SECONDS + sum(plan.seconds + plan.timeout + AGREED_SECONDS for plan in plans)

        def follow(pod: Object) -> None:
            index = (pod["metadata"].get("labels") or {}).get("batch.kubernetes.io/job-completion-index", "0")
            _follow((f"{line}\n" for line in api.logs(pod["metadata"]["name"], namespace, seconds)), recorder, index)

        with ThreadPoolExecutor(count) as pool:
            list(pool.map(follow, pods))
    finally:
        api.delete("jobs", name, namespace)
        api.delete("configmaps", name, namespace)
    if not any('"end": true' in line for lines in recorder.texts.values() for line in lines[-3:]):
        last = "".join(line for lines in recorder.texts.values() for line in lines[-3:])
        raise LabError("the generator's pod ended before its plan", value=last.strip() or "it said nothing",
                       next_step=f"kubectl get events -n {namespace}")  # fmt: skip


def config_map(name: str, plans: Sequence[Plan]) -> Object:
    """Return what the generator's pod mounts: its files and its plans."""
    folder = Path(__file__).parent
    data = {f"{each}.py": (folder / f"{each}.py").read_text() for each in FILES}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
            "data": data | {"plans.json": plans_json(plans)}}  # fmt: skip


def job(name: str, image: str, count: int) -> Object:
    """Return the Indexed Job; a pod that fails is not tried again, since its load would come twice."""
    paths = [{"key": f"{each}.py", "path": f"labkit/loadtest/{each}.py"} for each in FILES]
    container = {
        "name": "generator", "image": image, "workingDir": "/load",
        "command": ["python", "-m", "labkit.loadtest.generator", "plans.json"],
        "env": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
        "volumeMounts": [{"name": "load", "mountPath": "/load"}],
    }  # fmt: skip
    items = [*paths, {"key": "plans.json", "path": "plans.json"}]
    pod = {"restartPolicy": "Never", "containers": [container], "terminationGracePeriodSeconds": 2,
           "volumes": [{"name": "load", "configMap": {"name": name, "items": items}}]}  # fmt: skip
    spec = {"completionMode": "Indexed", "completions": count, "parallelism": count, "backoffLimit": 0,
            "template": {"metadata": {"labels": {"app": "loadtest"}}, "spec": pod}}  # fmt: skip
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def plans_json(plans: Iterable[Plan]) -> str:
    """Write the plans as the generator reads them."""
    return json.dumps([json.loads(plan.to_json()) for plan in plans])


def marks(api: Api, namespace: str, run: Run) -> list[tuple[float, str]]:
    """Return the Kubernetes events during a run: seconds after its beginning, and what happened.

    Most events tell whole seconds: one of the second in which the run began counts.
    """
    found = []
    for event in api.items("events", namespace):
        when = event.get("eventTime") or event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]
        at = datetime.fromisoformat(when).timestamp() - run.began
        about = event["involvedObject"]
        if -1 < at <= run.plan.seconds and not about["name"].startswith("loadtest-"):
            found.append((max(0.0, at), f"{event['reason']} {about['kind'].lower()}"))
    return sorted(found)


def _started(api: Api, namespace: str, name: str, count: int) -> list[Object]:
    """Wait until all pods of the Job have begun, and return them; raises WaitTimeout, telling why not."""
    target = Target("pods", selector=f"batch.kubernetes.io/job-name={name}")
    begun = Condition("started", lambda pods: len(pods) == count and all(p["status"]["phase"] in STARTED for p in pods))
    Waiter(api, namespace).until(target, begun, timeout=START_SECONDS, namespace=namespace)
    return api.items("pods", namespace, label_selector=target.selector)


def _follow(lines: Any, recorder: Recorder, generator: str = "0") -> None:
    for line in lines:
        recorder.take(line, generator)
