"""JupyterLab in a browser, used as a student uses it: by what stands on the screen."""

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

from playwright.sync_api import expect

ADDRESS = re.compile(r"(http://127\.0\.0\.1:\d+/\S*token=\w+)")
NUMBER = re.compile(r"\[\d+\]:")

# All cells are in the page: the windowed mode keeps only those on the screen, and a test could not find the others.
SETTINGS = {"@jupyterlab/notebook-extension/tracker.jupyterlab-settings": '{"windowingMode": "none"}'}


def settings(folder):
    """Write the settings of JupyterLab for a test; return their folder."""
    for name, content in SETTINGS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


@contextmanager
def served(arguments, environment):
    """Run a command of the kit that serves a page; give the page's address, with its token."""
    process = subprocess.Popen(
        [sys.executable, "-m", "labkit", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield address_of(process)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def address_of(process):
    """Read on until the address is told; then read what else comes, so that the process never waits for a reader."""
    said = []
    for line in process.stdout:
        said.append(line)
        if found := ADDRESS.search(line):
            threading.Thread(target=lambda: list(process.stdout), daemon=True).start()
            return found[1]
    raise AssertionError("no address was told:\n" + "".join(said))


class NotebookPage:
    """A notebook that is open in JupyterLab."""

    def __init__(self, page, address, path):
        self.page = page
        workspace = path.replace("/", "-").replace(".", "-")  # of its own: no other test's notebook opens too
        page.goto(address.replace("/lab?", f"/lab/workspaces/{workspace}/tree/{path}?"))
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        expect(page.get_by_text(re.compile(r"ipykernel\) \| Idle"))).to_be_visible()  # before, nothing would run

    def cell(self, text):
        """Return the first code cell whose source holds a text; it stays this one when its source changes."""
        sources = self.page.locator(".jp-CodeCell .jp-InputArea-editor").all_inner_texts()
        return self.page.locator(".jp-CodeCell").nth(next(i for i, each in enumerate(sources) if text in each))

    def menu(self, entry):
        """Choose an entry of the menu Run."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name=entry, exact=True).click()

    def run_all(self):
        """Run all cells, and wait until the last has ended."""
        self.menu("Run All Cells")
        self.wait_for(self.page.locator(".jp-CodeCell").last)

    def wait_for(self, cell):
        """Wait until a cell has ended: its prompt shows a number, neither nothing nor a star."""
        expect(cell.locator(".jp-InputPrompt").first).to_have_text(NUMBER)

    def write(self, cell, source):
        """Put other source into a cell."""
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(source)

    def run(self, cell):
        """Run a cell and wait for its end."""
        before = cell.locator(".jp-InputPrompt").first.inner_text()
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        expect(cell.locator(".jp-InputPrompt").first).not_to_have_text(before)
        self.wait_for(cell)
