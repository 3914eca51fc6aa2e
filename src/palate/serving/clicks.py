"""Click-through by model, counted from time to time in the background.

Counting a month of answers takes longer the more there are, so the figures may be some seconds old.
Only the first caller waits for them.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

from palate.errors import PalateError
from palate.serving.store import ClickThrough, Store

_logger = logging.getLogger(__name__)

_DAYS = 30
_DAY = 86_400.0
_SECONDS = 15.0
"""Age of the figures at which they are counted again, if counting is quick."""
_REST = 20.0
"""The pause after a count is at least this many times as long as the count took."""


class ClickCounter:
    """Click-through of each model over the last month."""

    def __init__(self, store: Store) -> None:
        """Count in ``store``; the first count starts with the first call of :meth:`refresh`."""
        self._store = store
        self._due = float("-inf")
        self._counting: asyncio.Task[None] | None = None
        self.figures: Sequence[ClickThrough] = ()

    async def refresh(self) -> None:
        """Start a new count if the figures are old; only the first call waits for it."""
        if time.monotonic() < self._due:
            return
        first = self._counting is None
        self._due = float("inf")
        self._counting = asyncio.create_task(self._count())
        if first:
            await self._counting

    async def close(self) -> None:
        """Cancel a count that is under way."""
        if self._counting is None:
            return
        self._counting.cancel()
        # A task whose event loop has stopped, as in tests, cannot be awaited any more.
        if self._counting.get_loop() is asyncio.get_running_loop():
            await asyncio.gather(self._counting, return_exceptions=True)

    async def _count(self) -> None:
        began = time.monotonic()
        try:
            since = time.time() - _DAYS * _DAY
            by_model = await asyncio.to_thread(self._store.click_through, since)
            self.figures = list(by_model.values())
        except PalateError as error:
            _logger.warning("clicks could not be counted: %s", error)
        finally:
            took = time.monotonic() - began
            self._due = time.monotonic() + max(_SECONDS, _REST * took)
