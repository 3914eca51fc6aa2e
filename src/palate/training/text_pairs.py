"""Pairs to tune a text encoder on: a window of a training history, and the event after it.

These are the sliding windows of FADE: each event of a history but the first is a target once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from palate.errors import DataError
from palate.items.static_text import TokenTable
from palate.types import History

_MOST_TOKENS = 128
"""Tokens of a text that one batch reads, drawn at random from a longer one."""


class TextTuning(BaseModel):
    """How a table of token vectors is tuned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss: Literal["in-batch", "triplet"] = "in-batch"
    """Every other target of the batch is a negative, or one of them drawn at random."""
    window: int = Field(default=5, ge=1, le=50)
    """Events before the target that are read."""
    decay: float = Field(default=0.7, gt=0, le=1)
    """Weight of an event relative to the one after it."""
    temperature: float = Field(default=0.07, gt=0)
    """Divides the cosines of ``in-batch``."""
    margin: float = Field(default=0.5, gt=0)
    """Distance by which ``triplet`` keeps a negative further away than the target."""
    batch_size: int = Field(default=1024, ge=2)
    word_dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of the tokens that a batch does not read, so that a text is not known by a few."""
    epochs: int = Field(default=12, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.1, ge=0)
    """Pulls the vectors back to those at the start."""


@dataclass(frozen=True)
class PairBatch:
    """Pairs of a window and what came next; texts are encoded once, however often they stand."""

    tokens: Int[Tensor, " tokens"]
    offsets: Int[Tensor, " texts"]
    windows: Int[Tensor, "pairs window"]
    """Numbers of texts, the most recent first."""
    shares: Float[Tensor, "pairs window"]
    """Weight of each event of a window; 0 is padding."""
    targets: Int[Tensor, " pairs"]
    """Numbers of candidates."""
    candidates: Int[Tensor, " candidates"]
    """Numbers of the texts that are a target of some pair."""
    excluded: Int[Tensor, "pairs excluded"]
    """Numbers of the candidates that are no negatives of a pair: its target, and what the user had
    anyway; -1 is padding."""
    log_expected: Float[Tensor, " candidates"]
    """Logarithm of how often a candidate is expected in a batch."""
    drawn: Int[Tensor, " pairs"]
    """Number of one candidate that is a negative of each pair; -1 where there is none."""

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.targets)

    def to(self, device: torch.device, /) -> "PairBatch":
        """Return a copy on ``device``."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Pairs:
    """The windows of training histories with the events after them, in batches."""

    texts: Sequence[Int[np.ndarray, " tokens"]]
    """Tokens that count, per item."""
    windows: Int[np.ndarray, "pairs window"]
    """Rows of items, the most recent first; -1 is padding."""
    targets: Int[np.ndarray, " pairs"]
    users: Int[np.ndarray, " pairs"]
    """Number of the history that a pair is of."""
    seen: Sequence[Int[np.ndarray, " items"]]
    """Rows of the items of each history."""
    config: TextTuning
    seed: int

    @classmethod
    def of(
        cls,
        histories: Sequence[History],
        table: TokenTable,
        texts: Sequence[str],
        config: TextTuning,
        seed: int,
    ) -> "Pairs":
        """Cut the windows of training histories; events without a text are left out.

        What a user had before is no target: recommenders leave it out of their lists.

        Raises:
            DataError: when no history has two events with a text.
        """
        tokens = [_loud(table, each) for each in table.tokens(texts)]
        has_text = np.array([len(each) > 0 for each in tokens])
        rows = [each.item_rows[has_text[each.item_rows]] for each in histories]
        cut = [
            (_window(events[:place], config.window), events[place], user)
            for user, events in enumerate(rows)
            for place in range(1, len(events))
            if events[place] not in events[:place]
        ]
        if not cut:
            raise DataError(
                "There is nothing to tune a text encoder on: no user has two training events of "
                "items with a text.",
                hint="Give the items texts, or leave the encoder as it is.",
            )
        windows, targets, users = (np.asarray(each) for each in zip(*cut, strict=True))
        seen = [np.unique(each) for each in rows]
        return cls(tokens, windows, targets, users, seen, config, seed)

    @property
    def num_interactions(self) -> int:
        """Number of pairs."""
        return len(self.targets)

    def plan(self, epoch: int) -> Sequence[object]:
        """Return the pairs of each batch of an epoch."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.targets))
        size = self.config.batch_size
        return [order[start : start + size] for start in range(0, len(order), size)]

    def batches(self, epoch: int, *, skip: int = 0) -> Iterator[PairBatch | None]:
        """Build the batches of an epoch after the first ``skip``."""
        for number, pairs in enumerate(self.plan(epoch)):
            if number >= skip:
                rng = np.random.default_rng([self.seed, epoch, number])
                yield self.batch(np.asarray(pairs), rng)

    def batch(self, pairs: Int[np.ndarray, " pairs"], rng: np.random.Generator) -> PairBatch:
        """Build the batch of these pairs; ``rng`` draws the tokens that are read and negatives."""
        windows, targets = self.windows[pairs], self.targets[pairs]
        items = np.unique(np.concatenate([windows[windows >= 0], targets]))
        rows, places = np.unique(targets, return_inverse=True)
        excluded = self._excluded(self.users[pairs], rows)
        tokens = [_some(self.texts[row], self.config.word_dropout, rng) for row in items]
        offsets = np.concatenate([[0], np.cumsum([len(each) for each in tokens])])[:-1]
        age = np.arange(windows.shape[1])
        shares = np.where(windows >= 0, self.config.decay**age, 0)
        expected = -np.expm1(len(pairs) * np.log1p(-self._frequency[rows]))
        return PairBatch(
            tokens=torch.from_numpy(np.concatenate(tokens)),
            offsets=torch.from_numpy(offsets),
            windows=torch.from_numpy(np.searchsorted(items, windows).clip(0, len(items) - 1)),
            shares=torch.from_numpy(shares).float(),
            targets=torch.from_numpy(places),
            candidates=torch.from_numpy(np.searchsorted(items, rows)),
            excluded=torch.from_numpy(excluded),
            log_expected=torch.from_numpy(np.log(expected)).float(),
            drawn=torch.from_numpy(_draw(len(rows), excluded, rng)),
        )

    @cached_property
    def _frequency(self) -> Float[np.ndarray, " items"]:
        """Share of the pairs whose target an item is, below 1."""
        counts = np.bincount(self.targets, minlength=len(self.texts))
        return np.minimum(counts / len(self.targets), 1 - 1e-9)

    def _excluded(
        self, users: Int[np.ndarray, " pairs"], rows: Int[np.ndarray, " candidates"]
    ) -> Int[np.ndarray, "pairs excluded"]:
        found = [np.flatnonzero(np.isin(rows, self.seen[user])) for user in users]
        width = max(map(len, found))
        return np.stack([np.pad(x, (0, width - len(x)), constant_values=-1) for x in found])


def _loud(table: TokenTable, tokens: Sequence[int]) -> Int[np.ndarray, " tokens"]:
    """Return the tokens that count."""
    found = np.asarray(tokens, dtype=np.int64)
    return found[table.weights[found] > 0]


def _window(events: Int[np.ndarray, " events"], size: int) -> Int[np.ndarray, " window"]:
    """Return the last events, the most recent first, filled up with -1."""
    recent = events[::-1][:size]
    return np.pad(recent, (0, size - len(recent)), constant_values=-1)


def _some(
    tokens: Int[np.ndarray, " tokens"], dropout: float, rng: np.random.Generator
) -> Int[np.ndarray, " some"]:
    """Return the tokens that a batch reads of a text, at least one."""
    kept = tokens[rng.random(len(tokens)) >= dropout]
    if not len(kept):
        kept = tokens[rng.integers(len(tokens))][None]
    return kept if len(kept) <= _MOST_TOKENS else rng.choice(kept, _MOST_TOKENS, replace=False)


def _draw(
    candidates: int, excluded: Int[np.ndarray, "pairs excluded"], rng: np.random.Generator
) -> Int[np.ndarray, " pairs"]:
    """Draw a candidate for each pair that is not excluded; -1 where all are."""
    allowed = np.ones((len(excluded), candidates), dtype=bool)
    pairs, places = np.nonzero(excluded >= 0)
    allowed[pairs, excluded[pairs, places]] = False
    drawn = np.where(allowed, rng.random(allowed.shape), -1).argmax(axis=1)
    return np.where(allowed.any(axis=1), drawn, -1)
