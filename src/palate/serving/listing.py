"""Items, users and events as the API shows them, from the model folder and from the store.

Long lists come in pages. A cursor is ``m`` and a row of the model, or ``s`` and a cursor of the
store.
"""

from dataclasses import asdict
from itertools import islice

import numpy as np

from palate.data.dataset import Dataset
from palate.data.item_record import ItemRecord
from palate.errors import UnknownItemError, UnknownUserError
from palate.inference.catalogue import ItemCatalogue
from palate.inference.item_view import ItemView
from palate.serving.pool import ModelPool
from palate.serving.problems import Invalid
from palate.serving.rendering import short
from palate.serving.store import Store
from palate.types import History

Fields = dict[str, object]
"""JSON fields of an item, a user or an event."""
Page = tuple[list[Fields], str | None]
"""Rows, and the cursor of the next page; None at the end."""

_COMPARED = 20_000
"""Ids compared for one page of a search; a short page still has a cursor."""


class Listing:
    """Reads items, users and events for the routes, which call it in threads."""

    def __init__(self, store: Store, pool: ModelPool) -> None:
        """Read from the store, and from the first of the models."""
        self._store, self._pool = store, pool

    def item(self, item_id: str) -> Fields | None:
        """Return all fields of an item, None if there is no such item."""
        record, view = self.record(item_id), self._view(item_id)
        if record is None:
            return None
        fields = {name: value for name, value in asdict(record).items() if name != "updated"}
        return fields | {"has_image": view is not None and view.has_image}

    def record(self, item_id: str) -> ItemRecord | None:
        """Return an item as the store would hold it, None if there is no such item."""
        record, view = self._store.get_item(item_id), self._view(item_id)
        if record is not None or view is None:
            return record
        return ItemRecord(
            item_id=item_id,
            title=view.title,
            description=view.description,
            brand=view.brand,
            categories=view.categories,
            price=view.price,
            in_stock=view.in_stock,
        )

    def items(self, cursor: str | None, limit: int, words: str | None) -> Page:
        """Return a page of items; with ``words``, the items whose titles hold them."""
        catalogue = self._catalogue
        if words:
            matches = catalogue.find_titles(words, limit)
            return [short(view) for view in catalogue.views(matches)], None
        rows = list(islice(catalogue.listed(_row(cursor)), limit + 1))
        shown = [short(view) for view in catalogue.views(rows[:limit])]
        return shown, f"m{rows[limit]}" if len(rows) > limit else None

    def users(self, cursor: str | None, limit: int, prefix: str) -> Page:
        """Return a page of users whose ids begin with ``prefix``."""
        if cursor is None or cursor.startswith("m"):
            users, row = self._learned_users(_row(cursor), limit, prefix)
            return users, "s" if row is None else f"m{row}"
        page = self._store.users(cursor[1:] or None, limit, prefix=prefix)
        known = self._dataset.interactions.users
        # Users of the training data were listed before, except those who were erased.
        before = [user.user_id for user in page.rows if user.user_id in known]
        listed = set(before) - self._store.erased_among(before)
        shown: list[Fields] = [
            {"user_id": user.user_id, "attributes": dict(user.attributes)}
            for user in page.rows
            if user.user_id not in listed
        ]
        return shown, None if page.next_cursor is None else f"s{page.next_cursor}"

    def user(self, user_id: str) -> Fields | None:
        """Return a user without the events, None if there is no such user."""
        record = self._store.get_user(user_id)
        if record is not None:
            return {"user_id": user_id, "attributes": dict(record.attributes)}
        if self._learned_history(user_id) is None:
            return None
        return {"user_id": user_id, "attributes": {}}

    def past(self, user_id: str, limit: int) -> list[Fields]:
        """Return the newest events of a user, oldest first."""
        later = [stored.event for stored in self._store.history(user_id, limit)]
        shown = [
            _event_fields(e.item_id, self._title(e.item_id), e.event_type, e.value, e.timestamp)
            for e in later
        ]
        return [*self.learned(user_id, limit - len(later)), *shown]

    def learned(self, user_id: str, limit: int | None = None) -> list[Fields]:
        """Return a user's events in the model folder, oldest first; none if the user was erased."""
        history = self._learned_history(user_id)
        if history is None or limit == 0:
            return []
        return _learned_events(self._dataset, history if limit is None else history.last(limit))

    def num_learned(self, user_id: str) -> int:
        """Return the number of a user's events in the model folder; 0 if the user was erased."""
        history = self._learned_history(user_id)
        return 0 if history is None else len(history)

    def health(self) -> list[dict[str, str]]:
        """Return checks of the first model's data for the operator."""
        catalogue = self._catalogue
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
    def _catalogue(self) -> ItemCatalogue:
        return self._pool.models[0].engine.catalogue

    def _view(self, item_id: str) -> ItemView | None:
        try:
            return self._catalogue.item(item_id)
        except UnknownItemError:
            return None

    def _title(self, item_id: str) -> str | None:
        rows, _ = self._catalogue.rows_of([item_id])
        return self._catalogue.view(int(rows[0])).title if len(rows) else None

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
    ) -> tuple[list[Fields], int | None]:
        """Return users of the training data, and the row of the next page; None at the end."""
        ids = self._dataset.interactions.users.ids
        end = min(len(ids), start + _COMPARED)
        rows = (row for row in range(start, end) if str(ids[row]).startswith(prefix))
        # One row more than the page holds tells where the next page begins.
        page = list(islice(rows, limit + 1))
        after = page[limit] if len(page) > limit else end
        names = [str(ids[row]) for row in page[:limit]]
        erased, records = self._store.erased_among(names), self._store.users_among(names)
        users: list[Fields] = [
            {
                "user_id": name,
                "attributes": dict(records[name].attributes) if name in records else {},
            }
            for name in names
            if name not in erased
        ]
        return users, after if after < len(ids) else None


def _check(name: str, state: str, text: str) -> dict[str, str]:
    return {"name": name, "state": state, "text": text}


def _state(wrong: int) -> str:
    return "warn" if wrong else "ok"


def _learned_events(dataset: Dataset, history: History) -> list[Fields]:
    titles = dataset.catalog.table.select("item_id", "title")[history.item_rows].rows()
    names, types = dataset.interactions.event_types, history.event_types
    ratings, times = history.ratings, history.timestamps
    return [
        _event_fields(
            item_id,
            title,
            None if types is None else names[types[at]],
            None if ratings is None or np.isnan(ratings[at]) else float(ratings[at]),
            None if times is None or times[at] < 0 else int(times[at]),
        )
        for at, (item_id, title) in enumerate(titles)
    ]


def _event_fields(
    item_id: str, title: str | None, kind: str | None, value: float | None, time: int | float | None
) -> Fields:
    return {
        "item_id": item_id,
        "title": title or item_id,
        "event_type": kind,
        "value": value,
        "timestamp": time,
    }


def _row(cursor: str | None) -> int:
    """Return the first row of a page.

    Raises:
        Invalid: when the cursor is not one of ours.
    """
    if cursor is None:
        return 0
    if cursor[:1] == "m" and cursor[1:].isdecimal() and len(cursor) < 18:
        return int(cursor[1:])
    raise Invalid("The cursor is not one of ours.", hint="Give next_cursor of the page before.")
