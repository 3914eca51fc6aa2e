"""Retention: records of old answers are deleted, a few at a time.

Each answer leaves a record, so that a click can be counted for the model that gave it. Without
retention the records of a busy service would grow without end.
"""

import asyncio
import time

from palate.errors import ConfigError
from palate.serving.background import to_the_end
from palate.serving.store import Store

DAYS_KEPT = 90.0
"""Default number of days during which a click on an answer is counted."""
_DAY = 86_400.0
_AT_ONCE = 500
"""Records per transaction: few enough that events wait only a few milliseconds for it."""
_REST_SECONDS = 0.05


class Retention:
    """Deletes the records of old answers."""

    def __init__(self, store: Store, days: float = DAYS_KEPT) -> None:
        """Keep answers for ``days``.

        Raises:
            ConfigError: when ``days`` is not above 0.
        """
        if not days > 0:
            raise ConfigError(
                f"Answers cannot be kept for {days:g} days.", hint="Give a number above 0."
            )
        self._store, self._days = store, days

    async def sweep(self) -> int:
        """Delete the answers that are too old by now; return how many.

        Small transactions follow each other with pauses as long as the work itself, so that other
        writers get their turn.
        """
        before = time.time() - self._days * _DAY
        total = 0
        while True:
            began = time.monotonic()
            gone = await to_the_end(self._store.forget_recommendations, before, limit=_AT_ONCE)
            total += gone
            if gone < _AT_ONCE:
                return total
            await asyncio.sleep(max(_REST_SECONDS, time.monotonic() - began))
