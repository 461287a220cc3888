"""The cells of a hand-in, told apart whatever an editor has dropped or doubled.

An exercise's cell is told by nbgrader's id or the tag exercise:NAME, else by its own id, else by the check that comes
next. The parameters' cell is told by its tag, else its id, else by what it assigns: without it a hand-in would look for
a cluster of its own.
"""

import re
from collections import Counter
from itertools import groupby
from typing import Any

from labkit import notebook

CHECK = re.compile(r"""\blab\.check\(\s*["']([\d.]+)["']""")
NAMED = "exercise:"


def key(cell: Any) -> str:
    """Return what names a cell: nbgrader's id, a tag, else its own id; "" without any."""
    metadata = cell.get("metadata") or {}
    tagged = [str(tag).removeprefix(NAMED) for tag in metadata.get("tags") or [] if str(tag).startswith(NAMED)]
    return str((metadata.get("nbgrader") or {}).get("grade_id") or next(iter(tagged), "") or cell.get("id") or "")


def marks(cell: Any) -> set[str]:
    """Return all that may name a cell."""
    return {key(cell), str(cell.get("id") or "")} - {""}


def mapping(value: Any) -> dict[str, Any]:
    """Return what should be a mapping, empty when it is none."""
    return value if isinstance(value, dict) else {}


def whole(cell: Any) -> Any:
    """Give a cell what editors drop, and take what is no output; raises ValueError for one without a source."""
    cell["metadata"] = metadata = mapping(cell.get("metadata"))
    for name, kind in (("tags", list), ("nbgrader", dict), ("papermill", dict)):
        if not isinstance(metadata.get(name), kind):
            metadata.pop(name, None)
    if isinstance(cell.get("source"), list):
        cell["source"] = "".join(cell["source"])
    if not isinstance(cell.get("source"), str) or cell.get("cell_type") not in ("code", "markdown", "raw"):
        raise ValueError("a cell without a source")
    cell["source"] = cell["source"].replace("\r\n", "\n")  # which a shell takes for part of the last word
    if cell["cell_type"] == "code":
        outputs = cell.get("outputs")
        cell["outputs"] = [each for each in outputs if is_output(each)] if isinstance(outputs, list) else []
        cell.setdefault("execution_count", None)
    return cell


def is_output(output: Any) -> bool:
    """Tell whether it has what each kind of output has: a file may hold anything there."""
    match output:
        case {"output_type": "stream", "name": str(), "text": text}:
            return _is_text(text)
        case {"output_type": "error", "ename": str(), "evalue": str(), "traceback": list(lines)}:
            return _is_text(lines)
        case {"output_type": "display_data" | "execute_result", "data": dict(data)}:
            return _is_text(data.get("text/plain", ""))
    return False


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value))


def once(cells: list[Any]) -> tuple[list[Any], list[str]]:
    """Return the cells without those that come again later, and the names of those."""
    groups = [group for name, run in groupby(cells, key) for group in _groups(name, list(run))]
    last = {key(group[0]): index for index, group in enumerate(groups)}
    counts = [not key(group[0]) or last[key(group[0])] == index for index, group in enumerate(groups)]
    twice = sorted({key(group[0]) for group, it_counts in zip(groups, counts, strict=True) if not it_counts})
    return [cell for group, it_counts in zip(groups, counts, strict=True) if it_counts for cell in group], twice


def _groups(name: str, run: list[Any]) -> list[list[Any]]:
    """Return neighbours of one name as one where they are what JupyterLab makes of a cell that is split."""
    ids = {cell.get("id") for cell in run} - {None, ""}
    return [run] if name and len(ids) == len(run) else [[cell] for cell in run]


def is_exercise(cell: Any) -> bool:
    """Tell whether students write in it."""
    return bool((cell.metadata.get("nbgrader") or {}).get("solution")) or "solution" in notebook.tags(cell)


def work(nb: Any, reference: Any) -> dict[str, str]:
    """Return what stands in the exercises' cells that were found, by the cell's name in the reference."""
    by_name: dict[str, list[Any]] = {}
    for cell in nb.cells:
        for mark in marks(cell):
            by_name.setdefault(mark, []).append(cell)
    theirs, ours = _before_checks(nb), _before_checks(reference)
    by_check = {key(cell): [theirs[number]] for number, cell in ours.items() if number in theirs}
    names = [key(cell) for cell in reference.cells if is_exercise(cell)]
    found = {name: by_name.get(name) or by_check.get(name, []) for name in names}
    return {name: "\n".join(cell.source for cell in parts) for name, parts in found.items() if parts}


def _before_checks(nb: Any) -> dict[str, Any]:
    """Return the code cell that comes before each check, by the check's number; the last counts."""
    found: dict[str, Any] = {}
    before = None
    for cell in nb.cells:
        if cell.cell_type == "code":
            if before is not None:
                found |= dict.fromkeys(CHECK.findall(cell.source), before)
            before = cell
    return found


def checked_twice(nb: Any) -> list[str]:
    """Return the exercises that are checked in more than one cell: the last answer counts."""
    count = Counter(number for cell in nb.cells for number in set(CHECK.findall(cell.source)))
    return sorted(number for number, times in count.items() if times > 1)


def restore(nb: Any, reference: Any) -> None:
    """Tag cells as the reference does where an editor has dropped the tags."""
    tags = {key(cell): notebook.tags(cell) for cell in reference.cells}
    for cell in nb.cells:
        if not notebook.tags(cell) and (lost := tags.get(key(cell))):
            cell.metadata["tags"] = [*lost]
    names = notebook.parameters(reference)
    if notebook.tagged(nb, "parameters") or not names:
        return
    for cell in nb.cells:
        if cell.cell_type == "code" and all(re.search(rf"^{name}\s*[:=]", cell.source, re.M) for name in names):
            cell.metadata["tags"] = ["parameters"]
            return
