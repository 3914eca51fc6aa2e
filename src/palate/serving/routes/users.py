"""Users: what is known of them, what they did, and the end of both."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from palate.serving.bulk import MEDIA_TYPES
from palate.serving.http_io import (
    PathId,
    answer,
    answers,
    body_of,
    bulk_rows,
    needs,
    read,
    service_of,
)
from palate.serving.problems import NotFound
from palate.serving.schemas import HistoryQuery, UserBody, UserPaging, UserWithId
from palate.serving.store.records import UserRecord

router = APIRouter(prefix="/v1/users", tags=["users"])

_EXAMPLE = {"user_id": "u1", "attributes": {"city": "Lyon"}}


@router.get(
    "",
    summary="List users",
    dependencies=[needs("read")],
    responses=answers("A page of users.", {"users": [_EXAMPLE], "next_cursor": "m100"}),
)
async def list_users(request: Request, asked: Annotated[UserPaging, Query()]) -> Response:
    """Go through the users the model learned from, then those that came later."""
    rows, cursor = await service_of(request).users(asked.cursor, asked.limit, asked.q)
    return answer({"users": rows, "next_cursor": cursor})


@router.post(
    "",
    summary="Add or replace many users",
    dependencies=[needs("write")],
    openapi_extra=body_of(UserWithId, also=MEDIA_TYPES),
    responses=answers("How many users were stored.", {"stored": 2}),
)
async def upsert_users(request: Request) -> Response:
    """Take one user, an array, JSON lines or Parquet; all are stored or none."""
    service = service_of(request)
    async with bulk_rows(request, UserWithId, _record) as records:
        await service.call(service.store.upsert_users, records)
        return answer({"stored": len(records)})


@router.get(
    "/{user_id}",
    summary="One user",
    dependencies=[needs("read")],
    responses=answers("The user.", _EXAMPLE),
)
async def get_user(request: Request, user_id: PathId) -> Response:
    """Return what is known of a user beside the events."""
    found = await service_of(request).user(user_id)
    if found is None:
        raise _unknown(user_id)
    return answer(found)


@router.put(
    "/{user_id}",
    summary="Add or replace one user",
    dependencies=[needs("write")],
    openapi_extra=body_of(UserBody),
    responses=answers("The user was stored.", {"stored": 1}),
)
async def put_user(request: Request, user_id: PathId) -> Response:
    """Store what is known of a user; no user has to be added before the first event."""
    body = await read(request, UserBody)
    service = service_of(request)
    await service.call(service.store.upsert_users, [UserRecord(user_id, body.attributes)])
    return answer({"stored": 1})


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
    """Remove everything about a user, and never again use what the model folder holds of them.

    A user nobody knows is answered alike, with nothing removed.
    """
    return answer({"user_id": user_id, "erased": await service_of(request).erase(user_id)})


@router.get(
    "/{user_id}/export",
    summary="Everything that is known of a user",
    dependencies=[needs("read")],
    responses=answers("Profile, events and recommendations."),
)
async def export_user(request: Request, user_id: PathId) -> Response:
    """Return all that is stored of a user, and what the loaded models learned from."""
    return answer(await service_of(request).export(user_id))


@router.get(
    "/{user_id}/history",
    summary="What a user did",
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
    request: Request, user_id: PathId, asked: Annotated[HistoryQuery, Query()]
) -> Response:
    """Return the events that the next recommendation will be made from."""
    events = await service_of(request).past(user_id, asked.limit)
    return answer({"user_id": user_id, "events": events})


def _record(row: UserWithId) -> UserRecord:
    return UserRecord(row.user_id, row.attributes)


def _unknown(user_id: str) -> NotFound:
    return NotFound(
        f"There is no user {user_id[:100]!r}.",
        hint="Recommendations need no user: give a history, or post events first.",
    )
