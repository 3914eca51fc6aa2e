"""Users: their attributes, their events, and their erasure."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from palate.serving.bulk import MEDIA_TYPES
from palate.serving.http_io import (
    PathId,
    answers,
    body_of,
    bulk_rows,
    needs,
    read,
    service_of,
)
from palate.serving.problems import NotFound
from palate.serving.rendering import json_response
from palate.serving.schemas import HistoryQuery, Paging, UserBody, UserWithId
from palate.serving.store.records import UserRecord

router = APIRouter(prefix="/v1/users", tags=["users"])

_EXAMPLE = {"user_id": "u1", "attributes": {"city": "Lyon"}}


@router.get(
    "",
    summary="List users",
    dependencies=[needs("read")],
    responses=answers("A page of users.", {"users": [_EXAMPLE], "next_cursor": "m100"}),
)
async def list_users(request: Request, query: Annotated[Paging, Query()]) -> Response:
    """List the users of the training data, then those that came later; `q` begins their ids."""
    listing = service_of(request).listing
    prefix = query.q or ""
    rows, cursor = await asyncio.to_thread(listing.users, query.cursor, query.limit, prefix)
    return json_response({"users": rows, "next_cursor": cursor})


@router.post(
    "",
    summary="Add or replace many users",
    dependencies=[needs("write")],
    openapi_extra=body_of(UserWithId, also=MEDIA_TYPES),
    responses=answers("How many users were stored.", {"stored": 2}),
)
async def upsert_users(request: Request) -> Response:
    """Take one user, an array, JSON lines or Parquet; all are stored or none."""
    store = service_of(request).store
    async with bulk_rows(request, UserWithId, _record) as records:
        await asyncio.to_thread(store.upsert_users, records)
        return json_response({"stored": len(records)})


@router.get(
    "/{user_id}",
    summary="One user",
    dependencies=[needs("read")],
    responses=answers("The user.", _EXAMPLE),
)
async def get_user(request: Request, user_id: PathId) -> Response:
    """Return the attributes of a user, without the events."""
    user = await asyncio.to_thread(service_of(request).listing.user, user_id)
    if user is None:
        raise _unknown(user_id)
    return json_response(user)


@router.put(
    "/{user_id}",
    summary="Add or replace one user",
    dependencies=[needs("write")],
    openapi_extra=body_of(UserBody),
    responses=answers("The user was stored.", {"stored": 1}),
)
async def put_user(request: Request, user_id: PathId) -> Response:
    """Store the attributes of a user; a user need not be stored before the first event."""
    body = await read(request, UserBody)
    record = UserRecord(user_id, body.attributes)
    await asyncio.to_thread(service_of(request).store.upsert_users, [record])
    return json_response({"stored": 1})


@router.delete(
    "/{user_id}",
    summary="Forget a user",
    dependencies=[needs("write")],
    responses=answers(
        "What was removed.",
        {"user_id": "u1", "erased": {"events": 12, "recommendations": 3, "profile": True}},
    ),
)
async def delete_user(request: Request, user_id: PathId) -> Response:
    """Erase all data of a user, and stop using the user's events in the model folder.

    For an unknown user the response is the same, with nothing removed.
    """
    return json_response({"user_id": user_id, "erased": await service_of(request).erase(user_id)})


@router.get(
    "/{user_id}/export",
    summary="Export all data of a user",
    dependencies=[needs("read")],
    responses=answers("Profile, events and recommendations."),
)
async def export_user(request: Request, user_id: PathId) -> Response:
    """Return all stored data of a user, and the user's events in the training data."""
    return json_response(await service_of(request).export(user_id))


@router.get(
    "/{user_id}/history",
    summary="The history of a user",
    dependencies=[needs("read")],
    responses=answers(
        "Events, oldest first.",
        {
            "user_id": "u1",
            "events": [
                {
                    "item_id": "i1",
                    "title": "Oak lamp",
                    "event_type": "view",
                    "timestamp": 1700000000.0,
                }
            ],
        },
    ),
)
async def get_history(
    request: Request, user_id: PathId, query: Annotated[HistoryQuery, Query()]
) -> Response:
    """Return the events that the next recommendation will use."""
    listing = service_of(request).listing
    events = await asyncio.to_thread(listing.past, user_id, query.limit)
    return json_response({"user_id": user_id, "events": events})


def _record(row: UserWithId) -> UserRecord:
    return UserRecord(row.user_id, row.attributes)


def _unknown(user_id: str) -> NotFound:
    return NotFound(
        f"There is no user {user_id[:100]!r}.",
        hint="A recommendation needs no stored user: send a history, or post events first.",
    )
