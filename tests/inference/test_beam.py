"""The search finds what scoring every item finds, and nothing that does not exist."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from palate.errors import ConfigError
from palate.inference.beam import beam_search
from palate.items.codes.codes import Codes, Level
from palate.items.codes.prefix_table import PrefixTable
from palate.ranking import mask_scores, top_rows
from palate.types import History


@dataclass
class TableScorer:
    """A language model with a random distribution after each prefix of each user."""

    sizes: tuple[int, ...]
    users: int
    seed: int = 0
    coarse: bool = False
    """Log-probabilities from three values alone: many ties."""
    asked: list[int] = field(default_factory=list)
    """Beams of each call."""
    prefixes: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.prefixes = torch.zeros(self.users, 1, dtype=torch.long)
        draw = torch.Generator().manual_seed(self.seed)
        self.after = []
        prefixes = 1
        for size in self.sizes:
            drawn = torch.randn(self.users, prefixes, size, generator=draw)
            self.after.append(
                -drawn.abs().round().clamp(max=2.0) if self.coarse else drawn.log_softmax(-1)
            )
            prefixes *= size

    def first(self) -> torch.Tensor:
        return self.after[0][:, 0]

    def next(self, parents: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        level = len(self.asked)
        self.asked.append(codes.shape[1])
        assert bool((codes < self.sizes[level]).all())
        self.prefixes = self.prefixes.gather(1, parents) * self.sizes[level] + codes
        places = self.prefixes[..., None].expand(-1, -1, self.sizes[level + 1])
        return self.after[level + 1].gather(1, places)

    def exhaustive(self, codes: Codes) -> np.ndarray:
        """Return the total of every item, added up in the order of its levels."""
        totals = torch.zeros(self.users, len(codes))
        prefix = torch.zeros(len(codes), dtype=torch.long)
        for level, size in enumerate(self.sizes):
            code = torch.from_numpy(codes.values[:, level]).long()
            totals = self.after[level][:, prefix, code] + totals
            prefix = prefix * size + code
        return totals.numpy()


def catalogue(sizes: tuple[int, ...], num_items: int, seed: int = 0) -> Codes:
    """Draw unique codes in random order."""
    places = np.random.default_rng(seed).permutation(int(np.prod(sizes)))[:num_items]
    values = np.stack(np.unravel_index(places, sizes), axis=1).astype(np.int32)
    return Codes(values, tuple(Level("code", size) for size in sizes))


def assert_exhaustive(
    codes: Codes,
    scorer: TableScorer,
    n: int,
    *,
    rows: np.ndarray | None = None,
    seen: torch.Tensor | None = None,
) -> None:
    found, totals = beam_search(
        scorer, PrefixTable.of(codes, rows=rows), beams=len(codes), n=n, seen=seen
    )
    histories = [
        History(np.zeros(0, np.int64) if seen is None else seen[u][seen[u] >= 0].numpy())
        for u in range(scorer.users)
    ]
    scores = mask_scores(scorer.exhaustive(codes), histories, candidates=rows)
    best, values = top_rows(scores, n)
    width = best.shape[1]
    np.testing.assert_array_equal(found[:, :width].numpy(), best)
    np.testing.assert_array_equal(totals[:, :width].numpy(), values)
    assert bool((found[:, width:] == -1).all())


SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@given(sizes=SIZES, coarse=st.booleans(), data=st.data())
def test_enough_beams_are_exhaustive(
    sizes: tuple[int, ...], coarse: bool, data: st.DataObject
) -> None:
    num_items = data.draw(st.integers(1, int(np.prod(sizes))))
    seed = data.draw(st.integers(0, 1000))
    codes = catalogue(sizes, num_items, seed)
    scorer = TableScorer(sizes, users=3, seed=seed, coarse=coarse)
    rows = data.draw(st.none() | st.lists(st.integers(0, num_items - 1), max_size=8))
    seen = data.draw(
        st.none()
        | st.integers(0, 6).flatmap(
            lambda length: st.lists(
                st.lists(st.integers(-1, num_items - 1), min_size=length, max_size=length),
                min_size=3,
                max_size=3,
            )
        )
    )
    assert_exhaustive(
        codes,
        scorer,
        data.draw(st.integers(1, num_items + 2)),
        rows=None if rows is None else np.array(rows, dtype=np.int64),
        seen=None if seen is None else torch.tensor(seen, dtype=torch.long).view(3, -1),
    )


@pytest.mark.parametrize("beams", [1, 3, 20, 500])
def test_the_beam_search_equals_a_plain_implementation(beams: int) -> None:
    sizes = (6, 7, 5)
    codes, scorer = catalogue(sizes, 90), TableScorer(sizes, users=4)
    rows, totals = beam_search(scorer, PrefixTable.of(codes), beams=beams, n=beams)
    item_of = {tuple(values): row for row, values in enumerate(codes.values.tolist())}
    for user in range(4):
        kept: list[tuple[float, tuple[int, ...], int]] = [(0.0, (), 0)]
        for level, size in enumerate(sizes):
            legal = {codes[: level + 1] for codes in item_of}
            grown = [
                (
                    float(np.float32(scorer.after[level][user, place, code]) + np.float32(total)),
                    (*prefix, code),
                    place * size + code,
                )
                for total, prefix, place in kept
                for code in range(size)
                if (*prefix, code) in legal
            ]
            kept = sorted(grown, reverse=True)[:beams]
        expected = [item_of[prefix] for _, prefix, _ in kept]
        assert rows[user, : len(expected)].tolist() == expected
        assert bool((rows[user, len(expected) :] == -1).all())
        np.testing.assert_allclose(
            totals[user, : len(expected)], [total for total, _, _ in kept], rtol=1e-6
        )


@pytest.mark.parametrize("beams", [1, 2, 8])
def test_few_beams_find_only_what_exists_once_and_unseen(beams: int) -> None:
    sizes = (8, 8, 8, 4)
    codes, scorer = catalogue(sizes, 150), TableScorer(sizes, users=50)
    seen = torch.randint(-1, 150, (50, 30), generator=torch.Generator().manual_seed(1))
    shop = np.arange(0, 150, 2)
    rows, totals = beam_search(
        scorer, PrefixTable.of(codes, rows=shop), beams=beams, n=beams, seen=seen
    )
    for user in range(50):
        listed = rows[user][rows[user] >= 0].tolist()
        assert len(set(listed)) == len(listed)
        assert set(listed) <= set(shop.tolist()) - set(seen[user].tolist())
    assert bool((totals.diff(dim=1) <= 0).all())
    assert max(scorer.asked) <= beams


def test_a_prefix_whose_items_are_all_seen_takes_no_beam() -> None:
    values = np.array([[0, 0], [0, 1], [1, 0], [2, 0]], dtype=np.int32)
    codes = Codes(values, (Level("code", 3), Level("code", 2)))
    scorer = TableScorer((3, 2), users=1)
    scorer.after[0][0, 0] = torch.tensor([-0.1, -3.0, -4.0])
    rows, _ = beam_search(
        scorer, PrefixTable.of(codes), beams=1, n=1, seen=torch.tensor([[1, 0, -1]])
    )
    assert rows.tolist() == [[2]], "the one beam would have ended at the first prefix"


def test_there_are_no_more_beams_than_prefixes() -> None:
    codes, scorer = catalogue((2, 2, 2), 8), TableScorer((2, 2, 2), users=1)
    beam_search(scorer, PrefixTable.of(codes), beams=500, n=3)
    assert scorer.asked == [2, 4]


def test_equal_scores_come_in_row_order() -> None:
    codes, scorer = catalogue((3, 3), 9), TableScorer((3, 3), users=1)
    for after in scorer.after:
        after.zero_()
    rows, totals = beam_search(scorer, PrefixTable.of(codes), beams=9, n=9)
    assert rows.tolist() == [list(range(9))]
    assert totals.tolist() == [[0.0] * 9]


def test_impossible_tasks_are_not_listed() -> None:
    codes, scorer = catalogue((3,), 3), TableScorer((3,), users=1)
    scorer.after[0][0, 0] = torch.tensor([-torch.inf, -1.0, -torch.inf])
    rows, totals = beam_search(scorer, PrefixTable.of(codes), beams=2, n=2)
    assert rows[0].tolist() == [int(np.flatnonzero(codes.values[:, 0] == 1)[0]), -1]
    assert totals[0].tolist() == [-1.0, -np.inf]


def test_no_items_or_no_users_give_empty_lists() -> None:
    codes = catalogue((3, 3), 5)
    empty = PrefixTable.of(codes, rows=np.zeros(0, dtype=np.int64))
    rows, totals = beam_search(TableScorer((3, 3), users=2), empty, beams=4, n=3)
    assert rows.tolist() == [[-1] * 3] * 2
    assert bool((totals == -np.inf).all())
    nobody, _ = beam_search(TableScorer((3, 3), users=0), PrefixTable.of(codes), beams=4, n=3)
    assert nobody.shape == (0, 3)


@pytest.mark.parametrize(("beams", "n"), [(0, 1), (1, 0)])
def test_a_search_needs_at_least_one_beam_and_one_item(beams: int, n: int) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        beam_search(
            TableScorer((2,), users=1), PrefixTable.of(catalogue((2,), 2)), beams=beams, n=n
        )
