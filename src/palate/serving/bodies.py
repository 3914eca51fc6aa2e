"""Reads and parses request bodies within bounds of memory.

Small bodies are parsed on the event loop. A large body is parsed in a thread, so that other
requests do not wait, and only a few at a time, to leave memory for the parsed values. The rows of a
bulk stay in memory until they are stored, so bulks are taken one at a time. All large bodies
together have a bound.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from palate.serving.json_rows import RawBytes
from palate.serving.limits import Headers, Limits, Receive, read_body
from palate.serving.overload import Overloaded

Result = TypeVar("Result")

_SMALL = 64 * 2**10
"""Bytes of a body that is parsed on the event loop: a millisecond of work."""
_PARSED_AT_ONCE = 2


class Bodies:
    """Reads and parses the bodies of one service, on its event loop."""

    def __init__(self, limits: Limits) -> None:
        """Keep within ``limits``."""
        self._limits = limits
        self._parsing = asyncio.Semaphore(_PARSED_AT_ONCE)
        self._bulk = asyncio.Semaphore(1)
        self.num_bytes = 0
        """Bytes of the large bodies that are in memory now."""

    @asynccontextmanager
    async def received(
        self, receive: Receive, headers: Headers, *, most: int, seconds: float
    ) -> AsyncIterator[RawBytes]:
        """Give a whole body, which must not be used after the block.

        Raises:
            TooLarge: when it is longer than ``most`` bytes.
            BodyTimeout: when it takes longer than ``seconds`` to arrive.
            ClientGoneError: when it ends early.
            Overloaded: when other bodies take too much memory.
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

    async def parsed(self, body: RawBytes, parse: Callable[[RawBytes], Result]) -> Result:
        """Return the parsed body; other requests do not wait for it."""
        if len(body) <= _SMALL:
            return parse(body)
        async with self._turn(self._parsing, self._limits.body_seconds):
            return await asyncio.to_thread(parse, body)

    @asynccontextmanager
    async def bulk(
        self, body: RawBytes, parse: Callable[[RawBytes], Result]
    ) -> AsyncIterator[Result]:
        """Give the parsed bulk; the next bulk is parsed after the block has ended.

        Raises:
            Overloaded: when earlier bulks take too long.
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
