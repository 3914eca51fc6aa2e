"""HTTP over one connection, with a bound for whatever a client can send too much of or too slowly.

It is uvicorn's own protocol with bounds added: uvicorn alone takes headers without end, and waits
for ever for the rest of a header, of a body, or for a client that does not read its answer. Its
other parser, h11, bounds a header that is not whole yet, but not one that comes in one piece, and
takes thirty times as long for each: 0.3 ms against 0.01.
"""

import asyncio
from collections import deque
from http import HTTPStatus
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from palate.serving.limits import Limits


class PatientProtocol(HttpToolsProtocol):
    """HTTP over one connection, with a deadline for each thing a client can be slow at.

    Headers are bounded, those of all requests that wait on the connection together: a client that
    sends more is refused, and what it still sends is thrown away unread.
    """

    header_seconds = 10.0
    request_seconds = 150.0
    """For header and body together; the routes have shorter ones of their own."""
    drain_seconds = 30.0
    """For a client to read something of an answer that waits for it."""
    linger_seconds = 2.0
    """For a client to read why it was refused."""
    most_connections = Limits.connections
    most_head_bytes = 64 * 2**10
    """Of address and headers."""
    most_url_bytes = 8 * 2**10

    _deadline: asyncio.TimerHandle | None = None
    _unread = 0
    _head_bytes = 0
    """Of all requests that are not answered yet, with what keeping them takes beside."""
    _unseen_bytes = 0
    """That came since the parser last had anything to say of them."""
    _refusal: tuple[int, str, str] | None = None
    """Status, message and hint with which this connection ends."""
    _is_deaf = False
    _is_in_body = False
    _is_lingering = False

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - uvicorn's own
        """Begin with nothing sent."""
        super().__init__(*arguments, **named)
        self._heads: deque[int] = deque()
        """The parts of ``_head_bytes``, one per request, oldest first."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request; refuse where there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            transport.write(_FULL)
            transport.close()
            return
        self._wait(self.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline with the connection, and let go of what refers back to it."""
        self._wait(None)
        super().connection_lost(exc)
        for cycle in (self.cycle, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None:
                cycle.transport = self.transport

    def data_received(self, data: bytes) -> None:
        """Read on, unless the connection was refused."""
        # In small parts, for of each only the end can be unknown to the parser's callbacks.
        for start in range(0, len(data), _PART):
            if self._is_deaf or (start and self._has_changed_protocol()):
                return
            part = data[start : start + _PART]
            self._unseen_bytes += len(part)
            super().data_received(part)
            # What the parser keeps to itself is the beginning of a header, or of what comes after
            # the last part of a body; it has no bound of its own.
            if self._unseen_bytes > self.most_head_bytes and not self._is_deaf:
                self._refusal = _HEAD_TOO_LARGE
                self.send_400_response("")

    def _has_changed_protocol(self) -> bool:
        """Tell whether a request asked for another protocol: what follows it is not HTTP/1.1."""
        return bool(self.parser.should_upgrade()) and not self._is_in_body

    def on_message_begin(self) -> None:
        """Wait for the rest of the header."""
        super().on_message_begin()
        if not self._heads:
            self._head_bytes = 0
        self._heads.append(0)
        self._spend(_REQUEST_BYTES)
        self._wait(self.header_seconds)

    def on_response_complete(self) -> None:
        """A request is answered: its header is not kept any more."""
        if self._heads:
            self._head_bytes -= self._heads.popleft()
        if not self._is_lingering:
            super().on_response_complete()

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        self._spend(len(url))
        super().on_url(url)
        if len(self.url) > self.most_url_bytes:
            self._refuse(_URL_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or one of those that may follow a body."""
        self._spend(len(name) + len(value) + _HEADER_BYTES)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Wait for the body."""
        self._unseen_bytes = 0
        self._is_in_body = True
        self._wait(self.request_seconds)
        super().on_headers_complete()
        if self.cycle is not None:
            self.cycle.transport = _Closing(self)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; the routes bound the whole."""
        self._unseen_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole: from here on it is the service that takes its time."""
        self._unseen_bytes = 0
        self._is_in_body = False
        self._wait(None)
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """End the connection because of what came, saying why where that can still be said."""
        self._is_deaf = True
        status, message, hint = self._refusal or _UNREADABLE
        if self._is_in_body:  # of a request that is answered already, or never can be
            self.transport.abort()
            return
        if self.cycle is not None and not self.cycle.response_complete:
            # What was asked before is answered first, and the connection closed after it.
            self._wait(None)
            self.cycle.keep_alive = False
            return
        self.transport.write(_refused(status, message, hint))
        self._linger()

    def end(self) -> None:
        """Close the connection after an answer, once the client could read it."""
        if self._is_in_body or self._is_deaf:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Say that nothing more comes, and throw away what still does, for a while.

        To close at once, with something unread, would make the system throw away what the client
        has not read yet: why it was refused.
        """
        self._is_deaf = self._is_lingering = True
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self.transport.write_eof()
        self._wait(self.linger_seconds)

    def _spend(self, num_bytes: int) -> None:
        """Count what a header takes; refuse it where it is too much."""
        self._unseen_bytes = 0
        self._head_bytes += num_bytes
        if self._heads:
            self._heads[-1] += num_bytes
        if self._head_bytes > self.most_head_bytes:
            self._refuse(_HEAD_TOO_LARGE)

    def _refuse(self, refusal: tuple[int, str, str]) -> None:
        """Stop the parser, which then calls :meth:`send_400_response`."""
        self._refusal = refusal
        raise ValueError(refusal[1])

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


class _Closing:
    """The transport as one request and its answer see it: it is closed with care."""

    __slots__ = ("_protocol", "is_closing", "write")

    def __init__(self, protocol: PatientProtocol) -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        self._protocol.end()


_PART = 16 * 2**10
"""Bytes given to the parser at a time."""
_REQUEST_BYTES = 512
_HEADER_BYTES = 32
"""What keeping a request, or one header, takes beside the bytes that were sent: about so much."""

_HEAD_TOO_LARGE = (
    431,
    f"The headers are larger than {PatientProtocol.most_head_bytes:,} bytes.",
    "Send fewer or shorter headers, and fewer requests at a time.",
)
_URL_TOO_LONG = (
    414,
    f"The address is longer than {PatientProtocol.most_url_bytes:,} bytes.",
    "Send what is long in the body.",
)
_UNREADABLE = (400, "What came cannot be read as HTTP/1.1.", "Send it again, as HTTP/1.1.")


def _refused(status: int, message: str, hint: str, more: bytes = b"") -> bytes:
    """Return a whole refusal, in the one form, from below the application."""
    body = orjson.dumps({"error": {"message": message, "hint": hint, "request_id": ""}})
    return (
        b"HTTP/1.1 %d %b\r\nconnection: close\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n%b\r\n%b"
        % (status, HTTPStatus(status).phrase.encode(), len(body), more, body)
    )


_FULL = _refused(503, "Too many connections are open.", "Try again in 1 s.", b"retry-after: 1\r\n")
