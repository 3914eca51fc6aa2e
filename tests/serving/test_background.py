"""Work in a thread is not left behind by whoever is cancelled."""

import asyncio
import threading

import pytest

from palate.serving.background import to_the_end


def test_what_a_function_gives_or_raises_is_told() -> None:
    assert asyncio.run(to_the_end(max, 1, 2)) == 2
    with pytest.raises(ZeroDivisionError):
        asyncio.run(to_the_end(divmod, 1, 0))


def test_who_is_cancelled_waits_for_the_thread() -> None:
    async def talk() -> bool:
        begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            may_end.wait(10)
            ended.set()

        task = asyncio.create_task(to_the_end(work))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return ended.is_set()

    assert asyncio.run(talk())
