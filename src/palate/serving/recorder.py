"""Records which answers were given, without making a request wait for the disk.

These records may be lost when the machine dies, events may not: clicks on an answer without a
record are not counted.
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
"""Answers per transaction: few enough that building the records delays no request noticeably."""


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer as the route returns it; it becomes a record after the request has ended."""

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
        """Write to ``store`` every ``every`` seconds."""
        self._store, self._every = store, every
        self._waiting: list[GivenAnswer] = []
        self._lock = asyncio.Lock()
        self.lost = 0
        """Answers that were not recorded because the store was too slow or failed."""

    def add(self, answer: GivenAnswer) -> None:
        """Queue an answer for writing."""
        if len(self._waiting) < _MOST:
            self._waiting.append(answer)
        else:
            self.lost += 1

    def forget_all_of(self, erased: Container[str]) -> None:
        """Drop answers to erased users that were not written yet."""
        self._waiting = [one for one in self._waiting if one.user_id not in erased]

    async def run(self) -> None:
        """Write the queued answers again and again, until cancelled."""
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

    def _write(self, part: Sequence[GivenAnswer]) -> None:
        self._store.record_recommendations(
            [
                RecommendationRecord(
                    recommendation_id=answer.recommendation_id,
                    user_id=answer.user_id,
                    model_version=answer.engine.version,
                    item_ids=[view.item_id for view in answer.engine.catalogue.views(answer.rows)],
                    created_at=answer.created_at,
                    route=answer.route,
                    fallback=answer.fallback,
                )
                for answer in part
            ]
        )
