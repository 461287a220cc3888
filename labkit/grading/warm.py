"""What a batch imports once: processes that are forked with everything in memory, a notebook's kernel among them.

Importing the Kubernetes client, papermill and IPython takes a core five seconds, which each hand-in would pay two or
three times. A process of the batch (multiprocessing's fork server) imports all that and nothing else: it has never
read a rubric, a hand-in or a credential, so that what is forked from it may run a hand-in's code.

Upstream: multiprocessing/forkserver.py, jupyter_client/provisioning/local_provisioner.py
"""

import contextlib
import gc
import json
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from multiprocessing.util import get_temp_dir
from typing import Any, NoReturn

MODULES = ["labkit.grading.imported"]
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH")
LONGEST = 70  # bytes of a directory: a socket's whole path has 107, and the fork server's names take 32
ENVIRONMENT = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def begin() -> None:
    """Start the fork server, without the rest of the environment: a hand-in reads in /proc what it was started with."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(MODULES)
    before = dict(os.environ)
    directory()
    os.environ.clear()
    os.environ.update({name: before[name] for name in PASSED_ON if name in before} | ENVIRONMENT)
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)


def directory() -> str:
    """Return the directory of the fork server's socket, made when first asked for: one whose name is short enough."""
    place = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > LONGEST:
        tempfile.tempdir = "/tmp"
    try:
        return get_temp_dir()
    finally:
        tempfile.tempdir = place


def process(target: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """Return a process, not started yet, that will be forked from it."""
    return multiprocessing.get_context("forkserver").Process(target=target, args=arguments)


def let_go() -> None:
    """Let the fork server end with the batch, and so this process: multiprocessing gives each child a hold on it."""
    server: Any = forkserver._forkserver  # its only name for that descriptor
    if server._forkserver_alive_fd is not None:
        os.close(server._forkserver_alive_fd)
        server._forkserver_alive_fd = None


def run(job: str, environment: dict[str, str]) -> NoReturn:
    """Run a notebook's job in this process, as `python -m labkit.run_one` would; end as it ends."""
    from labkit import run_one

    gc.freeze()
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    for fd, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        setattr(sys, name, open(fd, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    code = 1
    try:
        _provide_kernel()
        code = run_one.main([job])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _provide_kernel() -> None:
    """Fork the kernel now, while there are no threads; it starts when jupyter_client launches it."""
    from jupyter_client.provisioning import local_provisioner

    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(tell)
        _be_kernel(told)
    os.close(told)

    def launch(command: list[str], **_: Any) -> "Forked":
        os.write(tell, json.dumps(command[command.index("-m") + 1 :]).encode())
        os.close(tell)
        return Forked(pid)

    local_provisioner.launch_kernel = launch  # type: ignore[assignment]


def _be_kernel(told: int) -> NoReturn:
    os.setsid()
    code = 1
    try:
        if command := os.read(told, 4096):
            from ipykernel import kernelapp

            os.close(told)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.argv = json.loads(command)
            kernelapp.launch_new_instance()
            code = 0
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def fork_machine(arguments: list[str], environment: dict[str, str], log: int, kept: list[int]) -> "Forked":
    """Fork an embedded cluster's machine, which else would import for a second; see launcher.up."""
    from labkit.glassbox import machine

    if pid := os.fork():
        return Forked(pid)
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for fd, stream in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
            os.dup2(fd, stream)
        for fd in {int(name) for name in os.listdir("/proc/self/fd")} - {0, 1, 2, *kept}:
            with contextlib.suppress(OSError):
                os.close(fd)
        os.environ.update(environment)
        logging.basicConfig(format=machine.LOG_FORMAT, level=logging.INFO)
        code = machine.main(arguments)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


class Forked:
    """A child of this process, with what jupyter_client asks of a Popen."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return how it ended, None while it has not."""
        return self.wait(os.WNOHANG)

    def wait(self, options: int = 0) -> int | None:
        """Wait until it ends; return how."""
        if self.returncode is None and (ended := os.waitpid(self.pid, options))[0]:
            self.returncode = os.waitstatus_to_exitcode(ended[1])
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, while it lives."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    terminate = kill
