"""How routes read requests and write responses, and how both are documented."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Path
from pydantic import BaseModel, BeforeValidator
from starlette.requests import Request

from palate.serving.bounds import bounds_of
from palate.serving.bulk import parse_rows
from palate.serving.json_rows import RawBytes
from palate.serving.middleware import SLASH, context_of
from palate.serving.objects import parse_object
from palate.serving.problems import BadRequest, WrongMediaType
from palate.serving.schemas import Id
from palate.serving.service import Service
from palate.serving.store.records import Scope

Body = TypeVar("Body", bound=BaseModel)
Made = TypeVar("Made")

_JSON = "application/json"

PathId = Annotated[Id, BeforeValidator(lambda text: text.replace(SLASH, "/")), Path()]
"""An id in a path; a slash within it is sent as ``%2F``."""


def service_of(request: Request) -> Service:
    """Return the service of the application."""
    service: Service = request.app.state.service
    return service


def needs(scope: Scope) -> Any:  # noqa: ANN401 - a dependency of FastAPI has no type
    """Return the dependency of a route that needs a key with this scope."""

    async def admitted(request: Request) -> None:
        context = context_of(request)
        gate = service_of(request).gate
        caller = await gate.admit(request.scope["headers"], context.client, scope)
        context.key_id = caller.key_id

    admitted.__name__ = f"needs_{scope}"
    return Depends(admitted)


async def read(request: Request, kind: type[Body]) -> Body:
    """Return the body of a request as a ``kind``.

    Raises:
        Invalid: naming each wrong field.
        TooLarge: when it is over the limit, or larger than any ``kind`` can be.
    """
    most = bounds_of(kind).num_bytes
    return await read_as(request, partial(parse_object, kind=kind), most)


async def read_as(request: Request, parse: Callable[[RawBytes], Made], most: int) -> Made:
    """Return a parsed body of JSON of at most ``most`` bytes.

    Raises:
        TooLarge: when it is over the limit.
        WrongMediaType: when it is not declared as JSON, such as a form of another site.
    """
    if (media := _media_type(request)) != _JSON:
        raise WrongMediaType(
            f"The body is {media[:100]!r}; this route reads {_JSON}.",
            hint=f"Send Content-Type: {_JSON}",
        )
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
    """Give the checked rows of a bulk; the next bulk is parsed after the block has ended.

    Raises:
        Invalid: naming the first wrong row.
        TooLarge: when it is over the limit.
    """
    service = service_of(request)
    limits, headers, media = service.limits, request.scope["headers"], _media_type(request)

    def parse(body: RawBytes) -> list[Made]:
        return parse_rows(body, media, kind, make)

    async with (
        service.bodies.received(
            request.receive, headers, most=limits.bulk_bytes, seconds=limits.bulk_seconds
        ) as body,
        service.bodies.bulk(body, parse) as rows,
    ):
        yield rows


def _media_type(request: Request) -> str:
    """Return the media type of a body, without its parameters; JSON if there is none.

    Raises:
        BadRequest: when the body is compressed: its size does not bound what it unpacks to.
    """
    media = _JSON
    for name, value in reversed(request.scope["headers"]):  # of several the first counts
        if name == b"content-encoding" and value.lower() != b"identity":
            raise BadRequest("Compressed bodies are not read.", hint="Send it as it is.")
        if name == b"content-type":
            media = value.partition(b";")[0].strip().lower().decode("latin-1")
    return media


def body_of(*kinds: type[BaseModel], also: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the OpenAPI description of a body that is one of ``kinds``.

    ``also`` maps further media types to their descriptions.
    """
    refs = [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in kinds]
    content: dict[str, Any] = {_JSON: {"schema": refs[0] if len(refs) == 1 else {"anyOf": refs}}}
    for name, description in (also or {}).items():
        content[name] = {
            "schema": {"type": "string", "format": "binary", "description": description}
        }
    return {"requestBody": {"required": True, "content": content}}


def answers(description: str, example: object = None, status: int = 200) -> dict[int | str, Any]:
    """Return the OpenAPI description of a successful response."""
    content: dict[str, Any] = {"schema": {"type": "object"}}
    if example is not None:
        content["example"] = example
    return {status: {"description": description, "content": {_JSON: content}}}
