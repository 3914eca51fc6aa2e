"""How routes read requests and write answers: one way in, one way out, both documented."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Path
from pydantic import BaseModel, BeforeValidator, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from palate.serving.auth import Scope
from palate.serving.bulk import parse_rows
from palate.serving.limits import read_body, refuse_encoded
from palate.serving.middleware import SLASH, visit_of
from palate.serving.problems import WrongMediaType, invalid
from palate.serving.schemas import Id
from palate.serving.service import Service

Body = TypeVar("Body", bound=BaseModel)

_JSON = "application/json"

PathId = Annotated[Id, BeforeValidator(lambda text: text.replace(SLASH, "/")), Path()]
"""An id in a path; a slash within it travels as ``%2F``."""

JSON_HEADERS = {"content-type": _JSON}


def service_of(request: Request) -> Service:
    """Return the service that the application was made for."""
    service: Service = request.app.state.service
    return service


def needs(scope: Scope) -> Any:  # noqa: ANN401 - what FastAPI calls a dependency has no type
    """Return the dependency of a route that asks for a key of this scope."""

    async def admitted(request: Request) -> None:
        visit = visit_of(request)
        gate = service_of(request).gate
        caller = await gate.admit(request.scope["headers"], visit.client, scope)
        visit.key_id = caller.key_id

    admitted.__name__ = f"needs_{scope}"
    return Depends(admitted)


def answer(value: object, status: int = 200) -> Response:
    """Return plain values as JSON."""
    return Response(orjson.dumps(value), status_code=status, headers=JSON_HEADERS)


async def read(request: Request, kind: type[Body]) -> Body:
    """Return the body of a request as a ``kind``.

    Raises:
        Invalid: naming each wrong field.
        TooLarge: when it is over the limit.
    """
    limits = service_of(request).limits
    refuse_other_types(request)
    body = await read_body(
        request.receive,
        request.scope["headers"],
        most=limits.body_bytes,
        seconds=limits.body_seconds,
    )
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None


async def bulk_rows(request: Request, kind: type[Body]) -> list[Body]:
    """Return the rows of a bulk upsert, all checked; reading them does not hold the event loop.

    Raises:
        Invalid: naming the first wrong row.
        TooLarge: when it is over the limit.
    """
    limits = service_of(request).limits
    headers = request.scope["headers"]
    refuse_encoded(headers)
    body = await read_body(
        request.receive, headers, most=limits.bulk_bytes, seconds=limits.bulk_seconds
    )
    return await asyncio.to_thread(parse_rows, body, media_type(request), kind)


def media_type(request: Request) -> str:
    """Return the type of a body, without its parameters; JSON where none is said."""
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            text: str = value.partition(b";")[0].strip().lower().decode("latin-1")
            return text
    return _JSON


def refuse_other_types(request: Request) -> None:
    """Refuse a body that is not said to be JSON; a foreign form cannot pass for it.

    Raises:
        WrongMediaType: when it is said to be something else.
    """
    refuse_encoded(request.scope["headers"])
    if (found := media_type(request)) != _JSON:
        raise WrongMediaType(
            f"The body is {found[:100]!r}; this route reads {_JSON}.",
            hint=f"Send Content-Type: {_JSON}",
        )


def body_of(*kinds: type[BaseModel], also: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the OpenAPI description of a body that is one of ``kinds``.

    ``also`` names further media types, each with what is in it.
    """
    refs = [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in kinds]
    content: dict[str, Any] = {_JSON: {"schema": refs[0] if len(refs) == 1 else {"anyOf": refs}}}
    for name, description in (also or {}).items():
        content[name] = {
            "schema": {"type": "string", "format": "binary", "description": description}
        }
    return {"requestBody": {"required": True, "content": content}}


def answers(description: str, example: object = None, status: int = 200) -> dict[int | str, Any]:
    """Return the OpenAPI description of a route's success."""
    content: dict[str, Any] = {"schema": {"type": "object"}}
    if example is not None:
        content["example"] = example
    return {status: {"description": description, "content": {_JSON: content}}}
