"""Published codes are read as numbers, and have the collisions they are known for."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench"))

import code_health

from palate.data.catalog import Catalog
from palate.data.vocabulary import Vocabulary
from palate.items.codes.health import HealthEvidence
from palate.items.codes.health import code_health as judge


def _catalog(table: pl.DataFrame) -> Catalog:
    return Catalog(Vocabulary(table["item_id"].to_list()), table)


def test_tokens_are_read_as_numbers() -> None:
    table = pl.DataFrame(
        {"item_id": ["a", "b"], "ids": [["<a_3>", "<b_70>"], ["<a_0>", "<b_300>"]]}
    )
    values, levels = code_health.published_codes(_catalog(table), "ids")
    assert values.tolist() == [[3, 70], [0, 300]]
    assert [level.size for level in levels] == [256, 301]


@pytest.mark.real
def test_letter_leaves_thirteen_items_of_beauty_alike(
    shared_data: Path, rng: np.random.Generator
) -> None:
    catalog = _catalog(pl.read_parquet(shared_data / "amazon14_beauty" / "items.parquet"))
    values, levels = code_health.published_codes(catalog, "semantic_id_letter")
    health = judge(values, levels, HealthEvidence(), drawn=values, rng=rng)
    assert len(values) - health.prefixes[-1].prefixes == 13
    assert [level.used for level in health.levels] == [197, 256, 256, 256]
