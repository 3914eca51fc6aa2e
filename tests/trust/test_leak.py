"""The leak probe: it finds a numbering that leaks, and only that."""

import logging

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.data.catalog import Catalog
from palate.data.dataset import Dataset
from palate.data.interactions import Interactions
from palate.data.split import Part, Split
from palate.data.vocabulary import Vocabulary
from palate.ranking import mask_scores, top_rankings
from palate.trust.leak import RingProbe, probe_leaks, probe_order, probes
from palate.types import History, SupportsScore


def history(*rows: int) -> History:
    return History(item_rows=np.array(rows, dtype=np.int64))


def dataset_of(sequences: list[list[int]], ids: list[str]) -> Dataset:
    """Return a dataset where the last event of each user is test, the rest train."""
    lengths = [len(rows) for rows in sequences]
    events = pl.DataFrame(
        {
            "user_row": np.repeat(np.arange(len(sequences)), lengths),
            "item_row": [row for rows in sequences for row in rows],
            "event_type": ["view"] * sum(lengths),
        }
    )
    users = Vocabulary([f"u{user}" for user in range(len(sequences))])
    parts = [part for n in lengths for part in [Part.TRAIN] * (n - 1) + [Part.TEST]]
    return Dataset(
        name="toy",
        catalog=Catalog(Vocabulary(ids), pl.DataFrame({"item_id": ids})),
        interactions=Interactions.from_frame(events, users),
        split=Split(np.array(parts), "by hand"),
    )


def ids_of(order: np.ndarray) -> list[str]:
    """Return ids whose alphabetical order is ``order``."""
    ids = [""] * len(order)
    for place, row in enumerate(order.tolist()):
        ids[row] = f"id{place:05d}"
    return ids


@pytest.fixture
def random_walks() -> Dataset:
    rng = np.random.default_rng(5)
    sequences = [rng.permutation(1000)[:6].tolist() for _ in range(800)]
    return dataset_of(sequences, ids_of(rng.permutation(1000)))


def test_each_leak_probe_guesses_by_its_own_order() -> None:
    # In alphabetical order the rows are 2, 0, 3, 1: the history below is row 3 (c), then row 0 (b).
    found = probes(dataset_of([[0, 1]], ["b", "d", "a", "c"]))
    wanted = {
        "largest_row": [1, 2],  # nothing follows row 3: around the ring to 0 (seen), 1, 2
        "largest_id": [1, 2],  # after c comes d, then around to a
        "next_id": [1, 2],  # after b comes c (seen), d, then around to a
        "constant": [1, 2],  # the first rows that were not seen
    }
    for name, rows in wanted.items():
        (ranking,) = found[name].recommend([history(3, 0)], 2)
        assert ranking.item_rows.tolist() == rows, name
    starts = {
        name: probe.recommend([history(3, 0)], 1, exclude_seen=False)[0].item_rows.item()
        for name, probe in found.items()
    }
    assert starts == {"largest_row": 0, "largest_id": 1, "next_id": 3, "constant": 0}


def test_a_probe_is_a_recommender_that_scores() -> None:
    assert isinstance(RingProbe(np.arange(3), lambda places: int(places[-1])), SupportsScore)


@given(
    seed=st.integers(0, 1000),
    n=st.integers(0, 25),
    exclude_seen=st.booleans(),
    some=st.booleans(),
)
def test_lists_are_those_of_the_scores(seed: int, n: int, exclude_seen: bool, some: bool) -> None:
    rng = np.random.default_rng(seed)
    probe = RingProbe(rng.permutation(20), lambda places: int(places.max()) + 1)
    histories = [history(*rng.integers(0, 20, rng.integers(0, 6))) for _ in range(4)]
    candidates = np.flatnonzero(rng.random(20) < 0.5) if some else None
    masked = mask_scores(
        probe.score(histories), histories, candidates=candidates, exclude_seen=exclude_seen
    )
    lists = probe.recommend(histories, n, candidates=candidates, exclude_seen=exclude_seen)
    for walked, sorted_ in zip(lists, top_rankings(masked, n), strict=True):
        assert walked.item_rows.tolist() == sorted_.item_rows.tolist()
        assert walked.scores.tolist() == sorted_.scores.tolist()


def test_without_a_leak_the_hit_rates_are_at_chance(
    random_walks: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    found = probe_leaks(random_walks)
    assert found["chance"] == 0.01
    assert found["max"] < 0.02
    assert not caplog.records


def test_rows_numbered_by_time_are_found(caplog: pytest.LogCaptureFixture) -> None:
    sequences = [list(range(start, start + 5)) for start in range(200)]
    shuffled = ids_of(np.random.default_rng(6).permutation(300))
    with caplog.at_level(logging.WARNING):
        found = probe_leaks(dataset_of(sequences, shuffled))
    assert found["largest_row@1"] == 1
    assert found["max"] == 1
    assert found["next_id@10"] < 0.1
    assert "largest_row" in caplog.text


def test_ids_numbered_by_time_are_found() -> None:
    order = np.random.default_rng(7).permutation(300)
    sequences = [order[start : start + 5].tolist() for start in range(200)]
    found = probe_leaks(dataset_of(sequences, ids_of(order)))
    assert found["largest_id@1"] == found["next_id@1"] == 1
    assert found["largest_row@10"] < 0.1


def test_without_cases_the_leak_probe_finds_nothing(random_walks: Dataset) -> None:
    found = probe_leaks(random_walks, "valid")
    assert found["max"] == 0


def test_an_order_that_knows_the_next_item_is_detected() -> None:
    rng = np.random.default_rng(8)
    order = rng.permutation(500)
    starts = rng.integers(0, 490, 300)
    walks = dataset_of([order[start : start + 5].tolist() for start in starts], ids_of(order))
    leaking, honest = (probe_order(each, walks) for each in (order, rng.permutation(500)))
    assert leaking["next@1"] == leaking["largest@1"] == leaking["max"] == 1.0
    assert honest["max"] < 0.06
    assert honest["chance"] == leaking["chance"] == 10 / 500
