"""What is killed in the middle of a batch, and a disk that is full: --resume finishes, nothing twice, nothing lost."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.bench.processes import all_pids, descendants, read
from tests.e2e import handed
from tests.embedded import eventually
from tests.lessons import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(900)]
DONE = "!kubectl apply -f ../manifests/03_labels/shop\n!kubectl label pods shop-cart shop-db backup=tonight"
STUDENTS = ("ana", "bea", "eva")
POINTS = 3.0
WAITS = ("sleep", "61")


@pytest.fixture
def place(tmp_path):
    """Hand-ins that are right; the second one takes its time."""
    for student in STUDENTS:
        wait = f"!{' '.join(WAITS)}" if student == "bea" else "1"
        handed.write(tmp_path / "in", student, handed.notebook(DONE, wait))
    return tmp_path


def started(place):
    return subprocess.Popen(
        handed.command(place / "in", place / "out", "03"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "TMPDIR": str(place)},
    )  # fmt: skip


def titled(place, title):
    """The processes of this batch that bear a title."""
    mine = set(descendants(marker=str(place)))
    return [pid for pid in all_pids() if pid in mine and read(pid, "cmdline").startswith(title.encode())]


def waiting(place):
    """Wait until the second's notebook runs; return who has no result then: whose cluster is up first has its turn."""
    eventually(lambda: titled(place, "\0".join(WAITS)), within=300, every=0.2)
    return [each for each in STUDENTS if not (place / "out" / "results" / f"{each}.json").exists()]


def finishes(place):
    """Resume; return what was graded then."""
    said = handed.grade(place / "in", place / "out", "03", "--resume", TMPDIR=str(place))
    assert handed.points(place / "out") == dict.fromkeys(STUDENTS, POINTS)
    assert sorted(path.name for path in place.iterdir()) == ["in", "out"]
    return sorted(line.split()[1].rstrip(":") for line in said.splitlines() if line.startswith("✓"))


def test_a_grader_that_is_killed_leaves_no_process_and_its_work_is_resumed(place):
    batch = started(place)
    left = waiting(place)
    batch.kill()
    batch.communicate()
    eventually(lambda: descendants(marker=str(place)) == [], within=90)
    assert finishes(place) == left


def test_a_worker_that_is_killed_costs_its_own_hand_in_until_it_is_resumed(place):
    batch = started(place)
    waiting(place)
    (worker,) = titled(place, "labkit worker (bea)")
    os.kill(worker, signal.SIGKILL)
    said, _ = batch.communicate(timeout=600)
    assert batch.returncode == 1
    assert "✗ bea: could not be graded" in said
    assert handed.points(place / "out") == {"ana": POINTS, "bea": None, "eva": POINTS}
    assert descendants(marker=str(place)) == []
    assert finishes(place) == ["bea"]


def test_a_cluster_that_is_killed_costs_its_own_hand_in_until_it_is_resumed(place):
    batch = started(place)
    waiting(place)
    files = Path((place / "out" / ".begun" / "bea").read_text())
    os.kill(int((files / "home" / "clusters" / "graded" / "machine.pid").read_text()), signal.SIGKILL)
    batch.communicate(timeout=600)
    assert handed.points(place / "out") == {"ana": POINTS, "bea": None, "eva": POINTS}
    assert finishes(place) == ["bea"]


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system of a set size is root's to mount")
def test_a_full_disk_is_said_and_with_more_room_all_is_graded(place):
    (place / "out").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k", "labkit-test", place / "out"], check=True)
    try:
        batch = started(place)
        said, errors = batch.communicate(timeout=600)
        assert batch.returncode == 1
        assert "No space left on device" in said + errors
        assert "Traceback" not in said + errors
        subprocess.run(["mount", "-o", "remount,size=200m", place / "out"], check=True)
        finishes(place)
    finally:
        subprocess.run(["umount", place / "out"], check=True)


def test_two_batches_never_work_in_one_folder(place):
    batch = started(place)
    eventually(lambda: (place / "out" / ".begun").exists(), within=90)
    other = subprocess.run(handed.command(place / "in", place / "out", "03", "--resume"), cwd=ROOT,
                           capture_output=True, text=True)  # fmt: skip
    batch.terminate()
    batch.communicate()
    assert "another labkit grade works in" in other.stderr
