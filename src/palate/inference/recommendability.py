"""Which new or changed items the model can recommend, and why not the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from palate.data.item_record import ItemRecord
from palate.inference.engine import Engine

_NAMED = 100
"""Number of items for which the reason is given; the others are counted."""

_TRAIN_AGAIN = (
    "The model knows items by what was done with them in training: it can be recommended after the "
    "next one."
)
_NO_CONTENT = (
    "Nothing is said of it that the model reads: give a title, a brand, categories, a description "
    "or a price."
)
_NEW_WORDS = (
    "None of its words was seen in training: add a brand, a category, a price, or a description in "
    "words that other items have."
)


@dataclass(frozen=True)
class UpsertResult:
    """The result of one upsert."""

    stored: int
    recommendable: int
    not_recommendable: Sequence[Mapping[str, str]]
    """The first items that cannot be recommended, each with ``item_id`` and ``why``."""


def upsert_result(engine: Engine, records: Sequence[ItemRecord]) -> UpsertResult:
    """Return which of these items the engine can recommend, after its catalogue was updated."""
    rows, _ = engine.catalogue.rows_of([record.item_id for record in records])
    recommendable = engine.catalogue.num_answered(rows)
    reasons: dict[str, str] = {}
    for record, row in zip(records, rows.tolist(), strict=True):
        if recommendable == len(records) or len(reasons) == _NAMED:
            break
        if not engine.catalogue.num_answered(np.asarray([row])):
            reasons[record.item_id] = _reason(engine, record)
    named = [{"item_id": item_id, "why": why} for item_id, why in reasons.items()]
    return UpsertResult(len(records), recommendable, named)


def _reason(engine: Engine, record: ItemRecord) -> str:
    if not engine.capabilities.reads_new_items:
        return _TRAIN_AGAIN
    texts = (record.title, record.description, record.brand, record.categories)
    return _NEW_WORDS if any(texts) or record.price is not None else _NO_CONTENT
