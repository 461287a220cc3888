"""What the widgets have in common: shown in a notebook they are alive; as text, and where a run only stores what it
shows, they are one line that never changes.
"""

from collections.abc import Callable
from html import escape
from typing import Any

from labkit import progress
from labkit.errors import LabError
from labkit.widgets.style import STYLE


class Shown:
    """Something to look at: `box` holds the widgets, `line` says the same where there are none."""

    box: Any
    line: str

    def begin(self) -> None:
        """Come alive: called when it is first shown."""

    def close(self) -> None:
        """End; what was last seen stays."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        if not progress.is_watched():
            return {"text/plain": self.line}
        self.begin()
        return {**self.box._repr_mimebundle_(), "text/plain": self.line}

    def __repr__(self) -> str:
        return self.line


def html(text: str, look: str) -> str:
    """Return text as a block of HTML, with a class of the style sheet."""
    return f"<div class='lk-{look}'>{escape(text)}</div>"


def style_sheet() -> Any:
    """Return the widget that brings the style along."""
    import ipywidgets

    return ipywidgets.HTML(f"<style>{STYLE}</style>", layout=ipywidgets.Layout(display="none"))


def row(look: str, *parts: Any) -> Any:
    """Return widgets side by side."""
    import ipywidgets

    made = ipywidgets.HBox(parts)
    made.add_class(f"lk-{look}")
    return made


def button(label: str, tooltip: str, act: Callable[[], None], look: str = "plain") -> Any:
    """Return a button that does something when it is clicked."""
    import ipywidgets

    made = ipywidgets.Button(description=label, tooltip=tooltip)
    for each in ("button", look):
        made.add_class(f"lk-{each}")
    made.on_click(lambda _: act())
    return made


def put(widget: Any, **values: Any) -> None:
    """Set what has changed, and nothing else: each change is a message to the browser."""
    for name, value in values.items():
        if getattr(widget, name) != value:
            setattr(widget, name, value)


def attempt(words: str, act: Callable[[], object]) -> str:
    """Do something and say so; what goes wrong is said too, and never raised: nobody would see it."""
    try:
        act()
    except LabError as error:
        return f"✗ {words}: {error}"
    return f"✓ {words}"
