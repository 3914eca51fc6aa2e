"""The weights that a model of one shop passes to the model of another."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from palate.data.catalog import Catalog
from palate.data.dataset import Dataset
from palate.data.vocabulary import Vocabulary
from palate.errors import ConfigError
from palate.items.codes.product import ProductConfig, ProductQuantiser
from palate.recommender.recommender import Recommender
from palate.simulation.world import World
from palate.training.build import build_system
from palate.training.recipe import load_recipe
from palate.training.system import LanguageModelSystem, Start
from palate.training.warm_start import known_items, meanings, nearest_codes

SMALL = ("model.decoder={width=16, layers=1, heads=2, dropout=0.0}", "training.epochs=1")
_TEXTS = {"item_id": pl.String, "title": pl.String}
CODED = ("codes.index={kind='product', levels=2, size=4}",)


def _shop(seed: int, items: int) -> Dataset:
    return World(num_users=20, num_items=items, seed=seed).dataset()


def _catalog(titles: dict[str, str | None]) -> Catalog:
    table = pl.DataFrame({"item_id": list(titles), "title": list(titles.values())}, _TEXTS)
    return Catalog(Vocabulary(list(titles)), table)


def _parts(
    shop: Dataset, recipe: str, *more: str, start: LanguageModelSystem | None = None
) -> LanguageModelSystem:
    begun = None if start is None else Start(start)
    return build_system(shop, load_recipe(recipe, [*SMALL, *more]), seed=1, start=begun)[0]


def test_weights_that_belong_to_no_item_are_transferred() -> None:
    first = _parts(_shop(1, 30), "unisrec")
    torch.nn.init.normal_(first.model.decoder.blocks[0].down.weight)
    torch.nn.init.normal_(first.model.fusion.modality["text"].projection.turn)
    second = _parts(_shop(2, 40), "unisrec", "model.fusion.use_id=true", start=first)
    ours, theirs = second.model.state_dict(), first.model.state_dict()
    assert ours.keys() - theirs.keys() == {"fusion.id.weight"}
    assert ours["fusion.id.weight"].shape[0] == len(_shop(2, 40).catalog)
    mean = "fusion.modality.text.whitening.mean"
    texts = torch.from_numpy(second.features.vectors["text"].values).float()
    torch.testing.assert_close(ours[mean], texts.mean(dim=0))
    for name, weight in theirs.items():
        if ".whitening." not in name:
            torch.testing.assert_close(ours[name], weight)
    assert second.tokenizer is first.tokenizer
    assert second.encoders is first.encoders


def test_items_that_were_known_keep_their_embeddings() -> None:
    shop = _shop(1, 30)
    first = _parts(shop, "urm-small")
    rows = np.where(np.arange(30) % 3 == 0, -1, np.arange(30)[::-1])
    recipe = load_recipe("urm-small", SMALL)
    second, _ = build_system(shop, recipe, seed=2, start=Start(first, rows))
    assert first.model.fusion.id is not None
    assert second.model.fusion.id is not None
    known, ours = first.model.fusion.id.weight, second.model.fusion.id.weight
    torch.testing.assert_close(ours[rows >= 0], known[rows[rows >= 0]])
    assert not torch.isclose(ours[rows < 0], known[rows[rows < 0]]).any()


def test_items_with_equal_id_and_title_are_the_same() -> None:
    old = _catalog({"1": "lamp", "2": "chair", "3": None, "4": "vase"})
    new = _catalog({"4": "vase", "1": "desk", "3": None, "9": "lamp", "2": "chair"})
    assert known_items(new, old).tolist() == [3, -1, -1, -1, 1]
    other_shop = _catalog({"2": "pan", "1": "lamp", "4": "pot", "3": "lid"})
    assert known_items(other_shop, old).tolist() == [-1, 0, -1, -1], "all ids known, other titles"
    untitled = _catalog({"2": None, "1": None, "3": None})
    assert known_items(untitled, _catalog({"1": None, "2": None, "3": None})).tolist() == [1, 0, 2]


def test_training_on_with_the_same_data_starts_from_the_same_weights() -> None:
    shop = _shop(1, 30)
    first = Recommender.train(shop, load_recipe("urm-small", [*SMALL, "training.epochs=1"]))
    still = load_recipe("urm-small", [*SMALL, "training.epochs=1", "training.learning_rate=1e-12"])
    again = Recommender.train(shop, still, start=first)
    histories = shop.cases("test").histories
    np.testing.assert_allclose(
        again.by_rows.score(histories), first.by_rows.score(histories), atol=1e-4
    )


def test_codes_start_as_the_known_codes_with_the_nearest_meaning() -> None:
    first = _parts(_shop(1, 30), "vq-rec", *CODED)
    same = _parts(_shop(1, 30), "vq-rec", *CODED, start=first)
    torch.testing.assert_close(same.model.fusion.code.weight, first.model.fusion.code.weight)


def test_codes_are_matched_across_a_rotated_codebook() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(200, 8)).astype(np.float32)
    known = ProductQuantiser.fit(ProductConfig(levels=2, size=8), vectors, rng=rng)
    order = rng.permutation(8)
    shuffled = ProductQuantiser(
        known.rotation, (known.codebooks[0][order], known.codebooks[1]), 8, ()
    )
    nearest = nearest_codes(shuffled, known)
    assert nearest.tolist() == [*order.tolist(), *range(8, 16)]
    assert meanings(known).reshape(2, 8, 8).mean(axis=1) == pytest.approx(0, abs=1e-5)


def test_frozen_parts_keep_their_weights() -> None:
    shop = _shop(1, 30)
    recipe = load_recipe("unisrec", [*SMALL, "training.frozen=['decoder', 'user']"])
    fresh, _ = build_system(shop, recipe, seed=4)
    trained = Recommender.train(shop, recipe, seed=4).trained.system
    assert isinstance(trained, LanguageModelSystem)
    before, after = fresh.model.state_dict(), trained.model.state_dict()
    changed = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    assert changed
    assert not any(name.startswith(("decoder", "user")) for name in changed)


def test_a_recipe_without_trainable_weights_is_refused() -> None:
    recipe = load_recipe("unisrec", [*SMALL, "training.trained=['nothing']"])
    with pytest.raises(ConfigError, match="Nothing is left to learn") as found:
        Recommender.train(_shop(1, 30), recipe)
    assert "decoder, events, fusion" in found.value.hint


def test_a_baseline_is_no_start() -> None:
    shop = _shop(1, 30)
    with pytest.raises(ConfigError, match="no weights"):
        Recommender.train(
            shop, load_recipe("unisrec", SMALL), start=Recommender.train(shop, "popularity")
        )


@pytest.mark.parametrize("recipe", ["vq-rec", "hllm", "unisrec"])
def test_recipes_with_other_item_tokens_answer_the_same_after_saving(
    recipe: str, tmp_path: Path
) -> None:
    shop = _shop(1, 30)
    small = [*SMALL, *(CODED if recipe == "vq-rec" else ())]
    if recipe == "hllm":
        small.append("model.fusion.title_reader={width=8, layers=1, heads=2}")
    model = Recommender.train(shop, load_recipe(recipe, small), seed=4)
    model.save(tmp_path / "model")
    histories = shop.cases("test").histories
    np.testing.assert_allclose(
        Recommender.load(tmp_path / "model").by_rows.score(histories),
        model.by_rows.score(histories),
        atol=1e-5,
    )
