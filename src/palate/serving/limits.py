"""What one client may cost: body sizes, time, requests and connections at once.

The protocol below is uvicorn's own with deadlines added: uvicorn alone waits for ever for the rest
of a header, of a body, or for a client that does not read its answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from palate.serving.problems import BadRequest, BodyTimeout, TooLarge

Receive = Callable[[], Awaitable[Any]]
"""ASGI's own type: a message is a dictionary of anything."""


@dataclass(frozen=True)
class Limits:
    """Bounds of the service; a request over one gets a 4xx or 503 that names it."""

    body_bytes: int = 2 * 2**20
    bulk_bytes: int = 64 * 2**20
    body_seconds: float = 15.0
    """For a whole body to arrive."""
    bulk_seconds: float = 120.0
    in_flight: int = 256
    """Requests being answered at once; more get 503."""
    streams: int = 16
    """Event streams open at once."""
    connections: int = 2_048


class ClientGoneError(Exception):
    """The client hung up before its request was whole; there is nobody to answer."""


async def read_body(receive: Receive, headers: "Headers", *, most: int, seconds: float) -> bytes:
    """Return the body of a request.

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
            return await _all_parts(receive, most)
    except TimeoutError:
        raise BodyTimeout(
            f"The body took longer than {seconds:g} s to arrive.",
            hint="Send it in one piece, or less at a time.",
            headers={"Connection": "close"},
        ) from None


Headers = list[tuple[bytes, bytes]]


async def _all_parts(receive: Receive, most: int) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        whole: bytes = message.get("body", b"")
        if len(whole) > most:
            raise _too_large(most)
        return whole
    parts = bytearray()
    while message["type"] == "http.request":
        parts += message.get("body", b"")
        if len(parts) > most:
            raise _too_large(most)
        if not message.get("more_body", False):
            return bytes(parts)
        message = await receive()
    raise ClientGoneError


def _too_large(most: int) -> TooLarge:
    return TooLarge(
        f"The body is larger than {most:,} bytes.",
        hint="Send less at a time.",
        # What is left of the body is not read: the connection cannot be used again.
        headers={"Connection": "close"},
    )


def refuse_encoded(headers: Headers) -> None:
    """Refuse a compressed body: its size says nothing about what it becomes.

    Raises:
        BadRequest: when the body is compressed.
    """
    for name, value in headers:
        if name == b"content-encoding" and value.lower() != b"identity":
            raise BadRequest("Compressed bodies are not read.", hint="Send it as it is.")


class PatientProtocol(HttpToolsProtocol):
    """HTTP over one connection, with a deadline for each thing a client can be slow at."""

    header_seconds = 10.0
    request_seconds = 150.0
    """For header and body together; the routes have shorter ones of their own."""
    drain_seconds = 30.0
    """For a client to read something of an answer that waits for it."""
    most_connections = Limits.connections

    _deadline: asyncio.TimerHandle | None = None
    _unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request; refuse where there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            transport.write(_FULL)
            transport.close()
            return
        self._wait(self.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline with the connection."""
        self._wait(None)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Wait for the rest of the header."""
        super().on_message_begin()
        self._wait(self.header_seconds)

    def on_headers_complete(self) -> None:
        """Wait for the body."""
        self._wait(self.request_seconds)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole: from here on it is the service that takes its time."""
        self._wait(None)
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; drop one whose client no longer reads."""
        waiting = self.transport.get_write_buffer_size()
        if not waiting:
            super().timeout_keep_alive_handler()
        elif waiting == self._unread:
            self.transport.abort()
        else:
            self._unread = waiting
            self.timeout_keep_alive_task = self.loop.call_later(
                self.drain_seconds, self.timeout_keep_alive_handler
            )

    def _wait(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._hang_up)

    def _hang_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()


_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n"
    b"content-type: application/json\r\ncontent-length: 97\r\n\r\n"
    b'{"error":{"message":"Too many connections are open.","hint":"Try again in 1 s.",'
    b'"request_id":""}}'
)
