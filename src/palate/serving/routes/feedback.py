"""Feedback: events of users, acknowledged only when they are on disk."""

import time
from functools import partial

from fastapi import APIRouter, Request, Response

from palate.serving.bounds import bounds_of
from palate.serving.bulk import JSON, parse_rows
from palate.serving.http_io import answers, body_of, needs, read_as, service_of
from palate.serving.json_rows import RawBytes, is_array
from palate.serving.objects import check_object, load, measure
from palate.serving.rendering import json_response
from palate.serving.routes.lean import LeanRoute
from palate.serving.schemas import MAX_EVENTS, EventBody, FeedbackBody
from palate.serving.store.records import Event, Mode

router = APIRouter(prefix="/v1", tags=["feedback"], route_class=LeanRoute)

_MOST_BYTES = bounds_of(FeedbackBody).num_bytes


@router.post(
    "/feedback",
    summary="Store events of users",
    dependencies=[needs("write")],
    openapi_extra=body_of(EventBody, FeedbackBody),
    responses=answers(
        "The events are stored durably; the next recommendation uses them.",
        {"accepted": 1, "stored": 1, "duplicates": 0, "overwritten": 0, "missing_ids": []},
    ),
)
async def post_feedback(request: Request) -> Response:
    """Take one event, an array, or `{"events": [...], "mode": "overwrite"}`.

    With *accumulate* every event is kept; with *overwrite* an event replaces the last one of the
    same user, item and type. An event whose `idempotency_key` was sent before is not stored again.
    `missing_ids` names items that are not in the catalogue: their events are kept, and used once
    the item is added.
    """
    service = service_of(request)
    events, mode = await read_as(request, partial(_events, now=time.time()), _MOST_BYTES)
    outcomes = await service.feedback(events, mode)
    return json_response(
        {
            "accepted": len(events),
            "stored": len(events) - outcomes.count("duplicate"),
            "duplicates": outcomes.count("duplicate"),
            "overwritten": outcomes.count("overwritten"),
            "missing_ids": service.missing({event.item_id for event in events}),
        }
    )


def _events(body: RawBytes, now: float) -> tuple[list[Event], Mode]:
    """Return the events of a body in one of its three forms, and the mode."""
    make = partial(event_of, now=now)
    if is_array(body):
        return parse_rows(body, JSON, EventBody, make, most=MAX_EVENTS), "accumulate"
    measure(body, FeedbackBody)
    value = load(body)
    if isinstance(value, dict) and "events" in value:
        whole = check_object(value, FeedbackBody)
        return [make(event) for event in whole.events], whole.mode
    return [make(check_object(value, EventBody))], "accumulate"


def event_of(body: EventBody, now: float) -> Event:
    """Return the event of a body; ``now`` is its time if it has none."""
    return Event(
        user_id=body.user_id,
        item_id=body.item_id,
        event_type=body.event_type,
        value=body.value,
        timestamp=now if body.timestamp is None else body.timestamp,
        idempotency_key=body.idempotency_key,
        recommendation_id=body.recommendation_id,
    )
