"""Results that are there: judged again by a changed rubric, marked by hand; what is refused before anything runs."""

import csv
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from labkit.cli import main
from labkit.errors import LabError
from labkit.grading import evidence, judge, kept
from labkit.rubric import load
from tests.lessons import ROOT

NS = "lab-03"
ITEMS = [
    {"name": "red", "type": "spec", "resource": "configmaps", "path": ".data.colour", "operator": "equals",
     "value": "red", "points": 2},
    {"name": "style", "type": "manual", "points": 3, "expected": "clear names"},
]  # fmt: skip


class Folder:
    """A course's rubric, and a folder of the results of one hand-in that it has judged."""

    def __init__(self, place):
        self.rubric, self.out, self.inbox = place / "03_x.yaml", place / "grades", place / "in"
        self.write_rubric(*ITEMS)
        self.inbox.mkdir()
        (self.inbox / "ana.ipynb").write_text("{")

    def write_rubric(self, *items):
        self.rubric.write_text(
            yaml.safe_dump({"lesson": "03", "exercises": {"03.1": {"title": "One", "items": list(items)}}})
        )
        load.cache_clear()

    def run(self, capsys, *options, inbox=True, lesson="03"):
        """Run labkit grade; return its exit code and what it said."""
        submissions = [str(self.inbox), "--lesson", lesson, "--rubric", str(self.rubric)] if inbox else []
        code = 0
        try:
            main(["grade", *submissions, "--out", str(self.out), *options])
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return code, said.out + said.err

    def graded(self, capsys):
        """Grade a hand-in that is no notebook, then say that it held a red and a blue map."""
        assert self.run(capsys)[0] == 0
        held = kept.Kept([{"names": ["configmaps"], "items": [thing("red")]}, {"names": ["pods"], "items": []}])
        kept.write(self.out / "objects" / "ana.json.gz", held.collections)
        place = self.out / "results" / "ana.json"
        result = json.loads(place.read_text())
        del result["unreadable"]
        result |= {"exercises": judge.judge(held, NS, load(self.rubric), {}), "lacks": []}
        place.write_text(json.dumps(result))
        return self

    def row(self):
        with (self.out / "grades.csv").open() as file:
            return next(csv.DictReader(file))

    def marks(self, *lines, head="student,item,points,comment"):
        file = self.out / "given.csv"
        file.write_text("\n".join([head, *lines]) + "\n")
        return str(file)


