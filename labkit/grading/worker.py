"""One hand-in, in a process of its own: network, cluster, sandbox, judge, evidence; one result at the end.

It starts the cluster, waits for its turn, and says when it has judged: so the next hand-in's cluster starts, and the
last one's ends, while another has its turn.

The process has a network namespace without a way out; the hand-in's cluster is started in it, so that equal ports of
two hand-ins never meet and nothing but the cluster answers; or its one way out leads to a cluster that somebody else
runs (borrowed.py). The judge looks when all of the sandbox's processes have
ended. The cluster's files are kept, without what was running, so that it can be brought back.

The result says what the hand-in earned, or why the grader could not tell: its own fault is never a zero.
"""

import errno
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import yaml

from labkit import __file__ as package
from labkit import kernel, providers, rubric
from labkit.api import Api
from labkit.errors import LabError
from labkit.glassbox import syscalls, user_namespace
from labkit.glassbox.kubelet.surroundings import HOST_TREE
from labkit.glassbox.netlink import Netlink
from labkit.glassbox.processes import on_disk
from labkit.grading import access, borrowed, judge, kept, shown, warm
from labkit.grading.sandbox import WORK, Box
from labkit.lab import ANSWERS, GRADED
from labkit.trials import journal

CLUSTER = "graded"
GRACE_SECONDS = 20.0  # for a sandbox to end after the notebook's own limit, before it is killed
MEMORY_LOOK = 0.25
MOST_KEPT = 64  # MiB on the claims of a cluster that is kept
MOST_LOAD = 4.0  # processes that want to run, a core
ENDED = 143  # by whoever runs the batch: without a result


def main(file: str, turn: Connection) -> None:
    """Grade what the order names, when its turn has come; the result is written whole or not at all."""
    os.setsid()
    warm.let_go()
    syscalls.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a batch that is killed leaves nothing
    signal.signal(signal.SIGTERM, ended)
    os.dup2(os.open(f"{file}.errors", os.O_WRONLY | os.O_CREAT, 0o600), 2)
    order: dict[str, Any] = {}
    try:
        enter_network()
        box = Box()  # before anything is read
        order = json.loads(Path(file).read_text())
        os.environ.update(order["environment"])
        syscalls.set_process_title(f"labkit worker ({order['facts']['student']})")
        result = grade(order, box, Path(file).parent, turn)
    except (LabError, OSError) as error:
        order = order or json.loads(Path(file).read_text())
        marked = rubric.load(Path(order["rubric"]))
        unjudged = judge.unjudged(marked, str(error).splitlines()[0], None)
        result = {"trouble": str(error), "exercises": unjudged, "seconds": 0.0}
    write_whole(Path(order["result"]), json.dumps({**order["facts"], **result}, indent=1))


def ended(*_: object) -> None:
    """Leave, once: the blocks that are left end what they have begun, and are not to be ended in that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(ENDED)


def enter_network() -> None:
    """Leave the host's network for one that holds a loopback alone."""
    if os.geteuid() == 0:
        syscalls.unshare(syscalls.CLONE_NEWNET)
    else:
        user_namespace.enter([(0, os.geteuid(), 1)], [(0, os.getegid(), 1)], syscalls.CLONE_NEWNET)
    with Netlink() as links:
        links.set_up("lo")


def grade(order: dict[str, Any], box: Box, home: Path, turn: Connection) -> dict[str, Any]:
    """Run the hand-in on its cluster and judge what it left there; all files lie in `home`, which the batch removes."""
    held: kept.Collections = []
    namespaces = [order["namespace"], *order["others"]]
    tempfile.tempdir = str(home)  # the Kubernetes client leaves keys in temporary files
    with borrowed.entered(order, home) if order["owner"] else own_cluster(order, home) as config:
        turn.send("its cluster is up")
        turn.recv()
        begun = time.monotonic()
        api = Api(config)
        student = access.grant(api, order["namespace"], order["others"], config)
        run = execute(order, home / "box", student, box)
        access.revoke(api, order["namespace"], order["others"])
        journal.discard(api, order["namespace"])  # the grader would act on it
        judge.settle(api, order["namespace"])
        answers = judge.read_answers(home / "box" / "answers")
        marks = judge.judge(
            api, order["namespace"], rubric.load(Path(order["rubric"])), answers,
            keep=lambda: held.extend(kept.take(api, namespaces)),
        )  # fmt: skip
        seconds = round(time.monotonic() - begun, 1)
        turn.send("it is judged")
    if not order["owner"]:
        order["facts"]["flags"] += keep(home / "home" / "clusters" / CLUSTER, Path(order["kept"]))
    keep_file(home / "box" / "executed", Path(order["executed"]))
    kept.write(Path(order["objects"]), held)
    order["facts"]["flags"] += shown.unfounded(order["claims"], marks)
    order["facts"]["flags"] += busy(os.getloadavg()[0], os.cpu_count() or 1)
    return {
        "run": run, "answers": answers, "exercises": marks, "trouble": "",
        "lacks": judge.images_lacking(kept.Kept(held), order["namespace"]),
        "seconds": seconds, **told_by(order, home / "box" / "executed"),
    }  # fmt: skip


