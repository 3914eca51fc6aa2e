"""A connection has deadlines: the protocol alone, without a server around it."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable

import pytest
import uvicorn

from palate.serving.protocol import PatientProtocol


class Hasty(PatientProtocol):
    """The same with deadlines a test can wait for."""

    header_seconds = 0.2
    request_seconds = 0.4
    drain_seconds = 0.1
    most_connections = 3


async def _echo(scope: dict, receive: Callable[[], Awaitable[dict]], send: object) -> None:
    """Answer with as many bytes as the path says, after the body has come."""
    message = await receive()
    while message.get("more_body"):
        message = await receive()
    if message["type"] == "http.disconnect":
        return
    body = b"x" * int(scope["path"][1:] or 0)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _served(talk: Callable[[int], Awaitable[object]]) -> object:
    config = uvicorn.Config(
        _echo, port=0, http=Hasty, ws="none", log_config=None, lifespan="off", timeout_keep_alive=1
    )
    server = uvicorn.Server(config)
    opened = socket.socket()
    opened.bind(("127.0.0.1", 0))
    task = asyncio.create_task(server.serve([opened]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        return await talk(opened.getsockname()[1])
    finally:
        server.should_exit = True
        await task


async def _sent(port: int, data: bytes) -> bytes:
    """Send something and return everything that comes until the server ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "data",
    [b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1"],
    ids=["nothing", "half a header", "half a body"],
)
def test_a_client_that_falls_silent_is_dropped(data: bytes) -> None:
    assert asyncio.run(_served(lambda port: _sent(port, data))) == b""


def test_a_whole_request_is_answered_and_the_idle_connection_closed() -> None:
    found = asyncio.run(_served(lambda port: _sent(port, b"GET /5 HTTP/1.1\r\nHost: x\r\n\r\n")))
    assert found.startswith(b"HTTP/1.1 200")
    assert found.endswith(b"xxxxx")


def test_a_client_that_does_not_read_is_dropped() -> None:
    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(b"GET /50000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(3)  # keep-alive, then two looks at an answer that does not move
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(20):
                await reader.readexactly(50_000_000)
        writer.close()

    asyncio.run(_served(talk))


def test_one_connection_too_many_gets_a_503_and_can_come_back() -> None:
    async def talk(port: int) -> bytes:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        await asyncio.sleep(0.05)
        found = await _sent(port, b"GET /5 HTTP/1.1\r\nHost: x\r\n\r\n")
        for _, writer in idle:
            writer.close()
        return found

    found = asyncio.run(_served(talk))
    assert found.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in found
    head, _, body = found.partition(b"\r\n\r\n")
    assert int(head.rpartition(b"content-length: ")[2].split(b"\r")[0]) == len(body)


_GET = b"GET /5 HTTP/1.1\r\nHost: x\r\n"


async def _flooded(port: int, first: bytes, rest: bytes, times: int = 400) -> tuple[bytes, int]:
    """Send the first part and then the rest over and over; return the answer and what was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = 0
    try:
        writer.write(first)
        async with asyncio.timeout(20):
            for _ in range(times):
                writer.write(rest)
                sent += len(rest)
                await writer.drain()
            return await reader.read(), sent
    except ConnectionError:
        return b"", sent
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("first", "rest", "status"),
    [
        (_GET + b"X-Long: ", b"x" * 2_000, 431),
        (_GET, b"X-Many: 1\r\n" * 100, 431),
        (_GET, b"a:\r\n" * 100, 431),
        (b"GET /", b"x" * 2_000, 414),
        (b"", b"\r\n" * 1_000, 431),
    ],
    ids=["one long header", "many headers", "empty headers", "a long address", "blank lines"],
)
def test_headers_without_end_are_refused(first: bytes, rest: bytes, status: int) -> None:
    found, _ = asyncio.run(_served(lambda port: _flooded(port, first, rest, times=100)))
    assert found.startswith(b"HTTP/1.1 %d " % status)
    head, _, body = found.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert set(json.loads(body)["error"]) == {"message", "hint", "request_id"}


def test_what_follows_a_body_has_a_bound_too() -> None:
    chunked = b"POST /5 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for rest in (b"X-Trailer: 1\r\n" * 1_000, b"X-Long: " + b"x" * 20_000):
        first = chunked + b"1\r\nx\r\n0\r\n"
        found, sent = asyncio.run(_served(lambda port: _flooded(port, first, rest, times=5_000)))  # noqa: B023
        assert found == b""
        assert sent < 5_000 * len(rest), "it was cut off on the way"


def test_a_header_that_arrives_with_a_large_body_is_not_mistaken_for_one() -> None:
    body = b"x" * 1_000_000
    data = b"POST /5 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    found = asyncio.run(_served(lambda port: _sent(port, data + _GET + b"\r\n")))
    assert found.count(b"HTTP/1.1 200") == 2


def test_headers_up_to_the_bound_are_read() -> None:
    data = _GET + b"X-Long: " + b"x" * 60_000 + b"\r\n\r\n"
    found = asyncio.run(_served(lambda port: _sent(port, data * 3)))
    assert found.startswith(b"HTTP/1.1 200"), "what waits on one connection counts together"
    assert found.count(b"HTTP/1.1 200") == 1


def test_requests_that_wait_on_one_connection_have_a_bound_together() -> None:
    found = asyncio.run(_served(lambda port: _sent(port, (_GET + b"\r\n") * 50)))
    assert found.count(b"HTTP/1.1 200") == 50
    found = asyncio.run(_served(lambda port: _sent(port, (_GET + b"\r\n") * 5_000)))
    assert 50 < found.count(b"HTTP/1.1 200") < 500, "those before the bound are answered"


def test_requests_one_after_the_other_have_no_bound_together() -> None:
    async def talk(port: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(20):
            writer.write(_GET + b"X-Long: " + b"x" * 10_000 + b"\r\n\r\n")
            await reader.readuntil(b"xxxxx")
        writer.close()
        return 20

    assert asyncio.run(_served(talk)) == 20


def test_what_is_not_http_is_told_so_in_the_one_form() -> None:
    found = asyncio.run(_served(lambda port: _sent(port, b"\x16\x03\x01 hello\r\n\r\n")))
    assert found.startswith(b"HTTP/1.1 400")
    assert "HTTP" in json.loads(found.partition(b"\r\n\r\n")[2])["error"]["message"]


def test_a_body_beside_the_offer_of_another_protocol_is_read() -> None:
    """As Java's own client sends its first request."""
    body = b"x" * 100_000
    head = b"POST /5 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    data = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    found = asyncio.run(_served(lambda port: _sent(port, data)))
    assert found.startswith(b"HTTP/1.1 200")
