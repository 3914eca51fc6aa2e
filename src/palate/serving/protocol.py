"""HTTP over one connection, with bounds on the size and the time of everything a client sends.

This is uvicorn's own protocol with bounds added: uvicorn alone accepts headers without a limit, and
waits without a limit for the rest of a header or a body, or for a client that does not read its
response. Its other parser, h11, bounds an incomplete header, but not one that arrives in one piece,
and needs thirty times as long for each request: 0.3 ms instead of 0.01.
"""

import asyncio
from collections import deque
from http import HTTPStatus
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from palate.serving.limits import Limits


class PatientProtocol(HttpToolsProtocol):
    """HTTP over one connection, with a deadline for each step of a slow client.

    The headers of all requests that wait on the connection have a common bound: a client that sends
    more is refused, and the rest of its data is discarded.
    """

    header_seconds = 10.0
    request_seconds = 150.0
    """Deadline of header and body together; routes have shorter deadlines of their own."""
    drain_seconds = 30.0
    """Time within which a client must read at least a part of a waiting response."""
    linger_seconds = 2.0
    """Time for a client to read why it was refused."""
    most_connections = Limits.connections
    most_head_bytes = 64 * 2**10
    """Size of the address and the headers."""
    most_url_bytes = 8 * 2**10

    _deadline: asyncio.TimerHandle | None = None
    _unread = 0
    _head_bytes = 0
    """Size of the headers of all requests without a response, with the overhead of keeping them."""
    _unseen_bytes = 0
    """Bytes that arrived since the last callback of the parser."""
    _refusal: tuple[int, str, str] | None = None
    """Status, message and hint with which this connection ends."""
    _is_deaf = False
    _is_in_body = False
    _is_lingering = False

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - uvicorn's own
        """Start with an empty connection."""
        super().__init__(*arguments, **named)
        self._heads: deque[int] = deque()
        """The share of each request in ``_head_bytes``, oldest first."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request; refuse the connection if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            transport.write(_FULL)
            transport.close()
            return
        self._wait(self.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadline, and remove the references back to this connection."""
        self._wait(None)
        super().connection_lost(exc)
        for cycle in (self.cycle, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None:
                cycle.transport = self.transport

    def data_received(self, data: bytes) -> None:
        """Pass data to the parser, unless the connection was refused."""
        # In small parts: of each part, only the end can be unknown to the parser's callbacks.
        for start in range(0, len(data), _PART):
            if self._is_deaf or (start and self._has_changed_protocol()):
                return
            part = data[start : start + _PART]
            self._unseen_bytes += len(part)
            super().data_received(part)
            # The parser itself keeps the beginning of a header, or of the trailer of a body, for
            # which it has no bound.
            if self._unseen_bytes > self.most_head_bytes and not self._is_deaf:
                self._refusal = _HEAD_TOO_LARGE
                self.send_400_response("")

    def _has_changed_protocol(self) -> bool:
        """Tell whether a request switched the protocol, so that HTTP/1.1 ends here."""
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
        """Release the header of a request that was answered."""
        if self._heads:
            self._head_bytes -= self._heads.popleft()
        if not self._is_lingering:
            super().on_response_complete()

    def on_url(self, url: bytes) -> None:
        """Count a part of the address."""
        self._spend(len(url))
        super().on_url(url)
        if len(self.url) > self.most_url_bytes:
            self._refuse(_URL_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, or a trailer of a body."""
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
        """Pass on a part of the body, which the routes bound."""
        self._unseen_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the deadline: the request is complete, and the client waits for the service."""
        self._unseen_bytes = 0
        self._is_in_body = False
        self._wait(None)
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """End the connection because of bad data, with a refusal if one can still be sent."""
        self._is_deaf = True
        status, message, hint = self._refusal or _UNREADABLE
        if self._is_in_body:  # of a request that has a response already, or never gets one
            self.transport.abort()
            return
        if self.cycle is not None and not self.cycle.response_complete:
            # The earlier request is answered first; the connection is closed after it.
            self._wait(None)
            self.cycle.keep_alive = False
            return
        self.transport.write(_refused(status, message, hint))
        self._linger()

    def end(self) -> None:
        """Close the connection after a response, once the client could read it."""
        if self._is_in_body or self._is_deaf:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Send the end of the stream, and discard further data for a while.

        If the connection were closed with unread data, the operating system would discard the
        refusal that the client has not read yet.
        """
        self._is_deaf = self._is_lingering = True
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self.transport.write_eof()
        self._wait(self.linger_seconds)

    def _spend(self, num_bytes: int) -> None:
        """Count the size of a header; refuse the request if it is too large."""
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
        """Close an idle connection; abort one whose client has stopped reading."""
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
    """The transport of one request, which closes only after the client could read the response."""

    __slots__ = ("_protocol", "is_closing", "write")

    def __init__(self, protocol: PatientProtocol) -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        self._protocol.end()


_PART = 16 * 2**10
"""Bytes that the parser gets at a time."""
_REQUEST_BYTES = 512
_HEADER_BYTES = 32
"""Approximate overhead of keeping a request, or one header, beside the bytes that were sent."""

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
_UNREADABLE = (400, "The data is not valid HTTP/1.1.", "Send the request as HTTP/1.1.")


def _refused(status: int, message: str, hint: str, more: bytes = b"") -> bytes:
    """Return a complete refusal in the common form, for use below the application."""
    body = orjson.dumps({"error": {"message": message, "hint": hint, "request_id": ""}})
    return (
        b"HTTP/1.1 %d %b\r\nconnection: close\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n%b\r\n%b"
        % (status, HTTPStatus(status).phrase.encode(), len(body), more, body)
    )


_FULL = _refused(503, "Too many connections are open.", "Try again in 1 s.", b"retry-after: 1\r\n")
