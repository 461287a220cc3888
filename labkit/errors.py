"""What can go wrong in the kit, one tree; every message ends with what to do.

LabError
├── ClusterError          no cluster, no rights, no answer
│   └── ApiFailure        the API server refused; carries its Status: code, reason, message
├── WaitTimeout           what a lesson waited for did not come
├── ParameterError        a notebook's parameter is unknown or has the wrong type
└── RubricError           a rubric does not follow its schema: file, line and field
"""

from typing import Any


class LabError(Exception):
    """Something a user can act on: what happened, the value found, what was expected, the next step."""

    def __init__(self, what: str, *, value: object = None, expected: str = "", next_step: str = "") -> None:
        self.what, self.value, self.expected, self.next_step = what, value, expected, next_step
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.value is not None:
            lines.append(f"  found:    {self.value}")
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.next_step:
            lines.append(f"  next:     {self.next_step}")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """Let a notebook show the message alone: the frames of the kit say nothing to a student."""
        return [f"{type(self).__name__}: {self}"]


class ClusterError(LabError):
    """The cluster is not there, does not answer or does not allow it."""


class ApiFailure(ClusterError):
    """The API server's refusal, in its own words."""

    def __init__(self, status: dict[str, Any], *, next_step: str = "") -> None:
        self.status = status
        self.code: int = status.get("code") or 0
        self.reason: str = status.get("reason") or ""
        super().__init__(status.get("message") or f"HTTP {self.code}", next_step=next_step)


class WaitTimeout(LabError):
    """The time given has passed; the message tells what was seen last."""


class ParameterError(LabError):
    """A parameter that the notebook does not declare, or of another type."""


class RubricError(LabError):
    """A rubric that does not follow its schema."""
