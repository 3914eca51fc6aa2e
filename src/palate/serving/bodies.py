"""How much of people's bodies is in memory at once, and where they are parsed.

Small bodies are parsed where they arrive. A large one is parsed in a thread, so that nobody waits
for it, and few at a time, so that there is room for what they become; what a bulk becomes stays
until it is stored, so one is taken at a time. All large bodies together may take so much memory and
no more.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from palate.serving.json_rows import Raw
from palate.serving.limits import Headers, Limits, Receive, read_body
from palate.serving.overload import Overloaded

Result = TypeVar("Result")

_SMALL = 64 * 2**10
"""Bytes of a body that is parsed on the event loop at once: a millisecond's work."""
_PARSED_AT_ONCE = 2


class Bodies:
    """Reads and parses the bodies of one service; used from its event loop."""

    def __init__(self, limits: Limits) -> None:
        """Hold no more than ``limits`` allow."""
        self._limits = limits
        self._parsing = asyncio.Semaphore(_PARSED_AT_ONCE)
        self._bulk = asyncio.Semaphore(1)
        self.num_bytes = 0
        """Bytes of large bodies that are in memory now."""

    @asynccontextmanager
    async def received(
        self, receive: Receive, headers: Headers, *, most: int, seconds: float
    ) -> AsyncIterator[Raw]:
        """Give a whole body; when the block ends it is not needed any more.

        Raises:
            TooLarge: when it is longer than ``most`` bytes.
            BodyTimeout: when it takes longer than ``seconds`` to arrive.
            ClientGoneError: when it ends early.
            Overloaded: when too much of other bodies is in memory.
        """
        held = 0

        def arrived(num_bytes: int) -> None:
            nonlocal held
            more = max(num_bytes - _SMALL, 0) - held
            if more and self.num_bytes + more > self._limits.memory_bytes:
                raise Overloaded("Too many large bodies are being read.")
            self.num_bytes += more
            held += more

        try:
            yield await read_body(receive, headers, most=most, seconds=seconds, arrived=arrived)
        finally:
            self.num_bytes -= held

    async def parsed(self, body: Raw, parse: Callable[[Raw], Result]) -> Result:
        """Return what ``parse`` makes of a body, without keeping others waiting."""
        if len(body) <= _SMALL:
            return parse(body)
        async with self._turn(self._parsing, self._limits.body_seconds):
            return await asyncio.to_thread(parse, body)

    @asynccontextmanager
    async def bulk(self, body: Raw, parse: Callable[[Raw], Result]) -> AsyncIterator[Result]:
        """Give what ``parse`` makes of a bulk; the next one waits until the block ends.

        Raises:
            Overloaded: when those before take too long.
        """
        async with self._turn(self._bulk, self._limits.bulk_seconds):
            yield await asyncio.to_thread(parse, body)

    @asynccontextmanager
    async def _turn(self, turns: asyncio.Semaphore, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                await turns.acquire()
        except TimeoutError:
            raise Overloaded("Other large bodies take too long.", retry_after=10.0) from None
        try:
            yield
        finally:
            turns.release()
