"""Item features are equal after saving, and bags become a padded matrix."""

from pathlib import Path

import numpy as np
import pytest

from palate.items.attributes import AttributeBags
from palate.items.features import ItemFeatures, attribute_matrix
from palate.items.vectors import ItemVectors

BAGS = AttributeBags(offsets=np.asarray([0, 2, 2, 5]), indices=np.asarray([4, 1, 0, 2, 3]))


def _features(bags: AttributeBags | None) -> ItemFeatures:
    rng = np.random.default_rng(0)
    return ItemFeatures(
        has_id=np.asarray([True, False, True]),
        vectors={
            "text": ItemVectors.normalised(rng.normal(size=(3, 4))),
            "image": ItemVectors.normalised(np.asarray([[1.0, 2.0], [0.0, 0.0], [3.0, 1.0]])),
        },
        attributes=bags,
        num_attributes=5 if bags else 0,
    )


@pytest.mark.parametrize("bags", [BAGS, None])
def test_saved_and_loaded_features_are_equal(tmp_path: Path, bags: AttributeBags | None) -> None:
    features = _features(bags)
    features.save(tmp_path / "features.safetensors")
    loaded = ItemFeatures.load(tmp_path / "features.safetensors")
    assert len(loaded) == len(features) == 3
    np.testing.assert_array_equal(loaded.has_id, features.has_id)
    assert set(loaded.vectors) == {"text", "image"}
    for name, block in features.vectors.items():
        np.testing.assert_array_equal(loaded.vectors[name].values, block.values)
        np.testing.assert_array_equal(loaded.vectors[name].present, block.present)
    assert loaded.num_attributes == features.num_attributes
    if bags is None:
        assert loaded.attributes is None
    else:
        assert loaded.attributes is not None
        np.testing.assert_array_equal(loaded.attributes.offsets, bags.offsets)
        np.testing.assert_array_equal(loaded.attributes.indices, bags.indices)


def test_bags_become_rows_padded_and_cut() -> None:
    assert attribute_matrix(BAGS, 3).tolist() == [[4, 1, -1], [-1, -1, -1], [0, 2, 3]]
    assert attribute_matrix(BAGS, 2).tolist() == [[4, 1], [-1, -1], [0, 2]]


def test_a_catalogue_without_any_attribute_is_all_padding() -> None:
    empty = AttributeBags(np.zeros(3, np.int64), np.zeros(0, np.int64))
    assert attribute_matrix(empty, 2).tolist() == [[-1, -1], [-1, -1]]
