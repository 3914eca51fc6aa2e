import numpy as np
import pytest
import torch

from palate.inference import retrieval
from palate.inference.retrieval import largest_products, retrieve
from palate.ranking import mask_scores, top_rankings
from palate.types import History


def people(rng: np.random.Generator, num_users: int, num_items: int) -> list[History]:
    return [History(rng.integers(0, num_items, rng.integers(0, 6))) for _ in range(num_users)]


def vectors(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    """Small whole numbers: products are exact, and many of them are equal."""
    return torch.from_numpy(rng.integers(-2, 3, shape)).float()


@pytest.mark.parametrize("n", [1, 7, 40, 60])
@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize("some", [True, False])
def test_it_ranks_as_the_full_scores_do(
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    n: int,
    exclude_seen: bool,
    some: bool,
) -> None:
    monkeypatch.setattr(retrieval, "_SCORES_AT_ONCE", 200)  # five users at a time
    users, items = vectors(rng, 23, 3, 4), vectors(rng, 40, 4)
    histories = people(rng, 23, 40)
    candidates = np.array([3, 5, 8, 30]) if some else None
    scores = torch.einsum("umd,id->uim", users, items).amax(-1).numpy()
    masked = mask_scores(scores, histories, candidates=candidates, exclude_seen=exclude_seen)
    found = retrieve(users, items, histories, n, candidates=candidates, exclude_seen=exclude_seen)
    for one, other in zip(found, top_rankings(masked, n), strict=True):
        np.testing.assert_array_equal(one.item_rows, other.item_rows)
        np.testing.assert_array_equal(one.scores, other.scores)


def test_an_item_is_as_near_as_its_nearest_vector() -> None:
    users = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    items = torch.tensor([[3.0, 1.0], [0.0, 1.0], [-1.0, -1.0]])
    assert largest_products(users, items).tolist() == [[3.0, 2.0, -1.0]]


def test_nobody_asks_nothing(rng: np.random.Generator) -> None:
    assert retrieve(torch.zeros(0, 1, 4), vectors(rng, 5, 4), [], 3) == []


def test_a_user_who_saw_everything_gets_an_empty_list(rng: np.random.Generator) -> None:
    history = History(np.arange(5))
    assert len(retrieve(vectors(rng, 1, 1, 4), vectors(rng, 5, 4), [history], 3)[0]) == 0
