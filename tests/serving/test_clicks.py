"""Click-through is counted behind everybody's back, and never more than a little of the time."""

import asyncio
import time
from collections.abc import Mapping

import pytest

from palate.serving import clicks
from palate.serving.clicks import ClickCounter
from palate.serving.overload import StoreUnavailable
from palate.serving.store import ClickThrough, Store


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When it was counted; each time one answer more was shown and it takes a while."""
    times: list[float] = []

    def count(self: Store, since: float) -> Mapping[str, ClickThrough]:
        times.append(time.monotonic())
        if len(times) == 3:
            raise StoreUnavailable("The database says: no.")
        time.sleep(0.02)
        return {"v1": ClickThrough("v1", shown=len(times), clicked=1, clicks=1)}

    monkeypatch.setattr(Store, "click_through", count)
    monkeypatch.setattr(clicks, "_SECONDS", 0.0)
    monkeypatch.setattr(clicks, "_REST", 5.0)
    return times


def shown(counter: ClickCounter) -> list[int]:
    return [one.shown for one in counter.figures]


def test_only_the_first_waits_and_a_failure_keeps_the_figures(counted: list[float]) -> None:
    async def ask() -> None:
        counter = ClickCounter(Store.__new__(Store))
        await counter.refresh()
        assert shown(counter) == [1], "the first to ask waits"
        await counter.refresh()
        assert len(counted) == 1, "it rests five times as long as it took"
        await asyncio.sleep(max(0.0, counted[0] + 0.3 - time.monotonic()))
        while len(counted) < 2:
            await counter.refresh()
            assert shown(counter) == [1], "whoever asks later gets what is there"
            await asyncio.sleep(0.001)
        while shown(counter) == [1]:
            await asyncio.sleep(0.001)
        while len(counted) < 3:
            await counter.refresh()
            await asyncio.sleep(0.001)
        while len(counted) < 4:
            await counter.refresh()
            assert shown(counter) == [2], "what fails is counted again"
            await asyncio.sleep(0.001)
        await counter.close()

    asyncio.run(ask())
