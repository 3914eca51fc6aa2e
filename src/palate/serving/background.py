"""Background work beside the requests."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from palate.errors import PalateError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_logger = logging.getLogger(__name__)


async def repeat(work: Callable[[], Awaitable[object]], seconds: float, purpose: str) -> None:
    """Do some work now and every so many seconds, until cancelled; a failure is only logged."""
    while True:
        try:
            await work()
        except PalateError as error:
            _logger.warning("could not %s: %s", purpose, error)
        await asyncio.sleep(seconds)


async def to_the_end(
    function: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Result:
    """Call a function in a thread; a cancelled caller still waits until it returns.

    A service that stops cancels its background work and then closes the store: a thread that
    still reads from the store would keep a connection that nobody closes.
    """
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments, **named))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise
