"""What a cell shows is missing when the cluster does not behave so: each break of tests/shows/ on a cluster of its own.

The lesson is cut down to the cells in question and those that they need. On a whole cluster these show all that they
promise, so it is the break, and nothing that was cut away, for which they do not on a broken one.
"""

import re

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from labkit import kernel, normalise
from tests.embedded import EmbeddedCluster
from tests.lessons import NOTEBOOKS
from tests.shows import MODULES, SHOWN
from tests.shows.breaking import BREAKS, FIRST
from tests.test_shows import printed

BEFORE = """import os
from functools import partial

lab.wait = partial(lab.wait, timeout={seconds})
os.environ["PATH"] = os.pathsep.join([os.environ.get("{first}", ""), os.environ["PATH"]]).strip(os.pathsep)"""
CELL_SECONDS = 120
QUICK = (
    "02.a_set_makes_its_pods_once_and_never_again",
    "03.the_shell_takes_parentheses_without_quotes",
)


@pytest.fixture(scope="module")
def environment():
    with kernel.prepared() as prepared:
        yield prepared


def cut_down(broken, patience):
    """Return the lesson's notebook with its first cells, those that the break names, and the last.

    `patience` is for how many seconds the cells that are to show something wait at most.
    """
    (path,) = [each for each in NOTEBOOKS if each.stem.startswith(broken.lesson)]
    cells = [each for each in nbformat.read(path, as_version=4).cells if each.cell_type == "code"]
    tags, before = {f"shows:{each}" for each in broken.shown}, ("parameters", "lab", *broken.after, "cleanup")
    shown = [each for each in cells if tags & {*each.metadata.get("tags", [])}]
    chosen = [each for each in cells if each in shown or named(each.id) in before]
    assert len(chosen) == len(shown) + len(before), f"cells of {path.name}: {before}"
    chosen.insert(chosen.index(shown[0]), new_code_cell(BEFORE.format(seconds=patience, first=FIRST)))
    return new_notebook(cells=chosen)


def named(id):
    """Return a cell's id without the lesson's name before it."""
    return id.split("-", 2)[-1]


def run(notebook, cluster, environment):
    """Run all cells, failing ones too; return the id of each thing shown → what was printed, and which cells failed."""
    notebook.cells[0].source += f"\ncluster = 'glassbox:{cluster.name}'"
    client = NotebookClient(
        notebook, timeout=CELL_SECONDS, interrupt_on_timeout=True, allow_errors=True, kernel_name=kernel.NAME,
        resources={"metadata": {"path": str(NOTEBOOKS[0].parent)}},
    )  # fmt: skip
    client.execute(env={**environment, "LABKIT_HOME": str(cluster.home)})
    said = {}
    for cell in normalise.notebook(notebook).cells:
        for tag in cell.metadata.get("tags", []):
            said.setdefault(tag.removeprefix("shows:"), []).append(printed(cell))
    failed = {each.id for each in notebook.cells for output in each.outputs if output.output_type == "error"}
    return {name: "\n".join(texts) for name, texts in said.items()}, failed


@pytest.mark.cluster
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[] if each in QUICK else pytest.mark.slow) for each in BREAKS]
)
def test_where_it_does_not_hold_it_is_not_shown(name, cluster, environment, tmp_path, monkeypatch):
    broken = BREAKS[name]
    monkeypatch.setenv("JUPYTER_PATH", environment["JUPYTER_PATH"])
    whole, _ = run(cut_down(broken, patience=60), cluster, environment)
    assert [each for each in broken.shown if not re.search(SHOWN[each], whole[each], re.MULTILINE)] == [], whole
    said, failed = run_broken(broken, cluster, environment, tmp_path)
    assert {each for each in failed if named(each) in broken.after} == set(), said
    assert [each for each in broken.shown if re.search(SHOWN[each], said[each], re.MULTILINE)] == [], said


def run_broken(broken, cluster, environment, folder):
    notebook = cut_down(broken, patience=8)
    changed = {**environment, **broken.environment()}  # a lesson may start a cluster of its own
    if broken.at_the_students:
        broken.act(folder, changed)
        return run(notebook, cluster, changed)
    own = EmbeddedCluster(folder, "broken")
    own.environment |= broken.environment()
    with own:
        return run(notebook, own, changed)


def test_each_thing_that_is_shown_can_be_broken():
    lessons = {each.lesson for each in BREAKS.values()}
    broken = {name for each in BREAKS.values() for name in each.shown}
    assert {name for name in SHOWN if name.split(".")[0] in lessons} - broken == set()
    assert broken <= set(SHOWN)
    assert lessons <= set(MODULES)
