"""Make a notebook's stored outputs the same on every run, by the rules that nbval compares with.

The rules are in nbval_sanitize.cfg. Those for what a run has measured are left out where its figures are to be seen.
Beside them: execution counts follow the order of the cells, timings and the interpreter's patch version go,
neighbouring pieces of one stream become one.
"""

import configparser
import re
from functools import cache, partial
from pathlib import Path
from typing import Any

RULES = Path(__file__).parent / "nbval_sanitize.cfg"

Rule = tuple[re.Pattern[str], str]

# In an SVG the same text stands inside other markup; its figures are left alone.
TEXT_TYPES = ("text/plain", "text/html", "text/markdown", "image/svg+xml")


@cache
def rules(*, measured: bool = True) -> tuple[Rule, ...]:
    """Read the rules as nbval does, in order; those for what a run has measured only if asked to."""
    parser = configparser.RawConfigParser()
    parser.read(RULES)
    sections = [parser[name] for name in parser.sections()]
    sections = [each for each in sections if measured or not each.getboolean("measured", fallback=False)]
    return tuple((re.compile(s["regex"]), s["replace"]) for s in sections)


def text(value: str, *, measured: bool = True) -> str:
    """Put the stand-ins in."""
    for pattern, replacement in rules(measured=measured):
        value = pattern.sub(replacement, value)
    return value


def notebook(nb: Any, *, measured: bool = True) -> Any:
    """Normalise an executed notebook in place and return it."""
    count = 0
    for cell in nb.cells:
        cell.metadata = {k: v for k, v in cell.metadata.items() if k not in ("papermill", "execution")}
        if cell.cell_type != "code":
            continue
        count += 1 if cell.source.strip() else 0
        cell.execution_count = count if cell.source.strip() else None
        cell.outputs = [output(each, count, measured=measured) for each in joined(cell.outputs)]
    nb.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
        **{k: v for k, v in nb.metadata.items() if k not in ("papermill", "kernelspec", "language_info", "widgets")},
    }
    return nb


def joined(outputs: list[Any]) -> list[Any]:
    """Join neighbouring pieces of the same stream: where they are cut depends on timing."""
    whole: list[Any] = []
    for each in outputs:
        last = whole[-1] if whole else None
        if last is not None and each.output_type == "stream" == last.output_type and each.name == last.name:
            last.text += each.text
        else:
            whole.append(each)
    return whole


def output(said: Any, count: int = 0, *, measured: bool = True) -> Any:
    """Normalise an output, the `count`th, in place and return it."""
    put_in = partial(text, measured=measured)
    if said.output_type == "stream":
        said.text = put_in(said.text)
    elif said.output_type == "error":
        said.evalue = put_in(said.evalue)
        said.traceback = [put_in(line) for line in said.traceback]
    else:
        for kind in said.data:
            if kind in TEXT_TYPES:
                said.data[kind] = put_in(said.data[kind])
        if "execution_count" in said:
            said.execution_count = count
    return said
