"""Feedback: what people did, acknowledged only when it is on disk."""

import time
from datetime import datetime

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter, ValidationError

from palate.serving.http_io import answer, answers, body_of, needs, refuse_other_types, service_of
from palate.serving.limits import read_body
from palate.serving.problems import TooLarge, invalid
from palate.serving.routes.lean import LeanRoute
from palate.serving.schemas import MAX_EVENTS, EventBody, FeedbackBody
from palate.serving.store.records import Event, Mode

router = APIRouter(prefix="/v1", tags=["feedback"], route_class=LeanRoute)

_MANY: TypeAdapter[list[EventBody]] = TypeAdapter(list[EventBody])


@router.post(
    "/feedback",
    summary="Tell what somebody did",
    dependencies=[needs("write")],
    openapi_extra=body_of(EventBody, FeedbackBody),
    responses=answers(
        "Stored for good, and part of the very next recommendation.",
        {"accepted": 1, "stored": 1, "duplicates": 0, "overwritten": 0, "missing_ids": []},
    ),
)
async def post_feedback(request: Request) -> Response:
    """Take one event, an array, or ``{"events": [...], "mode": "overwrite"}``.

    Events are kept one after the other (*accumulate*), or the newest of its user, item and type
    takes the place of the one before (*overwrite*). An event that was sent before with the same
    ``idempotency_key`` is not stored again. ``missing_ids`` names items no loaded model knows:
    their events are kept, and count once the item is there.
    """
    service = service_of(request)
    refuse_other_types(request)
    limits = service.limits
    body = await read_body(
        request.receive,
        request.scope["headers"],
        most=limits.body_bytes,
        seconds=limits.body_seconds,
    )
    told, mode = _parsed(body)
    now = time.time()
    events = [_event(one, now) for one in told]
    outcomes = await service.feedback(events, mode)
    return answer(
        {
            "accepted": len(events),
            "stored": len(events) - outcomes.count("duplicate"),
            "duplicates": outcomes.count("duplicate"),
            "overwritten": outcomes.count("overwritten"),
            "missing_ids": service.missing({event.item_id for event in events}),
        }
    )


def _parsed(body: bytes) -> tuple[list[EventBody], Mode]:
    """Return the events of a body in any of its three forms."""
    try:
        if body.lstrip()[:1] == b"[":
            many = _MANY.validate_json(body)
            if len(many) > MAX_EVENTS:
                raise TooLarge(
                    f"{len(many):,} events came; {MAX_EVENTS:,} are taken at once.",
                    hint="Send them in parts.",
                )
            return many, "accumulate"
        if _is_batch(body):
            whole = FeedbackBody.model_validate_json(body)
            return whole.events, whole.mode
        return [EventBody.model_validate_json(body)], "accumulate"
    except ValidationError as error:
        raise invalid(error) from None


def _is_batch(body: bytes) -> bool:
    """Tell many events from one; most bodies need no look inside."""
    if b'"events"' not in body:
        return False
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(found, dict) and "events" in found


def _event(told: EventBody, now: float) -> Event:
    when = told.timestamp
    if isinstance(when, datetime):
        when = when.timestamp()
    return Event(
        user_id=told.user_id,
        item_id=told.item_id,
        event_type=told.event_type,
        value=told.value,
        timestamp=now if when is None else when,
        idempotency_key=told.idempotency_key,
        recommendation_id=told.recommendation_id,
    )
