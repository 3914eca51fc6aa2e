"""Missing modalities are masked: changing their values has no effect."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from palate.items.attributes import AttributeBags
from palate.items.features import ItemFeatures
from palate.items.vectors import ItemVectors
from palate.models.fusion import Fusion, FusionConfig

NUM_ITEMS, WIDTH, TEXT = 6, 16, 5
ROWS = torch.arange(NUM_ITEMS)
NO = torch.zeros(NUM_ITEMS, dtype=torch.bool)
PLAIN = FusionConfig(id_dropout=0.0, behaviour_dropout=0.0)


def _block(dim: int, absent: int, seed: int) -> ItemVectors:
    values = np.random.default_rng(seed).normal(size=(NUM_ITEMS, dim)).astype(np.float32)
    present = np.arange(NUM_ITEMS) != absent
    return ItemVectors(values * present[:, None], present)


@pytest.fixture
def features() -> ItemFeatures:
    """Item 0 has no text, 1 no image, 2 no behaviour, 3 no attribute, 4 no ID; 5 has everything."""
    return ItemFeatures(
        has_id=np.arange(NUM_ITEMS) != 4,
        vectors={
            "text": _block(TEXT, 0, 1),
            "image": _block(3, 1, 2),
            "behaviour": _block(4, 2, 3),
        },
        attributes=AttributeBags(
            np.asarray([0, 1, 2, 3, 3, 5, 6]), np.asarray([0, 1, 2, 0, 1, 2], np.int64)
        ),
        num_attributes=3,
    )


def _fusion(features: ItemFeatures, config: FusionConfig = PLAIN) -> Fusion:
    torch.manual_seed(0)
    return Fusion(features, WIDTH, config).eval()


def _fused(fusion: Fusion, **more: Tensor) -> Tensor:
    with torch.inference_mode():
        return fusion(ROWS, **more)


def _moved(one: Tensor, two: Tensor) -> list[int]:
    return ((one - two).abs().amax(dim=1) > 1e-6).nonzero().flatten().tolist()


@pytest.mark.parametrize(("name", "absent"), [("text", 0), ("image", 1), ("behaviour", 2)])
def test_the_value_of_an_absent_vector_changes_nothing(
    features: ItemFeatures, name: str, absent: int
) -> None:
    fusion = _fusion(features)
    before = _fused(fusion)
    fusion.get_buffer(f"{name}_values").add_(3.0)
    assert _moved(before, _fused(fusion)) == [row for row in range(NUM_ITEMS) if row != absent]


@pytest.mark.parametrize(("name", "absent"), [("text", 0), ("image", 1), ("behaviour", 2)])
def test_the_bias_of_an_absent_modality_has_no_effect(
    features: ItemFeatures, name: str, absent: int
) -> None:
    fusion = _fusion(features)
    before = _fused(fusion)
    with torch.no_grad():
        for weight in fusion.modality[name].parameters():
            weight.add_(1.0)
    assert absent not in _moved(before, _fused(fusion))


def test_an_item_outside_training_is_read_without_its_id(features: ItemFeatures) -> None:
    fusion = _fusion(features)
    before = _fused(fusion)
    assert fusion.id is not None
    with torch.no_grad():
        fusion.id.weight.add_(1.0)
    assert _moved(before, _fused(fusion)) == [0, 1, 2, 3, 5]


def test_without_id_hides_id_and_behaviour_alone(features: ItemFeatures) -> None:
    fusion = _fusion(features)
    hidden = ROWS == 5
    before = _fused(fusion, without_id=hidden)
    assert _moved(before, _fused(fusion)) == [5]
    assert fusion.id is not None
    with torch.no_grad():
        fusion.id.weight[5].add_(1.0)
    fusion.get_buffer("behaviour_values")[5].add_(1.0)
    assert _moved(before, _fused(fusion, without_id=hidden)) == []
    fusion.get_buffer("text_values")[5].add_(1.0)
    assert _moved(before, _fused(fusion, without_id=hidden)) == [5]


def test_attributes_are_averaged_and_their_absence_adds_nothing(features: ItemFeatures) -> None:
    fusion = _fusion(features)
    before = _fused(fusion)
    assert fusion.attribute is not None
    with torch.no_grad():
        fusion.attribute.weight[0].add_(1.0)
    assert _moved(before, _fused(fusion)) == [0, 4], "the items with attribute 0"
    assert not fusion.attribute.weight[3].any(), "padding"


def test_a_query_is_encoded_like_an_item_with_text_alone(features: ItemFeatures) -> None:
    text = features.vectors["text"]
    lonely = replace(
        features,
        has_id=np.zeros(NUM_ITEMS, bool),
        vectors={"text": text},
        attributes=None,
        num_attributes=0,
    )
    fusion = _fusion(lonely)
    both = _fused(fusion, described=torch.from_numpy(text.values))
    assert both.shape == (2 * NUM_ITEMS, WIDTH)
    torch.testing.assert_close(both[1:NUM_ITEMS], both[NUM_ITEMS + 1 :])


def test_a_query_needs_text_among_the_modalities(features: ItemFeatures) -> None:
    no_text = replace(features, vectors={"image": features.vectors["image"]})
    fused = _fused(_fusion(no_text), described=torch.ones(2, TEXT))
    assert fused.shape == (NUM_ITEMS, WIDTH)


def test_every_fused_vector_has_numbers_of_size_one(features: ItemFeatures) -> None:
    fused = _fused(_fusion(features))
    torch.testing.assert_close(fused.square().mean(dim=1), torch.ones(NUM_ITEMS), atol=1e-3, rtol=0)


def test_behaviour_is_hidden_at_random_in_training_alone(features: ItemFeatures) -> None:
    fusion = _fusion(features, FusionConfig(behaviour_dropout=0.5))
    whole = _fused(fusion)
    torch.testing.assert_close(whole, _fused(fusion))
    fusion.train()
    draws = [_moved(whole, _fused(fusion)) for _ in range(40)]
    assert all(2 not in moved for moved in draws), "item 2 has none to hide"
    share = sum(5 in moved for moved in draws) / len(draws)
    assert 0.25 < share < 0.75


def test_features_of_more_items_take_the_place_of_the_old(features: ItemFeatures) -> None:
    fusion = _fusion(features)
    before = _fused(fusion)
    more = ItemFeatures(
        has_id=np.append(features.has_id, False),
        vectors={
            name: ItemVectors(
                np.concatenate([block.values, block.values[5:]]), np.append(block.present, True)
            )
            for name, block in features.vectors.items()
        },
        attributes=AttributeBags(
            np.asarray([0, 1, 2, 3, 3, 5, 6, 7]), np.asarray([0, 1, 2, 0, 1, 2, 2], np.int64)
        ),
        num_attributes=3,
    )
    fusion.set_features(more)
    with torch.inference_mode():
        after = fusion(torch.arange(NUM_ITEMS + 1))
    torch.testing.assert_close(after[:NUM_ITEMS], before)
    with torch.inference_mode():
        twin = fusion(torch.tensor([5, 6]), torch.tensor([False, False]))
    assert not torch.equal(twin[0], twin[1]), "the new item has no ID"


@pytest.mark.parametrize("use_id", [True, False])
def test_frozen_features_are_no_weights(features: ItemFeatures, use_id: bool) -> None:
    fusion = _fusion(features, FusionConfig(use_id=use_id))
    assert ("id.weight" in fusion.state_dict()) == use_id
    assert not [name for name in fusion.state_dict() if "values" in name or "present" in name]
    assert _fused(fusion).shape == (NUM_ITEMS, WIDTH)


def test_whitening_uses_only_the_present_vectors(features: ItemFeatures) -> None:
    fusion = _fusion(features, PLAIN.model_copy(update={"whiten": True}))
    text = features.vectors["text"]
    expected = torch.from_numpy(text.values[text.present].mean(axis=0))
    torch.testing.assert_close(fusion.modality["text"].whitening.mean, expected)


def test_whitening_stays_as_it_was_when_items_come(features: ItemFeatures) -> None:
    fusion = _fusion(features, PLAIN.model_copy(update={"whiten": True}))
    before = _fused(fusion)
    fusion.set_features(replace(features, vectors=features.vectors | {"text": _block(TEXT, 0, 9)}))
    fusion.set_features(features)
    torch.testing.assert_close(_fused(fusion), before)


def test_coordinates_are_hidden_in_training_alone(features: ItemFeatures) -> None:
    fusion = _fusion(features, PLAIN.model_copy(update={"vector_dropout": 0.5}))
    plain = _fusion(features)
    weights = {name.replace("projection.", ""): w for name, w in fusion.state_dict().items()}
    plain.load_state_dict(weights)
    torch.testing.assert_close(_fused(fusion), _fused(plain))
    assert not torch.equal(_fused(fusion.train()), _fused(plain))
