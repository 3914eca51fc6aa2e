"""Attributes: shared values only, price bands of equal count, unknown values left out."""

from pathlib import Path

import polars as pl
import pytest

from palate.errors import ArtifactError
from palate.items.attributes import AttributeEncoder

TABLE = pl.DataFrame(
    {
        "brand": ["Acme", "Acme", "Solo", None],
        "categories": [["Home", "Lamps"], ["Home", "Home"], [], ["Home"]],
        "price": [1.0, 2.0, None, 4.0],
    }
)


def _bag(encoder: AttributeEncoder, table: pl.DataFrame, item: int) -> list[str]:
    bags = encoder.encode(table)
    indices = bags.indices[bags.offsets[item] : bags.offsets[item + 1]]
    return [encoder.names[i] for i in indices]


def test_only_shared_values_count() -> None:
    encoder = AttributeEncoder.fit(TABLE)
    assert encoder.brands == ("Acme",)
    assert encoder.categories == ("Home",)
    assert len(encoder.names) == encoder.num_attributes


def test_attributes_of_items_by_hand() -> None:
    encoder = AttributeEncoder.fit(TABLE)
    first, second = _bag(encoder, TABLE, 0), _bag(encoder, TABLE, 1)
    assert first[:2] == second[:2] == ["brand: Acme", "category: Home"]
    assert len(first) == len(second) == 3
    assert first[2] != second[2]
    assert _bag(encoder, TABLE, 2) == []
    assert _bag(encoder, TABLE, 3) == ["category: Home", encoder.names[-1]]
    assert encoder.encode(TABLE).offsets.tolist() == [0, 3, 6, 6, 8]


def test_price_bands_hold_equal_counts() -> None:
    table = pl.DataFrame(
        {"brand": [None] * 100, "categories": [[]] * 100, "price": [float(i) for i in range(100)]},
        schema={"brand": pl.String, "categories": pl.List(pl.String), "price": pl.Float64},
    )
    encoder = AttributeEncoder.fit(table)
    assert encoder.num_attributes == 10
    bands = pl.Series(encoder.encode(table).indices).value_counts()["count"]
    assert bands.to_list() == [10] * 10


def test_new_items_and_empty_tables() -> None:
    encoder = AttributeEncoder.fit(TABLE)
    new = pl.DataFrame({"brand": ["New"], "categories": [["Other"]], "price": [1e9]})
    assert _bag(encoder, new, 0) == [encoder.names[-1]]
    assert encoder.encode(TABLE.clear()).offsets.tolist() == [0]
    nothing = TABLE.with_columns(
        brand=pl.lit(None), price=pl.lit(None), categories=pl.lit([]).cast(pl.List(pl.String))
    )
    assert AttributeEncoder.fit(nothing).num_attributes == 0
    assert AttributeEncoder.fit(nothing).encode(TABLE).offsets.tolist() == [0] * 5


def test_read_back(tmp_path: Path) -> None:
    encoder = AttributeEncoder.fit(TABLE)
    encoder.save(tmp_path)
    assert AttributeEncoder.load(tmp_path) == encoder
    with pytest.raises(ArtifactError, match="No attributes"):
        AttributeEncoder.load(tmp_path / "nowhere")
