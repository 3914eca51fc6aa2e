"""Rating baselines find the structure that ratings were made from."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from palate.data.split import Part
from palate.errors import DataError
from palate.evaluation.answer_metrics import rmse
from palate.evaluation.rating_baselines import (
    ItemBiases,
    RatingBaseline,
    Ratings,
    fit_biases,
    fit_factors,
    fit_item_biases,
    fit_mean,
    rating_baselines,
    ratings_of,
)
from palate.simulation.world import World
from palate.types import History

SHAPE = (40, 30)


def _ratings(rng: np.random.Generator, values: np.ndarray, share: float) -> Ratings:
    """Return some cells of a table as ratings."""
    users, items = np.nonzero(rng.random(SHAPE) < share)
    return Ratings(users, items, values[users, items])


def _table(rng: np.random.Generator, *, strength: float) -> np.ndarray:
    biases = rng.normal(size=(SHAPE[0], 1)) + rng.normal(size=(1, SHAPE[1]))
    tastes = np.outer(rng.normal(size=SHAPE[0]), rng.normal(size=SHAPE[1]))
    return 3 + 0.4 * biases + strength * tastes


def test_the_mean_is_the_mean() -> None:
    train = Ratings(np.asarray([0, 1]), np.asarray([0, 0]), np.asarray([2.0, 5.0]))
    predicted = fit_mean(train, SHAPE).predict(np.asarray([7]), np.asarray([9]))
    assert_allclose(predicted, [3.5])


def test_a_bias_is_the_shrunken_mean() -> None:
    """One user, ratings 5 and 5, mean 4 with another's 2: b_i solves its own equation."""
    train = Ratings(np.asarray([0, 1, 2]), np.asarray([0, 0, 1]), np.asarray([5.0, 5.0, 2.0]))
    fitted = fit_biases(train, SHAPE, penalty=2.0, sweeps=200)
    rest = train.values - 4.0
    assert_allclose(
        fitted.items[0], (rest[0] + rest[1] - fitted.users[0] - fitted.users[1]) / (2 + 2)
    )
    assert_allclose(fitted.users[2], (rest[2] - fitted.items[1]) / (2 + 1))


def test_an_unseen_user_is_predicted_by_the_item_alone() -> None:
    train = Ratings(np.asarray([0, 0]), np.asarray([0, 1]), np.asarray([5.0, 1.0]))
    fitted = fit_biases(train, SHAPE, penalty=1.0)
    (known,) = fitted.predict(np.asarray([30]), np.asarray([0]))
    assert known == pytest.approx(fitted.mean + fitted.items[0])


def test_biases_find_biases_and_factors_find_tastes(rng: np.random.Generator) -> None:
    for strength, better in ((0.0, "biases"), (0.8, "factors")):
        table = _table(rng, strength=strength)
        train, test = _ratings(rng, table, 0.6), _ratings(rng, table, 0.3)
        fits: dict[str, RatingBaseline] = {
            "mean": fit_mean(train, SHAPE),
            "biases": fit_biases(train, SHAPE, penalty=0.1),
            "factors": fit_factors(train, SHAPE, penalty=0.05, rng=rng, num_factors=2),
        }
        found = {
            name: rmse(fit.predict(test.user_rows, test.item_rows), test.values)
            for name, fit in fits.items()
        }
        assert min(found["biases"], found["factors"]) < found["mean"]
        assert (found["factors"] < 0.6 * found["biases"]) == (better == "factors")


def test_predictions_stay_within_the_scale(rng: np.random.Generator) -> None:
    train = _ratings(rng, np.clip(_table(rng, strength=2.0), 1, 5), 0.5)
    users, items = (every.ravel() for every in np.indices(SHAPE))
    for fit in (
        fit_biases(train, SHAPE, penalty=0.1),
        fit_factors(train, SHAPE, penalty=0.01, rng=rng),
    ):
        predicted = fit.predict(users, items)
        assert predicted.min() >= train.values.min()
        assert predicted.max() <= train.values.max()


def test_only_the_training_part_is_learned_from() -> None:
    shop = World(num_users=60, num_items=30, seed=1).dataset()
    events = shop.interactions
    assert events.ratings is not None
    spoiled = events.ratings.copy()
    spoiled[shop.split.parts == Part.TEST] = 1.0
    changed = replace(shop, interactions=replace(events, ratings=spoiled))
    users, items = np.arange(20), np.arange(20)
    ours, theirs = (rating_baselines(data, np.random.default_rng(0)) for data in (shop, changed))
    for name in ours:
        assert_allclose(ours[name].predict(users, items), theirs[name].predict(users, items))


def test_ratings_of_a_part_leave_out_what_was_not_rated() -> None:
    shop = World(num_users=60, num_items=30, seed=1).dataset()
    found = [len(ratings_of(shop, part)) for part in ("train", "valid", "test")]
    assert shop.interactions.ratings is not None
    held = shop.split.parts != Part.CONTEXT
    assert sum(found) == int((~np.isnan(shop.interactions.ratings[held])).sum())


def test_without_a_rating_there_is_no_baseline() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    with pytest.raises(DataError, match="no ratings"):
        fit_mean(Ratings(nothing, nothing, np.zeros(0)), SHAPE)


def test_the_user_bias_is_computed_from_the_ratings_of_the_history() -> None:
    known = ItemBiases(3.0, np.asarray([0.5, -0.5, 0.0]), 2.0)
    rows = np.asarray([0, 1, 2])
    ratings = np.asarray([4.5, np.nan, 4.0], dtype=np.float32)
    history = History(item_rows=rows, ratings=ratings)
    # Left over are 1 and 1, of two ratings and a penalty of two.
    assert_allclose(known.above_mean(history, np.asarray([0, 2])), [0.5 + 0.5, 0.5])
    nobody = History(item_rows=np.zeros(0, dtype=np.int64))
    assert_allclose(known.above_mean(nobody, rows), known.items)


def test_known_users_are_predicted_as_by_biases() -> None:
    shop = World(num_users=60, num_items=30, seed=1).dataset()
    found = fit_item_biases(shop)
    train = ratings_of(shop, "train")
    shape = (len(shop.interactions.users), len(shop.catalog))
    fitted = fit_biases(train, shape, penalty=found.penalty, sweeps=100)
    told = ItemBiases(fitted.mean, fitted.items, found.penalty)
    history = next(h for h in shop.sequences if h.user_row is not None and len(h) > 3)
    rows = np.arange(len(shop.catalog))
    assert_allclose(
        told.above_mean(history, rows),
        fitted.users[history.user_row or 0] + fitted.items[rows],
        atol=1e-5,
    )
