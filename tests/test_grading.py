"""Hand-ins graded as an instructor does, by the command: lesson 03, right, untouched, and such as try to cheat.

The sandbox is looked at from within: what a hand-in finds there stands in its executed notebook.
"""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from labkit.grading import kept
from labkit.release import for_students
from tests.embedded import eventually, processes_of
from tests.lessons import ROOT

REFERENCE = ROOT / "notebooks" / "03_labels.ipynb"
LAB = 'from labkit import Lab\nlab = Lab(cluster=cluster, namespace=namespace, lesson="03")'
POINTS = 10

# Each prints what it gets hold of.
SNOOPS = {
    "rubric": "import glob, labkit, os; print('rubrics', glob.glob(os.path.dirname(labkit.__file__) + '/rubrics/*'))",
    "others": "import glob; print('others', glob.glob('/root/*') + glob.glob('/home/*') + glob.glob('/old/*'))",
    "network": "import socket\ntry: socket.create_connection(('192.0.2.1', 80), 2)\nexcept OSError as e: print(e)",
    "processes": "import os; print('few processes', len([p for p in os.listdir('/proc') if p.isdigit()]) < 20)",
    "rights": "!kubectl get secrets -n kube-system\n!kubectl auth can-i '*' '*'",
    "host path": (
        "!kubectl run spy --image=busybox:1.36 --overrides="
        '\'{"spec":{"volumes":[{"name":"h","hostPath":{"path":"/"}}],"containers":[{"name":"c","image":"busybox:1.36"}]}}\''
    ),
}
FORGER = """
import json, os
class Right: passed = True
lab.check = lambda *a, **k: Right()
for place in ("/handin/out/answers", "/handin/results.json", "/handin/out/results.json"):
    open(place, "w").write(json.dumps({"exercise": "03.1", "points": 10, "state": "right"}) + "\\n")
os._exit(0)
"""


def write(folder, student, *sources):
    cells = [new_code_cell('cluster = "glassbox"\nnamespace = ""\nstudent = ""\nseed = 0')]
    cells[0].metadata["tags"] = ["parameters"]
    cells += [new_code_cell(source) for source in sources]
    nbformat.write(new_notebook(cells=cells), folder / f"{student}.ipynb")


def grade(hand_ins, out, *options):
    return subprocess.run(
        [sys.executable, "-m", "labkit", "grade", str(hand_ins), "--lesson", "03", "--out", str(out), *options],
        cwd=ROOT, capture_output=True, text=True, timeout=550, env={**os.environ, "LABKIT_HOME": str(out / "home")},
    )  # fmt: skip


def marks(out):
    with (out / "grades.csv").open() as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def said(out, student):
    nb = nbformat.read(out / "executed" / f"{student}.ipynb", as_version=4)
    return "\n".join(o.get("text") or o.get("evalue") or "" for c in nb.cells for o in c.get("outputs", []))


@pytest.fixture(scope="module")
def snooped(tmp_path_factory):
    """One hand-in that looks for everything it must not see."""
    place = tmp_path_factory.mktemp("snoop")
    (place / "in").mkdir()
    write(place / "in", "eve", LAB, *SNOOPS.values(), FORGER)
    run = grade(place / "in", place / "out")
    assert run.returncode == 0, run.stdout + run.stderr
    return place / "out"


@pytest.mark.cluster
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "words",
    [
        "rubrics []",
        "others ['/home/labkit']",
        "Network is unreachable",
        "few processes True",
        "secrets is forbidden",
        "violates PodSecurity",
    ],
)
def test_a_hand_in_sees_nothing_that_is_not_its_own(snooped, words):
    assert words in said(snooped, "eve")


@pytest.mark.cluster
def test_forged_results_and_a_kernel_that_ends_itself_gain_nothing(snooped):
    assert marks(snooped)["eve"]["points"] == "0"
    assert "the kernel died" in json.loads((snooped / "results" / "eve.json").read_text())["run"]


@pytest.mark.cluster
def test_the_objects_that_the_hand_in_left_are_kept(snooped):
    held = kept.read(snooped / "objects" / "eve.json.gz")
    assert [o["metadata"]["name"] for o in held.items("serviceaccounts", "lab-03")] == ["default", "student"]
    assert held.get("nodes", "node1") is not None


@pytest.mark.cluster
@pytest.mark.timeout(400)
def test_ctrl_c_ends_all_that_runs_and_the_folder_can_be_resumed(tmp_path):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in", "loop", LAB, "while True: pass")
    place = tmp_path / "temporary-files-in-a-directory-too-deep-for-a-socket"
    place.mkdir()
    options = ["--lesson", "03", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "labkit", "grade", str(tmp_path / "in"), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, "TMPDIR": str(place)}) as running:  # fmt: skip
        eventually(lambda: list(place.glob("lk-*/box/order.json")), within=200)
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=90)
    assert running.returncode == 130, said
    assert "--resume grades the rest" in said
    assert processes_of(place) == []
    assert list((tmp_path / "out" / "results").iterdir()) == []


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_right_untouched_and_broken_hand_ins_have_the_points_they_earned(tmp_path):
    hand_ins = tmp_path / "in"
    hand_ins.mkdir()
    reference = nbformat.read(REFERENCE, as_version=4)
    nbformat.write(reference, hand_ins / "right.ipynb")
    nbformat.write(for_students(reference, "03"), hand_ins / "starter.ipynb")
    (hand_ins / "broken.ipynb").write_text("{")
    write(hand_ins, "loop", LAB, "while True: pass")
    write(hand_ins, "bomb", LAB, "import os\nwhile True:\n    os.fork()")
    out = tmp_path / "out"
    run = grade(hand_ins, out, "--jobs", "2", "--cell-seconds", "20", "--seconds", "200")
    points = {student: row["points"] for student, row in marks(out).items()}
    assert points == {"right": str(POINTS), "starter": "0", "broken": "0", "loop": "0", "bomb": "0"}, run.stdout
    schema = json.loads((ROOT / "labkit" / "grading" / "results.schema.json").read_text())
    jsonschema.validate(json.loads((out / "results.json").read_text()), schema)
    assert "03.1" in (out / "feedback" / "right.html").read_text()

    before = (out / "grades.csv").read_bytes()
    again = grade(hand_ins, out, "--resume")
    assert "[1 of" not in again.stdout  # nothing was graded twice
    assert (out / "grades.csv").read_bytes() == before


def test_results_are_never_overwritten_silently(tmp_path):
    (tmp_path / "out" / "results").mkdir(parents=True)
    (tmp_path / "out" / "results" / "ana.json").write_text("{}")
    (tmp_path / "ana.ipynb").write_text("{}")
    run = grade(tmp_path, tmp_path / "out")
    assert run.returncode == 1
    assert "holds results" in run.stderr


def test_a_rubric_of_another_lesson_is_refused(tmp_path):
    (tmp_path / "ana.ipynb").write_text("{}")
    other = Path(ROOT / "labkit" / "rubrics" / "02_pods_replicas.yaml")
    run = grade(tmp_path, tmp_path / "out", "--rubric", str(other))
    assert "of another lesson" in run.stderr
