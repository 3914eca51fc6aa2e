"""A trained model answers known users, new users and text requests, with reasons."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from palate import Dataset, Evaluation, Recommender
from palate.errors import (
    ArtifactError,
    ConfigError,
    NotTrainedError,
    UnknownItemError,
    UnknownUserError,
)
from palate.inference.request import Request
from palate.recommender.fit import fingerprint
from palate.simulation.world import World
from palate.training.recipe import Recipe, load_recipe
from palate.types import History, Ranking, SupportsScore

NOBODY = History(item_rows=np.zeros(0, dtype=np.int64))
CHANCE = 10 / 40
SETTINGS = (
    "items.text.dim=32",
    "model.decoder.width=32",
    "model.decoder.layers=1",
    "tasks.search=2.0",
    "tasks.max_history=10",
    "training.epochs=12",
    "training.patience=12",
    "training.learning_rate=5e-3",
    "training.tokens_per_batch=2048",
)


@pytest.fixture(scope="module")
def little_shop() -> Dataset:
    """A simulated shop that is prepared and learned in a few seconds."""
    world = World(num_users=100, num_items=40, events_per_user=8, seed=4, pictures=False)
    return world.dataset()


@pytest.fixture(scope="module")
def trained(little_shop: Dataset) -> Recommender:
    """A language model that was taught every task."""
    return Recommender.train(little_shop, load_recipe("urm-small", SETTINGS), seed=1)


@pytest.fixture(scope="module")
def popularity(little_shop: Dataset) -> Recommender:
    """The floor for any model."""
    return Recommender.train(little_shop, "popularity")


def _same(one: list[Ranking], two: list[Ranking]) -> None:
    for first, second in zip(one, two, strict=True):
        assert_array_equal(first.item_rows, second.item_rows)
        assert_array_equal(first.scores, second.scores)


def test_the_trained_model_beats_popularity(trained: Recommender, popularity: Recommender) -> None:
    ours, floor = trained.evaluate("test"), popularity.evaluate("test")
    assert isinstance(ours, Evaluation)
    assert ours.masked["ndcg@10"] > 1.15 * floor.masked["ndcg@10"]
    assert ours.masked["recall@10"] > 1.2 * CHANCE


def test_a_known_user_gets_new_items_best_first(trained: Recommender) -> None:
    history = trained.history("u1")
    (ranking,) = trained.by_rows.recommend([history], 8)
    assert len(set(ranking.item_rows.tolist())) == len(ranking) == 8
    assert (np.diff(ranking.scores) <= 0).all()
    assert not np.isin(ranking.item_rows, history.item_rows).any()
    (everything,) = trained.by_rows.recommend([history], 40, exclude_seen=False)
    assert sorted(everything.item_rows.tolist()) == list(range(40))


def test_candidates_limit_the_list(trained: Recommender) -> None:
    candidates = np.asarray([3, 5, 8])
    (ranking,) = trained.by_rows.recommend([NOBODY], 10, candidates=candidates)
    assert sorted(ranking.item_rows.tolist()) == [3, 5, 8]


def test_the_list_is_the_top_of_the_scores(trained: Recommender) -> None:
    history = trained.history("u2")
    scores = trained.by_rows.score([history])[0]
    (ranking,) = trained.by_rows.recommend([history], 5, exclude_seen=False)
    assert_array_equal(ranking.item_rows, np.argsort(-scores, kind="stable")[:5])
    assert_allclose(ranking.scores, scores[ranking.item_rows], rtol=1e-5)
    assert isinstance(trained.by_rows, SupportsScore)


def test_a_new_user_is_served_like_a_known_one(trained: Recommender) -> None:
    known = trained.history("u3")
    ids = [str(x) for x in trained.dataset.catalog.vocabulary.ids[known.item_rows]]
    new = trained.history_of(ids)
    assert_array_equal(new.item_rows, known.item_rows)
    assert new.user_row is None
    assert len(trained.by_rows.recommend([new], 5)[0]) == 5


def test_a_user_without_a_history_is_served(trained: Recommender) -> None:
    assert len(trained.by_rows.recommend([NOBODY], 5)[0]) == 5
    assert trained.by_rows.recommend([], 5) == []


def test_many_requests_at_once_equal_single_ones(trained: Recommender) -> None:
    histories = [trained.history(f"u{user}") for user in range(1, 9)] + [NOBODY]
    together = trained.by_rows.score(histories)
    for history, scores in zip(histories, together, strict=True):
        assert_allclose(trained.by_rows.score([history])[0], scores, atol=1e-4)


def test_only_the_newest_events_are_read(trained: Recommender) -> None:
    long = History(item_rows=np.arange(30))
    assert_allclose(
        trained.by_rows.score([long]), trained.by_rows.score([long.last(10)]), atol=1e-5
    )


def test_words_change_the_answer(trained: Recommender) -> None:
    history = trained.history("u1")
    plain = trained.by_rows.score([history])
    first = trained.trained.system.prompts["next-item"].seen[0]
    assert_allclose(
        trained.asking(Request(prompt=first)).by_rows.score([history]), plain, atol=1e-5
    )
    other = trained.asking(Request(prompt="the user searches for these words")).by_rows.score(
        [history]
    )
    assert not np.allclose(other, plain, atol=1e-2)
    assert_allclose(trained.by_rows.score([history]), plain)


@pytest.mark.parametrize("event", ["view", "purchase"])
def test_an_objective_is_named_by_its_slot(trained: Recommender, event: str) -> None:
    asked = trained.asking(Request(family="objective", slots={"event": event}))
    assert len(asked.by_rows.recommend([trained.history("u1")], 3)[0]) == 3


def test_a_slot_left_empty_is_an_error(trained: Recommender) -> None:
    with pytest.raises(ConfigError, match="event"):
        trained.asking(Request(family="objective"))


def test_an_item_is_found_by_its_own_title(trained: Recommender) -> None:
    titles = trained.dataset.catalog.titles()
    found = [
        row in trained.engine.search(title, Request(n=5)).rows for row, title in enumerate(titles)
    ]
    assert np.mean(found) > 0.6, "five of forty by chance are 0.125"


def test_a_search_may_follow_a_taste(trained: Recommender) -> None:
    history = trained.history("u1")
    title = trained.dataset.catalog.titles()[int(history.item_rows[0])]
    stranger, user = (
        trained.engine.search(title, Request(n=40)),
        trained.engine.search(title, Request(history, 40)),
    )
    assert len(user.rows) == 40, "what the user has may be searched for"
    assert not np.array_equal(stranger.scores, user.scores)


def test_a_search_without_words_is_refused(trained: Recommender) -> None:
    with pytest.raises(ConfigError, match="no words to search for"):
        trained.search(" ", 3)


@pytest.mark.parametrize("words", ["<begin><pad>", "漢字 😀", "x" * 5_000])
def test_any_words_can_be_searched_for(trained: Recommender, words: str) -> None:
    found = trained.search(words, 3)
    assert len(found) == 3
    assert np.isfinite([item.score for item in found]).all()


def test_reasons_are_measured_by_removal(trained: Recommender) -> None:
    history = trained.history("u1")
    row = int(trained.by_rows.recommend([history], 1)[0].item_rows[0])
    whole = float(trained.by_rows.score([history])[0, row])
    falls = {
        event: whole - float(trained.by_rows.score([history.without(event)])[0, row])
        for event in range(len(history))
    }
    reasons = trained.engine.why(history, row, n=len(history))
    assert {reason.event for reason in reasons} <= {e for e, fall in falls.items() if fall > -1e-4}
    for reason in reasons:
        assert reason.weight == pytest.approx(falls[reason.event], abs=1e-4)
    weights = [reason.weight for reason in reasons]
    assert weights == sorted(weights, reverse=True)
    assert trained.engine.why(history, row, n=2) == reasons[:2]


def test_without_events_there_is_no_reason(trained: Recommender) -> None:
    assert trained.engine.why(NOBODY, 0) == []


def test_a_saved_model_gives_the_same_answers(trained: Recommender, tmp_path: Path) -> None:
    trained.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    histories = [*trained.dataset.cases("test").histories, NOBODY]
    _same(trained.by_rows.recommend(histories, 10), loaded.by_rows.recommend(histories, 10))
    title = trained.dataset.catalog.titles()[7]
    assert trained.search(title) == loaded.search(title)
    assert loaded.tasks == trained.tasks
    assert loaded.name == trained.name
    assert list(loaded.trained.log) == list(trained.trained.log)
    assert loaded.trained.recipe == trained.trained.recipe
    assert fingerprint(loaded.dataset) == fingerprint(trained.dataset)


def test_a_baseline_is_saved_and_used_alike(popularity: Recommender, tmp_path: Path) -> None:
    popularity.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    histories = popularity.dataset.cases("test").histories
    _same(popularity.by_rows.recommend(histories, 10), loaded.by_rows.recommend(histories, 10))
    assert loaded.tasks == ("next-item",)


@pytest.mark.parametrize("name", ["weights.safetensors", "recipe.json", "tokenizer.json"])
def test_a_damaged_model_is_refused(trained: Recommender, tmp_path: Path, name: str) -> None:
    trained.save(tmp_path / "model")
    path = tmp_path / "model" / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ArtifactError, match=name):
        Recommender.load(tmp_path / "model")
    path.unlink()
    with pytest.raises(ArtifactError, match=name):
        Recommender.load(tmp_path / "model")


def test_a_dataset_is_no_model(little_shop: Dataset, tmp_path: Path) -> None:
    little_shop.save(tmp_path / "shop")
    with pytest.raises(ArtifactError, match="holds a dataset, not a model"):
        Recommender.load(tmp_path / "shop")


def test_a_baseline_follows_a_wish_but_reads_no_instruction(popularity: Recommender) -> None:
    with pytest.raises(NotTrainedError, match="reads no words") as caught:
        popularity.asking(Request(prompt="anything", steer=False))
    assert "--recipe urm" in caught.value.hint
    popularity.asking(Request(prompt="anything"))


@pytest.mark.parametrize("recipe", ["popularity", "sasrec"])
def test_without_search_items_are_found_by_their_titles(little_shop: Dataset, recipe: str) -> None:
    model = Recommender.train(little_shop, _short_sasrec() if recipe == "sasrec" else recipe)
    title = little_shop.catalog.titles()[7]
    answer = model.engine.search(title.upper(), Request(n=3))
    assert answer.rows[0] == 7
    assert model.search(title, 3)[0].item_id == little_shop.catalog.vocabulary.ids[7]
    assert answer.fallback == "titles"
    assert not len(model.search("no such words at all", 3))


def test_a_task_that_was_not_trained_is_refused(little_shop: Dataset) -> None:
    sasrec = Recommender.train(little_shop, _short_sasrec())
    assert sasrec.tasks == ("next-item",)
    with pytest.raises(NotTrainedError, match="'search' with items; it answers next-item"):
        sasrec.asking(Request(family="search"))
    assert len(sasrec.recommend(history=[], n=3)) == 3


def test_filters_and_exclusions_hold_in_every_list(trained: Recommender) -> None:
    views = trained.engine.catalogue.views(range(40))
    brand = next(view.brand for view in views if view.brand)
    of_id = {view.item_id: view for view in views}
    found = trained.recommend("u1", 40, filters=[f"brand={brand}"], exclude_seen=False)
    assert {of_id[item_id].brand for item_id in found.item_ids} == {brand}
    left_out = [views[2].item_id, views[5].item_id]
    cheap = trained.recommend("u1", 40, filters=["price<30"], exclude=left_out)
    assert len(cheap)
    assert all((of_id[item_id].price or 0) < 30 for item_id in cheap.item_ids)
    assert not set(left_out) & set(cheap.item_ids)
    with pytest.raises(ConfigError, match="no such brand") as caught:
        trained.recommend("u1", 3, filters=["brand=no such brand"])
    assert brand in str(caught.value.hint)


def _short_sasrec() -> Recipe:
    return load_recipe("sasrec", ["training.epochs=1", "model.decoder.width=16"])


def test_unknown_users_and_items_are_named(trained: Recommender) -> None:
    with pytest.raises(UnknownUserError, match="'u99999'"):
        trained.history("u99999")
    with pytest.raises(UnknownItemError, match="'nothing'"):
        trained.history_of([str(trained.dataset.catalog.vocabulary.ids[0]), "nothing"])


def test_a_fingerprint_is_of_what_training_reads(little_shop: Dataset) -> None:
    assert fingerprint(little_shop) == fingerprint(little_shop.renamed("other"))
    other = World(num_users=120, num_items=40, seed=5).dataset()
    assert fingerprint(little_shop) != fingerprint(other)
