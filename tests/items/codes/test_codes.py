"""Codes are within their levels and unique, and keep their order and version."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.errors import DataError
from palate.items.codes.codes import Codes, Level, group_numbers, level_names, prefix_order


def _table(*rows: list[int]) -> np.ndarray:
    return np.asarray(rows, dtype=np.int32)


LEVELS = (Level("code", 3), Level("digit", 2))


def test_two_items_with_the_same_codes_are_an_error() -> None:
    with pytest.raises(DataError, match="Items 0 and 2 have the same codes"):
        Codes(_table([1, 0], [2, 0], [1, 0]), LEVELS)


@pytest.mark.parametrize("row", [[3, 0], [-1, 0]])
def test_a_code_outside_its_level_is_an_error(row: list[int]) -> None:
    with pytest.raises(DataError, match="Level 0"):
        Codes(_table(row), LEVELS)


def test_columns_and_levels_must_agree() -> None:
    with pytest.raises(DataError, match="1 columns for 2 levels"):
        Codes(_table([1]), LEVELS)


def test_items_that_share_a_prefix_lie_side_by_side() -> None:
    codes = Codes(_table([2, 0], [0, 1], [2, 1], [0, 0]), LEVELS)
    assert codes.values[codes.order].tolist() == [[0, 0], [0, 1], [2, 0], [2, 1]]


def test_the_version_names_the_content_alone() -> None:
    first = Codes(_table([1, 0], [0, 0]), LEVELS)
    same = Codes(_table([1, 0], [0, 0]), LEVELS)
    other = Codes(_table([1, 0], [0, 1]), LEVELS)
    assert first.version == same.version == first.origin
    assert first.version != other.version
    assert len(first.version) == 16


def test_longer_codes_remember_what_they_extend() -> None:
    first = Codes(_table([1, 0]), LEVELS)
    longer = first.extended(_table([2, 0])).extended(_table([0, 0]))
    assert longer.values.tolist() == [[1, 0], [2, 0], [0, 0]]
    assert longer.origin == first.version != longer.version
    with pytest.raises(DataError):
        longer.extended(_table([1, 0]))


def test_levels_that_only_make_codes_unique_describe_nothing() -> None:
    levels = (Level("cluster", 2), Level("cluster", 2), Level("digit", 2))
    assert Codes(_table([0, 1, 0]), levels).num_telling == 2
    assert level_names(levels) == ["cluster 1", "cluster 2", "digit"]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_groups_are_those_of_a_dictionary(rows: list[tuple[int, int]]) -> None:
    table = np.asarray(rows)
    groups = group_numbers(table)
    for i, first in enumerate(rows):
        for j, second in enumerate(rows):
            assert (groups[i] == groups[j]) == (first == second)
    ordered = table[prefix_order(table)].tolist()
    assert ordered == sorted(ordered)