def thing(colour):
    return {"kind": "ConfigMap", "metadata": {"name": "c", "namespace": NS}, "data": {"colour": colour}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    return Folder(tmp_path)


class TestRecheck:
    def test_a_changed_rubric_judges_what_was_kept(self, folder, capsys):
        folder.graded(capsys).write_rubric({**ITEMS[0], "value": "blue"}, {**ITEMS[0], "name": "also", "points": 5})
        assert folder.run(capsys, "--recheck", inbox=False)[0] == 0
        assert [folder.row()[name] for name in ("03.1 red", "03.1 also", "points")] == ["0", "5", "5"]

    def test_afterwards_nothing_is_graded_again(self, folder, capsys):
        folder.graded(capsys).write_rubric({**ITEMS[0], "points": 9})
        folder.run(capsys, "--recheck", inbox=False)
        assert "[1 of" not in folder.run(capsys, "--resume")[1]
        assert folder.row()["points"] == "9"

    def test_a_trial_that_is_new_is_said_to_need_another_run(self, folder, capsys):
        folder.graded(capsys)
        item = {"name": "asked", "type": "traffic", "trial": "t", "path": ".p.failed", "operator": "equals", "value": 0}
        trial = {"t": {"about": "asking", "steps": [{"ask": "p", "url": "http://web/"}]}}
        exercise = {"title": "One", "items": [ITEMS[0], item], "trials": trial}
        folder.rubric.write_text(yaml.safe_dump({"lesson": "03", "exercises": {"03.1": exercise}}))
        load.cache_clear()
        assert "only another run can tell, with --resume: 03.1 asked" in folder.run(capsys, "--recheck", inbox=False)[1]
        assert folder.row()["03.1 asked"] == ""
        assert "[1 of 1" in folder.run(capsys, "--resume")[1]


def test_results_are_as_the_published_schema_says(folder, capsys):
    folder.graded(capsys).run(capsys, "--recheck", "--import", folder.marks("ana,03.1 style,1,"), inbox=False)
    schema = json.loads((ROOT / "docs" / "results.schema.json").read_text())
    jsonschema.validate(json.loads((folder.out / "results.json").read_text()), schema)


class TestPages:
    evil = "<script>alert(1)</script>"

    def shown(self, folder, capsys):
        """Write the pages of ana, and of bea who wrote the same; return both of ana's and the class's."""
        place = folder.graded(capsys).out / "results" / "ana.json"
        own = "for each in ('cart', 'db', 'web'):\n    print(label(each, 'backup=tonight'))"
        differs = [{"cell": "c", "source": f"!kubectl {self.evil}", "shown": [self.evil], "again": ""}]
        more = {"work": {"c": own + self.evil}, "differs": differs, "predictions": {"03.a": f"yes {self.evil}"}}
        result = json.loads(place.read_text()) | more
        result["flags"] = [self.evil]
        place.write_text(json.dumps(result))
        place.with_name("bea.json").write_text(json.dumps(result | {"student": "bea"}))
        folder.run(capsys, "--recheck", inbox=False)
        return [(folder.out / name).read_text() for name in ("feedback/ana.html", "index.html")]

    def test_what_a_hand_in_holds_is_text_on_every_page(self, folder, capsys):
        for page in self.shown(folder, capsys):
            assert self.evil not in page
            assert "&lt;script&gt;alert(1)" in page

    def test_a_student_sees_no_other_student(self, folder, capsys):
        student, whole = self.shown(folder, capsys)
        assert "bea" not in student
        assert "feedback/bea.html" in whole

    def test_the_class_page_shows_who_wrote_alike_and_what_was_expected(self, folder, capsys):
        _, whole = self.shown(folder, capsys)
        assert "Similar answers" in whole
        assert "what was expected in 03.a" in whole
        assert json.loads((folder.out / "results.json").read_text())["similar"][0]["students"] == ["ana", "bea"]


class TestMarksByHand:
    def test_what_a_person_judges_is_open_until_a_mark_is_imported(self, folder, capsys):
        folder.graded(capsys).run(capsys, "--recheck", inbox=False)
        assert (folder.row()["points"], folder.row()["remark"]) == ("", "to be marked by hand")
        given = folder.marks("ana,03.1 style,2.5,good names")
        assert "1 marks" in folder.run(capsys, "--import", given, inbox=False)[1]
        assert folder.row()["points"] == "4.5"
        (result,) = json.loads((folder.out / "results.json").read_text())["results"]
        (item,) = [i for i in result["exercises"][0]["items"] if i["name"] == "style"]
        assert item["by_hand"] == {"comment": "good names", "judged": None}

    def test_grades_csv_filled_in_is_a_file_of_marks(self, folder, capsys):
        folder.graded(capsys).run(capsys, "--recheck", inbox=False)
        filled = folder.out / "filled.csv"
        row = folder.row() | {"03.1 style": "3"}
        filled.write_text(";".join(row) + "\n" + ";".join(row.values()) + "\n")  # as many write it
        folder.run(capsys, "--import", str(filled), inbox=False)
        assert folder.row()["points"] == "5"
        assert list(json.loads((folder.out / "marks.json").read_text())["ana"]) == ["03.1 style"]

    def test_a_mark_is_never_changed_silently(self, folder, capsys):
        folder.graded(capsys)
        folder.run(capsys, "--import", folder.marks("ana,03.1 style,2,"), inbox=False)
        code, said = folder.run(capsys, "--import", folder.marks("ana,03.1 style,1,"), inbox=False)
        assert code == 1
        assert "line 2: ana, 03.1 style: 1 instead of 2" in said
        assert folder.row()["03.1 style"] == "2"
        folder.run(capsys, "--import", folder.marks("ana,03.1 style,1,"), "--overwrite", inbox=False)
        assert folder.row()["03.1 style"] == "1"
        assert json.loads((folder.out / "marks.json").read_text())["ana"]["03.1 style"]["was"][0]["points"] == 2

    def test_a_mark_outlives_another_judgement(self, folder, capsys):
        folder.graded(capsys)
        folder.run(capsys, "--import", folder.marks("ana,03.1 red,1,half"), inbox=False)
        folder.write_rubric({**ITEMS[0], "value": "blue"})
        folder.run(capsys, "--recheck", inbox=False)
        assert folder.row()["03.1 red"] == "1"

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("bea,03.1 style,1,", "given.csv:2: student: nobody of that name was graded"),
            ("ana,03.9 style,1,", "given.csv:2: no such item"),
            ("ana,03.1 style,4,", "given.csv:2: 03.1 style: no such number of points"),
            ("ana,03.1 style,much,", "expected: 0 to 3"),
        ],
    )
    def test_a_mark_that_cannot_be_is_refused_by_its_line(self, folder, capsys, line, said):
        folder.graded(capsys)
        code, told = folder.run(capsys, "--import", folder.marks(line), inbox=False)
        assert code == 1
        assert said in told
        assert not (folder.out / "marks.json").exists()