def told_by(order: dict[str, Any], executed: Path) -> dict[str, Any]:
    """Return what the executed notebook tells beside the marks; the hand-in may have written anything there."""
    try:
        ran = shown.executed(executed)
        differs = shown.differing(order["shown"], ran)
        return {"differs": differs, "predictions": shown.predictions(ran, order["predicts"]),
                "refused": shown.refused(ran)}  # fmt: skip
    except Exception as error:
        order["facts"]["flags"].append(f"the notebook that it left behind is none: {type(error).__name__}: {error}")
        return {"differs": [], "predictions": {}, "refused": []}


def busy(load: float, cores: int) -> list[str]:
    """Say so when so much else ran that a service may have been late by no fault of its own."""
    if load <= MOST_LOAD * cores:
        return []
    said = f"the grading machine was overloaded ({load:.0f} processes for {cores} cores)"
    return [f"{said}: what came late may be its fault"]


@contextmanager
def own_cluster(order: dict[str, Any], home: Path) -> Iterator[Path]:
    """Give the kubeconfig of an embedded cluster that ends with the block."""
    os.environ["LABKIT_HOME"] = str(home / "home")
    provider = providers.find("glassbox")
    try:
        provider.start(CLUSTER, nodes=order["nodes"], fork=warm.fork_machine, profile="bounded")
        yield provider.kubeconfig(CLUSTER)[0]
        if not provider.running(CLUSTER):
            raise LabError("the hand-in's cluster ended before its judge", next_step="--resume grades it again")
    finally:
        provider.stop(CLUSTER)


def execute(order: dict[str, Any], folder: Path, kubeconfig: dict[str, Any], box: Box) -> str:
    """Run the notebook in the sandbox; return why it, or its first cell that failed, did not go well; "" if all did."""
    lay_out(order, folder / "work", kubeconfig)
    (folder / "root").mkdir()
    folder.chmod(0o700)
    (folder / "order.json").write_text(json.dumps(sandbox_order(order, folder)))
    box.start(folder / "order.json")
    try:
        ended = _wait(box, order["limits"], folder.parent / "home" / "clusters" / CLUSTER)
    finally:
        _end(box)
    return ended or _outcome(folder, box.process.exitcode or 0)


