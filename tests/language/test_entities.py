"""The entity trie compared with counts by hand and with a slow walk."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from palate.errors import UnknownItemError
from palate.language.batch import MAX_TARGET_TOKENS
from palate.language.entities import EntityTrie
from palate.language.tokenizer import Tokenizer

VOCABULARY, END = 12, 2
OAK_LAMP, OAK_CHAIR_RED, LAMP = [5, 6], [5, 7, 8], [6]
TRIE = EntityTrie.of([OAK_LAMP, OAK_CHAIR_RED, LAMP], vocabulary=VOCABULARY, end=END)
WORDS = st.lists(st.integers(2, VOCABULARY - 1), max_size=8)


def _places(said: Sequence[int]) -> list[int]:
    found: list[int] = TRIE.places(torch.tensor(said, dtype=torch.long)).tolist()
    return found


def _allowed(said: Sequence[int]) -> list[int]:
    mask = TRIE.allowed(torch.tensor(said, dtype=torch.long))
    found: list[int] = mask.nonzero().flatten().tolist()
    return found


@pytest.mark.parametrize(
    ("said", "places"),
    [
        ([], [1]),
        (OAK_CHAIR_RED, [1, 2, 3, 4]),
        ([*OAK_CHAIR_RED, *OAK_LAMP], [1, 2, 3, 4, 1, 2]),
        ([9, 9, 9], [1, 1, 1, 1]),
        ([9, *OAK_LAMP, 9], [1, 1, 1, 2, 1]),
        ([5, 5, 6], [1, 2, 1, 2]),
        ([*LAMP, END, *OAK_LAMP], [1, 2, 1, 2, 3]),
        ([*LAMP, END, -1, -1], [1, 2, 1, 1, 1]),
    ],
)
def test_the_inner_position_grows_along_an_entity_and_restarts_elsewhere(
    said: list[int], places: list[int]
) -> None:
    assert _places(said) == places


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_many_texts_are_walked_as_each_alone(texts: list[list[int]]) -> None:
    longest = max(len(text) for text in texts)
    padded = torch.tensor([[*text, *[-1] * (longest - len(text))] for text in texts])
    for places, text in zip(TRIE.places(padded.long()).tolist(), texts, strict=True):
        assert places[: len(text) + 1] == _places(text)


@given(WORDS, WORDS)
def test_a_position_depends_only_on_earlier_words(before: list[int], after: list[int]) -> None:
    assert _places([*before, *after])[: len(before) + 1] == _places(before)


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        ([], [5, 6]),
        ([5], [6, 7]),
        ([5, 7], [8]),
        (OAK_LAMP, [END]),
        (LAMP, [END]),
        ([*LAMP, END], [END]),
        ([*LAMP, END, 9, 9], [END]),
    ],
)
def test_only_words_of_entities_are_allowed(said: list[int], allowed: list[int]) -> None:
    assert _allowed(said) == allowed


def test_an_entity_may_go_on_where_another_ends() -> None:
    trie = EntityTrie.of([[5], [5, 6]], vocabulary=VOCABULARY, end=END)
    assert trie.allowed(torch.tensor([5])).nonzero().flatten().tolist() == [END, 6]


@pytest.mark.parametrize("said", [[9], [5, 8], [*OAK_LAMP, 5]])
def test_words_that_begin_no_entity_are_an_error(said: list[int]) -> None:
    with pytest.raises(UnknownItemError, match="No title begins with"):
        TRIE.allowed(torch.tensor([[*OAK_LAMP, END], [*said, *[END] * (3 - len(said))]]))


def test_every_allowed_sequence_of_words_is_an_entity() -> None:
    generator = torch.Generator().manual_seed(3)
    said = torch.zeros(200, 0, dtype=torch.long)
    for _ in range(4):
        chosen = torch.multinomial(TRIE.allowed(said).float(), 1, generator=generator)
        said = torch.cat([said, chosen], dim=1)
    texts = {tuple(row[: row.index(END)]) for row in said.tolist()}
    assert texts == {tuple(one) for one in (OAK_LAMP, OAK_CHAIR_RED, LAMP)}


def test_titles_are_cut_to_the_maximum_length_of_an_answer() -> None:
    tokenizer = Tokenizer.train(["oak lamp"] * 3)
    trie = EntityTrie.of_titles(["oak " * 100, "", "oak lamp"], tokenizer)
    assert len(trie.final) == MAX_TARGET_TOKENS + 1, "a root, the long title, one lamp"
    said = torch.tensor([tokenizer.encode("oak lamp")])
    assert trie.allowed(said).nonzero().tolist() == [[0, tokenizer.end]]
    assert not bool(trie.final[0]), "a title of no words is no entity"


def test_a_catalogue_without_titles_has_no_entity() -> None:
    trie = EntityTrie.of([], vocabulary=VOCABULARY, end=END)
    assert trie.places(torch.tensor([5, 6])).tolist() == [1, 1, 1]
    assert not bool(trie.allowed(torch.zeros(0, dtype=torch.long)).any())
