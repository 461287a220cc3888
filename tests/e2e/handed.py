"""Hand-ins made by code, and the command that grades them."""

import csv
import json
import os
import subprocess
import sys

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from labkit import normalise
from tests.lessons import ROOT

PARAMETERS = 'cluster = "glassbox"\nnamespace = ""\nstudent = ""\nseed = 0'
SECONDS = 1500  # of a whole class, on a busy machine


def lab(lesson):
    return f'from labkit import Lab\nlab = Lab(cluster=cluster, namespace=namespace, lesson="{lesson}")'


def notebook(*sources, lesson="03"):
    """A notebook of code cells; (name, source) names a cell."""
    cells = [new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), new_code_cell(lab(lesson))]
    for source in sources:
        name, text = source if isinstance(source, tuple) else ("", source)
        cells.append(new_code_cell(text, **({"id": name} if name else {})))
    return new_notebook(cells=cells)


def write(folder, student, nb):
    folder.mkdir(exist_ok=True)
    (folder / f"{student}.ipynb").write_text(nb if isinstance(nb, str) else json.dumps(nb))


def command(hand_ins, out, lesson, *options):
    return [sys.executable, "-m", "labkit", "grade", str(hand_ins), "--lesson", lesson, "--out", str(out), *options]


def grade(hand_ins, out, lesson, *options, **environment):
    """Run the command; return what it said, once it has graded all."""
    run = subprocess.run(command(hand_ins, out, lesson, *options), cwd=ROOT, capture_output=True, text=True,
                         timeout=SECONDS, env={**os.environ, **environment})  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def points(out):
    """Return each student's points, None when a person must look."""
    with (out / "grades.csv").open() as file:
        return {row["student"]: float(row["points"]) if row["points"] else None for row in csv.DictReader(file)}


def result(out, student):
    return json.loads((out / "results" / f"{student}.json").read_text())


def items(out, student):
    return [item for exercise in result(out, student)["exercises"] for item in exercise["items"]]


def page(out, student):
    return (out / "feedback" / f"{student}.html").read_text()


def said(out, student):
    """Return all that the hand-in printed when it was run again."""
    nb = nbformat.read(out / "executed" / f"{student}.ipynb", as_version=4)
    outputs = [output for cell in nb.cells for output in normalise.joined(cell.get("outputs", []))]
    return "\n".join(output.get("text") or output.get("evalue") or "" for output in outputs)
