"""An item is formatted by its parts, and a history is its items one after the other."""

import numpy as np
import pytest

from palate.language.batch import BatchBuilder
from palate.language.item_format import MAX_TITLE_WORDS, ItemFormat, ItemPart, title_words
from palate.language.tasks.task import Example
from palate.language.tokenizer import Tokenizer
from palate.types import History

TOKENIZER = Tokenizer.train(["oak lamp linen chair"] * 5)
TITLES = title_words(["oak lamp", "", "chair"], TOKENIZER)


def _format(*item_parts: ItemPart) -> ItemFormat:
    return ItemFormat(item_parts, num_levels=2, titles=TITLES if "title" in item_parts else None)


def test_whole_items_take_one_place_each() -> None:
    formatted = ItemFormat().lay_out(np.array([2, 0]))
    assert formatted.items.tolist() == [2, 0]
    assert formatted.levels.tolist() == formatted.token_ids.tolist() == [-1, -1]
    assert formatted.lengths.tolist() == [1, 1]


def test_codes_are_laid_out_level_by_level() -> None:
    formatted = _format("codes").lay_out(np.array([2, 0]))
    assert formatted.items.tolist() == [2, 2, 0, 0]
    assert formatted.levels.tolist() == [0, 1, 0, 1]
    assert formatted.lengths.tolist() == [2, 2]


@pytest.mark.parametrize("item_parts", [("title", "codes", "item"), ("item", "codes", "title")])
def test_the_fused_token_comes_last_whatever_the_order(item_parts: tuple[ItemPart, ...]) -> None:
    formatted = _format(*item_parts).lay_out(np.array([0, 1]))
    words = TOKENIZER.encode("oak lamp")
    assert formatted.token_ids.tolist() == [*words, -1, -1, -1, -1, -1, -1]
    assert formatted.items.tolist() == [-1] * len(words) + [0, 0, 0, 1, 1, 1]
    assert formatted.levels.tolist() == [-1] * len(words) + [0, 1, -1, 0, 1, -1]
    assert formatted.lengths.tolist() == [len(words) + 3, 3], "an empty title takes no place"


def test_long_titles_are_cut() -> None:
    assert title_words(["oak " * 50], TOKENIZER).shape == (1, MAX_TITLE_WORDS)


def test_prefix_lengths_and_events_follow_the_item_format() -> None:
    history = History(item_rows=np.array([0, 1, 2]), event_types=np.array([1, 0, 1]))
    example = Example(history, np.array([0, 1, 3]), np.array([[1], [1], [0]]), context="chair")
    batch = BatchBuilder(TOKENIZER, item_format=_format("title", "codes")).batch("x", [example])
    head, lamp, chair = (len(TOKENIZER.encode(text)) for text in ("chair", "oak lamp", "chair"))
    assert batch.prefix_lengths.tolist() == [[head, head + lamp + 2, head + lamp + 6 + chair]]
    assert (batch.events[0, head:] >= 0).all()
    assert batch.events[0, head:].tolist() == [1] * (lamp + 2) + [0] * 2 + [1] * (chair + 2)
    assert (batch.whole == -1).all()
    assert batch.items[0].max() == 2
