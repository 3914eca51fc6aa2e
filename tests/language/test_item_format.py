"""An item is spelled as asked, and a history is the items one after the other."""

import numpy as np
import pytest

from palate.language.batch import Writer
from palate.language.item_format import MAX_TITLE_WORDS, Spelling, Way, title_words
from palate.language.tasks import Example
from palate.language.tokenizer import Tokenizer
from palate.types import History

TOKENIZER = Tokenizer.train(["oak lamp linen chair"] * 5)
TITLES = title_words(["oak lamp", "", "chair"], TOKENIZER)


def _spelling(*ways: Way) -> Spelling:
    return Spelling(ways, num_levels=2, titles=TITLES if "title" in ways else None)


def test_whole_items_take_one_place_each() -> None:
    spelled = Spelling().spell(np.array([2, 0]))
    assert spelled.items.tolist() == [2, 0]
    assert spelled.levels.tolist() == spelled.words.tolist() == [-1, -1]
    assert spelled.lengths.tolist() == [1, 1]


def test_codes_stand_level_by_level() -> None:
    spelled = _spelling("codes").spell(np.array([2, 0]))
    assert spelled.items.tolist() == [2, 2, 0, 0]
    assert spelled.levels.tolist() == [0, 1, 0, 1]
    assert spelled.lengths.tolist() == [2, 2]


@pytest.mark.parametrize("ways", [("title", "codes", "item"), ("item", "codes", "title")])
def test_the_fused_token_comes_last_however_asked(ways: tuple[Way, ...]) -> None:
    spelled = _spelling(*ways).spell(np.array([0, 1]))
    words = TOKENIZER.encode("oak lamp")
    assert spelled.words.tolist() == [*words, -1, -1, -1, -1, -1, -1]
    assert spelled.items.tolist() == [-1] * len(words) + [0, 0, 0, 1, 1, 1]
    assert spelled.levels.tolist() == [-1] * len(words) + [0, 1, -1, 0, 1, -1]
    assert spelled.lengths.tolist() == [len(words) + 3, 3], "an empty title takes no place"


def test_long_titles_are_cut() -> None:
    assert title_words(["oak " * 50], TOKENIZER).shape == (1, MAX_TITLE_WORDS)


def test_cuts_and_events_follow_the_places() -> None:
    history = History(item_rows=np.array([0, 1, 2]), event_types=np.array([1, 0, 1]))
    example = Example(history, np.array([0, 1, 3]), np.array([[1], [1], [0]]), context="chair")
    batch = Writer(TOKENIZER, spelling=_spelling("title", "codes")).batch("x", [example])
    head, lamp, chair = (len(TOKENIZER.encode(text)) for text in ("chair", "oak lamp", "chair"))
    assert batch.cuts.tolist() == [[head, head + lamp + 2, head + lamp + 6 + chair]]
    assert (batch.events[0, head:] >= 0).all()
    assert batch.events[0, head:].tolist() == [1] * (lamp + 2) + [0] * 2 + [1] * (chair + 2)
    assert (batch.whole == -1).all()
    assert batch.items[0].max() == 2
