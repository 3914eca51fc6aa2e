"""Whether the service lives, is ready, and how it fares."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from palate.serving.http_io import answer, answers, needs, service_of

router = APIRouter(tags=["operation"])


@router.get(
    "/health/live", summary="Is the process alive?", responses=answers("It is.", {"status": "ok"})
)
async def live() -> Response:
    """Answer as long as the event loop turns; restart the service when it does not."""
    return answer({"status": "ok"})


@router.get(
    "/health/ready",
    summary="Can it answer questions?",
    responses=answers("It can.", {"status": "ok", "models": 1})
    | {503: {"description": "Not now: the message says why."}},
)
async def ready(request: Request) -> Response:
    """Answer when a model is loaded and the store can be reached; send no traffic before."""
    service = service_of(request)
    await service.check()
    return answer({"status": "ok", "models": len(service.models)})


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    dependencies=[needs("read")],
    response_class=Response,
    responses={200: {"description": "Prometheus text.", "content": {"text/plain": {}}}},
)
async def metrics(request: Request) -> Response:
    """Return latency by route and model, fallbacks, caches, queue and click-through.

    Prometheus sends the key as ``authorization: {credentials: KEY}``.
    """
    service = service_of(request)
    await service.clicks.refresh()
    text = service.metrics.exposition()
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})
