"""The panel of checks: all exercises of a lesson, a button to check them, a bar of how many pass, and verdicts.

A verdict is the one that `lab.check` gives; an exercise that asks for an answer is checked with the answer that the
notebook gave to lab.check last. What is still converging is checked again whenever something changes in the namespace,
until its time is over. One thread checks, so a click during a check starts the next one after it.
"""

import queue
import threading
from collections.abc import Callable, Iterable

from labkit.api import Api
from labkit.errors import LabError
from labkit.verdict import MARKS, State, Verdict
from labkit.widgets.feed import Feed
from labkit.widgets.shown import Shown, button, html, put, row, style_sheet

FOLLOWED = ("pods", "deployments", "services", "endpointslices", "persistentvolumeclaims")
Check = Callable[[str], Verdict]


class CheckPanel(Shown):
    """The exercises named, each with how it stands.

    titles  exercise → title
    check   gives an exercise's verdict
    """

    def __init__(self, api: Api, namespace: str, titles: dict[str, str], check: Check) -> None:
        import ipywidgets as w

        self.line = f"checks {', '.join(titles)}: run this cell in JupyterLab to see them, or lab.check(NUMBER)"
        self.verdicts: dict[str, Verdict] = {}
        self._check, self._todo = check, queue.SimpleQueue[str]()
        self._changed, self._closed = threading.Event(), threading.Event()
        self._feed = Feed(api, dict.fromkeys(FOLLOWED, namespace), lambda _: self._changed.set())
        self._thread = threading.Thread(target=self._work, daemon=True, name="labkit checks")
        self._head, self._rows = w.HTML(), {number: ExerciseRow(self, number, titles[number]) for number in titles}
        self._bar = w.IntProgress(max=len(titles), layout=w.Layout(width="100%", height="10px"))
        every = button("check all", "Check every exercise", lambda: self.ask(titles))
        self.box = w.VBox(
            [style_sheet(), row("chosen", self._head, every), self._bar, *(row.box for row in self._rows.values())]
        )
        self.box.add_class("lk-view")
        self._count()

    def begin(self) -> None:
        """Be ready to check."""
        if self._thread.ident is None:
            self._feed.start()
            self._thread.start()

    def close(self) -> None:
        """Check no more."""
        self._closed.set()
        self._todo.put("")
        self._changed.set()
        self._feed.close()

    def ask(self, numbers: Iterable[str]) -> None:
        """Have exercises checked, in this order."""
        self.begin()
        for number in numbers:
            self._rows[number].say(f"◌ {number} checking …")
            self._todo.put(number)

    def _work(self) -> None:
        while not self._closed.is_set():
            if number := self._todo.get():
                self._look(number)

    def _look(self, number: str) -> None:
        """Check one exercise, again while it converges."""
        try:
            while not self._closed.is_set():
                self._changed.clear()
                verdict = self.verdicts[number] = self._check(number)
                self._rows[number].draw(verdict)
                self._count()
                left = max((each.left for each in verdict.findings), default=0.0)
                if verdict.state is not State.CONVERGING or not self._todo.empty():
                    return
                self._changed.wait(left)
        except LabError as error:
            self._rows[number].say(f"✗ {error}")

    def _count(self) -> None:
        passed = sum(verdict.passed for verdict in self.verdicts.values())
        put(self._bar, value=passed)
        put(self._head, value=html(f"{passed} of {len(self._rows)} exercises: visible checks pass", "head"))


class ExerciseRow:
    """One exercise: its title, and in its place its verdict when there is one; and a button."""

    def __init__(self, panel: CheckPanel, number: str, title: str) -> None:
        import ipywidgets as w

        self._told = w.HTML(html(f"{MARKS[State.NOT_TRIED]} {number} {title}", "facts"))
        check = button("check", f"lab.check({number!r})", lambda: panel.ask([number]))
        self.box = row("exercise", self._told, check)

    def draw(self, verdict: Verdict) -> None:
        """Show a verdict, as a cell's output shows it."""
        put(self._told, value=verdict._repr_html_())

    def say(self, words: str) -> None:
        """Say something in its place."""
        put(self._told, value=html(words, "quiet"))
