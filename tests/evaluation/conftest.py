"""A small shop made by hand, and recommenders whose every score is known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from palate.data.catalog import Catalog
from palate.data.dataset import Dataset
from palate.data.interactions import Interactions
from palate.data.split import Part, Split
from palate.data.vocabulary import Vocabulary
from palate.evaluation.protocol import Evaluation, evaluate
from palate.ranking import mask_scores, top_rankings
from palate.types import History, Ranking, SupportsRecommend, SupportsScore

MakeDataset = Callable[..., Dataset]


def make_dataset(
    sequences: Sequence[Sequence[int]],
    num_items: int,
    *,
    num_test: int = 1,
    num_valid: int = 1,
    categories: Sequence[Sequence[str]] | None = None,
) -> Dataset:
    """Return a dataset whose user u did ``sequences[u]``, split by leaving the last out."""
    lengths = [len(rows) for rows in sequences]
    table = pl.DataFrame(
        {
            "user_row": np.repeat(np.arange(len(sequences)), lengths),
            "item_row": [row for rows in sequences for row in rows],
            "event_type": ["purchase"] * sum(lengths),
        }
    )
    users = Vocabulary([f"u{user}" for user in range(len(sequences))])
    ids = [f"i{row:04d}" for row in range(num_items)]
    parts = [
        [Part.TRAIN] * (length - num_valid - num_test)
        + [Part.VALID] * num_valid
        + [Part.TEST] * num_test
        for length in lengths
    ]
    catalog = pl.DataFrame(
        {
            "item_id": ids,
            "title": [f"Item {row}" for row in range(num_items)],
            "categories": categories or [[f"c{row % 4}"] for row in range(num_items)],
        }
    )
    return Dataset(
        name="toy",
        catalog=Catalog(Vocabulary(ids), catalog),
        interactions=Interactions.from_frame(table, users),
        split=Split(np.array([x for part in parts for x in part]), "by hand"),
    )


@dataclass(frozen=True)
class Scorer:
    """Scores each user as its table says."""

    table: np.ndarray

    def score(self, histories: Sequence[History]) -> np.ndarray:
        return self.table[np.array([history.user_row for history in histories], dtype=np.int64)]

    def recommend(
        self,
        histories: Sequence[History],
        n: int,
        *,
        candidates: np.ndarray | None = None,
        exclude_seen: bool = True,
    ) -> list[Ranking]:
        masked = mask_scores(
            self.score(histories), histories, candidates=candidates, exclude_seen=exclude_seen
        )
        return top_rankings(masked, n)


@dataclass(frozen=True)
class ListsOnly:
    """The same recommender for somebody who may only ask for lists."""

    inner: SupportsRecommend

    def recommend(
        self,
        histories: Sequence[History],
        n: int,
        *,
        candidates: np.ndarray | None = None,
        exclude_seen: bool = True,
    ) -> list[Ranking]:
        return self.inner.recommend(histories, n, candidates=candidates, exclude_seen=exclude_seen)


@pytest.fixture
def dataset_of() -> MakeDataset:
    """The function that makes a dataset from sequences of rows."""
    return make_dataset


@pytest.fixture(scope="session")
def shop() -> Dataset:
    """80 users with 5 to 14 events on 60 items, two test events each, some items twice."""
    rng = np.random.default_rng(3)
    sequences = [rng.integers(0, 60, rng.integers(5, 15)).tolist() for _ in range(80)]
    return make_dataset(sequences, 60, num_test=2)


@pytest.fixture(scope="session")
def tied_scores() -> np.ndarray:
    """Scores of the shop's users with many ties and some items never to be recommended."""
    rng = np.random.default_rng(4)
    scores = rng.integers(0, 12, (80, 60)).astype(np.float64)
    return np.where(rng.random(scores.shape) < 0.1, -np.inf, scores)


@pytest.fixture(scope="session")
def scorer(tied_scores: np.ndarray) -> Scorer:
    """A recommender with those scores."""
    return Scorer(tied_scores)


@pytest.fixture(scope="session")
def score_as() -> Callable[[np.ndarray], SupportsScore]:
    """The function that makes a recommender of a table of scores."""
    return Scorer


@pytest.fixture(scope="session")
def lists_only(scorer: Scorer) -> ListsOnly:
    """The same without its scores."""
    return ListsOnly(scorer)


@pytest.fixture(scope="session")
def oracle(shop: Dataset) -> Scorer:
    """Knows the answers: every target stands first, wherever it may."""
    cases = shop.cases("test")
    table = np.zeros((80, 60))
    for history, targets in zip(cases.histories, cases.targets, strict=True):
        table[history.user_row, targets] = 1
    return Scorer(table)


@pytest.fixture(scope="session")
def found(shop: Dataset, scorer: Scorer) -> Evaluation:
    """What those scores reach in the shop."""
    return evaluate(scorer, shop)


@pytest.fixture(scope="session")
def perfect(shop: Dataset, oracle: Scorer) -> Evaluation:
    """What the oracle reaches."""
    return evaluate(oracle, shop)
