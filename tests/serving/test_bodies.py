"""Large bodies are counted, parsed elsewhere and taken in turn; small ones are not held up."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from palate.serving.bodies import Bodies
from palate.serving.limits import Limits
from palate.serving.overload import Overloaded

KB = 1_024


def _arriving(*parts: bytes) -> Callable[[], Awaitable[dict]]:
    left = list(parts)

    async def receive() -> dict:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    return receive


async def _held(bodies: Bodies, size: int, until: asyncio.Event) -> int:
    receive = _arriving(b"x" * (size // 2), b"x" * (size // 2))
    async with bodies.received(receive, [], most=2**30, seconds=10) as body:
        await until.wait()
        return len(body)


def test_all_large_bodies_together_take_so_much_memory_and_no_more() -> None:
    async def talk() -> None:
        bodies, until = Bodies(Limits(memory_bytes=500 * KB)), asyncio.Event()
        first = [asyncio.create_task(_held(bodies, 264 * KB, until)) for _ in range(2)]
        await asyncio.sleep(0)
        assert bodies.num_bytes == 400 * KB, "the first 64 KiB of each are free"
        with pytest.raises(Overloaded):
            await _held(bodies, 264 * KB, until)
        assert bodies.num_bytes == 400 * KB, "what was refused is given back"
        until.set()
        assert await _held(bodies, 60 * KB, until) == 60 * KB
        assert await asyncio.gather(*first) == [264 * KB] * 2
        assert bodies.num_bytes == 0

    asyncio.run(talk())


def test_a_large_body_is_parsed_in_another_thread_and_a_small_one_here() -> None:
    async def talk() -> None:
        bodies = Bodies(Limits())
        small = await bodies.parsed(b"x" * KB, lambda _: threading.current_thread())
        large = await bodies.parsed(b"x" * 100 * KB, lambda _: threading.current_thread())
        assert small is threading.current_thread()
        assert large is not small

    asyncio.run(talk())


def test_one_bulk_after_the_other_is_in_memory() -> None:
    async def talk() -> None:
        bodies, until, inside = Bodies(Limits(bulk_seconds=0.05)), asyncio.Event(), asyncio.Event()

        async def store() -> None:
            async with bodies.bulk(b"x", len) as rows:
                assert rows == 1
                inside.set()
                await until.wait()

        first = asyncio.create_task(store())
        await inside.wait()
        with pytest.raises(Overloaded):
            async with bodies.bulk(b"x", len):
                raise AssertionError
        until.set()
        await first
        async with bodies.bulk(b"xx", len) as rows:
            assert rows == 2

    asyncio.run(talk())


def test_what_parsing_refuses_is_told_and_gives_its_turn_back() -> None:
    async def talk() -> None:
        bodies = Bodies(Limits())

        def refuse(_: bytes) -> None:
            raise ValueError("no row")

        for _ in range(5):
            with pytest.raises(ValueError, match="no row"):
                await bodies.parsed(b"x" * 100 * KB, refuse)
            with pytest.raises(ValueError, match="no row"):
                async with bodies.bulk(b"x", refuse):
                    raise AssertionError

    asyncio.run(asyncio.wait_for(talk(), 30))
