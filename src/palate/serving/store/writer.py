"""Many calls, one commit: what waits while the disk is busy goes together in the next transaction.

A commit costs a flush of the disk, whether it holds one event or a thousand. One thread writes; the
calls that arrive meanwhile wait in a bounded queue and share the next flush. An idle writer adds no
delay: the first call starts at once.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from palate.serving.overload import Overloaded, StoreUnavailable
from palate.serving.store.events import Group
from palate.serving.store.records import Event, Mode, Outcome
from palate.serving.store.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Call:
    """A caller waiting for the disk."""

    group: Group
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[list[Outcome]]


_Answer = tuple[asyncio.Future[list[Outcome]], list[Outcome] | BaseException]


class EventWriter:
    """Adds events to a store from coroutines, of any number of event loops."""

    def __init__(
        self, store: Store, *, max_waiting: int = 20_000, max_per_commit: int = 2_000
    ) -> None:
        """Be ready to write.

        Args:
            store: where the events go.
            max_waiting: events that may wait for the disk; one call may be larger when none does.
            max_per_commit: events after which a transaction takes no further call.
        """
        self._store = store
        self._max_waiting = max_waiting
        self._max_per_commit = max_per_commit
        self._calls: deque[_Call] = deque()
        self._num_waiting = 0
        self._is_writing = False
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="palate-events")

    @property
    def num_waiting(self) -> int:
        """Events that wait for the disk, those being written included."""
        return self._num_waiting

    async def add(self, events: Sequence[Event], mode: Mode = "accumulate") -> list[Outcome]:
        """Return when the events are on disk, and what became of each.

        A call that is cancelled while it waits may be stored all the same.

        Raises:
            Overloaded: when too many events wait already; none of these was taken.
            StoreUnavailable: when the database cannot write, or the writer is closed.
        """
        if not events:
            return []
        loop = asyncio.get_running_loop()
        call = _Call(Group(events, mode), loop, loop.create_future())
        self._put(call)
        return await call.answer

    def close(self) -> None:
        """Write what waits and end the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.wait_for(lambda: not self._is_writing)
        self._thread.shutdown()

    def _put(self, call: _Call) -> None:
        size = len(call.group.events)
        with self._changed:
            if self._is_closed:
                raise StoreUnavailable("The writer of events is closed.")
            if self._num_waiting and self._num_waiting + size > self._max_waiting:
                raise Overloaded(f"{self._num_waiting:,} events wait to be written.")
            self._calls.append(call)
            self._num_waiting += size
            if not self._is_writing:
                self._begin()

    def _begin(self) -> None:
        """Start the next transaction, if anybody waits; called with the lock held."""
        calls = self._take()
        self._is_writing = bool(calls)
        if calls:
            groups = [call.group for call in calls]
            writing = self._thread.submit(self._store.add_event_groups, groups)
            writing.add_done_callback(partial(self._end, calls))

    def _take(self) -> list[_Call]:
        """Take as many calls as fit into one transaction, at least one where there is any."""
        taken: list[_Call] = []
        num_events = 0
        while self._calls:
            num_events += len(self._calls[0].group.events)
            if taken and num_events > self._max_per_commit:
                break
            taken.append(self._calls.popleft())
        return taken

    def _end(self, calls: Sequence[_Call], written: Future[list[list[Outcome]]]) -> None:
        # Counted before anybody hears of it: who was answered must not find himself waiting.
        with self._changed:
            self._num_waiting -= sum(len(call.group.events) for call in calls)
        _answer(calls, written)
        with self._changed:
            self._begin()
            self._changed.notify_all()


def _answer(calls: Sequence[_Call], written: Future[list[list[Outcome]]]) -> None:
    """Wake the callers, each loop once."""
    error = written.exception()
    if error is not None:
        logger.warning("%d calls could not be written: %s", len(calls), error)
    outcomes: Sequence[list[Outcome] | BaseException] = (
        written.result() if error is None else [error] * len(calls)
    )
    answers: dict[asyncio.AbstractEventLoop, list[_Answer]] = {}
    for call, outcome in zip(calls, outcomes, strict=True):
        answers.setdefault(call.loop, []).append((call.answer, outcome))
    for loop, of_loop in answers.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, of_loop)


def _settle(answers: Sequence[_Answer]) -> None:
    for answer, outcome in answers:
        if answer.done():  # cancelled meanwhile
            continue
        if isinstance(outcome, BaseException):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
