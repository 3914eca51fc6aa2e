"""Data of the operator's page: figures, and a stream of events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response
from starlette.responses import StreamingResponse

from palate.serving.http_io import answers, needs, service_of
from palate.serving.overload import Overloaded
from palate.serving.rendering import json_response
from palate.serving.schemas import FollowQuery
from palate.serving.service import Service
from palate.serving.store.records import StoredEvent

router = APIRouter(prefix="/v1/operator", tags=["operation"])

_EVERY_SECONDS = 1.0
_AT_ONCE = 200
_FIRST_EVENTS = 20
"""Number of newest events with which a stream begins."""
_QUIET_SECONDS = 15.0
"""Time without events after which a comment is sent, so that proxies keep the stream open."""


@router.get(
    "/summary",
    summary="Latency, fallbacks, models and data in figures",
    dependencies=[needs("admin")],
    responses=answers("The figures of the last hour."),
)
async def summary(request: Request) -> Response:
    """Return the figures of the operator's page."""
    return json_response(await service_of(request).summary())


@router.get(
    "/events",
    summary="Stream of events",
    dependencies=[needs("admin")],
    response_class=StreamingResponse,
    responses={200: {"description": "Server-sent events.", "content": {"text/event-stream": {}}}},
)
async def follow(request: Request, query: Annotated[FollowQuery, Query()]) -> Response:
    """Stream stored events as server-sent events, after number `after` or from the newest few."""
    service = service_of(request)
    if service.streams >= service.limits.streams:
        raise Overloaded("Too many event streams are open.", retry_after=10)
    start = query.after
    if start is None:
        start = max(0, await asyncio.to_thread(service.store.newest_sequence) - _FIRST_EVENTS)
    return StreamingResponse(
        _stream(service, start),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _stream(service: Service, after: int) -> AsyncIterator[bytes]:
    service.streams += 1
    quiet = 0.0
    try:
        yield b": palate\n\n"
        while not service.closing:
            events = await asyncio.to_thread(service.store.recent_events, after, _AT_ONCE)
            for event in events:
                after = max(after, event.sequence)
                yield _server_sent(event)
            quiet = 0.0 if events else quiet + _EVERY_SECONDS
            if quiet >= _QUIET_SECONDS:
                quiet = 0.0
                yield b": still here\n\n"
            await asyncio.sleep(_EVERY_SECONDS)
    finally:
        service.streams -= 1


def _server_sent(stored: StoredEvent) -> bytes:
    event = stored.event
    data = orjson.dumps(
        {
            "sequence": stored.sequence,
            "user_id": event.user_id,
            "item_id": event.item_id,
            "event_type": event.event_type,
            "value": event.value,
            "timestamp": event.timestamp,
            "received_at": stored.received_at,
            "recommendation_id": event.recommendation_id,
        }
    )
    return b"id: %d\ndata: %s\n\n" % (stored.sequence, data)
