"""Catalogue state: an immutable snapshot of a catalogue, and the way to the next snapshot.

Rows are never reused: a deleted item keeps its row until the model is loaded again, so that
histories with it remain readable.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from palate.data.catalog import Catalog
from palate.inference.filters import ItemColumns, ItemFilter, grown
from palate.inference.item_encoder import ItemEncoder, overlaid, trained_views
from palate.inference.item_view import ItemView
from palate.inference.prompt_runner import CatalogueVectors
from palate.items.codes.codes import Codes
from palate.items.codes.prefix_table import PrefixTable

_MASK_BYTES = 32_000_000
"""Memory for the masks of recent filters."""
_NO_FILTER = ItemFilter()
_MOST_TABLES = 16
"""Number of code tables kept, one per recent filter."""


@dataclass(frozen=True, eq=False)
class CatalogueState:
    """Snapshot of all catalogue data that answers read."""

    views: Sequence[ItemView]
    deleted: Bool[np.ndarray, " items"]
    readable: Bool[np.ndarray, " items"]
    """Whether the model can score the item: it knows the ID, or can read the content."""
    columns: ItemColumns
    vectors: CatalogueVectors | None
    """None for a baseline, which has no vectors."""
    codes: Codes | None = None
    """Codes of the first rows, the items that have codes; None where the model uses none."""
    edition: int = 0
    """Counts the changes that alter the encoding of items in histories."""
    changes: int = 0
    """Counts all changes."""
    _masks: dict[ItemFilter, np.ndarray] = field(default_factory=dict)
    _tables: dict[ItemFilter, PrefixTable] = field(default_factory=dict)

    @classmethod
    def trained(cls, catalog: Catalog, encoder: ItemEncoder | None) -> "CatalogueState":
        """Return the state of the training catalogue.

        Without an ``encoder`` items are known by ID alone, as for a baseline.
        """
        views = trained_views(catalog)
        vectors, readable, codes = None, np.ones(len(views), dtype=bool), None
        if encoder is not None:
            vectors, readable = encoder.trained()
            codes = encoder.codes
        state = cls(
            views=views,
            deleted=np.zeros(len(views), dtype=bool),
            readable=readable,
            columns=ItemColumns.of(views),
            vectors=vectors,
            codes=codes,
        )
        return state.prepared()

    def __len__(self) -> int:
        """Return the number of rows, deleted items included."""
        return len(self.views)

    @cached_property
    def outputs_DI(self) -> Float[np.ndarray, "width items"]:  # noqa: N802 - shape suffix
        """Output vectors as columns, the fastest layout for the product with one user."""
        assert self.vectors is not None
        return np.ascontiguousarray(self.vectors.outputs.float().cpu().numpy().T)

    @cached_property
    def hidden_rows(self) -> Int[np.ndarray, " hidden"]:
        """Rows that may not be recommended without a filter."""
        return np.flatnonzero(~self.allowed(None))

    def prepared(self) -> "CatalogueState":
        """Return the state with its shared caches filled, so that the first request is fast."""
        if self.vectors is not None:
            assert self.outputs_DI.shape[1] == len(self)
        assert len(self.hidden_rows) <= len(self)
        if self.codes is not None:
            self.code_table(None)
        return self

    def code_table(
        self, wanted: ItemFilter | None, candidates: Sequence[int] | None = None
    ) -> PrefixTable:
        """Return the prefix table of the allowed items, restricted to ``candidates`` if given."""
        wanted = wanted or _NO_FILTER
        known = self._tables.get(wanted) if candidates is None else None
        if known is not None:
            return known
        assert self.codes is not None
        assert self.vectors is not None
        allowed = self.allowed(wanted)[: len(self.codes)]
        if candidates is not None:
            allowed = allowed & np.isin(np.arange(len(allowed)), candidates)
        table = PrefixTable.of(
            self.codes, device=self.vectors.outputs.device, rows=np.flatnonzero(allowed)
        )
        if candidates is None:
            if len(self._tables) >= _MOST_TABLES:
                self._tables.clear()
            self._tables[wanted] = table
        return table

    def allowed(self, wanted: ItemFilter | None) -> Bool[np.ndarray, " items"]:
        """Return the mask of rows that may be recommended."""
        wanted = wanted or _NO_FILTER
        known = self._masks.get(wanted)
        if known is None:
            if len(self._masks) > max(4, _MASK_BYTES // max(len(self), 1)):
                self._masks.clear()
            known = self.columns.mask(wanted) & self.readable & ~self.deleted
            self._masks[wanted] = known
        return known

    def without(self, rows: Int[np.ndarray, " deleted"]) -> "CatalogueState":
        """Return the state with some items deleted."""
        deleted = self.deleted.copy()
        deleted[rows] = True
        return replace(self, deleted=deleted, changes=self.changes + 1, _masks={}, _tables={})

    def replaced(
        self,
        rows: Int[np.ndarray, " changed"],
        views: Sequence[ItemView],
        encoder: ItemEncoder | None,
    ) -> "CatalogueState":
        """Return the state with ``views`` in place of some rows; new rows are appended.

        Without an ``encoder`` the model knows items by ID alone, and new items stay hidden.
        """
        everything = [
            *self.views,
            *(v for row, v in zip(rows, views, strict=True) if row >= len(self)),
        ]
        num_items = len(everything)
        changed = [
            place
            for place, (row, view) in enumerate(zip(rows.tolist(), views, strict=True))
            if row >= len(self) or self.views[row].content != view.content
        ]
        for row, view in zip(rows.tolist(), views, strict=True):
            everything[row] = view
        deleted, readable = grown(self.deleted, num_items), grown(self.readable, num_items)
        deleted[rows] = False
        vectors, codes = self.vectors, self.codes
        if encoder is not None and codes is not None and len(codes) == len(self):
            codes = encoder.with_new_codes(codes, everything[len(self) :])
        if vectors is not None and encoder is not None and changed:
            read, can_read = encoder.encode(rows[changed], [views[place] for place in changed])
            readable[rows[changed]] = can_read
            vectors = overlaid(vectors, rows[changed], read, num_items)
        return CatalogueState(
            views=everything,
            deleted=deleted,
            readable=readable,
            columns=self.columns.replaced(rows, views, num_items),
            vectors=vectors,
            codes=codes,
            changes=self.changes + 1,
            edition=self.edition + bool((rows[changed] < len(self)).any()),
        )
