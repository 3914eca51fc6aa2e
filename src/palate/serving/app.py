"""The application: every part put together, and the routes on top."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from palate import __version__
from palate.errors import ConfigError
from palate.inference.engine import Device
from palate.serving.auth import is_loopback
from palate.serving.documentation import openapi_of
from palate.serving.limits import Limits
from palate.serving.middleware import Middleware, context_of
from palate.serving.page import PageFile, page_files, swagger_files
from palate.serving.problems import invalid_fields, problem, problem_response
from palate.serving.rendering import json_response
from palate.serving.retention import DAYS_KEPT
from palate.serving.routes import (
    feedback,
    health,
    items,
    keys,
    models,
    operator,
    recommendations,
    users,
)
from palate.serving.routes.lean import Lane
from palate.serving.startup import open_service
from palate.serving.telemetry import RequestLog

_logger = logging.getLogger(__name__)

_HINTS = {
    404: "The routes are described at /docs.",
    405: "The routes and their methods are described at /docs.",
}


@dataclass(frozen=True)
class ServeSettings:
    """Settings of `palate serve`."""

    models: Mapping[Path, float]
    """Model folders, each with its share of the traffic."""
    db: str = "sqlite:///palate.db"
    host: str = "127.0.0.1"
    port: int = 8000
    first_key: str | None = field(default=None, repr=False)
    """The first admin key, from PALATE_API_KEY; without it only this machine can connect."""
    limits: Limits = field(default_factory=Limits)
    days_kept: float = DAYS_KEPT
    """Number of days during which a click on an answer is counted."""
    device: Device | None = None
    """Device and precision of every model; None means a GPU if there is one."""


def create_app(settings: ServeSettings, *, log: RequestLog | None = None) -> FastAPI:
    """Return the application, with its models loaded and its store open.

    Raises:
        ArtifactError: when a model folder is damaged.
        ConfigError: when the store cannot be used, or other machines could connect without a key.
    """
    if not settings.first_key and not is_loopback(settings.host):
        raise ConfigError(
            f"Without a key the service answers this machine alone, not {settings.host!r}.",
            hint="Set PALATE_API_KEY to a long random text, or leave out --host.",
        )
    service = open_service(
        settings.models,
        settings.db,
        first_key=settings.first_key or None,
        limits=settings.limits,
        days_kept=settings.days_kept,
        device=settings.device,
    )
    log = log or RequestLog()
    if service.gate.is_open:
        _logger.warning("PALATE_API_KEY is not set: no key is asked for, on this machine alone")

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield
        log.close()

    app = FastAPI(
        title="Palate",
        version=__version__,
        lifespan=running,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        strict_content_type=False,
        # Metrics and logs come from the middleware, spans from the operator's settings.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.service = service
    app.add_middleware(Lane, routes=[*recommendations.router.routes, *feedback.router.routes])
    # Added last, it is the outermost.
    app.add_middleware(Middleware, metrics=service.metrics, log=log, limits=settings.limits)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    for part in (recommendations, feedback, items, users, models, keys, operator, health):
        app.include_router(part.router)
    _add_pages(app)
    app.openapi = lambda: openapi_of(app)  # type: ignore[method-assign]
    return app


def _add_pages(app: FastAPI) -> None:
    """Add the HTML pages, which need no key because they hold no data."""

    @app.get("/openapi.json", include_in_schema=False)
    async def document() -> Response:
        return json_response(app.openapi())

    for path, file in {**page_files(), **swagger_files()}.items():
        _add_file(app, path, file)


def _add_file(app: FastAPI, path: str, file: PageFile) -> None:
    own = {name.lower(): value for name, value in file.headers.items()}
    headers = own | {"etag": file.etag, "cache-control": "no-cache"}

    @app.get(path, include_in_schema=False)
    async def page(request: Request) -> Response:
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        return Response(file.body, media_type=file.media_type, headers=headers)


async def _invalid(request: Request, error: Exception) -> Response:
    """Refuse a wrong path or query in the common form."""
    assert isinstance(error, RequestValidationError)
    fields = [(one["loc"], one["type"], one["msg"]) for one in error.errors()]
    return problem(invalid_fields(fields), context_of(request).request_id)


async def _refused(request: Request, error: Exception) -> Response:
    """Refuse an unknown route or method in the common form."""
    assert isinstance(error, HTTPException)
    return problem_response(
        error.status_code,
        f"{error.detail}: {request.method} {_shortened(request.url.path)}.",
        hint=_HINTS.get(error.status_code, ""),
        request_id=context_of(request).request_id,
        headers=error.headers,
    )


def _shortened(path: str) -> str:
    return path if len(path) <= 200 else f"{path[:200]}..."
