"""Erasures reach every process that shares the store, not only the one that received the request.

Each process keeps histories and user states in memory. The store numbers the erasures; each process
reads the newest number twice a second and drops the data of the users who were erased since.
"""

import time

from palate.serving.background import to_the_end
from palate.serving.pool import ModelPool
from palate.serving.recorder import Recorder
from palate.serving.store import Store

_LONGEST_ANSWER = 10.0
"""Seconds after which every answer that began with an erased history has ended."""


class ErasureFollower:
    """Drops erased users from memory, whichever process erased them."""

    def __init__(self, store: Store, pool: ModelPool, recorder: Recorder) -> None:
        """Start before any history is read: nothing of earlier erased users is in memory."""
        self._store, self._pool, self._recorder = store, pool, recorder
        self._seen = store.num_erasures()
        self._look_back_at = float("inf")

    async def follow(self) -> None:
        """Drop the data in memory of all users who were erased since the last call."""
        erased = await to_the_end(self._store.erased_since, self._seen)
        now = time.monotonic()
        if erased.number != self._seen:
            await to_the_end(self._pool.forget_all_of, erased)
            self._recorder.forget_all_of(erased)
            self._seen = erased.number
            self._look_back_at = now + _LONGEST_ANSWER
        elif now >= self._look_back_at:
            # An answer that was under way may have cached the state of an erased user.
            self._pool.forget_user_states()
            self._look_back_at = float("inf")
