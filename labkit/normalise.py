"""Make a notebook's stored outputs the same on every run, by the rules that nbval compares with.

The rules are in nbval_sanitize.cfg. Beside them: execution counts follow the order of the cells, timings and the
interpreter's patch version go, neighbouring pieces of one stream become one.
"""

import configparser
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

RULES = Path(__file__).parent / "nbval_sanitize.cfg"

Rule = tuple[re.Pattern[str], str]

# In an SVG the same text stands inside other markup; its figures are left alone.
TEXT_TYPES = ("text/plain", "text/html", "text/markdown", "image/svg+xml")


@cache
def rules(path: Path = RULES) -> tuple[Rule, ...]:
    """Read the rules as nbval does, in order."""
    parser = configparser.RawConfigParser()
    parser.read(path)
    sections = [parser[name] for name in parser.sections()]
    return tuple((re.compile(s["regex"]), s["replace"]) for s in sections)


def text(value: str, using: Sequence[Rule] | None = None) -> str:
    """Put the stand-ins in."""
    for pattern, replacement in rules() if using is None else using:
        value = pattern.sub(replacement, value)
    return value


def notebook(nb: Any) -> Any:
    """Normalise an executed notebook in place and return it."""
    count = 0
    for cell in nb.cells:
        cell.metadata = {k: v for k, v in cell.metadata.items() if k not in ("papermill", "execution")}
        if cell.cell_type != "code":
            continue
        count += 1 if cell.source.strip() else 0
        cell.execution_count = count if cell.source.strip() else None
        cell.outputs = [_output(o, count) for o in joined(cell.outputs)]
    nb.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
        **{k: v for k, v in nb.metadata.items() if k not in ("papermill", "kernelspec", "language_info", "widgets")},
    }
    return nb


def joined(outputs: list[Any]) -> list[Any]:
    """Join neighbouring pieces of the same stream: where they are cut depends on timing."""
    whole: list[Any] = []
    for output in outputs:
        last = whole[-1] if whole else None
        if last is not None and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            whole.append(output)
    return whole


def _output(output: Any, count: int) -> Any:
    if output.output_type == "stream":
        output.text = text(output.text)
    elif output.output_type == "error":
        output.evalue = text(output.evalue)
        output.traceback = [text(line) for line in output.traceback]
    else:
        for kind in output.data:
            if kind in TEXT_TYPES:
                output.data[kind] = text(output.data[kind])
        if "execution_count" in output:
            output.execution_count = count
    return output
