"""The order of training depends on seed, epoch and number, and covers all users."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from palate.language.batch import Batch, BatchBuilder
from palate.language.prompts import load_prompts
from palate.language.tasks.cold_start import ColdStart
from palate.language.tasks.next_item import NextItem
from palate.language.tasks.objective import Objective
from palate.language.tasks.task import TokenCost
from palate.language.tokenizer import Tokenizer
from palate.training.batches import Mixture
from palate.types import History

LENGTHS = [*range(0, 40), *([7] * 20)]
PROMPTS = load_prompts()
TOKENIZER = Tokenizer.train([w for family in PROMPTS.values() for w in family.seen])


def _history(length: int) -> History:
    return History(
        item_rows=np.arange(length), event_types=np.asarray(np.arange(length) % 2, dtype=np.int64)
    )


MIXTURE = Mixture(
    sequences=[_history(length) for length in LENGTHS],
    tasks=[NextItem(20), ColdStart()],
    shares=[1.0, 0.5],
    prompts=PROMPTS,
    batch_builder=BatchBuilder(TOKENIZER),
    tokens_per_batch=200,
    token_costs=[TokenCost(2), TokenCost(2)],
    seed=3,
)


def _same(one: Batch | None, two: Batch | None) -> bool:
    if one is None or two is None:
        return one is two
    names = (
        "instruction",
        "token_ids",
        "items",
        "events",
        "prefix_lengths",
        "targets",
        "without_id",
    )
    return all(torch.equal(getattr(one, name), getattr(two, name)) for name in names)


def _times(mixture: Mixture, task: int, epoch: int = 0) -> Counter[int]:
    return Counter(
        int(user) for batch in mixture.plan(epoch) if batch.task == task for user in batch.users
    )


@pytest.mark.parametrize("share", [0.25, 1.0, 1.5, 3.0])
def test_each_user_is_used_share_times_per_epoch(share: float) -> None:
    mixture = replace(MIXTURE, shares=[share, 1.0])
    times = _times(mixture, 0)
    assert sum(times.values()) == round(share * len(LENGTHS))
    counts = {times[user] for user in range(len(LENGTHS))}
    assert counts <= {int(share), int(np.ceil(share))}
    assert _times(mixture, 1) == Counter(range(len(LENGTHS)))


def test_a_share_below_one_takes_other_users_in_the_next_epoch() -> None:
    assert set(_times(MIXTURE, 1, epoch=0)) != set(_times(MIXTURE, 1, epoch=1))


@given(budget=st.integers(64, 600), places=st.integers(1, 5), epoch=st.integers(0, 5))
def test_no_batch_exceeds_the_token_budget(budget: int, places: int, epoch: int) -> None:
    mixture = replace(MIXTURE, tokens_per_batch=budget, token_costs=[TokenCost(places)] * 2)
    for batch in mixture.plan(epoch):
        most = mixture.tasks[batch.task].max_history
        longest = max(min(LENGTHS[user], most) for user in batch.users)
        tokens = len(batch.users) * longest * places
        assert tokens <= budget or len(batch.users) == 1


def test_batches_hold_users_of_similar_length() -> None:
    planned = [batch for batch in MIXTURE.plan(0) if batch.task == 0]
    lengths = sorted(sorted(min(LENGTHS[u], 20) for u in batch.users) for batch in planned)
    assert len(planned) > 5
    assert [n for batch in lengths for n in batch] == sorted(min(n, 20) for n in LENGTHS)


def test_tasks_are_mixed_in_time() -> None:
    order = [batch.task for batch in MIXTURE.plan(0)]
    assert order != sorted(order)
    assert set(order) == {0, 1}


def test_same_seed_and_epoch_same_batches() -> None:
    again = replace(MIXTURE)
    assert all(map(_same, MIXTURE.batches(2), again.batches(2)))
    one, two = list(MIXTURE.batches(0)), list(MIXTURE.batches(1))
    assert not all(map(_same, one, two))
    other = list(replace(MIXTURE, seed=4).batches(0))
    assert not all(map(_same, one, other))


@pytest.mark.parametrize("skip", [0, 1, 7, 10_000])
def test_skipping_is_continuing(skip: int) -> None:
    whole = list(MIXTURE.batches(1))
    rest = list(MIXTURE.batches(1, skip=skip))
    assert len(rest) == max(0, len(whole) - skip)
    assert all(map(_same, rest, whole[skip:]))


def test_a_batch_that_offers_nothing_keeps_its_place() -> None:
    nobody_bought = Objective(20, ("view", "buy", "like"), (0.0, 0.0, 1.0))
    mixture = replace(MIXTURE, tasks=[nobody_bought], shares=[1.0])
    made = list(mixture.batches(0))
    assert made == [None] * len(mixture.plan(0))


def test_every_seen_wording_is_read_and_no_other() -> None:
    told = {
        tuple(batch.instruction.tolist())
        for epoch in range(20)
        for batch in MIXTURE.batches(epoch)
        if batch is not None
    }
    seen = PROMPTS["next-item"].seen + PROMPTS["cold-start"].seen
    assert told == {(TOKENIZER.begin, *TOKENIZER.encode(wording)) for wording in seen}
