"""How long answers are remembered: what is older goes, a little at a time.

Each answer given leaves a record, so that a click can be counted for the model that earned it. The
records of a busy service would otherwise grow for ever.
"""

import asyncio
import logging
import time

from palate.errors import ConfigError, PalateError
from palate.serving.background import to_the_end
from palate.serving.store import Store

_logger = logging.getLogger(__name__)

DAYS_KEPT = 90.0
"""How long an answer can be clicked, unless the settings say otherwise."""
_DAY = 86_400.0
_AT_ONCE = 500
"""Records of one transaction: events wait a few milliseconds for it, no longer."""
_REST_SECONDS = 0.05
_EVERY_SECONDS = 600.0


class Retention:
    """Drops records of answers past their time."""

    def __init__(
        self, store: Store, days: float = DAYS_KEPT, *, every: float = _EVERY_SECONDS
    ) -> None:
        """Keep answers for ``days``; look for older ones so often, in seconds.

        Raises:
            ConfigError: when ``days`` is not above 0.
        """
        if not days > 0:
            raise ConfigError(
                f"Answers cannot be kept for {days:g} days.", hint="Give a number above 0."
            )
        self._store, self._days, self._every = store, days, every

    async def run(self) -> None:
        """Drop whatever is too old, now and again, until cancelled."""
        while True:
            try:
                await self.sweep()
            except PalateError as error:
                _logger.warning("old answers could not be dropped: %s", error)
            await asyncio.sleep(self._every)

    async def sweep(self) -> int:
        """Drop what is too old by now; return how many answers went.

        One small transaction after another, with a rest as long as the work between them: whoever
        writes meanwhile gets their turn.
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
