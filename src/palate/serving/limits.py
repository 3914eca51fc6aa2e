"""Limits: sizes of bodies, time, and the numbers of requests and connections."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from palate.serving.problems import BodyTimeout, TooLarge

Receive = Callable[[], Awaitable[Any]]
"""ASGI's own type: a message is a dictionary with values of any type."""
Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Limits:
    """The limits of a service; a request over one gets a 4xx or 503 that names it."""

    body_bytes: int = 2 * 2**20
    bulk_bytes: int = 64 * 2**20
    body_seconds: float = 15.0
    """Time for a whole body to arrive."""
    bulk_seconds: float = 120.0
    memory_bytes: int = 256 * 2**20
    """Size of all large bodies in memory together; further ones get 503."""
    in_flight: int = 256
    """Number of requests at a time; further ones get 503."""
    streams: int = 16
    """Number of open event streams."""
    connections: int = 2_048


class ClientGoneError(Exception):
    """The client hung up before its request was complete."""


async def read_body(
    receive: Receive,
    headers: Headers,
    *,
    most: int,
    seconds: float,
    arrived: Callable[[int], None],
) -> bytes | bytearray:
    """Return the body of a request; ``arrived`` gets the number of bytes after each part.

    Raises:
        TooLarge: when it is longer than ``most`` bytes.
        BodyTimeout: when it takes longer than ``seconds`` to arrive.
        ClientGoneError: when it ends early.
    """
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > most:
            raise _too_large(most)
    try:
        async with asyncio.timeout(seconds):
            return await _all_parts(receive, most, arrived)
    except TimeoutError:
        raise BodyTimeout(
            f"The body took longer than {seconds:g} s to arrive.",
            hint="Send it in one piece, or less at a time.",
            headers={"Connection": "close"},
        ) from None


async def _all_parts(
    receive: Receive, most: int, arrived: Callable[[int], None]
) -> bytes | bytearray:
    # A body of many parts grows in place: joining the parts would copy all of it in one step.
    whole = bytearray()
    message = await receive()
    while message["type"] == "http.request":
        part: bytes = message.get("body", b"")
        if len(whole) + len(part) > most:
            raise _too_large(most)
        arrived(len(whole) + len(part))
        if message.get("more_body", False):
            whole += part
        elif not whole:
            return part
        else:
            whole += part
            return whole
        message = await receive()
    raise ClientGoneError


def _too_large(most: int) -> TooLarge:
    return TooLarge(
        f"The body is larger than {most:,} bytes.",
        hint="Send less at a time.",
        # The rest of the body is not read, so the connection cannot be used again.
        headers={"Connection": "close"},
    )
