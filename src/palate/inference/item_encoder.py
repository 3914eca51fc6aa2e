"""Item encoder: vectors of new and changed items, from their current descriptions."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Int

from palate.data.catalog import Catalog
from palate.data.vocabulary import Vocabulary
from palate.errors import ConfigError
from palate.inference.item_view import ItemView
from palate.inference.prompt_runner import CatalogueVectors
from palate.items.codes.codes import Codes
from palate.items.features import ItemFeatures
from palate.items.vectors import ItemVectors, side_by_side
from palate.language.item_format import title_words
from palate.training.build import codes_read
from palate.training.system import LanguageModelSystem

_ROWS_AT_ONCE = 65_536

_logger = logging.getLogger(__name__)


class ItemEncoder:
    """Encodes item descriptions with the encoders of a trained model."""

    def __init__(self, system: LanguageModelSystem) -> None:
        """Take a trained model, which is never modified."""
        self._system = system

    @property
    def codes(self) -> Codes | None:
        """Codes of the trained items; None where the model does not use codes."""
        index = self._system.index
        return index.codes if index is not None and "codes" in self._system.forms else None

    def trained(self) -> tuple[CatalogueVectors, Bool[np.ndarray, " items"]]:
        """Return the vectors of the training catalogue, and which items are readable."""
        model, features = self._system.model, self._system.features
        rows = torch.arange(len(features), device=model.queries.device)
        with torch.inference_mode():
            tables = [model.items(part) for part in rows.split(_ROWS_AT_ONCE)]
        vectors = CatalogueVectors(
            tokens=torch.cat([table.tokens for table in tables]),
            outputs=torch.cat([table.outputs for table in tables]),
        )
        return vectors, self._readable(features)

    def encode(
        self, rows: Int[np.ndarray, " items"], views: Sequence[ItemView]
    ) -> tuple[CatalogueVectors, Bool[np.ndarray, " items"]]:
        """Return the vectors of some items from current descriptions, and which are readable.

        A trained item keeps its ID embedding; a new item is encoded from its content alone.
        """
        system = self._system
        trained = rows < len(system.features)
        features = self._features(np.where(trained, rows, -1), views)
        id_rows = torch.from_numpy(np.where(trained, rows, -1)).to(system.model.queries.device)
        model = system.model.with_features(features, id_rows).to(id_rows.device)
        with torch.inference_mode():
            table = model.items(torch.arange(len(rows), device=id_rows.device))
        return CatalogueVectors(table.tokens, table.outputs), self._readable(features)

    def with_new_codes(self, codes: Codes, views: Sequence[ItemView]) -> Codes:
        """Return the codes, with codes of new items appended where possible.

        New items get codes only if the codes were learned from texts.
        """
        index, config, text = (
            self._system.index,
            self._system.recipe.codes,
            self._system.encoders.text,
        )
        if not views or index is None or config is None or text is None:
            return codes
        if index.quantiser is None or not config.vectors.startswith("text"):
            return codes
        of_texts = text.encode(catalog_of(views).texts())
        # A new item has no behaviour: that part of the vector, if the codes use it, is zero.
        width = index.quantiser.dim - of_texts.dim
        absent = np.zeros(len(views), dtype=bool)
        nothing = ItemVectors(np.zeros((len(views), width), dtype=np.float32), absent)
        known = side_by_side([of_texts, nothing] if width else [of_texts]).values
        try:
            return replace(index, codes=codes).with_new_items(known).codes
        except ConfigError as error:
            _logger.info("new items get no codes: %s", error.message)
            return codes

    def _features(self, rows: Int[np.ndarray, " items"], views: Sequence[ItemView]) -> ItemFeatures:
        """Return features: text and attributes recomputed, the rest as trained (row -1: none)."""
        features, encoders = self._system.features, self._system.encoders
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
            codes=codes_read(self._system.recipe, self._system.index, vectors),
            num_codes=features.num_codes,
            words=self._titles(catalog) if features.words is not None else None,
        )

    def _titles(self, catalog: Catalog) -> Int[np.ndarray, "items words"]:
        most = self._system.recipe.model.max_title_words
        inline = self._system.recipe.model.prompts_in_text
        return title_words(catalog.titles(), self._system.tokenizer, most, inline=inline)

    def _readable(self, features: ItemFeatures) -> Bool[np.ndarray, " items"]:
        found = features.has_id & self._system.recipe.model.fusion.use_id
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


def overlaid(
    old: CatalogueVectors,
    rows: Int[np.ndarray, " changed"],
    new: CatalogueVectors,
    num_items: int,
) -> CatalogueVectors:
    """Return copies of the vectors, longer where rows are new, with some rows replaced."""
    place = torch.from_numpy(rows).to(old.tokens.device)

    def longer(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        added = before.new_zeros(num_items - len(before), before.shape[1])
        return torch.cat([before, added]).index_copy(0, place, after)

    with torch.inference_mode():
        return CatalogueVectors(longer(old.tokens, new.tokens), longer(old.outputs, new.outputs))


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
