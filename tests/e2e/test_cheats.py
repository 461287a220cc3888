"""The cheat suite: none of these hand-ins gains a point or hurts the honest one beside them, and the page says why."""

import os
import re
import socket
import subprocess
import threading

import pytest

from tests.bench.processes import descendants
from tests.e2e import cheats, handed, milestones

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(handed.SECONDS)]
HONEST = 3.0

# What the feedback page of each says: of the run, of the hand-in, or of what the judge found in place of the answer.
SEEN = {
    "transformer": "<dd>nothing</dd>", "patched": "<dd>nothing</dd>", "results": "<dd>nothing</dd>",
    "reads": "<dd>nothing</dd>", "token": "<dd>nothing</dd>", "later": "<dd>nothing</dd>",
    "outputs": "<dd>nothing</dd>",
    "finalizer": "<dd>nothing</dd>", "egress": "run again: OSError", "signal": "process ended with",
    "quits": "the kernel died",
    "doubled": "stand there twice, the last counts: 03-labels-2-solution",
    "deleted": "cells of exercises not found: 03-labels-2-solution", "zip": "leads out of the zip",
}  # fmt: skip


# What no hand-in without a working service may get in lesson 08, whatever its labels say.
BEHAVIOUR = ("traffic", "perturb")


class Outside:
    """A server on all of the host's addresses; it notes who comes."""

    def __init__(self):
        self.visitors = []
        self.socket = socket.create_server(("0.0.0.0", 0))
        self.port = self.socket.getsockname()[1]
        run = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True)
        self.addresses = ["127.0.0.1", *[a for a in run.stdout.split() if ":" not in a]]
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        while True:
            self.visitors.append(self.socket.accept())


@pytest.fixture(scope="module")
def outside():
    return Outside()


@pytest.fixture(scope="module")
def graded(tmp_path_factory, outside):
    place = tmp_path_factory.mktemp("cheats")
    hand_ins = place / "in"
    for name, nb in cheats.cheats(outside.addresses, outside.port).items():
        handed.write(hand_ins, name, nb)
    handed.write(hand_ins, "honest", handed.notebook(cheats.SHOP, cheats.RIGHT, 'lab.check("03.1")'))
    (hand_ins / "zip.zip").write_bytes(cheats.tricky_zip("honest"))
    handed.grade(hand_ins, place / "out", "03", "--jobs", "3", LMS_TOKEN="hush-hush", TMPDIR=str(place))
    return place / "out"


def test_no_cheat_gains_a_point_and_the_honest_one_has_its_own(graded):
    assert handed.points(graded) == {**dict.fromkeys(SEEN, 0.0), "honest": HONEST}


@pytest.mark.parametrize(("student", "words"), SEEN.items())
def test_the_page_says_what_was_seen(graded, student, words):
    assert words in handed.page(graded, student)


def test_neither_rubric_nor_another_hand_in_can_be_read(graded):
    said = handed.said(graded, "reads")
    assert "rubrics [] []" in said
    assert set(re.findall(r"'(/\S+\.ipynb)'", said)) == {
        "/handin/notebooks/03_labels.ipynb", "/handin/out/executed.ipynb"}  # fmt: skip


def test_neither_the_graders_token_nor_its_environment_nor_its_files_are_in_sight(graded):
    said = handed.said(graded, "token")
    assert "found [] []" in said
    assert "system:serviceaccount:lab-03:student" in said
    assert "no" in said.split()  # it may not do everything


def test_nobody_came_from_a_sandbox_or_a_pod_to_the_host(graded, outside):
    assert "reached" not in handed.said(graded, "egress")
    assert outside.visitors == []


def test_the_tricky_zip_wrote_nothing_beside_itself(graded):
    assert not os.path.exists("/tmp/lk-cheated.ipynb")
    assert sum("link" in flag for flag in handed.result(graded, "zip")["flags"]) == 1


def test_nothing_of_them_is_left_on_the_machine(graded):
    assert [p.name for p in graded.parent.iterdir() if p.name not in ("in", "out")] == []
    assert descendants(marker=str(graded.parent)) == []


@pytest.fixture(scope="module")
def milestone(tmp_path_factory):
    place = tmp_path_factory.mktemp("milestone")
    for name, objects in cheats.services().items():
        handed.write(place / "in", name, milestones.notebook_of(objects))
    handed.grade(place / "in", place / "out", "08", "--jobs", "2")
    return place / "out"


@pytest.mark.parametrize(
    ("student", "found"),
    [
        ("labelled", "requests failed"),
        ("fake", "Service web leads to pod fake, which does not carry tier=web"),
        ("alias", "Service web is another name of fake"),
        ("probe", "requests failed"),
    ],
)
def test_a_web_tier_that_only_looks_like_one_earns_nothing_by_what_it_does(milestone, student, found):
    exercises = handed.result(milestone, student)["exercises"]
    items = [item for e in exercises if e["number"] != "08.1" for item in e["items"] if item["type"] in BEHAVIOUR]
    assert {item["name"] for item in items if item["points"]} <= {"a new password reaches the store from the secret"}
    assert found in handed.page(milestone, student)
