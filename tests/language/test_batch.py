"""The layout of examples in a batch, token by token."""

import numpy as np
import torch

from palate.language.batch import (
    MAX_INSTRUCTION_TOKENS,
    NOTHING,
    BatchBuilder,
)
from palate.language.tasks.task import MAX_CONTEXT_TOKENS, Example
from palate.language.tokenizer import Tokenizer
from palate.types import History

TOKENIZER = Tokenizer.train(["oak lamp chair next item search"] * 4)
VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)
OAK, LAMP = TOKENIZER.encode("oak lamp")


def _example(
    rows: list[int], prefix_lengths: list[int], targets: list[list[int]], **more: object
) -> Example:
    item_rows = np.asarray(rows, np.int64)
    history = History(item_rows=item_rows, event_types=item_rows % 2)
    return Example(history, np.asarray(prefix_lengths), np.asarray(targets), **more)


def test_a_row_is_words_then_the_query_then_events() -> None:
    batch = BatchBuilder(TOKENIZER, VECTORS).batch(
        "search",
        [
            _example([7, 8], [2], [[9, -1]], context="oak lamp", query=2),
            _example([4], [0, 1], [[4, 5], [6, -1]], without_id=True),
            _example([], [0], [[3]], context="lamp", query=0),
        ],
    )
    assert batch.instruction.tolist() == [TOKENIZER.begin, *TOKENIZER.encode("search")]
    assert batch.token_ids.tolist() == [[OAK, LAMP, -1, -1, -1], [-1] * 5, [LAMP, -1, -1, -1, -1]]
    assert batch.described.tolist() == [[-1, -1, 0, -1, -1], [-1] * 5, [-1, 1, -1, -1, -1]]
    assert batch.items.tolist() == [[-1, -1, -1, 7, 8], [4, -1, -1, -1, -1], [-1] * 5]
    assert batch.events.tolist() == [[-1, -1, -1, 1, 0], [0, -1, -1, -1, -1], [-1] * 5]
    assert batch.prefix_lengths.tolist() == [[5, -1], [0, 1], [2, -1]]
    assert batch.targets.tolist() == [[[9, -1], [-1, -1]], [[4, 5], [6, -1]], [[3, -1], [-1, -1]]]
    assert batch.without_id.tolist() == [False, True, False]
    assert batch.descriptions is not None
    assert batch.descriptions.tolist() == [VECTORS[2].tolist(), VECTORS[0].tolist()]


def test_each_token_is_a_word_an_item_or_a_query() -> None:
    batch = BatchBuilder(TOKENIZER, VECTORS).batch(
        "x", [_example([1, 2, 3], [3], [[4]], context="oak", query=1), _example([5], [1], [[6]])]
    )
    filled = [(part != NOTHING).int() for part in (batch.token_ids, batch.items, batch.described)]
    assert torch.stack(filled).sum(dim=0).tolist() == [[1, 1, 1, 1, 1], [1, 0, 0, 0, 0]]


def test_without_text_vectors_a_query_is_its_words_alone() -> None:
    example = _example([7], [1], [[9]], context="oak", query=2)
    batch = BatchBuilder(TOKENIZER).batch("search", [example])
    assert batch.descriptions is None
    assert batch.token_ids.tolist() == [[OAK, -1]]
    assert batch.items.tolist() == [[-1, 7]]
    assert batch.prefix_lengths.tolist() == [[2]]


def test_long_texts_are_cut() -> None:
    example = _example([7], [1], [[9]], context="oak " * 200)
    batch = BatchBuilder(TOKENIZER).batch("lamp " * 100, [example])
    assert batch.token_ids.shape == (1, MAX_CONTEXT_TOKENS + 1)
    assert len(batch.instruction) == MAX_INSTRUCTION_TOKENS + 1


def test_events_of_an_unknown_kind_are_left_open() -> None:
    history = History(item_rows=np.asarray([3, 4]))
    example = Example(history, np.asarray([2]), np.asarray([[5]]))
    batch = BatchBuilder(TOKENIZER).batch("next item", [example])
    assert batch.events.tolist() == [[NOTHING, NOTHING]]


def test_an_empty_row_has_one_padding_token() -> None:
    batch = BatchBuilder(TOKENIZER).batch("next item", [_example([], [0], [[3]])])
    assert batch.items.tolist() == [[NOTHING]]
    assert batch.prefix_lengths.tolist() == [[0]]


def test_a_batch_moves_whole() -> None:
    batch = BatchBuilder(TOKENIZER, VECTORS).batch(
        "x", [_example([1], [1], [[4]], context="oak", query=1)]
    )
    moved = batch.to(torch.device("meta"))
    assert moved.items.device.type == "meta"
    assert moved.descriptions is not None
    assert moved.descriptions.device.type == "meta"
    plain = BatchBuilder(TOKENIZER).batch("x", [_example([1], [1], [[4]])]).to(torch.device("meta"))
    assert plain.descriptions is None
