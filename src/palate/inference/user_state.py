"""User states: encoded histories, cached for later requests of the same users."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from palate.types import History, Ranking

_OVERHEAD = 600
"""Approximate bytes of an entry besides its arrays."""


@dataclass(frozen=True, slots=True, eq=False)
class UserState:
    """One history as encoded by one model; the scores of all items follow from it."""

    vectors: Float[np.ndarray, "queries width"] | None
    """User vectors, scaled so that their products are logits; None where a baseline answers."""
    extra: Float[np.ndarray, " trained"] | None
    """Added to the score of each trained item: a prior and boost, or a baseline's scores."""
    fallback: str | None = None
    """The fallback that answers in place of the request, if any."""
    codes: Ranking | None = None
    """Result of the beam search over codes or titles, best first; None without a search."""
    blend: float | None = None
    """Weight of the code search against the vector scores; None where it decides alone."""

    @property
    def num_bytes(self) -> int:
        """Approximate memory in bytes."""
        arrays = [self.vectors, self.extra]
        if self.codes is not None:
            arrays += [self.codes.item_rows, self.codes.scores]
        return _OVERHEAD + sum(array.nbytes for array in arrays if array is not None)


@dataclass(frozen=True)
class CacheCounts:
    """Counters of the cache."""

    hits: int
    misses: int
    entries: int
    num_bytes: int


class UserStateCache:
    """Least-recently-used cache of user states with a limit in bytes; thread-safe."""

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
        """Store a state; the least recently used states are evicted."""
        with self._lock:
            self._drop(key)
            self._states[key] = state
            self._num_bytes += state.num_bytes
            while self._num_bytes > self._max_bytes:
                self._drop(next(iter(self._states)))

    def clear(self) -> None:
        """Drop all states."""
        with self._lock:
            self._states.clear()
            self._num_bytes = 0

    @property
    def counts(self) -> CacheCounts:
        """Hits, misses, entries and bytes."""
        with self._lock:
            return CacheCounts(self._hits, self._misses, len(self._states), self._num_bytes)

    def _drop(self, key: Hashable) -> None:
        dropped = self._states.pop(key, None)
        if dropped is not None:
            self._num_bytes -= dropped.num_bytes


def fingerprint(history: History) -> bytes:
    """Return a hash of what a model reads of a history: items, event types, ratings."""
    digest = hashlib.blake2b(history.item_rows.tobytes(), digest_size=16)
    if history.event_types is not None:
        digest.update(b"events")
        digest.update(history.event_types.tobytes())
    if history.ratings is not None:
        digest.update(b"ratings")
        digest.update(history.ratings.tobytes())
    return digest.digest()
