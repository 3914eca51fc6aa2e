"""New items get codes near those of similar items; the codes of others never change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.data.catalog import Catalog
from palate.errors import ConfigError
from palate.items.codes.index import IndexMaterial, ItemIndex, fit_index
from palate.items.codes.indexings import RandomConfig
from palate.items.codes.product import ProductConfig
from palate.items.codes.residual_kmeans import ResidualKMeansConfig
from palate.items.vectors import ItemVectors
from palate.simulation.world import World

CATALOG: Catalog = World(num_users=20, num_items=30, seed=1).dataset().catalog
VECTORS = np.random.default_rng(1).standard_normal((len(CATALOG), 5)).astype(np.float32)
MATERIAL = IndexMaterial(CATALOG, vectors=ItemVectors(VECTORS, np.ones(len(CATALOG), dtype=bool)))


def _index(unique: str, size: int = 4) -> ItemIndex:
    config = ResidualKMeansConfig.model_validate(
        {"levels": 2, "size": size, "iterations": 5, "unique": unique}
    )
    return fit_index(config, MATERIAL, rng=np.random.default_rng(0))


@settings(max_examples=20)
@given(st.integers(0, 25), st.integers(0, 1000), st.sampled_from(["digit", "sinkhorn"]))
def test_old_codes_stay_as_they_are(count: int, seed: int, unique: str) -> None:
    index = _index(unique, size=12)
    new = np.random.default_rng(seed).standard_normal((count, 5)).astype(np.float32)
    longer = index.with_new_items(new).codes
    np.testing.assert_array_equal(longer.values[: len(CATALOG)], index.codes.values)
    assert len(longer) == len(CATALOG) + count
    assert longer.levels == index.codes.levels
    assert longer.origin == index.codes.version


def test_a_new_item_like_an_old_one_shares_its_codes_but_for_the_digit() -> None:
    index = _index("digit")
    longer = index.with_new_items(VECTORS[3:5]).codes.values
    np.testing.assert_array_equal(longer[-2:, :2], index.codes.values[3:5, :2])
    assert longer[-2, 2] != index.codes.values[3, 2]


def test_a_new_item_takes_the_next_nearest_code_if_digits_are_taken() -> None:
    index = _index("digit", size=2)
    room = int(np.prod(index.codes.sizes)) - len(CATALOG)
    longer = index.with_new_items(np.repeat(VECTORS[:1], room, axis=0)).codes
    assert len(longer) == np.prod(index.codes.sizes)
    with pytest.raises(ConfigError, match="No codes are left"):
        index.with_new_items(np.repeat(VECTORS[:1], room + 1, axis=0))


def test_items_added_one_by_one_get_what_they_get_together() -> None:
    index, new = _index("digit"), VECTORS[:6] + np.float32(0.01)
    one_by_one = index
    for row in range(6):
        one_by_one = one_by_one.with_new_items(new[row : row + 1])
    together = index.with_new_items(new)
    assert one_by_one.codes.version == together.codes.version


def test_product_codes_take_new_items_too() -> None:
    index = fit_index(
        ProductConfig(levels=2, size=4, rounds=2), MATERIAL, rng=np.random.default_rng(0)
    )
    assert len(index.with_new_items(VECTORS[:3]).codes) == len(CATALOG) + 3


def test_own_tokens_and_numbers_cannot_be_given_to_new_items() -> None:
    with pytest.raises(ConfigError, match="token of its own"):
        _index("own-token").with_new_items(VECTORS[:1])
    numbered = fit_index(RandomConfig(), MATERIAL, rng=np.random.default_rng(0))
    with pytest.raises(ConfigError, match="random"):
        numbered.with_new_items(VECTORS[:1])
