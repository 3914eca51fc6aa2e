"""The contract of every baseline, and answers known by reasoning."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy.linalg import inv
from scipy.sparse import csr_matrix

from palate.errors import ArtifactError, ConfigError
from palate.models.baselines import (
    Als,
    AlsConfig,
    Baseline,
    BaselineConfig,
    BprConfig,
    Ease,
    EaseConfig,
    ItemKnn,
    ItemKnnConfig,
    Popularity,
    PopularityConfig,
    fit_baseline,
    load_baseline,
)
from palate.models.baselines.recency import history_matrix
from palate.types import History

PERSONAL: list[BaselineConfig] = [
    ItemKnnConfig(),
    ItemKnnConfig(decay=1.0, neighbours=3),
    EaseConfig(regularisation=1.0),
    EaseConfig(regularisation=1.0, decay=1.0, keep=None),
    AlsConfig(factors=2),
    BprConfig(factors=8, learning_rate=0.1, iterations=200),
]
ALL: list[BaselineConfig] = [PopularityConfig(), *PERSONAL]
CLOSED_FORM: list[BaselineConfig] = [PopularityConfig(), ItemKnnConfig(), EaseConfig()]

NUM_ITEMS = 12
EMPTY = History(np.empty(0, np.int64))


def history(*rows: int) -> History:
    return History(np.array(rows, dtype=np.int64))


def checkerboard(seed: int = 0) -> list[History]:
    """Even people take even items and odd people odd ones, each four of the six, at random."""
    rng = np.random.default_rng(seed)
    sides = [np.arange(0, NUM_ITEMS, 2), np.arange(1, NUM_ITEMS, 2)]
    return [History(rng.permutation(sides[user % 2])[:4]) for user in range(60)]


def skip_without_library(config: BaselineConfig) -> None:
    if isinstance(config, AlsConfig | BprConfig):
        pytest.importorskip("implicit")


def fitted(config: BaselineConfig) -> Baseline:
    skip_without_library(config)
    return fit_baseline(config, checkerboard(), NUM_ITEMS)


def kind(config: BaselineConfig) -> str:
    return repr(config)


@pytest.mark.parametrize("config", PERSONAL, ids=kind)
def test_recommends_within_the_group_of_the_history(config: BaselineConfig) -> None:
    histories = [history(0, 2), history(1, 3), history(4), history(11, 9, 7)]
    for given, ranking in zip(histories, fitted(config).recommend(histories, 3), strict=True):
        assert {int(row) % 2 for row in ranking.item_rows} == {int(given.item_rows[0]) % 2}


@pytest.mark.parametrize("config", ALL, ids=kind)
class TestContract:
    def test_scores_are_finite_float32_for_every_item(self, config: BaselineConfig) -> None:
        scores = fitted(config).score([history(0, 2), EMPTY])
        assert scores.shape == (2, NUM_ITEMS)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()

    def test_batch_equals_single(self, config: BaselineConfig) -> None:
        model, histories = fitted(config), [*checkerboard(seed=3), EMPTY]
        singly = np.concatenate([model.score([one]) for one in histories])
        np.testing.assert_allclose(model.score(histories), singly, rtol=1e-5, atol=1e-6)

    def test_order_of_users_changes_nothing(self, config: BaselineConfig) -> None:
        model, histories = fitted(config), checkerboard(seed=3)
        backwards = model.score(histories[::-1])[::-1]
        np.testing.assert_allclose(model.score(histories), backwards, rtol=1e-5, atol=1e-6)

    def test_a_user_is_the_history_and_not_a_number(self, config: BaselineConfig) -> None:
        model, anonymous = fitted(config), history(0, 2)
        known = replace(anonymous, user_row=7)
        np.testing.assert_array_equal(model.score([anonymous]), model.score([known]))

    def test_saved_and_loaded_scores_the_same(self, config: BaselineConfig, tmp_path: Path) -> None:
        model, histories = fitted(config), [*checkerboard(seed=3), EMPTY]
        model.save(tmp_path)
        loaded = load_baseline(tmp_path)
        assert type(loaded) is type(model)
        np.testing.assert_array_equal(loaded.score(histories), model.score(histories))

    def test_a_second_fit_is_the_same(self, config: BaselineConfig) -> None:
        histories = checkerboard(seed=3)
        np.testing.assert_array_equal(
            fitted(config).score(histories), fitted(config).score(histories)
        )

    def test_seen_items_are_left_out_unless_wanted(self, config: BaselineConfig) -> None:
        model, histories = fitted(config), [history(0, 2, 4)]
        without = model.recommend(histories, NUM_ITEMS)[0].item_rows
        assert sorted(without) == [1, 3, 5, 6, 7, 8, 9, 10, 11]
        everything = model.recommend(histories, NUM_ITEMS, exclude_seen=False)[0].item_rows
        assert sorted(everything) == list(range(NUM_ITEMS))

    def test_only_candidates_are_recommended(self, config: BaselineConfig) -> None:
        chosen = np.array([0, 3, 8])
        ranking = fitted(config).recommend([history(0, 2)], 5, candidates=chosen)[0]
        assert sorted(ranking.item_rows) == [3, 8]

    def test_a_longer_list_than_the_catalogue_is_the_catalogue(
        self, config: BaselineConfig
    ) -> None:
        ranking = fitted(config).recommend([EMPTY], 10 * NUM_ITEMS)[0]
        assert sorted(ranking.item_rows) == list(range(NUM_ITEMS))

    def test_best_first(self, config: BaselineConfig) -> None:
        ranking = fitted(config).recommend([history(0, 2)], 6)[0]
        assert (np.diff(ranking.scores) <= 0).all()

    def test_an_empty_history_gets_what_is_popular(self, config: BaselineConfig) -> None:
        skip_without_library(config)
        sequences = [*checkerboard(), *[history(5)] * 30]
        model = fit_baseline(config, sequences, NUM_ITEMS)
        assert model.recommend([EMPTY], 1)[0].item_rows.tolist() == [5]

    def test_no_histories_give_no_rankings(self, config: BaselineConfig) -> None:
        assert fitted(config).score([]).shape == (0, NUM_ITEMS)
        assert fitted(config).recommend([], 3) == []


@pytest.mark.parametrize("config", CLOSED_FORM, ids=kind)
def test_order_of_training_users_changes_nothing(config: BaselineConfig) -> None:
    histories, sequences = checkerboard(seed=3), checkerboard()
    forwards = fit_baseline(config, sequences, NUM_ITEMS).score(histories)
    backwards = fit_baseline(config, sequences[::-1], NUM_ITEMS).score(histories)
    np.testing.assert_allclose(forwards, backwards, rtol=1e-5)


def test_popularity_counts_shares() -> None:
    model = Popularity.fit(PopularityConfig(), [history(0, 1), history(0), history(2)], 4)
    np.testing.assert_allclose(model.shares, [0.5, 0.25, 0.25, 0.0])


def test_popularity_with_a_half_life_counts_old_events_less() -> None:
    day = 86_400
    once = History(np.array([0, 1]), timestamps=np.array([0, 10 * day]))
    model = Popularity.fit(PopularityConfig(half_life_days=10), [once], 2)
    np.testing.assert_allclose(model.shares, [1 / 3, 2 / 3], rtol=1e-6)


def test_an_event_of_unknown_time_counts_as_the_oldest() -> None:
    times = np.array([-1, 0, 86_400])
    once = History(np.array([0, 1, 2]), timestamps=times)
    model = Popularity.fit(PopularityConfig(half_life_days=1), [once], 3)
    np.testing.assert_allclose(model.shares, [0.25, 0.25, 0.5])


@pytest.mark.parametrize("timestamps", [None, np.array([-1])])
def test_popularity_with_a_half_life_needs_times(timestamps: np.ndarray | None) -> None:
    sequences = [History(np.array([0]), timestamps=timestamps)]
    with pytest.raises(ConfigError, match="needs event times"):
        Popularity.fit(PopularityConfig(half_life_days=1), sequences, 1)


def test_history_matrix_weighs_by_age_and_counts_the_newest_of_a_repeat() -> None:
    rows = history_matrix([history(3, 1, 3, 0), EMPTY, history(2)], 4, decay=0.5).toarray()
    np.testing.assert_array_equal(rows, [[1, 0.25, 0, 0.5], [0] * 4, [0, 0, 1, 0]])
    plain = history_matrix([history(3, 1, 3, 0)], 4).toarray()
    np.testing.assert_array_equal(plain, [[1, 1, 0, 1]])


def test_a_very_long_history_does_not_underflow_with_a_warning() -> None:
    long = History(np.arange(3000) % 7)
    assert np.isfinite(history_matrix([long], 7, decay=0.1).toarray()).all()


def test_itemknn_is_the_cosine_of_user_sets() -> None:
    sequences = [history(0, 1), history(0, 1), history(0, 2), history(3)]
    model = ItemKnn.fit(ItemKnnConfig(decay=1.0), sequences, 4)
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = 2 / np.sqrt(3 * 2)
    expected[0, 2] = expected[2, 0] = 1 / np.sqrt(3 * 1)
    np.testing.assert_allclose(model.weights.matrix.toarray(), expected, rtol=1e-6)


def test_itemknn_keeps_the_nearest_neighbours_of_a_history_item() -> None:
    sequences = [history(0, 1), history(0, 1), history(0, 2)]
    model = ItemKnn.fit(ItemKnnConfig(decay=1.0, neighbours=1), sequences, 3)
    assert [row.tolist() for row in np.split(model.weights.matrix.indices, 3)] == [[1], [0], [0]]


def test_the_newest_event_has_the_largest_weight() -> None:
    sequences = [history(0, 1)] * 5 + [history(2, 3)] * 5
    model = ItemKnn.fit(ItemKnnConfig(decay=0.5), sequences, 4)
    newest_is_two, newest_is_zero = model.recommend([history(0, 2), history(2, 0)], 1)
    assert (newest_is_two.item_rows.tolist(), newest_is_zero.item_rows.tolist()) == ([3], [1])


def test_ease_equals_the_textbook_formula() -> None:
    config = EaseConfig(regularisation=3.0, keep=None)
    bags = history_matrix(checkerboard(), NUM_ITEMS).toarray().astype(np.float64)
    precision = inv(bags.T @ bags + 3.0 * np.eye(NUM_ITEMS))
    expected = -precision / np.diag(precision)
    np.fill_diagonal(expected, 0)
    model = Ease.fit(config, checkerboard(), NUM_ITEMS)
    np.testing.assert_allclose(model.weights.matrix.toarray(), expected, rtol=1e-4, atol=1e-6)


def test_ease_is_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Ease.fit(EaseConfig(), checkerboard(), NUM_ITEMS).weights.matrix.toarray()
    monkeypatch.setattr("palate.models.baselines.ease._ITEMS_AT_ONCE", 5)
    parts = Ease.fit(EaseConfig(), checkerboard(), NUM_ITEMS).weights.matrix.toarray()
    np.testing.assert_array_equal(parts, whole)


def test_ease_keeps_the_largest_weights_of_each_item() -> None:
    every = Ease.fit(EaseConfig(keep=None), checkerboard(), NUM_ITEMS).weights.matrix.toarray()
    kept = Ease.fit(EaseConfig(keep=4), checkerboard(), NUM_ITEMS).weights.matrix.toarray()
    assert ((kept != 0).sum(axis=0) == 4).all()
    for column in range(NUM_ITEMS):
        smallest = np.abs(kept[kept[:, column] != 0, column]).min()
        assert smallest >= np.abs(every[kept[:, column] == 0, column]).max()


def test_ease_refuses_a_catalogue_it_cannot_hold() -> None:
    with pytest.raises(ConfigError, match="12 items needs"):
        Ease.fit(EaseConfig(max_items=10), checkerboard(), NUM_ITEMS)


def test_als_folds_a_user_in_as_the_library_does() -> None:
    als = pytest.importorskip("implicit.cpu.als")
    model = fitted(AlsConfig(factors=4, confidence=5.0))
    assert isinstance(model, Als)
    reference = als.AlternatingLeastSquares(factors=4, regularization=0.1, alpha=5.0)
    reference.item_factors = model.item_factors
    bags = history_matrix([history(0, 2), history(3)], NUM_ITEMS)
    expected = reference.recalculate_user(np.arange(2), csr_matrix(bags))
    np.testing.assert_allclose(model.fold_in(bags), expected, rtol=1e-3, atol=1e-5)


class TestConfig:
    def test_the_kind_chooses_the_schema(self) -> None:
        reader: TypeAdapter[BaselineConfig] = TypeAdapter(BaselineConfig)
        assert reader.validate_python({"kind": "ease", "decay": 0.9}) == EaseConfig(decay=0.9)

    @pytest.mark.parametrize(
        "settings",
        [
            {"kind": "svd"},
            {"kind": "ease", "lambda": 100},
            {"kind": "ease", "regularisation": 0},
            {"kind": "itemknn", "decay": 0},
            {"kind": "itemknn", "decay": 1.5},
            {"kind": "als", "factors": 0},
        ],
    )
    def test_settings_that_make_no_sense_are_refused(self, settings: dict[str, object]) -> None:
        reader: TypeAdapter[BaselineConfig] = TypeAdapter(BaselineConfig)
        with pytest.raises(ValidationError):
            reader.validate_python(settings)


class TestDamagedFolder:
    def test_an_empty_baseline_folder_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match="no usable baseline"):
            load_baseline(tmp_path)

    def test_arrays_missing(self, tmp_path: Path) -> None:
        fitted(PopularityConfig()).save(tmp_path)
        (tmp_path / "baseline.safetensors").unlink()
        with pytest.raises(ArtifactError, match="cannot be read"):
            load_baseline(tmp_path)

    def test_arrays_cut_short(self, tmp_path: Path) -> None:
        fitted(ItemKnnConfig()).save(tmp_path)
        path = tmp_path / "baseline.safetensors"
        path.write_bytes(path.read_bytes()[:-10])
        with pytest.raises(ArtifactError, match="cannot be read"):
            load_baseline(tmp_path)

    def test_arrays_of_another_kind(self, tmp_path: Path) -> None:
        fitted(PopularityConfig()).save(tmp_path)
        (tmp_path / "baseline.json").write_text(ItemKnnConfig().model_dump_json())
        with pytest.raises(ArtifactError, match="lacks data"):
            load_baseline(tmp_path)

    def test_a_kind_from_the_future(self, tmp_path: Path) -> None:
        fitted(PopularityConfig()).save(tmp_path)
        (tmp_path / "baseline.json").write_text(json.dumps({"kind": "oracle"}))
        with pytest.raises(ArtifactError, match="'oracle'"):
            load_baseline(tmp_path)


@pytest.fixture(scope="module")
def beauty(shared_data: Path) -> tuple[list[np.ndarray], int]:
    """Item rows of each user, oldest first; rows are a random permutation of the ids."""
    table = pl.read_parquet(shared_data / "amazon14_beauty" / "interactions.parquet")
    ids = table["item_id"].unique().sort()
    rows = dict(zip(ids.to_list(), np.random.default_rng(0).permutation(len(ids)), strict=True))
    users = table.sort("user_id", "position").group_by("user_id", maintain_order=True)
    sequences = users.agg("item_id")["item_id"].to_list()
    return [np.array([rows[item] for item in items]) for items in sequences], len(ids)


@pytest.mark.real
class TestOnBeauty:
    """Amazon Beauty 2014, 5-core: the last event of each user is the target, the rest is history.

    The golden numbers were measured twice, independently: by a plain numpy script with dense
    matrices and random ties, and by this code (all items ranked, history masked, 22,363 users).
    """

    @pytest.mark.parametrize(
        ("config", "recall", "ndcg"),
        [
            (PopularityConfig(), 0.0114, 0.0054),
            (ItemKnnConfig(decay=1.0), 0.0567, 0.0325),
            (ItemKnnConfig(decay=0.5), 0.0649, 0.0399),
        ],
        ids=kind,
    )
    def test_golden_numbers(
        self,
        config: BaselineConfig,
        recall: float,
        ndcg: float,
        beauty: tuple[list[np.ndarray], int],
    ) -> None:
        sequences, num_items = beauty
        train = [History(rows[:-2]) for rows in sequences]
        model = fit_baseline(config, train, num_items)
        # Every fourth user is plenty: the standard error of recall is at most 0.0033.
        histories = sequences[::4]
        rankings = model.recommend([History(rows[:-1]) for rows in histories], 10)
        places = [
            place_of(int(rows[-1]), r.item_rows)
            for rows, r in zip(histories, rankings, strict=True)
        ]
        hits = np.array([place for place in places if place is not None])
        assert len(hits) / len(histories) == pytest.approx(recall, abs=0.006)
        assert (1 / np.log2(hits + 2)).sum() / len(histories) == pytest.approx(ndcg, abs=0.004)


def place_of(row: int, ranked: Sequence[int] | np.ndarray) -> int | None:
    found = np.flatnonzero(np.asarray(ranked) == row)
    return int(found[0]) if len(found) else None
