"""Errors as HTTP: the text of a :class:`~palate.errors.PalateError`, a status, and what to do.

Every answer that is no success has the body
``{"error": {"message", "hint", "request_id"}}``, whatever part of the service refused.
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

_SHOWN = 5
"""Wrong fields named in one message; more would bury the first."""


class HttpProblem(PalateError):  # noqa: N818 - a refusal, of which each kind has its name
    """A refusal that belongs to HTTP alone: its status, and headers that go with it."""

    status = 400

    def __init__(
        self, message: str, *, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Keep the ``headers`` beside the text."""
        super().__init__(message, hint=hint)
        self.headers = dict(headers or {})


class BadRequest(HttpProblem):
    """A request that cannot be read."""


class Unauthorised(HttpProblem):
    """No key, or a wrong one."""

    status = 401

    def __init__(self, message: str) -> None:
        """Say how a key is given."""
        super().__init__(
            message,
            hint="Send your key in the header X-API-Key.",
            headers={"WWW-Authenticate": 'ApiKey realm="palate"'},
        )


class Forbidden(HttpProblem):
    """A good key that may not do this."""

    status = 403


class NotFound(HttpProblem):
    """Nothing is stored or loaded under this name."""

    status = 404


class Conflict(HttpProblem):
    """The state of the service does not allow it."""

    status = 409


class BodyTimeout(HttpProblem):
    """A client that sends its body too slowly."""

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
    if isinstance(error, Overloaded):
        return {"Retry-After": str(math.ceil(error.retry_after))}
    if isinstance(error, StoreUnavailable):
        return {"Retry-After": "5"}
    return {}


def problem_response(
    status: int,
    message: str,
    *,
    hint: str,
    request_id: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the one body every refusal has."""
    body = {"error": {"message": message, "hint": hint, "request_id": request_id}}
    return Response(
        orjson.dumps(body),
        status_code=status,
        headers=dict(headers or {}),
        media_type="application/json",
    )


def invalid(error: ValidationError, *place: str) -> Invalid:
    """Return what pydantic found wrong as one message; ``place`` says where, if among others."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return invalid_fields([((*place, *one["loc"]), one["type"], one["msg"]) for one in found])


def invalid_fields(wrong: Sequence[tuple[Sequence[int | str], str, str]]) -> Invalid:
    """Return wrong fields (place, kind, text) as one message."""
    said = []
    for place, kind, text in wrong[:_SHOWN]:
        name = ".".join(str(part) for part in place if not _is_branch(part))[:200]
        text = "there is no such field" if kind == "extra_forbidden" else _lower(text)
        line = f"{name}: {text}" if name else text
        if line not in said:
            said.append(line)
    more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return Invalid(
        f"The request cannot be used: {'; '.join(said)}{more}.",
        hint="The fields of each request are described at /docs.",
    )


def _is_branch(part: int | str) -> bool:
    """Tell the name pydantic gives to one branch of a union from the name of a field."""
    return isinstance(part, str) and ("[" in part or part in {"str", "float", "bool", "int"})


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
