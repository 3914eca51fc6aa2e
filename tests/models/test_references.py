"""References to the items of a batch, compared with counts."""

from dataclasses import replace

import numpy as np
import torch

from palate.language.batch import BatchBuilder
from palate.language.tasks.task import Example
from palate.language.tokenizer import Tokenizer
from palate.models.references import mentioned, numbered_items, references_of, whole_items
from palate.types import History

WRITER = BatchBuilder(Tokenizer.train(["which item comes next"]))


def _example(rows: list[int], candidates: list[int] | None = None) -> Example:
    return Example(
        history=History(item_rows=np.asarray(rows, dtype=np.int64)),
        prefix_lengths=np.asarray([len(rows)]),
        targets=np.zeros((1, 0), dtype=np.int64),
        candidates=None if candidates is None else np.asarray([candidates]),
        target_texts=["next"] if candidates is not None else (),
    )


def test_a_reference_is_a_row_or_a_row_without_its_id() -> None:
    rows = torch.tensor([[1, -1], [2, 0]])
    assert references_of(rows, torch.tensor([[True], [False]]), 10).tolist() == [[11, -1], [2, 0]]


def test_an_item_in_codes_has_no_fused_token() -> None:
    items, levels = torch.tensor([4, 4, 9, -1]), torch.tensor([0, 1, -1, -1])
    assert whole_items(items, levels).tolist() == [-1, -1, 9, -1]


def test_every_item_shown_is_mentioned_with_its_id_or_without() -> None:
    examples = [_example([4, 7]), replace(_example([7]), without_id=True)]
    batch = WRITER.batch("which item", examples)
    assert sorted(mentioned(batch, 10).tolist()) == [4, 7, 17]
    batch = WRITER.batch("which item", [_example([4, 7], [2, 4])])
    assert sorted(mentioned(batch, 10).tolist()) == [2, 4, 4, 7]


def test_numbers_of_items_lead_back_to_their_rows() -> None:
    for candidates in (None, [2, 9]):
        batch = WRITER.batch("which item", [_example([9, 4], candidates)])
        numbered, rows = numbered_items(batch)
        assert rows.tolist() == ([4, 9] if candidates is None else [2, 4, 9])
        shown = batch.items >= 0
        assert rows[numbered.items[shown]].tolist() == [9, 4]
        assert torch.equal(numbered.items[~shown], batch.items[~shown])
        if batch.candidates is not None and numbered.candidates is not None:
            assert rows[numbered.candidates.items].flatten().tolist() == candidates
