"""Recommending by titles: the search finds what scoring every title finds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from palate import Dataset, Recommender
from palate.data.item_record import ItemRecord
from palate.errors import NotTrainedError
from palate.inference.engine import Engine
from palate.inference.filters import ItemFilter
from palate.inference.request import Request
from palate.inference.text_answers import TextAnswers
from palate.language.tasks.next_title import NextTitle
from palate.simulation.world import World
from palate.training.recipe import load_recipe
from palate.types import History, Ranking

TINY = (
    'answers=["titles"]',
    "tasks={next_title=1, max_history=6}",
    "training.epochs=1",
    "training.learning_rate=0.02",
)


@pytest.fixture(scope="module")
def titled_shop() -> Dataset:
    """A shop in which two items share a title, one has none, and one has more than is said."""
    shop = World(num_users=30, num_items=20, seed=3, pictures=False).dataset()
    titles = shop.catalog.table["title"].to_list()
    titles[4], titles[7], titles[9] = titles[3], None, "x y z " * 20
    table = shop.catalog.table.with_columns(title=pl.Series(titles))
    return replace(shop, catalog=replace(shop.catalog, table=table))


def _trained(shop: Dataset, *more: str) -> Recommender:
    pretrained = any(setting.startswith("model.backbone") for setting in more)
    small = () if pretrained else ("model.decoder.width=16", "model.decoder.layers=1")
    recipe = load_recipe("palate", [*TINY, "model.item_format=['title']", *small, *more])
    return Recommender.train(shop, recipe, seed=1)


@pytest.fixture(scope="module")
def titler(titled_shop: Dataset) -> Recommender:
    """It says the title of what comes next, and nothing else."""
    return _trained(titled_shop)


def _histories(shop: Dataset) -> list[History]:
    return [h.last(1 + n) for n, h in enumerate(shop.cases("test").histories[:7])]


def _weighed(answers: TextAnswers, histories: list[History]) -> np.ndarray:
    """The log-probability of each title as the whole reply, one after the other."""
    task = answers.task(NextTitle)
    question = answers.question(task, [task.ask(history) for history in histories])
    return np.stack(answers.texts.score_options(question, [list(task.titles)] * len(histories)))


def _scores(ranking: Ranking) -> dict[int, float]:
    return dict(zip(ranking.item_rows.tolist(), ranking.scores.tolist(), strict=True))


def _is_exhaustive(model: Recommender, histories: list[History]) -> None:
    wanted = _weighed(model.answers, histories)
    found = model.by_rows.recommend(histories, 20, exclude_seen=False)
    for ranking, logs in zip(found, wanted, strict=True):
        assert sorted(ranking.item_rows.tolist()) == [row for row in range(20) if row != 7]
        assert_allclose(ranking.scores, logs[ranking.item_rows], rtol=1e-4, atol=1e-4)
        assert (np.diff(ranking.scores) <= 0).all()


def test_with_enough_beams_every_title_is_weighed(
    titler: Recommender, titled_shop: Dataset
) -> None:
    _is_exhaustive(titler, _histories(titled_shop))


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_every_backbone_answers_by_titles(
    kind: str, pretrained: dict[str, Path], titled_shop: Dataset
) -> None:
    model = _trained(titled_shop, f"model.backbone={{path='{pretrained[kind]}'}}")
    _is_exhaustive(model, _histories(titled_shop))


def test_entity_positions_follow_each_beam(titled_shop: Dataset) -> None:
    model = _trained(titled_shop, "model.entity_positions=true")
    _is_exhaustive(model, _histories(titled_shop))


def test_items_of_one_title_share_its_score(titler: Recommender, titled_shop: Dataset) -> None:
    ranking = titler.by_rows.recommend(_histories(titled_shop)[:1], 20, exclude_seen=False)[0]
    scores = _scores(ranking)
    assert scores[3] == scores[4]


def test_few_beams_find_the_best_of_the_prefixes_they_keep(
    titler: Recommender, titled_shop: Dataset
) -> None:
    histories = _histories(titled_shop)
    whole = titler.by_rows.recommend(histories, 20)
    for few, all_of_them in zip(titler.by_rows.recommend(histories, 3), whole, strict=True):
        kept = _scores(all_of_them)
        assert len(few) == 3
        assert_allclose(few.scores, [kept[row] for row in few.item_rows.tolist()], atol=1e-4)


def test_seen_items_and_non_candidates_are_left_out(
    titler: Recommender, titled_shop: Dataset
) -> None:
    histories = _histories(titled_shop)
    for history, ranking in zip(histories, titler.by_rows.recommend(histories, 20), strict=True):
        assert not set(ranking.item_rows.tolist()).intersection(history.item_rows.tolist())
    among = np.asarray([2, 7, 11, 13])
    for ranking in titler.by_rows.recommend(histories, 5, candidates=among, exclude_seen=False):
        assert sorted(ranking.item_rows.tolist()) == [2, 11, 13], "item 7 has no title"
    nothing = titler.by_rows.recommend(histories, 5, candidates=np.asarray([7]), exclude_seen=False)
    assert [len(ranking) for ranking in nothing] == [0] * len(histories)


def test_a_single_history_is_answered_as_in_a_batch(
    titler: Recommender, titled_shop: Dataset
) -> None:
    histories = _histories(titled_shop)
    for history, ranking in zip(histories, titler.by_rows.recommend(histories, 4), strict=True):
        alone = titler.by_rows.recommend([history], 4)[0]
        assert_array_equal(alone.item_rows, ranking.item_rows)
        assert_allclose(alone.scores, ranking.scores, atol=1e-4)


def test_a_reason_is_the_likelihood_that_the_title_loses_without_an_event(
    titler: Recommender, titled_shop: Dataset
) -> None:
    history = titled_shop.cases("test").histories[0].last(4)
    shortened = [history, *(history.without(event) for event in range(4))]
    logs = _weighed(titler.answers, shortened)[:, 2]
    reasons = titler.engine.why(history, 2, n=4)
    assert {reason.event for reason in reasons} == set(np.flatnonzero(logs[0] > logs[1:]).tolist())
    for reason in reasons:
        assert reason.weight == pytest.approx(logs[0] - logs[1 + reason.event], abs=1e-3)
    assert titler.engine.why(history, 7) == [], "nothing speaks for what cannot be said"


def test_it_is_evaluated_and_ranks_as_any_other(titler: Recommender, titled_shop: Dataset) -> None:
    assert titler.trained.recipe.forms == ("titles",)
    result = titler.evaluate("test")
    assert 0 < result.masked["recall@20"] <= 1
    history = titled_shop.cases("test").histories[0]
    assert titler.ranked_by == "scores as in recommend"
    ranked = titler.engine.rank(history, [1, 2, 3])
    wanted = titler.by_rows.recommend(
        [history], 3, candidates=np.asarray([1, 2, 3]), exclude_seen=False
    )
    assert_array_equal(ranked.item_rows, wanted[0].item_rows)


def test_a_model_of_every_task_answers_by_titles_too(
    speaker: Recommender, tiny_shop: Dataset
) -> None:
    assert speaker.trained.recipe.forms == ("set", "titles")
    histories = tiny_shop.cases("test").histories[:3]
    by_titles = speaker.asking(Request(form="titles"))
    wanted = by_titles.by_rows.recommend(histories, 5, exclude_seen=False)
    for found, logs in zip(wanted, _weighed(speaker.answers, histories), strict=True):
        assert_allclose(found.scores, logs[found.item_rows], atol=1e-4)
    brands = tiny_shop.catalog.table["brand"].to_list()
    wished = speaker.asking(Request(form="titles", prompt=f"something by {brands[0]}"))
    fits = [row for row, brand in enumerate(brands) if brand == brands[0]]
    (found, *_), (logs, *_) = (
        wished.by_rows.recommend(histories, 5, exclude_seen=False),
        _weighed(speaker.answers, histories),
    )
    assert set(found.item_rows.tolist()) <= set(fits), "what is wished for decides what may come"
    assert_allclose(found.scores, logs[found.item_rows], atol=1e-4)
    assert speaker.by_rows.recommend(histories, 5)[0].scores[0] != wanted[0].scores[0]


def test_titles_only_answer_the_next_item(titler: Recommender, titled_shop: Dataset) -> None:
    with pytest.raises(NotTrainedError, match="'search' with items; it answers next-item"):
        titler.asking(Request(family="search"))
    with pytest.raises(NotTrainedError, match="in the form 'set'; it answers in: titles"):
        titler.asking(Request(form="set"))


def test_filters_and_changed_titles_are_kept_to(titler: Recommender, titled_shop: Dataset) -> None:
    engine = Engine(titler.trained)
    history = _histories(titled_shop)[2]
    brand = next(view.brand for view in engine.catalogue.views(range(20)) if view.brand)
    wanted = ItemFilter(brands=(brand,))
    (found,) = engine.answer([Request(history, 20, filter=wanted, exclude_seen=False)])
    assert {view.brand for view in engine.catalogue.views(found.rows)} == {brand}
    old = engine.catalogue.view(int(found.rows[0]))
    engine.catalogue.update([ItemRecord("fresh", title=old.title, brand=brand)])
    (again,) = engine.answer([Request(history, 21, filter=wanted, exclude_seen=False)])
    assert {*again.rows.tolist()} == {*found.rows.tolist(), 20}, "it has the same title"
