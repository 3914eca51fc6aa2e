"""The simulated shop: seeded, with exact probabilities, without leaks, and varied."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from palate.data.dataset import Dataset
from palate.data.split import Part
from palate.errors import ConfigError, UnknownUserError
from palate.items.image import BuiltInImageEncoder
from palate.items.text import TextEncoderConfig, fit_text_encoder
from palate.ranking import mask_scores, top_rankings
from palate.simulation.taste import EVENT_TYPES, SCENARIOS, Moment, Oracle
from palate.simulation.text import kinds
from palate.simulation.world import World
from palate.types import History, Ranking, SupportsScore


@pytest.fixture(scope="module")
def world() -> World:
    return World(num_users=600, num_items=300, seed=4)


@pytest.fixture(scope="module")
def dataset(world: World) -> Dataset:
    return world.dataset()


def _recall(rankings: list[Ranking], targets: list[np.ndarray]) -> float:
    hits = [t[0] in r.item_rows for r, t in zip(rankings, targets, strict=True)]
    return float(np.mean(hits))


def _log_likelihood(oracle: Oracle, dataset: Dataset) -> float:
    cases = dataset.cases("test")
    scores = oracle.score(cases.histories)
    rows = [target[0] for target in cases.targets]
    return float(np.log(scores[np.arange(len(rows)), rows]).mean())


def test_equal_worlds_give_equal_tables() -> None:
    first, second = (World(num_users=40, num_items=60, seed=7).dataset() for _ in range(2))
    assert_frame_equal(first.catalog.table, second.catalog.table)
    assert_frame_equal(first.interactions.frame(), second.interactions.frame())
    assert first.users is not None
    assert second.users is not None
    assert_frame_equal(first.users, second.users)
    other = World(num_users=40, num_items=60, seed=8).dataset()
    assert other.catalog.table["title"].to_list() != first.catalog.table["title"].to_list()


def test_pictures_change_nothing_else() -> None:
    shown = World(num_users=20, num_items=30).dataset()
    hidden = World(num_users=20, num_items=30, pictures=False).dataset()
    assert_frame_equal(shown.catalog.table.drop("image"), hidden.catalog.table.drop("image"))
    assert_frame_equal(shown.interactions.frame(), hidden.interactions.frame())
    assert hidden.catalog.table["image"].null_count() == 30


def test_shape_of_the_data(dataset: Dataset) -> None:
    events = dataset.interactions
    counts = np.diff(events.offsets)
    assert counts.min() >= 3
    assert counts.mean() == pytest.approx(20, rel=0.15)
    assert dataset.split.count(Part.TEST) == dataset.split.count(Part.VALID) == 600
    assert set(np.unique(events.event_codes)) == set(range(len(EVENT_TYPES)))
    assert events.timestamps is not None
    assert (np.diff(events.timestamps)[np.diff(events.user_rows) == 0] > 0).all()
    ratings = events.ratings
    assert ratings is not None
    assert set(np.unique(ratings[~np.isnan(ratings)])) == {1, 2, 3, 4, 5}
    pairs = events.user_rows * len(dataset.catalog) + events.item_rows
    assert len(np.unique(pairs)) == len(pairs)
    assert len(dataset.history("u1")) >= 3
    popular = np.sort(dataset.train_counts)[::-1]
    assert popular[:30].sum() > 0.25 * popular.sum()


def test_reviews_agree_with_ratings(dataset: Dataset) -> None:
    table = dataset.interactions.frame().drop_nulls("review_text")
    assert len(table) > 300
    assert table["rating"].null_count() == 0
    pleased = table.filter(pl.col("review_text").str.contains("is good value|looks lovely"))
    cross = table.filter(pl.col("review_text").str.contains("overpriced|not my style"))
    assert pleased["rating"].min() >= 3 >= cross["rating"].max()


def test_saved_and_read_back(dataset: Dataset, tmp_path: Path) -> None:
    dataset.save(tmp_path / "world")
    again = Dataset.load(tmp_path / "world")
    assert_frame_equal(again.interactions.frame(), dataset.interactions.frame())
    assert_frame_equal(again.catalog.table, dataset.catalog.table)


def test_probabilities_are_probabilities(world: World, dataset: Dataset) -> None:
    histories = dataset.cases("test").histories[:20]
    oracle = world.oracle()
    assert isinstance(oracle, SupportsScore)
    scores = oracle.score(histories)
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert all(scores[i, h.item_rows].sum() == 0 for i, h in enumerate(histories))


def test_draws_follow_the_probabilities(world: World) -> None:
    rng = np.random.default_rng(0)
    choice = world.oracle().choice
    count = 40_000
    for last_item, last_event in ((-1, -1), (5, EVENT_TYPES.index("purchase"))):
        moment = Moment(*(np.full(count, value) for value in (3, 6, last_item, last_event)))
        items, events, scenarios = choice.draw(moment, rng)
        for kept, known in (
            (np.ones(count, dtype=bool), {}),
            (events == EVENT_TYPES.index("like"), {"event_type": EVENT_TYPES.index("like")}),
            (scenarios == SCENARIOS.index("search"), {"scenario": SCENARIOS.index("search")}),
        ):
            expected = choice.probabilities(moment[np.array([0])], **known)[0]
            found = np.bincount(items[kept], minlength=300) / kept.sum()
            error = np.sqrt(expected * (1 - expected) / kept.sum())
            assert (np.abs(found - expected) < 5 * error + 1e-4).all()


def test_oracle_beats_popularity_and_the_taste_of_others(world: World, dataset: Dataset) -> None:
    cases = dataset.cases("test")
    popularity = np.tile(dataset.train_counts.astype(float), (len(cases), 1))
    popular = top_rankings(mask_scores(popularity, cases.histories), 10)
    strangers = [
        replace(history, user_row=(history.user_row or 0) * 7 % 600) for history in cases.histories
    ]
    oracle = world.oracle()
    best = _recall(oracle.recommend(cases.histories, 10), list(cases.targets))
    others = mask_scores(oracle.score(strangers), cases.histories)
    assert best > 2 * _recall(popular, list(cases.targets))
    assert best > 2 * _recall(top_rankings(others, 10), list(cases.targets))


def test_tastes_drift(world: World, dataset: Dataset) -> None:
    choice = world.oracle().choice
    still = replace(choice, crowd=replace(choice.crowd, speed=np.zeros_like(choice.crowd.speed)))
    assert _log_likelihood(world.oracle(), dataset) > _log_likelihood(Oracle(still), dataset) + 0.2


def test_order_matters(world: World, dataset: Dataset) -> None:
    events, shop = dataset.interactions, world.oracle().choice.shop
    shelves = shop.shelf_of[events.item_rows]
    bought = events.event_codes[:-1] == EVENT_TYPES.index("purchase")
    pairs = (np.diff(events.user_rows) == 0) & bought
    forwards = (shop.goes_with[shelves[:-1]] == shelves[1:])[pairs].mean()
    backwards = (shop.goes_with[shelves[1:]] == shelves[:-1])[pairs].mean()
    assert forwards > 0.4 > 0.2 > backwards


def test_event_types_differ_in_intent(world: World, dataset: Dataset) -> None:
    cases = dataset.cases("test")
    last = dataset.interactions.event_codes[dataset.split.parts == Part.TEST]
    rows = np.array([target[0] for target in cases.targets])
    for name in ("like", "purchase"):
        of_type = np.flatnonzero(last == EVENT_TYPES.index(name))
        histories = [cases.histories[i] for i in of_type]
        places = np.arange(len(of_type)), rows[of_type]
        told = np.log(world.oracle(event_type=name).score(histories)[places]).mean()
        blind = np.log(world.oracle().score(histories)[places]).mean()
        assert told > blind + 0.05


def _explained(features: np.ndarray, hidden: np.ndarray) -> float:
    """Return the share of variance that ridge regression explains on new items."""
    features = np.column_stack([features, np.ones(len(features))])
    known, new = slice(0, None, 2), slice(1, None, 2)
    square = features[known].T @ features[known] + 3.0 * np.eye(features.shape[1])
    weights = np.linalg.solve(square, features[known].T @ hidden[known])
    left = np.square(hidden[new] - features[new] @ weights).sum()
    return float(1 - left / np.square(hidden[new] - hidden[new].mean(0)).sum())


def test_pictures_show_attributes_that_texts_do_not() -> None:
    world = World(num_users=10, num_items=1_000, seed=2)
    catalog, shop = world.dataset().catalog, world.oracle().choice.shop
    texts = catalog.texts()
    words = fit_text_encoder(TextEncoderConfig(dim=64), texts, seed=0).encode(texts).values
    pictures = BuiltInImageEncoder().encode(catalog.table["image"].to_list()).values
    assert _explained(pictures, shop.look) > 0.7
    assert _explained(words, shop.look) < 0.1
    assert _explained(words, shop.style) > 0.4
    assert _explained(pictures, shop.style) < 0.1


def test_demographics_explain_a_little_of_the_taste(world: World) -> None:
    crowd = World(num_users=4_000, num_items=20, pictures=False).oracle().choice.crowd
    groups = np.concatenate([np.eye(5)[crowd.ages], np.eye(3)[crowd.genders]], axis=1)
    assert 0.02 < _explained(groups, crowd.early) < 0.3


def test_numbering_leaks_nothing(dataset: Dataset) -> None:
    cases = dataset.cases("test")
    rows = np.array([target[0] for target in cases.targets])
    last = np.array([history.item_rows[-1] for history in cases.histories])
    largest = np.array([history.item_rows.max() for history in cases.histories])
    assert (rows == last + 1).mean() < 0.02
    assert (rows == largest + 1).mean() < 0.02
    alphabet = np.argsort(np.argsort(dataset.catalog.vocabulary.ids.astype(str)))
    assert (alphabet[rows] == alphabet[last] + 1).mean() < 0.02
    shuffled = np.corrcoef(np.arange(len(dataset.catalog)), dataset.train_counts)[0, 1]
    assert abs(shuffled) < 0.2


def test_titles_read_well(dataset: Dataset) -> None:
    titles = dataset.catalog.titles()
    assert all(2 < len(title.split()) < 8 for title in titles)
    assert len(set(titles)) > 0.8 * len(titles)
    assert len({kind.noun for kind in kinds()}) > 90


def test_source_holds_the_same_events(world: World, dataset: Dataset, tmp_path: Path) -> None:
    world.write_source(tmp_path)
    events = pl.read_csv(tmp_path / "interactions.csv")
    items = pl.read_parquet(tmp_path / "items.parquet")
    users = pl.read_csv(tmp_path / "users.csv")
    assert len(events) == len(dataset.interactions)
    assert set(events["item_id"]) <= set(items["item_id"])
    assert set(events["user_id"]) == set(users["user_id"])
    mine = events.filter(user_id="u1")["item_id"].to_list()
    rows = dataset.history("u1").item_rows
    assert mine == dataset.catalog.vocabulary.ids[rows].tolist()


def test_worlds_of_any_size() -> None:
    for num_users, num_items, events in ((1, 6, 3), (3, 10, 50), (5, 400, 4)):
        world = World(num_users=num_users, num_items=num_items, events_per_user=events)
        shop = world.dataset()
        assert len(world.oracle().recommend(shop.cases("test").histories, 2)) == num_users
    assert len(World(num_users=5, num_items=12, seed=1).dataset().catalog) == 12


def test_product_lines_distinguish_shelves_of_one_kind() -> None:
    titles = World(num_users=1, num_items=8_000, pictures=False).dataset().catalog.titles()
    assert len(set(titles)) > 0.6 * len(titles)


def test_an_impossible_world_is_an_error() -> None:
    with pytest.raises(ConfigError, match="at least 6 items"):
        World(num_items=3)
    with pytest.raises(ConfigError, match="at least 3 events"):
        World(events_per_user=1)
    with pytest.raises(ConfigError, match="no event type 'buy'"):
        World(num_items=20).oracle(event_type="buy")
    with pytest.raises(UnknownUserError, match="own world"):
        World(num_items=20).oracle().score([History(item_rows=np.array([1]))])
