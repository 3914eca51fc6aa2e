"""Codes are read, generated and initialised as their definition says."""

import numpy as np
import torch

from palate.items.codes.codes import Codes, Level
from palate.models.code_tokens import CodeTokens

WIDTH = 6
VALUES = np.array([[0, 0], [0, 1], [1, 0], [1, 2]], dtype=np.int32)
CODES = Codes(VALUES, (Level("code", 2), Level("code", 3)))


def _tokens() -> CodeTokens:
    torch.manual_seed(0)
    return CodeTokens(CODES, WIDTH)


def test_each_level_has_letters_of_its_own_unless_the_words_are_the_same() -> None:
    assert _tokens().values.tolist() == [[0, 2], [0, 3], [1, 2], [1, 4]]
    words = ("", "lamp", "oak")
    titles = Codes(VALUES, (Level("word", 3, words=words), Level("word", 3, words=words)))
    assert CodeTokens(titles, WIDTH).values.tolist() == VALUES.tolist()


def test_initialised_codes_are_a_residual_quantisation_of_the_vectors() -> None:
    tokens = _tokens()
    torch.nn.init.zeros_(tokens.embedding.weight)
    first, second = torch.randn(2, WIDTH), torch.randn(3, WIDTH)
    second[0] = 0.0
    second[2] = -second[1]  # so that what items share of the first level is exactly that code
    vectors = first[torch.tensor([0, 0, 1, 1])] + second[torch.tensor([1, 2, 1, 2])]
    codes = Codes(np.array([[0, 1], [0, 2], [1, 1], [1, 2]]), (Level("code", 2), Level("code", 3)))
    tokens.set_codes(codes)
    tokens.informed_init(vectors)
    torch.testing.assert_close(tokens.embedding.weight[:2], first)
    torch.testing.assert_close(tokens.embedding.weight[2:], second)
    torch.testing.assert_close(tokens.previous.weight, -tokens.embedding.weight)


def test_an_item_without_codes_adds_nothing() -> None:
    tokens = _tokens()
    read = tokens.read(torch.tensor([3, 4]), torch.tensor([1, 1]))
    torch.testing.assert_close(read[0], tokens.embedding.weight[4])
    assert not read[1].any()


def test_the_logits_of_a_level_depend_on_earlier_codes_only() -> None:
    tokens = _tokens()
    torch.nn.init.normal_(tokens.previous.weight)
    torch.nn.init.normal_(tokens.start)
    carried = torch.randn(2, WIDTH)
    slots = tokens.slots(carried, torch.tensor([1, 3]))
    torch.testing.assert_close(slots[:, 0], carried + tokens.start[0])
    before = tokens.previous(torch.tensor([0, 1]))
    torch.testing.assert_close(slots[:, 1], carried + tokens.start[1] + before)


def test_logits_are_over_the_codes_of_the_level() -> None:
    tokens = _tokens()
    hidden = torch.randn(5, WIDTH)
    logits = tokens.logits(hidden, 1)
    assert logits.shape == (5, 3)
    expected = (hidden @ tokens.embedding.weight[2:].T) / WIDTH**0.5
    torch.testing.assert_close(logits, expected)
