"""Notebooks as files: which there are, how cells are tagged, which parameters one declares.

Tags that the kit knows: parameters, cleanup, raises-exception, solution, needs:nodes>=2, each:node, cluster-wide, and
shows:ID, which names what the course promises to show there (tests/test_shows.py).
"""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.errors import LabError, ParameterError

LESSONS = Path("notebooks")


@dataclass(frozen=True)
class Parameter:
    """One assignment of the cell tagged `parameters`; its type is that of the default."""

    name: str
    default: Any

    @property
    def type(self) -> type:
        """The type that a value must have."""
        return type(self.default)


def find(paths: Iterable[Path]) -> list[Path]:
    """Return the notebooks named, and those of the folders named, in order; raises LabError when there are none.

    A number is a lesson of the folder notebooks/ here: 03.
    """
    paths = list(paths)
    found: list[Path] = []
    for path in paths:
        lessons = sorted(LESSONS.glob(f"{path}_*.ipynb")) if path.name.isdigit() and not path.exists() else []
        found += sorted(path.glob("[!.]*.ipynb")) if path.is_dir() else lessons or [path]
    missing = [str(p) for p in found if not p.is_file()]
    if missing or not found:
        raise LabError(
            "no such notebook" if missing else "no notebooks there",
            value=", ".join(missing or map(str, paths)),
            expected="files NAME.ipynb, a folder of them, or the number of a lesson in notebooks/",
            next_step="labkit run notebooks",
        )
    return found


def read(path: Path) -> Any:
    """Read a notebook in the current format; raises LabError when it is none."""
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises many kinds for what is no notebook
        raise LabError(f"{path} is not a notebook", value=str(error).split("\n")[0]) from None


def tags(cell: Any) -> list[str]:
    """Return a cell's tags."""
    return list(cell.get("metadata", {}).get("tags", []))


def tagged(notebook: Any, tag: str) -> list[Any]:
    """Return the cells that carry the tag, in order."""
    return [cell for cell in notebook.cells if tag in tags(cell)]


def parameters(notebook: Any) -> dict[str, Parameter]:
    """Read the parameters that the notebook declares: NAME = LITERAL in its tagged cell."""
    declared = {}
    for cell in tagged(notebook, "parameters")[:1]:
        for statement in ast.parse(cell.source).body:
            name, value = _assignment(statement)
            if name is not None and value is not None:
                declared[name] = Parameter(name, ast.literal_eval(value))
    return declared


def fit(given: dict[str, Any], declared: dict[str, Parameter], where: str) -> dict[str, Any]:
    """Give each value the declared type; raises ParameterError for an unknown name or a value that does not fit."""
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise ParameterError(
            f"{where} has no parameter {', '.join(unknown)}",
            expected="one of " + ", ".join(declared) if declared else "none: it has no cell tagged `parameters`",
        )
    return {name: _typed(declared[name], value, where) for name, value in given.items()}


def _assignment(statement: ast.stmt) -> tuple[str | None, ast.expr | None]:
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id, statement.value if _is_literal(statement.value) else None
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
        return statement.target.id, statement.value if _is_literal(statement.value) else None
    return None, None


def _is_literal(expression: ast.expr) -> bool:
    try:
        ast.literal_eval(expression)
    except ValueError:
        return False
    return True


def _typed(parameter: Parameter, value: Any, where: str) -> Any:
    """Convert text from a command line; any other value must have the type already."""
    wanted = parameter.type
    if parameter.default is None or (isinstance(value, wanted) and not (isinstance(value, bool) and wanted is int)):
        return value
    try:
        if isinstance(value, str):
            return _READ[wanted](value)
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
    except (ValueError, KeyError, SyntaxError):
        pass
    raise ParameterError(
        f"parameter {parameter.name} of {where} has the wrong type",
        value=f"{value!r} ({type(value).__name__})",
        expected=f"{wanted.__name__}, e.g. {parameter.default!r}",
    )


def _read_bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _read_list(text: str) -> list[Any]:
    value = ast.literal_eval(text)
    if not isinstance(value, list):
        raise ValueError(text)
    return value


_READ: dict[type, Any] = {int: int, float: float, bool: _read_bool, str: str, list: _read_list}
