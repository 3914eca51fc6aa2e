"""How routes read requests and write answers: one way in, one way out, both documented."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Path
from pydantic import BaseModel, BeforeValidator
from starlette.requests import Request
from starlette.responses import Response

from palate.serving.auth import Scope
from palate.serving.bounds import bounds_of
from palate.serving.bulk import parse_rows
from palate.serving.json_rows import Raw
from palate.serving.limits import refuse_encoded
from palate.serving.middleware import SLASH, visit_of
from palate.serving.objects import parse_object
from palate.serving.problems import WrongMediaType
from palate.serving.schemas import Id
from palate.serving.service import Service

Body = TypeVar("Body", bound=BaseModel)
Made = TypeVar("Made")

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
        TooLarge: when it is over the limit, or larger than any ``kind`` can be.
    """
    most = bounds_of(kind).num_bytes
    return await read_as(request, partial(parse_object, kind=kind), most)


async def read_as(request: Request, parse: Callable[[Raw], Made], most: int) -> Made:
    """Return what ``parse`` makes of a body of JSON of at most ``most`` bytes.

    Raises:
        TooLarge: when it is over the limit.
    """
    refuse_other_types(request)
    service = service_of(request)
    limits, headers = service.limits, request.scope["headers"]
    most = min(most, limits.body_bytes)
    async with service.bodies.received(
        request.receive, headers, most=most, seconds=limits.body_seconds
    ) as body:
        return await service.bodies.parsed(body, parse)


@asynccontextmanager
async def bulk_rows(
    request: Request, kind: type[Body], make: Callable[[Body], Made]
) -> AsyncIterator[list[Made]]:
    """Give what is made of the rows of a bulk, all checked; the next bulk waits for the block.

    Raises:
        Invalid: naming the first wrong row.
        TooLarge: when it is over the limit.
    """
    service = service_of(request)
    limits, headers, media = service.limits, request.scope["headers"], media_type(request)
    refuse_encoded(headers)

    def parse(body: Raw) -> list[Made]:
        return parse_rows(body, media, kind, make)

    async with (
        service.bodies.received(
            request.receive, headers, most=limits.bulk_bytes, seconds=limits.bulk_seconds
        ) as body,
        service.bodies.bulk(body, parse) as rows,
    ):
        yield rows


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
