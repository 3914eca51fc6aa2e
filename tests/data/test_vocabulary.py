"""Ids become rows and back, and no numbering leaks through."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.data.vocabulary import Vocabulary
from palate.errors import UnknownItemError, UnknownUserError

id_lists = st.lists(st.text(min_size=1, max_size=8), max_size=30, unique=True)


@given(id_lists)
def test_there_and_back(ids: list[str]) -> None:
    vocabulary = Vocabulary(ids)
    rows = vocabulary.rows(ids)
    assert rows.tolist() == list(range(len(ids)))
    assert list(vocabulary.ids[rows]) == ids


@given(id_lists, st.integers(0, 5), st.randoms())
def test_shuffled_depends_on_the_set_and_the_seed_alone(
    ids: list[str], seed: int, shuffler: np.random.Generator
) -> None:
    other_order = [*ids, *ids[:3]]
    shuffler.shuffle(other_order)
    one = Vocabulary.shuffled(ids, np.random.default_rng(seed))
    two = Vocabulary.shuffled(other_order, np.random.default_rng(seed))
    assert list(one.ids) == list(two.ids)
    assert sorted(one.ids) == sorted(ids)


def test_shuffled_forgets_the_alphabet(rng: np.random.Generator) -> None:
    ids = [f"{number:04d}" for number in range(2_000)]
    rows = Vocabulary.shuffled(ids, rng).rows(ids)
    # Under a random permutation of n ids the rank correlation has standard deviation 1/sqrt(n).
    assert abs(np.corrcoef(rows, np.arange(2_000))[0, 1]) < 4 / np.sqrt(2_000)


def test_knows_its_ids() -> None:
    vocabulary = Vocabulary(["b", "a"])
    assert len(vocabulary) == 2
    assert "a" in vocabulary
    assert "c" not in vocabulary
    assert 0 not in vocabulary


def test_an_unknown_id_is_named_with_examples() -> None:
    with pytest.raises(UnknownItemError, match=r"Unknown id 'B0': .*2 known ids") as caught:
        Vocabulary(["b1", "b2"]).row("B0")
    assert "'b1'" in caught.value.hint


def test_the_error_is_the_one_asked_for() -> None:
    with pytest.raises(UnknownUserError):
        Vocabulary(["u1"], unknown=UnknownUserError).rows(["u1", "u2"])


def test_ids_must_differ() -> None:
    with pytest.raises(ValueError, match="distinct"):
        Vocabulary(["a", "a"])
