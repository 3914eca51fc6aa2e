"""The items of an engine, which come, change and go while it answers.

Everything an answer reads of the catalogue is one unchanging :class:`CatalogueState`; an update
builds the next one and replaces a single reference, so that no answer ever sees half of a change.
"""

import threading
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int

from palate.data.catalog import Catalog
from palate.data.item_record import DeletedItem, ItemRecord
from palate.errors import UnknownItemError
from palate.inference.catalogue_state import CatalogueState
from palate.inference.facets import Facets, facets
from palate.inference.filters import ItemFilter, parse_filter
from palate.inference.item_encoder import ItemEncoder
from palate.inference.item_view import ItemView
from palate.inference.title_index import TitleIndex
from palate.types import History


class ItemCatalogue:
    """Items by id and by row; safe to read from several threads while it is updated."""

    def __init__(self, catalog: Catalog, encoder: ItemEncoder | None) -> None:
        """Start with the items that a system was trained on.

        Args:
            catalog: those items.
            encoder: of new items; None where the system knows items by ID alone.
        """
        self._catalog, self._encoder = catalog, encoder
        self._updating = threading.Lock()
        self.state = CatalogueState.trained(catalog, encoder)
        """What answers read; replaced as a whole, never changed."""
        self._rows = {view.item_id: row for row, view in enumerate(self.state.views)}
        self._index: tuple[int, TitleIndex] | None = None
        """The title index, and the number of the change that it was made after."""

    def __len__(self) -> int:
        """Return the number of rows, those of deleted items included."""
        return len(self.state)

    # Items by id

    def row_of(self, item_id: str) -> int:
        """Return the row of an item; a deleted one keeps its row.

        Raises:
            UnknownItemError: when it was neither trained nor added.
        """
        row = self._rows.get(item_id)
        if row is None or row >= len(self.state):
            raise UnknownItemError(
                f"Unknown item {item_id!r}.",
                hint="Check spelling and case, or add it with: PUT /v1/items/{item_id}",
            )
        return row

    def rows_of(self, item_ids: Sequence[str]) -> tuple[Int[np.ndarray, " known"], list[str]]:
        """Return the rows of the known items, in their order, and the unknown ids."""
        num_items = len(self.state)
        found = [self._rows.get(item_id, num_items) for item_id in item_ids]
        known = np.asarray([row for row in found if row < num_items], dtype=np.int64)
        missing = [x for x, row in zip(item_ids, found, strict=True) if row >= num_items]
        return known, missing

    def known_rows(self, item_ids: Sequence[str]) -> Int[np.ndarray, " ids"]:
        """Return the rows of items that all have to be there.

        Raises:
            UnknownItemError: naming the first that is not.
        """
        return np.asarray([self.row_of(item_id) for item_id in item_ids], dtype=np.int64)

    def item(self, item_id: str) -> ItemView:
        """Return what is known of an item.

        Raises:
            UnknownItemError: when there is no such item, or no longer.
        """
        row, state = self.row_of(item_id), self.state
        if state.deleted[row]:
            raise UnknownItemError(f"The item {item_id!r} was deleted.", hint="Add it again.")
        return state.views[row]

    def image(self, item_id: str) -> bytes | None:
        """Return the picture that the model folder holds of an item, PNG or JPEG."""
        row, table = self.row_of(item_id), self._catalog.table
        if row >= len(self._catalog) or self.state.deleted[row] or "image" not in table.columns:
            return None
        picture: bytes | None = table["image"][row]
        return picture

    # Items by row

    def view(self, row: int) -> ItemView:
        """Return what is known of a row, deleted or not: a history may hold it."""
        return self.state.views[row]

    def views(self, rows: Sequence[int] | Int[np.ndarray, " rows"]) -> list[ItemView]:
        """Return what is known of several rows."""
        every = self.state.views
        return [every[row] for row in np.asarray(rows, dtype=np.int64).tolist()]

    def listed(self, start: int = 0) -> Iterator[int]:
        """Return the rows of the items that are not deleted, from ``start`` on."""
        state = self.state
        return (row for row in range(start, len(state)) if not state.deleted[row])

    def num_answered(self, rows: Int[np.ndarray, " rows"]) -> int:
        """Return how many of some rows may be answered where no filter is given."""
        return int(self.state.allowed(None)[rows].sum())

    # Filters and titles

    def facets(self, most: int) -> Facets:
        """Return what the items that are not deleted can be filtered by."""
        state = self.state
        return facets(state.columns, ~state.deleted, most)

    def filter(self, conditions: Sequence[str]) -> ItemFilter:
        """Return the filter of conditions (see :func:`palate.inference.filters.parse_filter`).

        Raises:
            ConfigError: when a condition cannot be read, or names what no item has.
        """
        return parse_filter(conditions, self.state.columns)

    def find_titles(self, words: str, most: int) -> Int[np.ndarray, " found"]:
        """Return the rows of items whose titles, brands or categories hold every word."""
        state, index = self.state, self._index
        if index is None or index[0] != state.changes:
            rows = np.flatnonzero(~state.deleted)
            views = [state.views[row] for row in rows.tolist()]
            index = self._index = (state.changes, TitleIndex.of(rows, views))
        return index[1].find(words, most)

    # Sessions

    def history_of(self, item_ids: Sequence[str], after: History | None = None) -> History:
        """Return the history of somebody who chose these items, oldest first.

        Args:
            item_ids: of the items.
            after: what somebody known did before; what was done with the items, and how they were
                rated, is then unknown in the same history.

        Raises:
            UnknownItemError: naming the first id that the catalogue does not hold.
        """
        rows = self.known_rows(item_ids)
        if after is None or not len(after):
            return History(item_rows=rows)
        return after.extended(untold(rows)) if len(rows) else after

    # Changes

    def update(self, changes: Sequence[ItemRecord | DeletedItem]) -> int:
        """Take new, changed and deleted items; answers from now on know of them, and of all.

        A new item is encoded as the model's encoders encode text and attributes, and is
        recommendable at once if there is anything of it that the model can read. Returns how many
        rows changed.
        """
        last = {change.item_id: change for change in changes}
        with self._updating:
            state = self.state
            gone = [
                self._rows[item_id]
                for item_id, change in last.items()
                if isinstance(change, DeletedItem) and item_id in self._rows
            ]
            told = [self._view(c) for c in last.values() if isinstance(c, ItemRecord)]
            new = [view.item_id for view in told if view.item_id not in self._rows]
            added = {item_id: len(state) + place for place, item_id in enumerate(new)}
            rows = np.asarray(
                [added.get(v.item_id, self._rows.get(v.item_id)) for v in told], dtype=np.int64
            )
            if told:
                state = state.replaced(rows, told, self._encoder)
            if gone:
                state = state.without(np.asarray(gone))
            # Made before it is shown, so that the first request does not wait for it.
            self.state = state.prepared()
            # Rows past the end of the state count as unknown, so the state has to come first.
            self._rows.update(added)
        return len(told) + len(gone)

    def _view(self, record: ItemRecord) -> ItemView:
        row = self._rows.get(record.item_id)
        return ItemView(
            item_id=record.item_id,
            title=record.title,
            brand=record.brand,
            categories=tuple(record.categories),
            price=None if record.price is None else float(record.price),
            description=record.description,
            in_stock=record.in_stock,
            has_image=row is not None and self.state.views[row].has_image,
        )


def untold(item_rows: Int[np.ndarray, " events"]) -> History:
    """Return events of which nothing is known but the items."""
    events = len(item_rows)
    return History(
        item_rows=item_rows,
        event_types=np.full(events, -1, dtype=np.int64),
        ratings=np.full(events, np.nan, dtype=np.float32),
        timestamps=np.full(events, -1, dtype=np.int64),
        scenarios=np.full(events, -1, dtype=np.int64),
    )
