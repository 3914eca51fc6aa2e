"""Health checks and metrics."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from palate.serving.http_io import answers, needs, service_of
from palate.serving.rendering import json_response

router = APIRouter(tags=["operation"])


@router.get(
    "/health/live",
    summary="Is the process alive?",
    responses=answers("It is alive.", {"status": "ok"}),
)
async def live() -> Response:
    """Answer as long as the event loop runs; restart the service when this fails."""
    return json_response({"status": "ok"})


@router.get(
    "/health/ready",
    summary="Can it answer requests?",
    responses=answers("It is ready.", {"status": "ok", "models": 1})
    | {503: {"description": "It is not ready; the message says why."}},
)
async def ready(request: Request) -> Response:
    """Check that a model is loaded and the store answers; send no traffic while this fails."""
    service = service_of(request)
    await service.check()
    return json_response({"status": "ok", "models": len(service.models)})


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    dependencies=[needs("read")],
    response_class=Response,
    responses={200: {"description": "Prometheus text.", "content": {"text/plain": {}}}},
)
async def metrics(request: Request) -> Response:
    """Return latency by route and model, fallbacks, cache, queue and click-through.

    Prometheus sends the key as ``authorization: {credentials: KEY}``.
    """
    service = service_of(request)
    await service.clicks.refresh()
    text = service.metrics.exposition()
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})
