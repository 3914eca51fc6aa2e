"""Titles as codes: every item has a row of its own, and a search finds it."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from palate.items.codes.prefix_table import PrefixTable
from palate.items.codes.title_codes import title_codes

END = 9


def test_titles_end_with_the_mark_and_equal_ones_are_numbered() -> None:
    codes = title_codes([[5, END], [7, 3, END], [5, END], [END]], end=END, num_words=10)
    assert codes.values.tolist() == [[5, 9, 9, 0], [7, 3, 9, 0], [5, 9, 9, 1], [9, 9, 9, 0]]
    assert codes.sizes[:-1] == (10, 10, 10)


def test_a_title_that_was_cut_ends_without_the_mark() -> None:
    codes = title_codes([[1, 2], [1, END]], end=END, num_words=10)
    assert codes.values.tolist() == [[1, 2, 0], [1, 9, 0]]


def test_without_items_there_is_nothing_to_say() -> None:
    assert len(title_codes([], end=END, num_words=10)) == 0


@given(st.lists(st.lists(st.integers(0, 8), max_size=4), min_size=1, max_size=12))
def test_every_item_is_found_by_its_title(titles: list[list[int]]) -> None:
    codes = title_codes([[*title, END] for title in titles], end=END, num_words=10)
    table = PrefixTable.of(codes)
    found = table.rows_of(table.find(torch.from_numpy(codes.values)))
    assert found.tolist() == list(range(len(titles)))
