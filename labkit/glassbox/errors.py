"""The API's errors: one exception whose data is the Status object that a client receives.

The words are upstream's; kubectl prints them unchanged. Only the dispatcher of the API server turns one into an HTTP
answer, and only the client turns an answer back into one.

Upstream: staging/src/k8s.io/apimachinery/pkg/api/errors/errors.go
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """One field's fault: reason (FieldValueInvalid, …), message as upstream words it, path of the field."""

    reason: str
    message: str
    field: str

    def to_dict(self) -> dict:
        return {"reason": self.reason, "message": self.message, "field": self.field}


class ApiError(Exception):
    """A refusal by the API: HTTP code, reason, message, details."""

    def __init__(self, code: int, reason: str, message: str, details: dict | None = None):
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details
        self.continue_token = ""  # with Expired: where an inconsistent list would go on

    def status(self) -> dict:
        """Return the Status object that tells a client of this error."""
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }
        if self.continue_token:
            status["metadata"] = {"continue": self.continue_token}
        return {
            key: value
            for key, value in status.items()
            if value or key == "metadata" or (key == "details" and value is not None)
        }

    @classmethod
    def from_status(cls, status: dict) -> "ApiError":
        """Return the error that a Status object tells of."""
        code = status.get("code", 500)
        return cls(code, status.get("reason", ""), status.get("message", ""), status.get("details"))


def qualified(resource: str, group: str) -> str:
    """Return "deployments.apps", or the bare name for the core group."""
    return f"{resource}.{group}" if group else resource


def _details(name: str = "", group: str = "", kind: str = "", causes=(), **more) -> dict:
    listed = [cause.to_dict() if isinstance(cause, Cause) else cause for cause in causes]
    details = {"name": name, "group": group, "kind": kind, "causes": listed, **more}
    return {key: value for key, value in details.items() if value}


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> ApiError:
    return ApiError(401, "Unauthorized", message)


def forbidden(resource: str, name: str, why: str, group: str = "") -> ApiError:
    subject = f'{qualified(resource, group)} "{name}"' if name else qualified(resource, group)
    message = f"{subject} is forbidden: {why}" if resource else f"forbidden: {why}"
    return ApiError(403, "Forbidden", message, _details(name, group, resource))


def not_found(resource: str, name: str, group: str = "", uid: str = "") -> ApiError:
    return ApiError(
        404, "NotFound", f'{qualified(resource, group)} "{name}" not found', _details(name, group, resource, uid=uid)
    )


def no_such_path() -> ApiError:
    """The answer to a path that no resource is served at."""
    message = "the server could not find the requested resource"
    return ApiError(404, "NotFound", message, {})


def method_not_allowed(resource: str = "", verb: str = "", group: str = "") -> ApiError:
    message = f"{verb} is not supported on resources of kind {qualified(resource, group)!r}".replace("'", '"')
    if not resource:
        message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, _details(group=group, kind=resource))


def not_acceptable(supported: list[str]) -> ApiError:
    message = f"406: Not Acceptable\n\nAvailable representations: {', '.join(supported)}"
    return ApiError(406, "NotAcceptable", message, {})


def already_exists(resource: str, name: str, group: str = "") -> ApiError:
    message = f'{qualified(resource, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(name, group, resource))


def conflict(resource: str, name: str, why: str = "", group: str = "") -> ApiError:
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(name, group, resource))


def expired(message: str) -> ApiError:
    return ApiError(410, "Expired", message)


def too_large(limit: int) -> ApiError:
    """The body is over limit bytes."""
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def unsupported_media_type(given: str, supported: list[str]) -> ApiError:
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(supported)}"
    return ApiError(415, "UnsupportedMediaType", message)


def too_many_requests(message: str, causes: list, retry_after_seconds: int = 0) -> ApiError:
    """Not now; the client may try again."""
    details = _details(causes=causes, retryAfterSeconds=retry_after_seconds)
    return ApiError(429, "TooManyRequests", message, details)


def invalid(kind: str, group: str, name: str, causes: list[Cause]) -> ApiError:
    """The object is well formed but must not be: every cause at once."""
    told = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    text = told[0] if len(told) == 1 else "[" + ", ".join(told) + "]"
    message = f'{qualified(kind, group)} "{name}" is invalid: {text}'
    return ApiError(422, "Invalid", message, _details(name, group, kind, causes))


def internal(message: str) -> ApiError:
    message = f"Internal error occurred: {message}"
    return ApiError(500, "InternalError", message, {"causes": [{"message": message.partition(": ")[2]}]})


def timeout(message: str, causes=(), retry_after_seconds: int = 0) -> ApiError:
    """The server could not do it in time."""
    return ApiError(
        504, "Timeout", f"Timeout: {message}", _details(causes=causes, retryAfterSeconds=retry_after_seconds)
    )
