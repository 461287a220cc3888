"""Workers on other machines: a Dask cluster's, each with this kit; `--executor dask://HOST:8786`.

An order travels with its rubric; back come a result and the evidence, as one archive that is unpacked where the order
wanted them. On the other machine the work is done by a process of its own, since Dask's own may have no children:

    python -m labkit.grading.remote FOLDER SECONDS

A worker that Dask loses is run again on another, by Dask. Ctrl-C sets an event that all of them look at.
"""

import io
import json
import signal
import subprocess
import sys
import tarfile
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from labkit import __version__
from labkit.errors import LabError
from labkit.glassbox import syscalls
from labkit.grading.crew import END_SECONDS, Here, Order

SCHEME = "dask://"
CONNECT_SECONDS = 10
LOOK_SECONDS = 1.0
PR_SET_PDEATHSIG = 1
LEFT = ("result", "executed", "objects", "kept")  # what an order wants left, as paths


class Dask:
    """The workers of a Dask cluster, by its scheduler's address; raises LabError when they cannot be used."""

    ahead = 0

    def __init__(self, address: str) -> None:
        if not address.startswith(SCHEME):
            raise LabError("no such executor", value=address, expected=f"{SCHEME}HOST:8786")
        try:
            from distributed import Client, Event
        except ImportError:
            raise LabError("Dask is not installed here", next_step="pip install 'kube-labkit[dask]'") from None
        try:
            self._client = Client(address.replace(SCHEME, "tcp://", 1), timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise LabError(
                f"no Dask scheduler answers at {address}",
                value=str(error).split("\n")[0],
                next_step="dask scheduler starts one, dask worker HOST:8786 its workers",
            ) from None
        self._stop = Event(f"labkit-{uuid.uuid4().hex}", client=self._client)
        self.ended = False

    def __enter__(self) -> "Dask":
        found = self._client.run(version, on_error="return")
        others = {where: told for where, told in found.items() if told != __version__}
        if others or not found:
            told = "; ".join(f"{where}: {kit}" for where, kit in others.items())
            self._client.close()
            raise LabError("the workers have not this kit", value=told or "no workers", expected=__version__)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def size(self) -> int:
        """How many hand-ins its workers take at once."""
        return sum(self._client.nthreads().values())

    def run(self, order: Order, seconds: float) -> str:
        """Have one of them do as the order says."""
        from distributed import CancelledError

        rubric = Path(order["rubric"]).read_text()
        name = f"{order['facts']['student']}-{uuid.uuid4().hex[:8]}"
        future = self._client.submit(work, order, rubric, seconds, self._stop.name, key=name, pure=False)
        try:
            said, archive = future.result()
        except CancelledError:
            return "it was cancelled"
        except Exception as error:  # whatever Dask lost it by, or the other machine had
            return f"{type(error).__name__}: {error}"
        unpack(archive, order)
        return str(said)

    def end(self) -> None:
        """Have all of them end their hand-ins and clusters, and go."""
        self.ended = True
        self._stop.set()


def version() -> str:
    """Return the kit's version, as a worker has it."""
    return __version__


def work(order: Order, rubric: str, seconds: float, stop: str) -> tuple[str, bytes]:
    """Do as the order says, on a worker's machine; return what was said and what was left, as an archive."""
    from distributed import Event

    with tempfile.TemporaryDirectory(prefix="lk-remote-", ignore_cleanup_errors=True) as name:
        place, stopping = Path(name), Event(stop)
        (place / "rubric.yaml").write_text(rubric)
        here = {"rubric": str(place / "rubric.yaml"), **{each: str(place / "left" / each) for each in LEFT}}
        (place / "order.json").write_text(json.dumps(order | here))
        command = [sys.executable, "-m", "labkit.grading.remote", name, str(seconds)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(LOOK_SECONDS)
                if stopping.is_set():
                    process.terminate()
                    process.wait(END_SECONDS + 10)
            said = (process.stdout.read() if process.stdout else "").strip().splitlines()
        return (said or ["it said nothing"])[-1], pack(place / "left")


def pack(folder: Path) -> bytes:
    """Return a folder as an archive."""
    with io.BytesIO() as archive:
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            if folder.exists():
                tar.add(folder, arcname=".")
        return archive.getvalue()


def unpack(archive: bytes, order: Order) -> None:
    """Put what was left where the order wants it: the result last, since with it the hand-in counts as graded."""
    with tempfile.TemporaryDirectory(prefix="lk-left-", dir=Path(order["result"]).parent.parent) as name:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(name, filter=_within)
        for each in sorted(LEFT, key="result".__eq__):
            found, wanted = Path(name) / each, Path(order[each])
            if found.exists():
                wanted.parent.mkdir(parents=True, exist_ok=True)
                if wanted.is_dir():
                    wanted.rename(Path(name) / "before")
                found.rename(wanted)


def _within(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
    """Leave out what would lead out of the folder: a pod's volume may hold any link."""
    try:
        return tarfile.data_filter(member, path)
    except tarfile.FilterError:
        return None


def main(folder: str, seconds: str) -> None:
    """Be the process that runs the worker; says in a line what the worker said."""
    syscalls.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    order: dict[str, Any] = json.loads((Path(folder) / "order.json").read_text())
    with Here(order["owner"]) as crew:
        signal.signal(signal.SIGTERM, lambda *_: crew.end())
        sys.stdout.write(crew.run(order, float(seconds)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:3])
