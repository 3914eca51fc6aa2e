"""What became of items that were added or changed: which can be recommended, and why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from palate.data.item_record import ItemRecord
from palate.inference.engine import Engine

_SHOWN = 100
"""Items of which it is told why they are not recommended; the others are counted."""

_TRAIN_AGAIN = (
    "The model knows items by what was done with them in training: it can be recommended after the "
    "next one."
)
_NOTHING_TOLD = (
    "Nothing is said of it that the model reads: give a title, a brand, categories, a description "
    "or a price."
)
_NEW_WORDS = (
    "None of its words was seen in training: add a brand, a category, a price, or a description in "
    "words that other items have."
)


@dataclass(frozen=True)
class Upserted:
    """What one upsert came to."""

    stored: int
    recommendable: int
    not_recommendable: Sequence[Mapping[str, str]]
    """The first that are not, each with ``item_id`` and ``why``."""


def upserted(engine: Engine, records: Sequence[ItemRecord]) -> Upserted:
    """Return what a model makes of records that it has been shown."""
    rows, _ = engine.catalogue.rows_of([record.item_id for record in records])
    recommendable = engine.catalogue.num_answered(rows)
    hidden: dict[str, str] = {}
    for record, row in zip(records, rows.tolist(), strict=True):
        if recommendable == len(records) or len(hidden) == _SHOWN:
            break
        if not engine.catalogue.num_answered(np.asarray([row])):
            hidden[record.item_id] = _why(engine, record)
    told = [{"item_id": item_id, "why": why} for item_id, why in hidden.items()]
    return Upserted(len(records), recommendable, told)


def _why(engine: Engine, record: ItemRecord) -> str:
    if not engine.capabilities.reads_new_items:
        return _TRAIN_AGAIN
    told = (record.title, record.description, record.brand, record.categories)
    return _NEW_WORDS if any(told) or record.price is not None else _NOTHING_TOLD