class TestRefusedBeforeAnythingRuns:
    def test_no_hand_ins(self, folder, capsys):
        (folder.inbox / "ana.ipynb").unlink()
        code, said = folder.run(capsys)
        assert (code, "no hand-ins there" in said) == (1, True)
        assert not folder.out.exists()

    def test_a_lesson_that_is_not_there(self, folder, capsys):
        with pytest.raises(SystemExit):
            main(["grade", str(folder.inbox), "--lesson", "77", "--out", str(folder.out)])
        assert "lesson '77' has no rubric" in capsys.readouterr().err

    def test_an_unreadable_rubric_names_line_and_field(self, folder, capsys):
        folder.write_rubric({"name": "red", "type": "spec", "operator": "equal"})
        code, said = folder.run(capsys)
        assert code == 1
        assert "03_x.yaml:5: exercises.03.1.items.0.operator: 'equal' is not one of" in said

    def test_a_folder_that_cannot_be_written_to(self, folder, capsys):
        folder.out = Path("/proc/nowhere")
        code, said = folder.run(capsys)
        assert (code, "cannot write to /proc/nowhere" in said) == (1, True)

    def test_results_of_another_rubric(self, folder, capsys):
        folder.graded(capsys).write_rubric({**ITEMS[0], "value": "blue"})
        code, said = folder.run(capsys, "--resume")
        assert code == 1
        assert "holds results of another rubric" in said
        assert "--recheck" in said

    def test_results_of_another_lesson(self, folder, capsys):
        folder.graded(capsys)
        with pytest.raises(SystemExit):
            main(["grade", str(folder.inbox), "--lesson", "02", "--out", str(folder.out), "--resume"])
        assert "holds results of another lesson" in capsys.readouterr().err

    def test_a_folder_without_results_has_nothing_to_judge_again(self, folder, capsys):
        code, said = folder.run(capsys, "--recheck", inbox=False)
        assert (code, "holds no results" in said) == (1, True)

    def test_nothing_to_grade_is_named(self, folder, capsys):
        code, said = folder.run(capsys, inbox=False)
        assert (code, "SUBMISSIONS and --lesson say what is graded" in said) == (2, True)


def test_two_students_never_have_one_cluster_brought_back():
    students = ["ana", "Ana", "añá", "a" * 50, "a" * 51, "ana.b", "ana-b"]
    names = [evidence.name_of(student) for student in students]
    assert names[0] == "graded-ana"
    assert len(set(names)) == len(students)
    assert all(re.fullmatch("[a-z0-9-]{1,40}", name) for name in names)


@pytest.mark.parametrize("student", ["..", "../other", "nobody", ""])
def test_only_who_was_graded_is_brought_back(tmp_path, student):
    (tmp_path / "kept" / "ana").mkdir(parents=True)
    with pytest.raises(LabError, match="was kept in"):
        evidence.reopen(tmp_path, student)
