"""A connection has deadlines: the protocol alone, without a server around it."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
import uvicorn

from palate.serving.limits import PatientProtocol


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
    reader, batch_builder = await asyncio.open_connection("127.0.0.1", port)
    batch_builder.write(data)
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        batch_builder.close()


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
        reader, batch_builder = await asyncio.open_connection("127.0.0.1", port, limit=1)
        batch_builder.write(b"GET /50000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(3)  # keep-alive, then two looks at an answer that does not move
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(20):
                await reader.readexactly(50_000_000)
        batch_builder.close()

    asyncio.run(_served(talk))


def test_one_connection_too_many_gets_a_503_and_can_come_back() -> None:
    async def talk(port: int) -> bytes:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        await asyncio.sleep(0.05)
        found = await _sent(port, b"GET /5 HTTP/1.1\r\nHost: x\r\n\r\n")
        for _, batch_builder in idle:
            batch_builder.close()
        return found

    found = asyncio.run(_served(talk))
    assert found.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in found
    head, _, body = found.partition(b"\r\n\r\n")
    assert int(head.rpartition(b"content-length: ")[2].split(b"\r")[0]) == len(body)
