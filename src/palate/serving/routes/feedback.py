"""Feedback: what people did, acknowledged only when it is on disk."""

import time
from functools import partial

from fastapi import APIRouter, Request, Response

from palate.serving.bounds import bounds_of
from palate.serving.bulk import JSON, parse_rows
from palate.serving.http_io import answer, answers, body_of, needs, read_as, service_of
from palate.serving.json_rows import Raw, is_array
from palate.serving.objects import check_object, load, measure
from palate.serving.routes.lean import LeanRoute
from palate.serving.schemas import MAX_EVENTS, EventBody, FeedbackBody
from palate.serving.store.records import Event, Mode

router = APIRouter(prefix="/v1", tags=["feedback"], route_class=LeanRoute)

_MOST_BYTES = bounds_of(FeedbackBody).num_bytes


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
    events, mode = await read_as(request, partial(_events, now=time.time()), _MOST_BYTES)
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


def _events(body: Raw, now: float) -> tuple[list[Event], Mode]:
    """Return the events of a body in any of its three forms."""
    make = partial(_event, now=now)
    if is_array(body):
        return parse_rows(body, JSON, EventBody, make, most=MAX_EVENTS), "accumulate"
    measure(body, FeedbackBody)
    told = load(body)
    if isinstance(told, dict) and "events" in told:
        whole = check_object(told, FeedbackBody)
        return [make(event) for event in whole.events], whole.mode
    return [make(check_object(told, EventBody))], "accumulate"


def _event(told: EventBody, now: float) -> Event:
    return Event(
        user_id=told.user_id,
        item_id=told.item_id,
        event_type=told.event_type,
        value=told.value,
        timestamp=now if told.timestamp is None else told.timestamp,
        idempotency_key=told.idempotency_key,
        recommendation_id=told.recommendation_id,
    )
