"""The table has every prefix of every item, and no other."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from palate.errors import DataError, UnknownItemError
from palate.items.codes.codes import Codes, Level
from palate.items.codes.prefix_table import PrefixTable

SIZES = (3, 4, 2)


def _codes(rows: list[tuple[int, ...]]) -> Codes:
    values = np.asarray(rows, dtype=np.int32).reshape(-1, len(SIZES))
    return Codes(values, tuple(Level("code", size) for size in SIZES))


EVERY = list(itertools.product(*map(range, SIZES)))
CATALOGUES = st.lists(st.sampled_from(EVERY), min_size=1, max_size=len(EVERY), unique=True)


@given(CATALOGUES)
def test_allowed_codes_are_those_of_some_item(rows: list[tuple[int, ...]]) -> None:
    table = PrefixTable.of(_codes(rows))
    for length, size in enumerate(SIZES):
        prefixes = sorted({row[:length] for row in rows})
        asked = torch.tensor(prefixes, dtype=torch.long).view(len(prefixes), length)
        expected = [
            [(*prefix, code) in {row[: length + 1] for row in rows} for code in range(size)]
            for prefix in prefixes
        ]
        assert table.allowed(asked).tolist() == expected


@given(CATALOGUES)
def test_every_item_is_found_by_its_codes(rows: list[tuple[int, ...]]) -> None:
    table = PrefixTable.of(_codes(rows))
    leaves = table.find(torch.tensor(rows))
    assert table.rows_of(leaves).tolist() == list(range(len(rows)))
    assert leaves.tolist() == table.leaves.tolist()


@given(CATALOGUES, st.sampled_from(EVERY), st.integers(1, 3))
def test_an_unknown_prefix_is_an_error(
    rows: list[tuple[int, ...]], other: tuple[int, ...], length: int
) -> None:
    table, prefix = PrefixTable.of(_codes(rows)), other[:length]
    asked = torch.tensor([rows[0][:length], prefix])
    if prefix in {row[:length] for row in rows}:
        assert len(table.find(asked)) == 2
    else:
        with pytest.raises(UnknownItemError, match="begin with"):
            table.find(asked)


@given(CATALOGUES, st.data())
def test_walking_down_visits_every_item_once(
    rows: list[tuple[int, ...]], data: st.DataObject
) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), unique=True))
    table = PrefixTable.of(_codes(rows), rows=np.asarray(chosen, dtype=np.int64))
    nodes, prefixes = torch.zeros(1, dtype=torch.long), [()]
    for level in range(len(SIZES) if chosen else 0):
        children = table.children(level, nodes)
        assert children.codes.shape == (len(nodes), table.branches[level])
        prefixes = [
            (*prefixes[node], int(children.codes[node, slot]))
            for node, slot in children.valid.nonzero().tolist()
        ]
        nodes = children.nodes[children.valid]
        assert nodes.tolist() == list(range(len(nodes)))
    if chosen:
        assert prefixes == sorted(rows[row] for row in chosen)
        assert sorted(table.rows_of(nodes).tolist()) == sorted(chosen)
    assert len(table) == len(chosen)


@given(CATALOGUES, st.data())
def test_a_prefix_is_exhausted_when_all_its_items_are(
    rows: list[tuple[int, ...]], data: st.DataObject
) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), unique=True, min_size=1))
    seen = data.draw(st.lists(st.integers(-1, len(rows) - 1), min_size=1, max_size=20))
    table = PrefixTable.of(_codes(rows), rows=np.asarray(chosen))
    left = {row for row in chosen if row not in seen}
    for level, exhausted in enumerate(table.exhausted(torch.tensor([seen, [-1] * len(seen)]))):
        prefixes = sorted({rows[row][: level + 1] for row in chosen})
        alive = {rows[row][: level + 1] for row in left}
        dead = [node for node, prefix in enumerate(prefixes) if prefix not in alive]
        assert exhausted[0].tolist() == dead + [len(prefixes)] * (len(seen) - len(dead))
        assert bool((exhausted[1] == len(prefixes)).all())


def test_a_prefix_may_have_any_shape_in_front() -> None:
    table = PrefixTable.of(_codes([(0, 1, 1), (2, 0, 0), (2, 3, 1)]))
    asked = torch.tensor([[[2], [0]], [[0], [2]]])
    assert table.allowed(asked).shape == (2, 2, 4)
    assert table.allowed(asked)[1, 1].tolist() == [True, False, False, True]
    assert table.allowed(torch.zeros(0, dtype=torch.long)).tolist() == [True, False, True]


def test_nothing_follows_an_item() -> None:
    table = PrefixTable.of(_codes([(0, 1, 1)]))
    with pytest.raises(UnknownItemError, match="whole item"):
        table.allowed(torch.tensor([0, 1, 1]))
    with pytest.raises(UnknownItemError, match="4 codes, where items have 3"):
        table.find(torch.tensor([0, 1, 1, 0]))


def test_a_candidate_outside_the_catalogue_is_an_error() -> None:
    with pytest.raises(DataError, match="2 items have codes"):
        PrefixTable.of(_codes([(0, 1, 1), (0, 1, 0)]), rows=np.array([0, 2]))


def test_no_candidates_are_an_empty_table() -> None:
    table = PrefixTable.of(_codes([(0, 1, 1)]), rows=np.zeros(0, dtype=np.int64))
    assert len(table) == 0
    with pytest.raises(UnknownItemError):
        table.find(torch.tensor([0]))


def test_without_levels_there_is_no_table() -> None:
    with pytest.raises(DataError, match="without levels"):
        PrefixTable.of(Codes(np.zeros((1, 0), dtype=np.int32), ()))


def test_it_takes_few_bytes_per_item() -> None:
    places = np.random.default_rng(0).permutation(256**3)[:20_000]
    values = np.stack(np.unravel_index(places, (256,) * 3), axis=1).astype(np.int32)
    table = PrefixTable.of(Codes(values, (Level("code", 256),) * 3))
    assert table.num_bytes < 30 * len(values)
