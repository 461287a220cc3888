"""Pages of marks: what a hand-in wrote or left on its cluster is shown, is never markup, and stops no page."""

import pytest

from labkit.draw import owners
from labkit.grading import kept, pages
from labkit.rubric import Exercise, Item, Rubric

RUBRIC = Rubric("03", {"03.1": Exercise("03.1", "Labels", (Item("one", "spec", "exists", points=2),))})
MARKUP = "<script>alert(1)</script> \" onload='x' {{ 7 * 7 }} \ud800"
ITEM = {"name": "one", "type": "spec", "state": "wrong", "points": 0.0, "of": 2, "expected": MARKUP, "found": MARKUP,
        "look": MARKUP, "defined": ""}  # fmt: skip


def result(student="ana", **more):
    exercise = {"number": "03.1", "title": "Labels", "state": "wrong", "hints": [MARKUP], "items": [ITEM]}
    return {"student": student, "lesson": "03", "namespace": "lab-03", "receipt": "", "flags": [], "trouble": "",
            "seconds": 1.0, "exercises": [exercise], "work": {}} | more  # fmt: skip


@pytest.fixture
def written(tmp_path):
    def write(*results, alike=()):
        pages.write(tmp_path, RUBRIC, list(results), list(alike))
        return {path.stem: path.read_text() for path in tmp_path.rglob("*.html")}

    return write


def holding(out, *pods):
    namespace = {"names": ["namespaces"], "items": [{"metadata": {"name": "lab-03"}}]}
    others = [{"names": [name], "items": []} for name in (*owners.RESOURCES, "services", "events") if name != "pods"]
    kept.write(out / "objects" / "ana.json.gz", [namespace, {"names": ["pods"], "items": list(pods)}, *others])


def test_what_a_hand_in_wrote_is_text(written):
    told = {"cell": MARKUP, "source": MARKUP, "shown": [MARKUP], "again": MARKUP, "said": [MARKUP]}
    full = result(flags=[MARKUP], run=MARKUP, lacks=[MARKUP], differs=[told], refused=[told], work={"x": MARKUP},
                  predictions={"03.a": MARKUP})  # fmt: skip
    alike = {"students": ["ana", "bea"], "cell": "x", "alike": 99}
    found = written(full, result("bea", work={"x": MARKUP}), alike=[alike])
    assert [name for name, page in found.items() if "<script" in page or "{{ 7 * 7 }}" not in page] == []


def test_a_command_that_was_refused_is_told(written):
    refused = [{"source": "!kubectl apply -f limits.yaml", "said": ["Error from server (Forbidden): limitranges"]}]
    page = written(result(refused=refused))["ana"]
    assert "1 cell in which a command was refused" in page
    assert "Error from server (Forbidden): limitranges" in page


def test_objects_that_no_picture_was_made_for_cost_the_picture_alone(written, tmp_path):
    holding(tmp_path, {"kind": "Pod", "metadata": {"name": "x", "namespace": "lab-03"}})
    found = written(result(), result("bea"))
    assert "cannot be drawn: KeyError" in found["ana"]
    assert set(found) == {"ana", "bea", "index"}
