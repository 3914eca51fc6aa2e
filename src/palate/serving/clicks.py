"""How often answers are followed, counted now and again: nobody waits for it but the first to ask.

To count a month of answers takes longer the more there are; the figures are as old as that allows.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

from palate.errors import PalateError
from palate.serving.store import Store
from palate.serving.telemetry import Clicks

_logger = logging.getLogger(__name__)

_DAYS = 30
_DAY = 86_400.0
_SECONDS = 15.0
"""How old the figures may be, where counting is quick."""
_REST = 20.0
"""So many times as long as counting took, nothing is counted."""


class ClickCounter:
    """The click-through of each model over the last month."""

    def __init__(self, store: Store) -> None:
        """Count in ``store``; nothing is counted before somebody asks."""
        self._store = store
        self._due = float("-inf")
        self._counting: asyncio.Task[None] | None = None
        self.figures: Sequence[Clicks] = ()

    async def refresh(self) -> None:
        """See that it is counted anew where the figures are old; the first to ask waits."""
        if time.monotonic() < self._due:
            return
        first = self._counting is None
        self._due = float("inf")
        self._counting = asyncio.create_task(self._count())
        if first:
            await self._counting

    async def close(self) -> None:
        """Let go of what is being counted."""
        if self._counting is None:
            return
        self._counting.cancel()
        # A task of a loop that has stopped, as tests leave them, can be waited for no more.
        if self._counting.get_loop() is asyncio.get_running_loop():
            await asyncio.gather(self._counting, return_exceptions=True)

    async def _count(self) -> None:
        began = time.monotonic()
        try:
            since = time.time() - _DAYS * _DAY
            found = await asyncio.to_thread(self._store.click_through, since)
            self.figures = [Clicks(x.model_version, x.shown, x.clicked) for x in found.values()]
        except PalateError as error:
            _logger.warning("clicks could not be counted: %s", error)
        finally:
            took = time.monotonic() - began
            self._due = time.monotonic() + max(_SECONDS, _REST * took)
