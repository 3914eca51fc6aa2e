"""Long lists of items and users: what the model folder holds first, then what came later.

A cursor is ``m`` and a row of the model, or ``s`` and a cursor of the store.
"""

from itertools import islice

import numpy as np
from jaxtyping import Float

from palate.data.dataset import Dataset
from palate.errors import UnknownUserError
from palate.serving.pool import ModelPool
from palate.serving.problems import Invalid
from palate.serving.rendering import short
from palate.serving.store import Store
from palate.types import History

Found = tuple[list[dict[str, object]], str | None]

_COMPARED = 20_000
"""Ids compared for one page of a search: the page may be short, its cursor leads on."""


class Listing:
    """Reads lists for the routes; called in threads, for it reads the store."""

    def __init__(self, store: Store, pool: ModelPool) -> None:
        """Read from the store, and from the first of the models."""
        self._store, self._pool = store, pool

    def items(self, cursor: str | None, limit: int, wanted: str | None) -> Found:
        """Return a page of items; with ``wanted``, the items whose title fits best."""
        catalogue = self._pool.models[0].engine.catalogue
        if wanted:
            found = catalogue.find_titles(wanted, limit)
            return [short(view) for view in catalogue.views(found)], None
        rows = list(islice(catalogue.listed(_row(cursor)), limit + 1))
        shown = [short(view) for view in catalogue.views(rows[:limit])]
        return shown, f"m{rows[limit]}" if len(rows) > limit else None

    def users(self, cursor: str | None, limit: int, wanted: str | None) -> Found:
        """Return a page of users; with ``wanted``, those whose id begins so."""
        if cursor is None or cursor.startswith("m"):
            found, row = self._learned_users(_row(cursor), limit, wanted or "")
            return found, "s" if row is None else f"m{row}"
        page = self._store.users(cursor[1:] or None, limit, prefix=wanted or "")
        known = self._dataset.interactions.users
        # Whom the model learned from was listed before, unless that history counts no more.
        before = [user.user_id for user in page.rows if user.user_id in known]
        listed = set(before) - self._store.erased_among(before)
        shown: list[dict[str, object]] = [
            {"user_id": user.user_id, "attributes": dict(user.attributes)}
            for user in page.rows
            if user.user_id not in listed
        ]
        return shown, None if page.next_cursor is None else f"s{page.next_cursor}"

    def user(self, user_id: str) -> dict[str, object] | None:
        """Return what is known of a user beside the events, None where there is nobody."""
        record = self._store.get_user(user_id)
        if record is not None:
            return {"user_id": user_id, "attributes": dict(record.attributes)}
        if self._learned_history(user_id) is None:
            return None
        return {"user_id": user_id, "attributes": {}}

    def past(self, user_id: str, limit: int) -> list[dict[str, object]]:
        """Return what a user did, oldest first."""
        later = self._store.history(user_id, limit)
        catalogue = self._pool.models[0].engine.catalogue
        shown: list[dict[str, object]] = []
        for stored in later:
            event = stored.event
            rows, _ = catalogue.rows_of([event.item_id])
            title = catalogue.view(int(rows[0])).title if len(rows) else None
            shown.append(
                {
                    "item_id": event.item_id,
                    "title": title or event.item_id,
                    "event_type": event.event_type,
                    "value": event.value,
                    "timestamp": event.timestamp,
                }
            )
        return [*self.learned(user_id, limit - len(later)), *shown]

    def learned(self, user_id: str, limit: int | None = None) -> list[dict[str, object]]:
        """Return a user's events in the model folder, oldest first; none of an erased user."""
        history = self._learned_history(user_id)
        if history is None or limit == 0:
            return []
        return _told(self._dataset, history if limit is None else history.last(limit))

    def num_learned(self, user_id: str) -> int:
        """Return how many events of a user the model folder holds and uses."""
        history = self._learned_history(user_id)
        return 0 if history is None else len(history)

    def health(self) -> list[dict[str, str]]:
        """Return what the operator should know of the data of the first model."""
        catalogue = self._pool.models[0].engine.catalogue
        views = catalogue.views(list(catalogue.listed()))
        untitled = sum(not view.title for view in views)
        unpriced = sum(view.price is None for view in views)
        hidden = len(views) - catalogue.num_answered(
            np.fromiter(catalogue.listed(), dtype=np.int64)
        )
        events = self._dataset.interactions
        learned = f"{len(events):,} events of {events.num_users:,} users, set {self._dataset.name}."
        return [
            _check("Training", "ok", learned),
            _check("Titles", _state(untitled), f"{untitled:,} of {len(views):,} items have none."),
            _check("Prices", _state(unpriced), f"{unpriced:,} of {len(views):,} items have none."),
            _check("Answered", _state(hidden), f"{hidden:,} of {len(views):,} items never are."),
        ]

    @property
    def _dataset(self) -> Dataset:
        return self._pool.models[0].engine.dataset

    def _learned_history(self, user_id: str) -> History | None:
        try:
            history = self._dataset.history(user_id)
        except UnknownUserError:
            return None
        return None if self._store.is_erased(user_id) else history

    def _learned_users(
        self, start: int, limit: int, prefix: str
    ) -> tuple[list[dict[str, object]], int | None]:
        """Return users the model learned from, and the row to go on from, None at their end."""
        ids = self._dataset.interactions.users.ids
        end = min(len(ids), start + _COMPARED)
        rows = (row for row in range(start, end) if str(ids[row]).startswith(prefix))
        # One more than wanted tells where the next page begins.
        wanted = list(islice(rows, limit + 1))
        after = wanted[limit] if len(wanted) > limit else end
        names = [str(ids[row]) for row in wanted[:limit]]
        erased, records = self._store.erased_among(names), self._store.users_among(names)
        found: list[dict[str, object]] = [
            {
                "user_id": name,
                "attributes": dict(records[name].attributes) if name in records else {},
            }
            for name in names
            if name not in erased
        ]
        return found, after if after < len(ids) else None


def _check(name: str, state: str, text: str) -> dict[str, str]:
    return {"name": name, "state": state, "text": text}


def _state(wrong: int) -> str:
    return "warn" if wrong else "ok"


def _told(dataset: Dataset, history: History) -> list[dict[str, object]]:
    table = dataset.catalog.table
    shown = table.select("item_id", "title")[history.item_rows].rows()
    types = dataset.interactions.event_types
    return [
        {
            "item_id": item_id,
            "title": title or item_id,
            "event_type": None if history.event_types is None else types[history.event_types[at]],
            "value": _number(history.ratings, at),
            "timestamp": None
            if history.timestamps is None or history.timestamps[at] < 0
            else int(history.timestamps[at]),
        }
        for at, (item_id, title) in enumerate(shown)
    ]


def _number(ratings: Float[np.ndarray, " events"] | None, at: int) -> float | None:
    return None if ratings is None or np.isnan(ratings[at]) else float(ratings[at])


def _row(cursor: str | None) -> int:
    """Return where a page begins.

    Raises:
        Invalid: when the cursor is none of ours.
    """
    if cursor is None:
        return 0
    if cursor[:1] == "m" and cursor[1:].isdecimal() and len(cursor) < 18:
        return int(cursor[1:])
    raise Invalid("The cursor is not one of ours.", hint="Give next_cursor of the page before.")
