"""Remembers which answers were given, without making anybody wait for the disk.

An answer that was not written before the machine died is an answer nobody can click any more: these
records may be lost, events may not.
"""

import asyncio
import logging
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from palate.errors import PalateError
from palate.inference.engine import Engine
from palate.serving.background import to_the_end
from palate.serving.store.records import RecommendationRecord
from palate.serving.store.store import Store

_logger = logging.getLogger(__name__)

_MOST = 50_000
_AT_ONCE = 200
"""Answers of one transaction: few enough that making them holds up nobody noticeably."""


@dataclass(frozen=True, slots=True)
class Given:
    """One answer, as the route leaves it; made into a record off the path of the request."""

    recommendation_id: str
    user_id: str | None
    engine: Engine
    rows: Int[np.ndarray, " n"]
    created_at: float
    route: str
    fallback: str | None


class Recorder:
    """A buffer of answers in front of the store."""

    def __init__(self, store: Store, *, every: float = 0.5) -> None:
        """Write to ``store`` so often, in seconds."""
        self._store, self._every = store, every
        self._waiting: list[Given] = []
        self._lock = asyncio.Lock()
        self.lost = 0
        """Answers that were not recorded, because the store could not keep up or failed."""

    def add(self, given: Given) -> None:
        """Remember an answer soon."""
        if len(self._waiting) < _MOST:
            self._waiting.append(given)
        else:
            self.lost += 1

    def forget(self, user_id: str) -> None:
        """Drop answers to a user that were not written yet."""
        self._waiting = [given for given in self._waiting if given.user_id != user_id]

    def forget_all_of(self, erased: Container[str]) -> None:
        """Drop answers to all who were erased that were not written yet."""
        self._waiting = [given for given in self._waiting if given.user_id not in erased]

    async def run(self) -> None:
        """Write whatever has gathered, until cancelled."""
        while True:
            await asyncio.sleep(self._every)
            await self.flush()

    async def flush(self) -> None:
        """Write everything that was added before this call."""
        async with self._lock:
            while self._waiting:
                part, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
                try:
                    await to_the_end(self._write, part)
                except PalateError as error:
                    self.lost += len(part)
                    _logger.warning("%d answers were not recorded: %s", len(part), error)
                    return

    def _write(self, part: Sequence[Given]) -> None:
        self._store.record_recommendations(
            [
                RecommendationRecord(
                    recommendation_id=given.recommendation_id,
                    user_id=given.user_id,
                    model_version=given.engine.version,
                    item_ids=[view.item_id for view in given.engine.catalogue.views(given.rows)],
                    created_at=given.created_at,
                    route=given.route,
                    fallback=given.fallback,
                )
                for given in part
            ]
        )
