"""A modality is used if the recipe has it and the data allows it, and not otherwise."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from palate.data.catalog import Catalog
from palate.data.dataset import Dataset
from palate.items.encoders import ItemEncoders, ItemsConfig, item_features
from palate.items.features import ItemFeatures
from palate.simulation.world import World

CONFIG = ItemsConfig.model_validate(
    {
        "modalities": ["text", "image", "attributes", "behaviour"],
        "text": {"dim": 8},
        "behaviour": {"dim": 8},
    }
)


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return World(num_users=30, num_items=30, events_per_user=6, seed=1).dataset()


def _with(catalog: Catalog, columns: Mapping[str, pl.Series | None]) -> Catalog:
    """Return the catalogue with columns replaced; None makes one of nulls."""
    made = [
        pl.lit(None, dtype=catalog.table.schema[name]).alias(name)
        if values is None
        else values.alias(name)
        for name, values in columns.items()
    ]
    return replace(catalog, table=catalog.table.with_columns(made))


def _features(
    shop: Dataset, catalog: Catalog, config: ItemsConfig = CONFIG, cache: Path | None = None
) -> ItemFeatures:
    encoders = ItemEncoders.fit(catalog, config, seed=0)
    return item_features(catalog, shop.sequences, encoders, config, seed=0, cache=cache)


def test_a_full_catalogue_gives_every_modality(shop: Dataset) -> None:
    features = _features(shop, shop.catalog)
    assert set(features.vectors) == {"text", "image", "behaviour"}
    assert features.attributes is not None
    assert features.num_attributes > 0
    assert len(features) == 30
    assert features.vectors["text"].present.all()


@pytest.mark.parametrize(
    ("blank", "gone"),
    [
        (("image",), "image"),
        (("title", "description", "brand", "categories"), "text"),
    ],
)
def test_modalities_that_the_data_lacks_are_left_out(
    shop: Dataset, blank: tuple[str, ...], gone: str
) -> None:
    features = _features(shop, _with(shop.catalog, dict.fromkeys(blank)))
    assert gone not in features.vectors
    assert features.vectors


def test_attributes_the_data_lacks_are_left_out(shop: Dataset) -> None:
    bare = _with(shop.catalog, dict.fromkeys(("brand", "categories", "price")))
    features = _features(shop, bare)
    assert features.attributes is None
    assert features.num_attributes == 0


def test_modalities_that_the_recipe_lacks_are_left_out(shop: Dataset) -> None:
    only_text = CONFIG.model_copy(update={"modalities": ("text",)})
    features = _features(shop, shop.catalog, only_text)
    assert set(features.vectors) == {"text"}
    assert features.attributes is None
    nothing = _features(shop, shop.catalog, CONFIG.model_copy(update={"modalities": ()}))
    assert not nothing.vectors
    assert len(nothing) == 30


def test_image_vectors_that_came_with_the_data_are_used(shop: Dataset) -> None:
    given = [[3.0, 4.0], None, [0.0, 0.0], *([[1.0, 0.0]] * 27)]
    catalog = _with(shop.catalog, {"image_vector": pl.Series(given, dtype=pl.List(pl.Float32))})
    image = _features(shop, catalog).vectors["image"]
    assert image.present.tolist() == [True, False, False, *([True] * 27)]
    np.testing.assert_allclose(image.values[0], np.sqrt(2) * np.asarray([0.6, 0.8]), rtol=1e-5)
    assert not image.values[1:3].any()
    unwanted = CONFIG.model_copy(update={"modalities": ("text",)})
    assert "image" not in _features(shop, catalog, unwanted).vectors


def test_an_item_outside_training_has_no_id(shop: Dataset) -> None:
    seen = np.zeros(30, bool)
    seen[shop.sequences[0].item_rows] = True
    encoders = ItemEncoders.fit(shop.catalog, CONFIG, seed=0)
    features = item_features(shop.catalog, shop.sequences[:1], encoders, CONFIG, seed=0)
    np.testing.assert_array_equal(features.has_id, seen)
    assert not features.vectors["behaviour"].present[~seen].any()


def test_vectors_come_from_the_cache_the_second_time(shop: Dataset, tmp_path: Path) -> None:
    first = _features(shop, shop.catalog, cache=tmp_path)
    stored = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(stored) == 2, "text and image"
    second = _features(shop, shop.catalog, cache=tmp_path)
    assert stored == {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    for name, block in first.vectors.items():
        np.testing.assert_array_equal(block.values, second.vectors[name].values)


def test_saved_encoders_encode_alike(shop: Dataset, tmp_path: Path) -> None:
    encoders = ItemEncoders.fit(shop.catalog, CONFIG, seed=0)
    encoders.save(tmp_path)
    loaded = ItemEncoders.load(tmp_path)
    one, two = (e.content(shop.catalog, CONFIG) for e in (encoders, loaded))
    assert set(one) == set(two) == {"text", "image"}
    for name in one:
        np.testing.assert_array_equal(one[name].values, two[name].values)
    assert encoders.attributes is not None
    assert loaded.attributes is not None
    np.testing.assert_array_equal(
        encoders.attributes.encode(shop.catalog.table).indices,
        loaded.attributes.encode(shop.catalog.table).indices,
    )


def test_absent_encoders_stay_absent(tmp_path: Path, shop: Dataset) -> None:
    nothing = ItemEncoders.fit(
        shop.catalog, CONFIG.model_copy(update={"modalities": ("behaviour",)}), seed=0
    )
    assert nothing.query_vectors(["oak"]) is None
    nothing.save(tmp_path)
    assert ItemEncoders.load(tmp_path) == nothing == ItemEncoders(None, None, None)


def test_a_query_is_encoded_as_a_title_is(shop: Dataset) -> None:
    encoders = ItemEncoders.fit(shop.catalog, CONFIG, seed=0)
    texts = shop.catalog.texts()
    queries = encoders.query_vectors(texts)
    assert queries is not None
    np.testing.assert_allclose(
        queries, encoders.content(shop.catalog, CONFIG)["text"].values, atol=1e-5
    )
