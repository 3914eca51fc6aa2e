"""Worked examples for a prompt: what those did next whose histories are nearest to the one at hand.

Only training events are shown, and never those of the user who asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from palate.data.dataset import Dataset
from palate.types import History

_SHORTEST = 3
"""Training events of a user who can be an example: two, and what came next."""


@dataclass(frozen=True)
class WorkedExample:
    """A history, some items, and the one among them that came next."""

    history: History
    item_rows: Int[np.ndarray, " shown"]
    """In the order in which they are shown."""
    answer: int
    """The place of the true one among them."""


@dataclass(frozen=True, eq=False)
class NearestHistories:
    """The training histories of a data set, by how near they are to another."""

    dataset: Dataset
    seed: int = 0

    def examples(self, history: History, count: int, *, shown: int) -> list[WorkedExample]:
        """Return the nearest ``count`` histories that share an item with ``history``, nearest last.

        Nearness is the cosine of ``x_i = idf_i`` for the items of a history, 0 for others, with
        ``idf_i = ln((1 + U) / (1 + U_i))`` of U users, of whom U_i chose item i. The others that
        are shown are drawn as often as they were chosen.
        """
        if not count:
            return []
        near = self._nearness(history)
        best = np.argsort(-near, kind="stable")[:count]
        return [self._example(int(user), shown) for user in best[::-1] if near[user] > 0]

    def _nearness(self, history: History) -> Float[np.ndarray, " users"]:
        weights = np.zeros(len(self._idf))
        known = history.item_rows[history.item_rows < len(weights)]
        weights[known] = self._idf[known]
        near: Float[np.ndarray, " users"] = self._unit @ weights
        if history.user_row is not None:
            near[self._user_rows == history.user_row] = 0.0
        return near

    def _example(self, user: int, shown: int) -> WorkedExample:
        sequence = self._sequences[user]
        rng = np.random.default_rng([self.seed, user])
        chances = self.dataset.train_counts.astype(np.float64)
        chances[sequence.item_rows] = 0.0
        wanted = min(shown - 1, int((chances > 0).sum()))
        others = rng.choice(len(chances), wanted, replace=False, p=_normalised(chances))
        rows = np.append(others, sequence.item_rows[-1])
        order = rng.permutation(len(rows))
        answer = int(np.flatnonzero(order == len(rows) - 1)[0])
        return WorkedExample(sequence.take(slice(0, -1)), rows[order], answer)

    @cached_property
    def _sequences(self) -> Sequence[History]:
        return [each for each in self.dataset.sequences if len(each) >= _SHORTEST]

    @cached_property
    def _user_rows(self) -> Int[np.ndarray, " users"]:
        rows = [-1 if each.user_row is None else each.user_row for each in self._sequences]
        return np.asarray(rows, dtype=np.int64)

    @cached_property
    def _idf(self) -> Float[np.ndarray, " items"]:
        users = len(self._sequences)
        chose = np.zeros(len(self.dataset.catalog))
        for sequence in self._sequences:
            chose[np.unique(sequence.item_rows)] += 1
        return np.asarray(np.log((1 + users) / (1 + chose)))

    @cached_property
    def _unit(self) -> csr_array:
        """The weights of each history without its last event, which is the answer, as unit rows."""
        sets = [np.unique(each.item_rows[:-1]) for each in self._sequences]
        ends = np.cumsum([0, *map(len, sets)])
        rows = np.concatenate([*sets, np.zeros(0, dtype=np.int64)])
        lengths = [float(np.linalg.norm(self._idf[each])) or 1.0 for each in sets]
        values = self._idf[rows] / np.repeat(lengths, np.diff(ends))
        return csr_array((values, rows, ends), shape=(len(sets), len(self._idf)))


def _normalised(chances: Float[np.ndarray, " items"]) -> Float[np.ndarray, " items"]:
    total = chances.sum()
    return chances / total if total > 0 else chances
