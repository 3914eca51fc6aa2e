"""Errors as HTTP responses: a :class:`~palate.errors.PalateError` gets a status.

Every refusal has the body ``{"error": {"message", "hint", "request_id"}}``, whichever part of the
service refused.
"""

import math
from collections.abc import Mapping, Sequence

import orjson
from pydantic import ValidationError
from starlette.responses import Response

from palate.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    MissingExtraError,
    NotTrainedError,
    PalateError,
    UnknownItemError,
    UnknownUserError,
)
from palate.serving.overload import Overloaded, StoreUnavailable

_NAMED = 5
"""Number of wrong fields that a message names."""


class HttpProblem(PalateError):  # noqa: N818 - each kind of refusal has its own name
    """A refusal that only HTTP has, with its status and its headers."""

    status = 400

    def __init__(
        self, message: str, *, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Keep the message, and the ``headers`` of the response."""
        super().__init__(message, hint=hint)
        self.headers = dict(headers or {})


class BadRequest(HttpProblem):
    """A request that cannot be read."""


class Unauthorised(HttpProblem):
    """No key, or a wrong one."""

    status = 401

    def __init__(self, message: str) -> None:
        """Add a hint that says how to send a key."""
        super().__init__(
            message,
            hint="Send your key in the header X-API-Key.",
            headers={"WWW-Authenticate": 'ApiKey realm="palate"'},
        )


class Forbidden(HttpProblem):
    """The key lacks the scope."""

    status = 403


class NotFound(HttpProblem):
    """Nothing has this id or name."""

    status = 404


class Conflict(HttpProblem):
    """The state of the service does not allow it."""

    status = 409


class BodyTimeout(HttpProblem):
    """The client sends its body too slowly."""

    status = 408


class TooLarge(HttpProblem):
    """A body over the limit."""

    status = 413


class WrongMediaType(HttpProblem):
    """A body of a type that the route does not read."""

    status = 415


class Invalid(HttpProblem):
    """A body or a parameter whose content is wrong."""

    status = 422


class TooManyTries(HttpProblem):
    """Too many wrong keys from one address."""

    status = 429


_STATUS: tuple[tuple[type[PalateError], int], ...] = (
    (UnknownItemError, 404),
    (UnknownUserError, 404),
    (NotTrainedError, 422),
    (DataError, 422),
    (ConfigError, 400),
    (ArtifactError, 409),
    (MissingExtraError, 409),
    (Overloaded, 503),
    (StoreUnavailable, 503),
    (PalateError, 400),
)


def status_of(error: PalateError) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, HttpProblem):
        return error.status
    return next(status for kind, status in _STATUS if isinstance(error, kind))


def problem(error: PalateError, request_id: str) -> Response:
    """Return an error as a response."""
    return problem_response(
        status_of(error),
        error.message,
        hint=error.hint,
        request_id=request_id,
        headers=_headers(error),
    )


def _headers(error: PalateError) -> dict[str, str]:
    if isinstance(error, HttpProblem):
        return error.headers
    if isinstance(error, Overloaded | StoreUnavailable):
        return {"Retry-After": str(math.ceil(error.retry_after))}
    return {}


def problem_response(
    status: int,
    message: str,
    *,
    hint: str,
    request_id: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a refusal in the common form."""
    body = {"error": {"message": message, "hint": hint, "request_id": request_id}}
    return Response(
        orjson.dumps(body),
        status_code=status,
        headers=dict(headers or {}),
        media_type="application/json",
    )


def invalid(error: ValidationError, *place: str) -> Invalid:
    """Return pydantic's errors as one message; ``place`` names the row, if there are several."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    return invalid_fields([((*place, *one["loc"]), one["type"], one["msg"]) for one in errors])


def invalid_fields(wrong: Sequence[tuple[Sequence[int | str], str, str]]) -> Invalid:
    """Return wrong fields (place, kind, text) as one message."""
    lines: list[str] = []
    for place, kind, text in wrong[:_NAMED]:
        name = ".".join(str(part) for part in place if not _is_branch(part))[:200]
        text = "there is no such field" if kind == "extra_forbidden" else _lower(text)
        line = f"{name}: {text}" if name else text
        if line not in lines:
            lines.append(line)
    more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    return Invalid(
        f"The request cannot be used: {'; '.join(lines)}{more}.",
        hint="The fields of each request are described at /docs.",
    )


def _is_branch(part: int | str) -> bool:
    """Tell whether this is pydantic's name for a branch of a union, not the name of a field."""
    return isinstance(part, str) and ("[" in part or part in {"str", "float", "bool", "int"})


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
