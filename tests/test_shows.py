"""Each thing that the course promises to show has an id, and what its cell printed is looked at (tests/shows/).

A cell is tagged `shows:ID`. That stored outputs are what a cluster says now, nbval asserts.
"""

import re

import nbformat
import pytest

from tests.lessons import NOTEBOOKS
from tests.shows import MODULES, SHOWN


def shown_by():
    """Return id → what its cells printed."""
    found = {}
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            for tag in cell.metadata.get("tags", []):
                if tag.startswith("shows:"):
                    found.setdefault(tag.removeprefix("shows:"), []).append(printed(cell))
    return {name: "\n".join(texts) for name, texts in found.items()}


def printed(cell):
    texts = [o.get("text") or o.get("evalue") or o.get("data", {}).get("text/plain", "") for o in cell.outputs]
    return "\n".join(texts).replace("\r\n", "\n")


@pytest.fixture(scope="module")
def found():
    return shown_by()


@pytest.mark.parametrize("name", SHOWN)
def test_the_cell_shows_what_it_promises(found, name):
    assert re.search(SHOWN[name], found[name], re.MULTILINE), found[name]


def test_no_cell_shows_what_nobody_looks_at(found):
    assert {name for name in found if name.split(".")[0] in MODULES} == set(SHOWN)
