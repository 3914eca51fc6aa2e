"""User states: what a model makes of a history, kept for users who ask again."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from palate.types import History, Ranking

_OVERHEAD = 600
"""Bytes of an entry beside its arrays, about."""


@dataclass(frozen=True, slots=True, eq=False)
class UserState:
    """One history as one model encoded it; the scores of all items follow from it."""

    vectors: Float[np.ndarray, "queries width"] | None
    """User vectors, scaled so that their products are logits; None where a baseline answers."""
    extra: Float[np.ndarray, " trained"] | None
    """Added to the score of each trained item: a prior, or all that a baseline says."""
    fallback: str | None = None
    """What answers in place of what was asked, if anything does."""
    codes: Ranking | None = None
    """What a beam search over codes (or titles) found, best first; None without a search."""
    blend: float | None = None
    """Weight of the code search beside the scores of the vectors; None where it decides alone."""

    @property
    def num_bytes(self) -> int:
        """Memory it takes."""
        arrays = [self.vectors, self.extra]
        if self.codes is not None:
            arrays += [self.codes.item_rows, self.codes.scores]
        return _OVERHEAD + sum(array.nbytes for array in arrays if array is not None)


@dataclass(frozen=True)
class CacheCounts:
    """How the cache is doing."""

    hits: int
    misses: int
    entries: int
    num_bytes: int


class UserStateCache:
    """The states used last, up to a number of bytes; safe to use from several threads."""

    def __init__(self, max_bytes: int) -> None:
        """Start empty."""
        self._max_bytes = max_bytes
        self._states: OrderedDict[Hashable, UserState] = OrderedDict()
        self._num_bytes = self._hits = self._misses = 0
        self._lock = threading.Lock()

    def get(self, keys: Sequence[Hashable]) -> list[UserState | None]:
        """Return the state of each key, None where there is none."""
        with self._lock:
            found = [self._states.get(key) for key in keys]
            for key, state in zip(keys, found, strict=True):
                if state is not None:
                    self._states.move_to_end(key)
            missing = found.count(None)
            self._misses += missing
            self._hits += len(found) - missing
        return found

    def put(self, key: Hashable, state: UserState) -> None:
        """Keep a state; those not used for longest make room."""
        with self._lock:
            self._drop(key)
            self._states[key] = state
            self._num_bytes += state.num_bytes
            while self._num_bytes > self._max_bytes:
                self._drop(next(iter(self._states)))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._states.clear()
            self._num_bytes = 0

    @property
    def counts(self) -> CacheCounts:
        """How often a state was known, and how much is kept."""
        with self._lock:
            return CacheCounts(self._hits, self._misses, len(self._states), self._num_bytes)

    def _drop(self, key: Hashable) -> None:
        dropped = self._states.pop(key, None)
        if dropped is not None:
            self._num_bytes -= dropped.num_bytes


def fingerprint(history: History) -> bytes:
    """Return a hash of what a model reads of a history: the items, what was done, the ratings."""
    digest = hashlib.blake2b(history.item_rows.tobytes(), digest_size=16)
    if history.event_types is not None:
        digest.update(b"events")
        digest.update(history.event_types.tobytes())
    if history.ratings is not None:
        digest.update(b"ratings")
        digest.update(history.ratings.tobytes())
    return digest.digest()
