"""How long a wait has taken: shown while it lasts where somebody looks on, and gone afterwards."""

import subprocess
import sys
import threading

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from labkit import progress

WAIT = """
import threading
from labkit.progress import elapsed
print("before")
with elapsed(9):
    threading.Event().wait(2.5)
print("after")
"""


@pytest.fixture
def run(monkeypatch):
    """Run a cell in a kernel; return every text/plain that the front end was told, in order, and the outputs left."""

    def execute(source, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        told = []

        class Client(NotebookClient):
            def process_message(self, msg, cell, cell_index):
                if "data" in msg["content"]:
                    told.append(msg["content"]["data"].get("text/plain"))
                return super().process_message(msg, cell, cell_index)

        notebook = new_notebook(cells=[new_code_cell(source)])
        Client(notebook, timeout=60).execute()
        return told, notebook.cells[0].outputs

    return execute


def test_in_a_notebook_the_seconds_go_by_and_go_away(run):
    told, outputs = run(WAIT, LABKIT_PROGRESS="on")
    assert told[0] == "  … 1 s, at most 9 s"
    assert told[-1] == ""
    assert [output.get("text", output.get("data")) for output in outputs] == [
        "before\n",
        {"text/plain": ""},
        "after\n",
    ]


def test_where_outputs_are_compared_nothing_shows(run):
    told, outputs = run(WAIT, LABKIT_PROGRESS="off")
    assert told == []
    assert "".join(output.text for output in outputs) == "before\nafter\n"


def test_without_a_terminal_nothing_shows():
    done = subprocess.run([sys.executable, "-c", WAIT], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("before\nafter\n", "")


def test_what_takes_less_than_a_second_is_not_worth_a_word():
    shown, over = [], threading.Event()
    over.set()
    progress.tick(shown.append, over, 9)
    assert shown == []


def test_the_seconds_are_those_since_it_began(monkeypatch):
    monkeypatch.setattr(progress, "SECOND", 0.001)
    shown, over, times = [], threading.Event(), iter([100.0, 101.2, 109.8])

    def show(text):
        shown.append(text)
        if len(shown) == 2:
            over.set()

    progress.tick(show, over, None, lambda: next(times))
    assert shown == ["  … 1 s", "  … 10 s", ""]
