"""Answers are remembered for their time, and go a little at a time."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from palate.errors import ConfigError
from palate.serving import retention
from palate.serving.background import repeat
from palate.serving.overload import StoreUnavailable
from palate.serving.retention import Retention
from palate.serving.store import Event, EventWriter, RecommendationRecord, Store

DAY = 86_400.0


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path}/x.db")
    yield store
    store.close()


def given(name: str, days_ago: float) -> RecommendationRecord:
    return RecommendationRecord(name, "ann", "v1", ["a"], time.time() - days_ago * DAY, "recommend")


def test_what_is_older_than_its_days_goes_and_the_rest_stays(
    kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_AT_ONCE", 10)
    monkeypatch.setattr(retention, "_REST_SECONDS", 0.0)
    kept.record_recommendations([given(f"old-{n}", 91) for n in range(35)])
    kept.record_recommendations([given(f"new-{n}", 89) for n in range(5)])
    assert asyncio.run(Retention(kept).sweep()) == 35
    assert kept.click_through(0.0)["v1"].shown == 5
    assert asyncio.run(Retention(kept).sweep()) == 0
    assert asyncio.run(Retention(kept, 1.0).sweep()) == 5


def test_events_are_written_while_old_answers_go(
    kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_AT_ONCE", 50)
    kept.record_recommendations([given(f"old-{n}", 91) for n in range(1_000)])

    async def both() -> tuple[int, int]:
        writer = EventWriter(kept)
        sweeping = asyncio.create_task(Retention(kept).sweep())
        written = 0
        while not sweeping.done():
            await writer.add([Event("ann", "a", "click", None, float(written))])
            written += 1
        await asyncio.to_thread(writer.close)
        return await sweeping, written

    gone, written = asyncio.run(both())
    assert gone == 1_000
    # At least one event between any two of the twenty transactions.
    assert written >= 20
    assert len(kept.history("ann", 10_000)) == min(written, 10_000)


def test_a_store_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch, kept: Store) -> None:
    times = 0

    def failing(self: Store, before: float, *, limit: int) -> int:
        nonlocal times
        times += 1
        raise StoreUnavailable("The database says: no.")

    monkeypatch.setattr(Store, "forget_recommendations", failing)

    async def awhile() -> None:
        running = asyncio.create_task(repeat(Retention(kept).sweep, 0.001, "sweep"))
        while times < 3:
            await asyncio.sleep(0.001)
        running.cancel()

    asyncio.run(awhile())


@pytest.mark.parametrize("days", [0.0, -1.0, float("nan")])
def test_days_that_make_no_sense_are_refused(days: float, kept: Store) -> None:
    with pytest.raises(ConfigError, match="days"):
        Retention(kept, days)
