"""The catalogue of an engine: items are added, changed and deleted while it answers.

An answer reads the catalogue from one immutable :class:`CatalogueState`. An update builds the next
state and replaces a single reference, so that no answer sees half of a change.
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

_NO_ROWS = np.zeros(0, dtype=np.int64)


class ItemCatalogue:
    """Items by id and by row; safe to read from several threads while it is updated."""

    def __init__(self, catalog: Catalog, encoder: ItemEncoder | None) -> None:
        """Start with the training catalogue of a system.

        Args:
            catalog: the training catalogue.
            encoder: encodes new items; None where the system knows items by ID alone.
        """
        self._catalog, self._encoder = catalog, encoder
        self._updating = threading.Lock()
        self.state = CatalogueState.trained(catalog, encoder)
        """The state that answers read; replaced as a whole, never modified."""
        self._rows = {view.item_id: row for row, view in enumerate(self.state.views)}
        self._index: tuple[int, TitleIndex] | None = None
        """The title index, and the change counter at which it was built."""

    def __len__(self) -> int:
        """Return the number of rows, including deleted items."""
        return len(self.state)

    # Items by id

    def row_of(self, item_id: str) -> int:
        """Return the row of an item; a deleted item keeps its row.

        Raises:
            UnknownItemError: when it was neither trained nor added.
        """
        row = self._rows.get(item_id) if isinstance(item_id, str) else None
        if row is None or row >= len(self.state):
            raise UnknownItemError(
                f"Unknown item {item_id!r}.",
                hint="Check spelling and case; a service takes new items: PUT /v1/items/{item_id}",
            )
        return row

    def rows_of(self, item_ids: Sequence[str]) -> tuple[Int[np.ndarray, " known"], list[str]]:
        """Return the rows of the known items, in their order, and the unknown ids."""
        if not item_ids:
            return _NO_ROWS, []
        num_items = len(self.state)
        found = [self._rows.get(item_id, num_items) for item_id in item_ids]
        known = np.asarray([row for row in found if row < num_items], dtype=np.int64)
        missing = [x for x, row in zip(item_ids, found, strict=True) if row >= num_items]
        return known, missing

    def known_rows(self, item_ids: Sequence[str]) -> Int[np.ndarray, " ids"]:
        """Return the rows of items, all of which must exist.

        Raises:
            UnknownItemError: naming the first that is not.
        """
        return np.asarray([self.row_of(item_id) for item_id in item_ids], dtype=np.int64)

    def item(self, item_id: str) -> ItemView:
        """Return the view of an item.

        Raises:
            UnknownItemError: when the item does not exist or was deleted.
        """
        row, state = self.row_of(item_id), self.state
        if state.deleted[row]:
            raise UnknownItemError(f"The item {item_id!r} was deleted.", hint="Add it again.")
        return state.views[row]

    def image(self, item_id: str) -> bytes | None:
        """Return the image of an item from the model folder, PNG or JPEG."""
        row, table = self.row_of(item_id), self._catalog.table
        if row >= len(self._catalog) or self.state.deleted[row] or "image" not in table.columns:
            return None
        picture: bytes | None = table["image"][row]
        return picture

    # Items by row

    def view(self, row: int) -> ItemView:
        """Return the view of a row, deleted or not, since histories may contain it."""
        return self.state.views[row]

    def views(self, rows: Sequence[int] | Int[np.ndarray, " rows"]) -> list[ItemView]:
        """Return the views of several rows."""
        every = self.state.views
        return [every[row] for row in np.asarray(rows, dtype=np.int64).tolist()]

    def listed(self, start: int = 0) -> Iterator[int]:
        """Return the rows of the items that are not deleted, from ``start`` on."""
        state = self.state
        return (row for row in range(start, len(state)) if not state.deleted[row])

    def num_answered(self, rows: Int[np.ndarray, " rows"]) -> int:
        """Return how many of these rows may be recommended without a filter."""
        return int(self.state.allowed(None)[rows].sum())

    # Filters and titles

    def num_fulfilling(self, wanted: ItemFilter | None) -> int:
        """Return how many items fulfil a filter and may be recommended."""
        return int(self.state.allowed(wanted).sum())

    def facets(self, most: int) -> Facets:
        """Return the facets of the items that are not deleted."""
        state = self.state
        return facets(state.columns, ~state.deleted, most)

    def filter(self, conditions: Sequence[str]) -> ItemFilter:
        """Parse filter conditions (see :func:`palate.inference.filters.parse_filter`).

        Raises:
            ConfigError: when a condition cannot be parsed, or names a label that no item has.
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

    # Changes

    def update(self, changes: Sequence[ItemRecord | DeletedItem]) -> int:
        """Apply new, changed and deleted items, atomically for later answers.

        A new item is encoded by the text and attribute encoders of the model; it can be recommended
        at once if the model can read any of its content. Returns how many rows changed.
        """
        last = {change.item_id: change for change in changes}
        with self._updating:
            state = self.state
            gone = [
                self._rows[item_id]
                for item_id, change in last.items()
                if isinstance(change, DeletedItem) and item_id in self._rows
            ]
            described = [self._view(c) for c in last.values() if isinstance(c, ItemRecord)]
            new = [view.item_id for view in described if view.item_id not in self._rows]
            added = {item_id: len(state) + place for place, item_id in enumerate(new)}
            rows = np.asarray(
                [added.get(v.item_id, self._rows.get(v.item_id)) for v in described], dtype=np.int64
            )
            if described:
                state = state.replaced(rows, described, self._encoder)
            if gone:
                state = state.without(np.asarray(gone))
            # Prepared before it is published, so that the first request does not wait.
            self.state = state.prepared()
            # Rows past the end of the state count as unknown, so the state is published first.
            self._rows.update(added)
        return len(described) + len(gone)

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
