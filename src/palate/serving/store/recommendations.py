"""Answers that were given, and how often somebody acted on what they showed."""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, String, delete, distinct, func, literal, select

from palate.serving.store import users
from palate.serving.store.conflicts import insert_missing
from palate.serving.store.records import ClickThrough, RecommendationRecord
from palate.serving.store.schema import EVENTS, RECOMMENDATIONS

_BETWEEN = "\x1f"
"""Stands between two ids; an id cannot hold a control character."""
_CLOCKS = 60.0
"""Seconds by which the clocks of two machines may differ."""
_HEARD_SECONDS = 5.0
"""After an erasure, until every process has heard of it."""
_POSITION: Mapping[str, str] = {"sqlite": "instr", "postgresql": "strpos"}
"""What the place of a text within another is called, 0 where it is not."""


def record(connection: Connection, records: Sequence[RecommendationRecord]) -> None:
    """Remember answers; one that is known already stays as it is.

    Another process may have given an answer, or still give it from memory, when its user is erased:
    nothing of it must come back.
    """
    told = {record.user_id for record in records if record.user_id is not None}
    erased = users.erased_at(connection, told) if told else {}
    rows = [
        {
            "recommendation_id": record.recommendation_id,
            "user_id": record.user_id,
            "model_version": record.model_version,
            "item_ids": _BETWEEN.join(["", *record.item_ids, ""]),
            "created_at": record.created_at,
            "route": record.route,
            "fallback": record.fallback,
        }
        for record in records
        if record.user_id not in erased
        or record.created_at > erased[record.user_id] + _HEARD_SECONDS
    ]
    insert_missing(connection, RECOMMENDATIONS, rows)


def of_user(connection: Connection, user_id: str) -> Iterator[RecommendationRecord]:
    """Give the answers a user got, oldest first."""
    query = (
        select(RECOMMENDATIONS)
        .where(RECOMMENDATIONS.c.user_id == user_id)
        .order_by(RECOMMENDATIONS.c.created_at, RECOMMENDATIONS.c.recommendation_id)
    )
    for row in connection.execute(query):
        item_ids = tuple(row.item_ids.strip(_BETWEEN).split(_BETWEEN))
        yield RecommendationRecord(
            recommendation_id=row.recommendation_id,
            user_id=row.user_id,
            model_version=row.model_version,
            item_ids=item_ids if item_ids != ("",) else (),
            created_at=row.created_at,
            route=row.route,
            fallback=row.fallback,
        )


def click_through(connection: Connection, since: float) -> list[ClickThrough]:
    """Return what became of the answers given ``since`` then, by model version.

    An event counts as a click when it names an answer and the answer holds its item.
    """
    counted = (
        select(RECOMMENDATIONS.c.model_version, func.count().label("shown"))
        .where(RECOMMENDATIONS.c.created_at >= since)
        .group_by(RECOMMENDATIONS.c.model_version)
    )
    shown = {row.model_version: row.shown for row in connection.execute(counted)}
    pairs = (
        select(
            RECOMMENDATIONS.c.model_version,
            RECOMMENDATIONS.c.recommendation_id,
            EVENTS.c.item_id,
        )
        .distinct()
        .join_from(
            EVENTS,
            RECOMMENDATIONS,
            RECOMMENDATIONS.c.recommendation_id == EVENTS.c.recommendation_id,
        )
        .where(
            EVENTS.c.received_at >= since - _CLOCKS,
            EVENTS.c.recommendation_id.is_not(None),
            RECOMMENDATIONS.c.created_at >= since,
            _holds_item(connection.dialect.name),
        )
        .subquery()
    )
    clicks = {
        row.model_version: row
        for row in connection.execute(
            select(
                pairs.c.model_version,
                func.count(distinct(pairs.c.recommendation_id)).label("clicked"),
                func.count().label("clicks"),
            ).group_by(pairs.c.model_version)
        )
    }
    return [
        ClickThrough(
            version,
            shown=shown[version],
            clicked=clicks[version].clicked if version in clicks else 0,
            clicks=clicks[version].clicks if version in clicks else 0,
        )
        for version in sorted(shown)
    ]


def _holds_item(dialect: str) -> ColumnElement[bool]:
    position = getattr(func, _POSITION[dialect])
    between = literal(_BETWEEN, String)
    wanted: ColumnElement[str] = between + EVENTS.c.item_id + between
    found: ColumnElement[bool] = position(RECOMMENDATIONS.c.item_ids, wanted) > 0
    return found


def forget(connection: Connection, before: float, limit: int) -> int:
    """Remove the oldest answers given before then, at most so many; return how many."""
    old = (
        select(RECOMMENDATIONS.c.recommendation_id)
        .where(RECOMMENDATIONS.c.created_at < before)
        .order_by(RECOMMENDATIONS.c.created_at)
        .limit(limit)
    )
    oldest = delete(RECOMMENDATIONS).where(RECOMMENDATIONS.c.recommendation_id.in_(old))
    return connection.execute(oldest).rowcount