def lay_out(order: dict[str, Any], work: Path, kubeconfig: dict[str, Any]) -> None:
    """Write what the hand-in sees: its notebook, the course's files, its own over them, kernel and kubeconfig."""
    for path, content in order["files"].items():
        place = work / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.encode("latin-1"))
        except OSError as error:
            if error.errno == errno.ENOSPC or path == order["notebook"]:
                raise
            order["facts"]["flags"].append(f"{path} cannot be written: {error.strerror}")
    with suppress(OSError):  # in nbgrader's edition they lie beside the notebook
        (work / order["notebook"]).with_name("manifests").symlink_to(work / "manifests")
    (work / "out").mkdir()
    kernel.install(work / "kernel")
    kernel.environment(work / "kernel", {})
    (work / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    job = {
        "notebook": f"{WORK}/{order['notebook']}", "out": f"{WORK}/out/executed.ipynb", "keep": True, "go_on": True,
        "parameters": {**order["parameters"], "cluster": f"{WORK}/kubeconfig", "namespace": order["namespace"]},
        "cell_seconds": order["limits"]["cell_seconds"], "run_seconds": order["limits"]["seconds"],
        "output_bytes": order["limits"]["output"],
    }  # fmt: skip
    (work / "job.json").write_text(json.dumps(job))


def sandbox_order(order: dict[str, Any], box: Path) -> dict[str, Any]:
    """Return what the sandbox is told."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin", "HOME": "/home", "TMPDIR": "/tmp",
        "LANG": "C.UTF-8", "LABKIT_HOME": "/home/labkit", "LABKIT_WORK": f"{WORK}/out",
        "KUBECONFIG": f"{WORK}/kubeconfig", GRADED: f"{WORK}/kubeconfig {order['namespace']}",
        ANSWERS: f"{WORK}/out/answers",
        "JUPYTER_PATH": f"{WORK}/kernel", "JUPYTER_RUNTIME_DIR": f"{WORK}/kernel/runtime",
        "IPYTHONDIR": f"{WORK}/kernel/ipython", "PYTHONHASHSEED": "0", "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "LABKIT_PROGRESS": "off", "OPENBLAS_NUM_THREADS": "1",
    }  # fmt: skip
    source = Path(package).parent
    libraries = [p for p in sys.path if Path(p).name in ("site-packages", "dist-packages") and Path(p).is_dir()]
    read_only = dict.fromkeys([sys.prefix, sys.base_prefix, *libraries, str(source)])
    return {
        "name": f"{order['facts']['student']}-box", "folder": str(box), "limits": order["limits"],
        "read_only": list(read_only), "hidden": [str(source / "rubrics")],
        "back": {f"{WORK}/out/executed.ipynb": str(box / "executed"), f"{WORK}/out/answers": str(box / "answers")},
        "said": str(box / "said"), "errors": str(box / "errors"), "job": f"{WORK}/job.json",
        "directory": f"{WORK}/{Path(order['notebook']).parent}",
        "environment": environment | {"PYTHONPATH": str(source.parent)},
    }  # fmt: skip


def _wait(box: Box, limits: dict[str, Any], cluster: Path) -> str:
    """Wait for the sandbox; return why it must be ended: its time is over, or it takes too much."""
    deadline = time.monotonic() + limits["seconds"] + GRACE_SECONDS
    pid, why = box.process.pid or 0, ""
    while not why:
        if box.ended(MEMORY_LOOK):
            return ""
        if time.monotonic() > deadline:
            why = f"no end after {limits['seconds']:.0f} s"
        elif memory_of(pid) > limits["memory"]:
            why = f"more than {limits['memory'] >> 20} MiB of memory"
        elif stored(cluster) > limits["objects"]:
            why = f"more than {limits['objects'] >> 20} MiB of objects in its cluster"
    return why


def _end(box: Box) -> None:
    if not box.ended(0):
        pid = box.process.pid or 0
        os.kill(next(iter(_children(pid)), pid), signal.SIGKILL)  # the first of its pid namespace: all others end too
        box.process.join()


def stored(cluster: Path) -> int:
    """Return the bytes of a cluster's store; nothing where it is somebody else's."""
    total = 0
    for path in cluster.glob("store.db*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def memory_of(pid: int) -> int:
    """Return the resident bytes of a process and all that descend from it."""
    total, waiting = 0, [pid]
    while waiting:
        each = waiting.pop()
        waiting += _children(each)
        try:
            total += int(Path(f"/proc/{each}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            continue
    return total


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def _outcome(box: Path, code: int) -> str:
    """Return why the run did not go well, as its process said in its last line."""
    try:
        said = [json.loads(line) for line in (box / "said").read_text().splitlines() if line.startswith("{")]
        return str(said[-1]["failure"])[:300]
    except (OSError, ValueError, IndexError, KeyError, TypeError):
        errors = (box / "errors").read_text(errors="replace").strip().splitlines()
    last = (errors or ["no message"])[-1][:300]
    if code == 125:
        raise LabError("the sandbox cannot be made", value=last, next_step="labkit doctor tells what is missing")
    return f"the run's process ended with {code}: {last}"


def keep(cluster: Path, where: Path) -> list[str]:
    """Keep a stopped cluster's files: objects, keys and logs, from which it can be started again; return what to say.

    Nothing of pods is kept, and of claims only what is not much.
    """
    shutil.rmtree(where, ignore_errors=True)
    where.parent.mkdir(parents=True, exist_ok=True)
    left = {p.name for p in cluster.iterdir() if not (p.is_file() or p.is_dir())} | {"pods"}
    claims = sum(map(on_disk, cluster.glob(f"nodes/*/{HOST_TREE}"))) >> 20
    left |= {HOST_TREE} if claims > MOST_KEPT else set()
    try:
        shutil.copytree(cluster, where, ignore=lambda _, names: left & set(names), symlinks=True)
    except shutil.Error as error:
        raise LabError(f"the cluster cannot be kept in {where}", value=error.args[0][0][2]) from None
    return [f"its claims held {claims} MiB: they are not kept"] if HOST_TREE in left else []


def keep_file(source: Path, where: Path) -> None:
    """Keep the executed notebook, if the run has left one."""
    if source.exists() and source.stat().st_size:
        where.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, where)


def write_whole(path: Path, content: str) -> None:
    """Write a file so that it is there whole or not at all; raises LabError."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8", errors="replace") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise LabError(f"cannot write {path}", value=error.strerror,
                       next_step="make room; the same line with --resume goes on") from None  # fmt: skip
