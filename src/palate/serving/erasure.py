"""Who asked to be forgotten is forgotten by every process on the store, not only by the one asked.

Each process keeps histories in memory, and what its models made of them. The store counts the
erasures; each process looks at the count twice a second and drops what it holds of whoever was
erased since.
"""

import asyncio
import logging
import time

from palate.errors import PalateError
from palate.serving.background import to_the_end
from palate.serving.pool import ModelPool
from palate.serving.recorder import Recorder
from palate.serving.store import Store

_logger = logging.getLogger(__name__)

_EVERY_SECONDS = 0.5
_LONGEST_ANSWER = 10.0
"""Seconds after which no answer is under way any more that was begun with an erased history."""


class ErasureFollower:
    """Drops from memory whoever was erased, by this process or by another."""

    def __init__(self, store: Store, pool: ModelPool, recorder: Recorder) -> None:
        """Begin before any history is read: of those erased until now nothing is in memory."""
        self._store, self._pool, self._recorder = store, pool, recorder
        self._seen = store.num_erasures()
        self._look_back_at = float("inf")

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                await self.follow()
            except PalateError as error:
                _logger.warning("erasures could not be followed: %s", error)

    async def follow(self) -> None:
        """Drop what is in memory of everybody who was erased since the last look."""
        erased = await to_the_end(self._store.erased_since, self._seen)
        now = time.monotonic()
        if erased.number != self._seen:
            await to_the_end(self._pool.forget_all_of, erased)
            self._recorder.forget_all_of(erased)
            self._seen = erased.number
            self._look_back_at = now + _LONGEST_ANSWER
        elif now >= self._look_back_at:
            # An answer that was under way may have left behind what was made of its history.
            self._pool.forget_user_states()
            self._look_back_at = float("inf")
