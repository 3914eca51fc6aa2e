"""The OpenAPI document: what FastAPI derives from the routes, and the request bodies."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from palate import __version__
from palate.serving import schemas

_BODIES: tuple[type[BaseModel], ...] = (
    schemas.RecommendBody,
    schemas.RankBody,
    schemas.SearchBody,
    schemas.ExplainBody,
    schemas.RateBody,
    schemas.EventBody,
    schemas.FeedbackBody,
    schemas.ItemBody,
    schemas.ItemWithId,
    schemas.UserBody,
    schemas.UserWithId,
    schemas.ModelBody,
    schemas.ShareBody,
    schemas.KeyBody,
)

_ABOUT = """\
One language model for every recommendation task, as a service.

Send your key in the header `X-API-Key`. Every refusal has the body
`{"error": {"message", "hint", "request_id"}}`; every answer has the header `X-Request-Id`, which
echoes yours if you send one. A slash within an id in a path travels as `%2F`.
"""

_PROBLEM: Mapping[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "hint", "request_id"],
            "properties": {
                "message": {"type": "string"},
                "hint": {"type": "string"},
                "request_id": {"type": "string"},
            },
        }
    },
}


def openapi_of(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of the application; it is made once."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(
        title="Palate", version=__version__, description=_ABOUT, routes=app.routes
    )
    components = document.setdefault("components", {}).setdefault("schemas", {})
    _, definitions = models_json_schema(
        [(body, "validation") for body in _BODIES], ref_template="#/components/schemas/{model}"
    )
    components.update(definitions["$defs"])
    components["Problem"] = dict(_PROBLEM)
    document["components"]["securitySchemes"] = {
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    }
    refusal = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, operation in _operations(document):
        answers = operation["responses"]
        answers.pop("422", None)
        answers["4XX"] = {
            "description": "The request is refused; the message says why.",
            "content": refusal,
        }
        answers["503"] = {
            "description": "The service is busy or stopping; try again after Retry-After seconds.",
            "content": refusal,
        }
        if path.startswith("/v1") or path == "/metrics":
            operation["security"] = [{"key": []}]
    app.openapi_schema = document
    return document


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation
