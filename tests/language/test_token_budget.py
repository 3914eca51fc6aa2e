"""Batches by token count: each row once, none over the budget, as few as that allows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from palate.language.token_budget import cut_by_tokens


@given(
    st.lists(st.integers(0, 30), max_size=40),
    st.integers(0, 5),
    st.integers(1, 80),
    st.none() | st.integers(1, 5),
)
def test_batches_hold_each_row_once_within_the_budget(
    lengths: list[int], extra: int, budget: int, most: int | None
) -> None:
    tokens = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(tokens, kind="stable")
    batches = cut_by_tokens(tokens, extra=extra, budget=budget, most=most)
    assert [row for batch in batches for row in batch.tolist()] == order.tolist()
    for batch, following in zip(batches, [*batches, None][1:], strict=True):
        cost = len(batch) * (tokens[batch].max() + extra)
        assert cost <= budget or len(batch) == 1
        assert most is None or len(batch) <= most
        if following is not None:
            grown = (len(batch) + 1) * (tokens[following[0]] + extra)
            assert grown > budget or len(batch) == most
