"""A shop tunes a text encoder of its own: on training events alone, into a folder recipes read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from palate.artifacts import read_manifest
from palate.data.dataset import Dataset
from palate.data.split import Part
from palate.errors import ArtifactError, ConfigError
from palate.items.static_text import StaticTextEncoder, read_table
from palate.recommender.recommender import Recommender
from palate.recommender.tuned_text import tune_text
from palate.training.recipe import Recipe, load_recipe
from palate.training.text_pairs import TextTuning

GROUPS, EACH = 12, 5
QUICK = TextTuning(epochs=25, batch_size=32, learning_rate=0.03, word_dropout=0.0)


def _shop() -> Dataset:
    """Return a shop whose users stay with the items of one group, which no title tells."""
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user}", f"i{item}", time)
        for user in range(120)
        for time, item in enumerate(user % GROUPS * EACH + rng.permutation(EACH))
    ]
    words = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("ab", "ek", "im", "op", "uz")]
    titles = [f"{word} {word}" for word in rng.permutation(words)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{n}" for n in range(len(titles))], "title": titles})
    return Dataset.from_frames(events, items)


def _reading(folder: Path, kind: str = "static") -> Recipe:
    small = ("training.epochs=1", "model.decoder.width=16", "model.decoder.heads=2")
    text = (f"items.text.kind={kind}", f"items.text.path={folder}")
    return load_recipe("urm-small", [*small, *text])


@pytest.mark.parametrize("loss", ["in-batch", "triplet"])
def test_a_shop_learns_what_its_words_mean(loss: str) -> None:
    tuned = tune_text(_shop(), QUICK.model_copy(update={"loss": loss}))
    assert tuned.before is not None
    assert tuned.after is not None
    assert tuned.before < 0.2 < 0.6 < tuned.after
    assert tuned.start.startswith("catalogue, ")
    assert len(tuned.curve) >= 1


def test_what_is_held_out_is_not_learned_from() -> None:
    shop = _shop()
    before = tune_text(shop, QUICK)
    test = shop.split.parts == Part.TEST
    shop.interactions.item_rows[test] = np.random.default_rng(2).integers(0, 60, test.sum())
    after = tune_text(shop, QUICK)
    np.testing.assert_array_equal(after.table.vectors, before.table.vectors)


def test_without_a_validation_part_the_last_epoch_is_kept() -> None:
    shop = _shop()
    shop.split.parts[shop.split.parts == Part.VALID] = Part.CONTEXT
    tuned = tune_text(shop, QUICK)
    assert (tuned.before, tuned.after) == (None, None)
    assert tuned.start == "catalogue, rare tokens louder, whitened"


def test_a_recipe_reads_the_folder_and_validation_prefers_it(tmp_path: Path) -> None:
    shop, folder = _shop(), tmp_path / "words"
    tuned = tune_text(shop, QUICK, seed=3)
    tuned.save(folder)
    manifest = read_manifest(folder, "text-encoder")
    assert manifest.seed == 3
    assert manifest.settings["config"] == QUICK.model_dump(mode="json")
    texts = shop.catalog.texts()
    np.testing.assert_array_equal(
        StaticTextEncoder.open(folder).encode(texts).values,
        StaticTextEncoder(tuned.table).encode(texts).values,
    )
    model = Recommender.train(shop, _reading(folder, "auto"))
    assert model.trained.recipe.items.text.kind == "static"
    assert model.trained.recipe.items.text.path == str(folder)


def test_tuning_goes_on_from_a_folder(tmp_path: Path) -> None:
    shop = _shop()
    first = tune_text(shop, QUICK)
    first.save(tmp_path / "words")
    again = tune_text(shop, QUICK.model_copy(update={"epochs": 1}), start=str(tmp_path / "words"))
    assert again.before is not None
    assert first.after is not None
    assert again.before > 0.8 * first.after
    assert again.table.tokenizer.to_str() == read_table(tmp_path / "words").tokenizer.to_str()


def test_a_table_that_learned_what_is_held_out_here_is_refused(tmp_path: Path) -> None:
    shop, folder = _shop(), tmp_path / "words"
    tune_text(shop, QUICK).save(folder)
    parts = shop.split.parts.copy()
    train = np.flatnonzero(parts == Part.TRAIN)
    parts[train[::7]] = Part.TEST
    other = replace(shop, split=replace(shop.split, parts=parts))
    for kind in ("static", "auto"):
        with pytest.raises(ConfigError, match="another split of the same items"):
            Recommender.train(other, _reading(folder, kind))
    with pytest.raises(ConfigError, match="another split"):
        tune_text(other, QUICK, start=str(folder))
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match="does not match its manifest"):
        Recommender.train(shop, _reading(folder))


def test_a_start_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        tune_text(_shop(), QUICK, start="nowhere")
