"""The items of a live model: one unchanging state, and how the next one is made from it.

Rows are never given to another item: a deleted item keeps its row, so that histories which hold it
stay readable, until the model is loaded anew.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float, Int

from palate.data.catalog import Catalog
from palate.data.vocabulary import Vocabulary
from palate.errors import ConfigError
from palate.inference.engine import CatalogueVectors
from palate.items.codes.codes import Codes
from palate.items.codes.prefix_table import PrefixTable
from palate.items.features import ItemFeatures
from palate.items.vectors import ItemVectors, side_by_side
from palate.language.item_format import title_words
from palate.serving.filters import ItemColumns, ItemFilter, grown
from palate.serving.views import ItemView
from palate.training.build import codes_read
from palate.training.system import LanguageModelSystem

_MASK_BYTES = 32_000_000
"""Memory for the masks of recent filters."""
_NO_FILTER = ItemFilter()
_ROWS_AT_ONCE = 65_536
_MOST_TABLES = 16
"""Tables of codes kept, one per recent filter."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class CatalogueState:
    """All that answers read of the catalogue at one moment."""

    views: Sequence[ItemView]
    deleted: Bool[np.ndarray, " items"]
    readable: Bool[np.ndarray, " items"]
    """What the model can say anything about: it knows the item by ID or can read its content."""
    columns: ItemColumns
    vectors: CatalogueVectors | None
    """None for a baseline, which has no vectors."""
    codes: Codes | None = None
    """Of the items that can be spelled: the first rows; None where the model spells none."""
    edition: int = 0
    """Counts the changes that made an item of somebody's history read differently."""
    changes: int = 0
    """Counts all changes."""
    _masks: dict[ItemFilter, np.ndarray] = field(default_factory=dict)
    _tables: dict[ItemFilter, PrefixTable] = field(default_factory=dict)

    @classmethod
    def trained(cls, catalog: Catalog, reader: "ItemReader | None") -> "CatalogueState":
        """Return the state of the catalogue that a system was trained on.

        Without a ``reader`` it knows items by ID alone, as a baseline does.
        """
        views = trained_views(catalog)
        vectors, readable, codes = None, np.ones(len(views), dtype=bool), None
        if reader is not None:
            vectors, readable = reader.trained()
            codes = reader.codes
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
        """Output vectors as columns: the layout in which one user's product is fastest."""
        assert self.vectors is not None
        return np.ascontiguousarray(self.vectors.outputs.cpu().numpy().T)

    @cached_property
    def hidden_rows(self) -> Int[np.ndarray, " hidden"]:
        """Rows that may not be answered where no filter is given."""
        return np.flatnonzero(~self.allowed(None))

    def prepared(self) -> "CatalogueState":
        """Return the state itself, ready: the first question must not wait for what all need."""
        if self.vectors is not None:
            assert self.outputs_DI.shape[1] == len(self)
        assert len(self.hidden_rows) <= len(self)
        if self.codes is not None:
            self.spellable(None)
        return self

    def spellable(
        self, wanted: ItemFilter | None, candidates: Sequence[int] | None = None
    ) -> PrefixTable:
        """Return the codes of what may be answered, of ``candidates`` alone where given."""
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
        """Return which rows may be answered."""
        wanted = wanted or _NO_FILTER
        known = self._masks.get(wanted)
        if known is None:
            if len(self._masks) > max(4, _MASK_BYTES // max(len(self), 1)):
                self._masks.clear()
            known = self.columns.mask(wanted) & self.readable & ~self.deleted
            self._masks[wanted] = known
        return known

    def without(self, rows: Int[np.ndarray, " deleted"]) -> "CatalogueState":
        """Return the state in which some items are deleted."""
        deleted = self.deleted.copy()
        deleted[rows] = True
        return replace(self, deleted=deleted, changes=self.changes + 1, _masks={}, _tables={})

    def replaced(
        self,
        rows: Int[np.ndarray, " changed"],
        views: Sequence[ItemView],
        reader: "ItemReader | None",
    ) -> "CatalogueState":
        """Return the state in which some rows are as ``views`` say; new ones follow the old.

        Without a ``reader`` the model knows items by ID alone, and new ones stay hidden.
        """
        everything = [
            *self.views,
            *(v for row, v in zip(rows, views, strict=True) if row >= len(self)),
        ]
        num_items = len(everything)
        retold = [
            place
            for place, (row, view) in enumerate(zip(rows.tolist(), views, strict=True))
            if row >= len(self) or self.views[row].content != view.content
        ]
        for row, view in zip(rows.tolist(), views, strict=True):
            everything[row] = view
        deleted, readable = grown(self.deleted, num_items), grown(self.readable, num_items)
        deleted[rows] = False
        vectors, codes = self.vectors, self.codes
        if reader is not None and codes is not None and len(codes) == len(self):
            codes = reader.spelled(codes, everything[len(self) :])
        if vectors is not None and reader is not None and retold:
            read, can_read = reader.read(rows[retold], [views[place] for place in retold])
            readable[rows[retold]] = can_read
            vectors = _overlaid(vectors, rows[retold], read, num_items)
        return CatalogueState(
            views=everything,
            deleted=deleted,
            readable=readable,
            columns=self.columns.replaced(rows, views, num_items),
            vectors=vectors,
            codes=codes,
            changes=self.changes + 1,
            edition=self.edition + bool((rows[retold] < len(self)).any()),
        )


class ItemReader:
    """Reads what items say of themselves, as the encoders of a trained model do."""

    def __init__(self, parts: LanguageModelSystem) -> None:
        """Take the trained ``parts``, which are never changed."""
        self._parts = parts

    @property
    def codes(self) -> Codes | None:
        """Codes of the trained items; None where the model does not answer in them."""
        index = self._parts.index
        return index.codes if index is not None and "codes" in self._parts.forms else None

    def trained(self) -> tuple[CatalogueVectors, Bool[np.ndarray, " items"]]:
        """Return the vectors of the catalogue it was trained on, and what of it is readable."""
        model, features = self._parts.model, self._parts.features
        rows = torch.arange(len(features), device=model.queries.device)
        with torch.inference_mode():
            tables = [model.items(part) for part in rows.split(_ROWS_AT_ONCE)]
        vectors = CatalogueVectors(
            tokens=torch.cat([table.tokens for table in tables]),
            outputs=torch.cat([table.outputs for table in tables]),
        )
        return vectors, self._readable(features)

    def read(
        self, rows: Int[np.ndarray, " items"], views: Sequence[ItemView]
    ) -> tuple[CatalogueVectors, Bool[np.ndarray, " items"]]:
        """Return the vectors of some items as they are described now, and which are readable.

        An item that was trained keeps its ID; a new one has none and is known by content alone.
        """
        parts = self._parts
        trained = rows < len(parts.features)
        features = self._features(np.where(trained, rows, -1), views)
        id_rows = torch.from_numpy(np.where(trained, rows, -1)).to(parts.model.queries.device)
        model = parts.model.with_features(features, id_rows).to(id_rows.device)
        with torch.inference_mode():
            table = model.items(torch.arange(len(rows), device=id_rows.device))
        return CatalogueVectors(table.tokens, table.outputs), self._readable(features)

    def spelled(self, codes: Codes, views: Sequence[ItemView]) -> Codes:
        """Return the codes with those of new items after them, of items that can be given some.

        Codes that were not learned from texts cannot be given to new items.
        """
        index, config, text = self._parts.index, self._parts.recipe.codes, self._parts.encoders.text
        if not views or index is None or config is None or text is None:
            return codes
        if index.quantiser is None or not config.vectors.startswith("text"):
            return codes
        told = text.encode(catalog_of(views).texts())
        # Nobody has chosen a new item: of behaviour, where that is asked for too, there is none.
        width = index.quantiser.dim - told.dim
        absent = np.zeros(len(views), dtype=bool)
        nothing = ItemVectors(np.zeros((len(views), width), dtype=np.float32), absent)
        known = side_by_side([told, nothing] if width else [told]).values
        try:
            return replace(index, codes=codes).with_new_items(known).codes
        except ConfigError as error:
            _logger.info("new items get no codes: %s", error.message)
            return codes

    def _features(self, rows: Int[np.ndarray, " items"], views: Sequence[ItemView]) -> ItemFeatures:
        """Return features: text and attributes anew, the rest as trained (row -1: none)."""
        features, encoders = self._parts.features, self._parts.encoders
        catalog = catalog_of(views)
        known = rows >= 0
        vectors = {
            name: ItemVectors(
                values=block.values[rows] * known[:, None], present=block.present[rows] & known
            )
            for name, block in features.vectors.items()
        }
        if encoders.text is not None and "text" in vectors:
            vectors["text"] = encoders.text.encode(catalog.texts())
        attributes = encoders.attributes
        return ItemFeatures(
            has_id=features.has_id[rows] & known,
            vectors=vectors,
            attributes=attributes.encode(catalog.table)
            if attributes is not None and features.attributes is not None
            else None,
            num_attributes=features.num_attributes,
            codes=codes_read(self._parts.recipe, self._parts.index, vectors),
            num_codes=features.num_codes,
            words=self._titles(catalog) if features.words is not None else None,
        )

    def _titles(self, catalog: Catalog) -> Int[np.ndarray, "items words"]:
        most = self._parts.recipe.model.title_words
        return title_words(catalog.titles(), self._parts.tokenizer, most)

    def _readable(self, features: ItemFeatures) -> Bool[np.ndarray, " items"]:
        found = features.has_id & self._parts.recipe.model.fusion.use_id
        for block in features.vectors.values():
            found = found | block.present
        if features.words is not None and features.words.shape[1]:
            found = found | (features.words[:, 0] >= 0)
        if features.attributes is not None:
            found = found | (np.diff(features.attributes.offsets) > 0)
        return found


def trained_views(catalog: Catalog) -> list[ItemView]:
    """Return the views of the items of a catalogue, in row order."""
    table = catalog.table.select(
        pl.col("item_id", "title", "brand", "categories"),
        pl.col("price").cast(pl.Float64).fill_nan(None),
        pl.col("description"),
        has_image=pl.col("image").is_not_null() if "image" in catalog.table.columns else False,
    )
    return [
        ItemView(item_id, title, brand, tuple(categories or ()), price, description, True, pictured)
        for item_id, title, brand, categories, price, description, pictured in table.iter_rows()
    ]


def _overlaid(
    old: CatalogueVectors,
    rows: Int[np.ndarray, " changed"],
    new: CatalogueVectors,
    num_items: int,
) -> CatalogueVectors:
    """Return copies of the vectors, longer where rows are new, with some rows replaced."""
    place = torch.from_numpy(rows).to(old.tokens.device)

    def overlaid(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        added = before.new_zeros(num_items - len(before), before.shape[1])
        return torch.cat([before, added]).index_copy(0, place, after)

    with torch.inference_mode():
        return CatalogueVectors(
            overlaid(old.tokens, new.tokens), overlaid(old.outputs, new.outputs)
        )


_SCHEMA: Mapping[str, type[pl.DataType] | pl.DataType] = {
    "item_id": pl.String,
    "title": pl.String,
    "brand": pl.String,
    "categories": pl.List(pl.String),
    "price": pl.Float64,
    "description": pl.String,
}


def catalog_of(views: Sequence[ItemView]) -> Catalog:
    """Return the catalogue that ``views`` describe, in their order; pictures are left out."""
    item_ids = [view.item_id for view in views]
    columns = {
        "item_id": item_ids,
        "title": [view.title for view in views],
        "brand": [view.brand for view in views],
        "categories": [list(view.categories) for view in views],
        "price": [view.price for view in views],
        "description": [view.description for view in views],
    }
    return Catalog(Vocabulary(item_ids), pl.DataFrame(columns, schema=dict(_SCHEMA)))
