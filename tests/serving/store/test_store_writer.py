"""Many calls, one commit; a full queue says so; nobody waits for ever."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from palate.serving.overload import Overloaded, StoreUnavailable
from palate.serving.store import Event, EventWriter, Outcome, Store
from palate.serving.store.events import Group

NOON = 1_700_000_000.0


def event(item_id: str, key: str | None = None) -> Event:
    return Event("ann", item_id, "click", None, NOON, key)


class Watched:
    """Counts the commits of a store and holds them up while the gate is shut."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self._add = store.add_event_groups
        monkeypatch.setattr(store, "add_event_groups", self.add)

    def add(self, groups: Sequence[Group]) -> list[list[Outcome]]:
        self.sizes.append(len(groups))
        assert self.gate.wait(60)
        if self.failure is not None:
            raise self.failure
        return self._add(groups)


@pytest.fixture
def watched(store: Store, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(store, monkeypatch)


@pytest.fixture
def writer(store: Store, watched: Watched) -> Iterator[EventWriter]:
    made = EventWriter(store, max_waiting=10, max_per_commit=6)
    yield made
    watched.gate.set()
    made.close()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.002)


def test_each_call_learns_what_became_of_its_own_events(store: Store, writer: EventWriter) -> None:
    async def run() -> None:
        assert await writer.add([event("a", "1"), event("b")]) == ["stored", "stored"]
        answers = await asyncio.gather(
            writer.add([event("a", "1")]),
            writer.add([event("b", "2")], "overwrite"),
            writer.add([event("c", "2"), event("c", "3")], "accumulate"),
            writer.add([]),
        )
        assert answers == [["duplicate"], ["overwritten"], ["duplicate", "stored"], []]

    asyncio.run(run())
    assert [stored.event.item_id for stored in store.history("ann")] == ["a", "b", "c"]


def test_calls_that_wait_share_the_next_commits(
    store: Store, writer: EventWriter, watched: Watched
) -> None:
    async def run() -> None:
        watched.gate.clear()
        first = asyncio.create_task(writer.add([event("first")]))
        await until(lambda: watched.sizes == [1])
        others = [asyncio.create_task(writer.add([event(str(place))])) for place in range(9)]
        await until(lambda: writer.num_waiting == 10)
        watched.gate.set()
        assert await asyncio.gather(first, *others) == [["stored"]] * 10

    asyncio.run(run())
    assert watched.sizes == [1, 6, 3]
    order = [stored.event.item_id for stored in store.history("ann")]
    assert order == ["first", *map(str, range(9))]
    assert writer.num_waiting == 0


def test_a_full_queue_takes_no_more_and_recovers(
    store: Store, writer: EventWriter, watched: Watched
) -> None:
    async def run() -> None:
        watched.gate.clear()
        waiting = [asyncio.create_task(writer.add([event("a"), event("b")])) for _ in range(5)]
        await until(lambda: writer.num_waiting == 10)
        with pytest.raises(Overloaded) as refused:
            await writer.add([event("c")])
        assert refused.value.retry_after > 0
        watched.gate.set()
        await asyncio.gather(*waiting)
        assert await writer.add([event("d")]) == ["stored"]

    asyncio.run(run())
    assert store.counts().events == 11


def test_a_call_larger_than_the_queue_goes_alone(store: Store, writer: EventWriter) -> None:
    outcomes = asyncio.run(writer.add([event(str(place)) for place in range(50)]))
    assert outcomes == ["stored"] * 50
    assert store.counts().events == 50


@pytest.mark.parametrize("failure", [StoreUnavailable("gone"), ValueError("a mistake of ours")])
def test_a_failure_reaches_all_who_share_it_and_the_next_succeed(
    store: Store, writer: EventWriter, watched: Watched, failure: Exception
) -> None:
    async def run() -> None:
        watched.failure = failure
        calls = [writer.add([event(str(place))]) for place in range(4)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert answers == [failure] * 4
        watched.failure = None
        assert await writer.add([event("after")]) == ["stored"]

    asyncio.run(run())
    assert store.counts().events == 1


def test_who_was_cancelled_disturbs_nobody(
    store: Store, writer: EventWriter, watched: Watched
) -> None:
    async def run() -> None:
        watched.gate.clear()
        first = asyncio.create_task(writer.add([event("first")]))
        await until(lambda: watched.sizes == [1])
        second = asyncio.create_task(writer.add([event("second")]))
        third = asyncio.create_task(writer.add([event("third")]))
        await until(lambda: writer.num_waiting == 3)
        second.cancel()
        watched.gate.set()
        assert await first == await third == ["stored"]
        with pytest.raises(asyncio.CancelledError):
            await second

    asyncio.run(run())


def test_closing_writes_what_waits_and_takes_no_more(store: Store, watched: Watched) -> None:
    writer = EventWriter(store, max_per_commit=2)

    async def run() -> None:
        watched.gate.clear()
        calls = [asyncio.create_task(writer.add([event(str(place))])) for place in range(7)]
        await until(lambda: writer.num_waiting == 7)
        watched.gate.set()
        await asyncio.to_thread(writer.close)
        assert await asyncio.gather(*calls) == [["stored"]] * 7
        with pytest.raises(StoreUnavailable, match="closed"):
            await writer.add([event("late")])

    asyncio.run(run())
    assert store.counts().events == 7
    writer.close()  # twice is no harm


def test_several_event_loops_may_use_one_writer(store: Store, writer: EventWriter) -> None:
    def loop(name: str) -> None:
        async def run() -> None:
            for number in range(5):
                assert await writer.add([event(f"{name}-{number}")]) == ["stored"]

        asyncio.run(run())

    threads = [threading.Thread(target=loop, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert store.counts().events == 15


def test_a_loop_that_ended_holds_up_nobody(
    store: Store, writer: EventWriter, watched: Watched
) -> None:
    async def leave() -> None:
        call = asyncio.create_task(writer.add([event("left")]))
        await until(lambda: writer.num_waiting == 1)
        call.cancel()

    watched.gate.clear()
    asyncio.run(leave())
    watched.gate.set()
    assert asyncio.run(writer.add([event("next")])) == ["stored"]
