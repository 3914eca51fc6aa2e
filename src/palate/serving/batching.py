"""Batching: requests that arrive together share one forward pass, and never wait for more.

A request with a cached user state costs a matrix product and a selection: it is answered on the
event loop, together with the others of the same turn. The rest go to one thread, which takes
everything that arrived while it was busy; an idle thread starts at once. The queue is bounded,
every request has a deadline, and a request whose client hung up leaves the queue.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from palate.inference.request import Answer, Request
from palate.serving.overload import Overloaded

_INLINE_WORK = 20_000_000
"""Multiplications that may block the event loop at a time: a few milliseconds."""


@runtime_checkable
class SupportsAnswer(Protocol):
    """The part of an :class:`~palate.inference.engine.Engine` that a batcher uses."""

    @property
    def work(self) -> int:
        """Number of multiplications of one answer without a forward pass."""
        ...

    def check(self, request: Request) -> None:
        """Refuse a request that cannot be answered."""
        ...

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Return the answers."""
        ...

    def answer_known(self, requests: Sequence[Request]) -> list[Answer | None]:
        """Return the answers that need no forward pass, None for the others."""
        ...


@dataclass(frozen=True)
class BatchingLimits:
    """Limits of one batcher."""

    max_batch: int = 64
    """Number of requests in one forward pass."""
    max_waiting: int = 1_024
    """Number of requests in the queue; further ones are refused."""
    deadline: float = 5.0
    """Seconds after which a waiting request is refused."""


class Batcher:
    """Groups the requests to one engine into batches; used from one event loop."""

    def __init__(self, engine: SupportsAnswer, limits: BatchingLimits | None = None) -> None:
        """Ask ``engine``; the first request that needs a thread starts it."""
        self.engine = engine
        self._limits = limits or BatchingLimits()
        self._arrived: list[_Waiting] = []
        # A dictionary, so that a request whose client hung up is removed in constant time.
        self._queue: dict[int, _Waiting] = {}
        self._alone: deque[_Waiting] = deque()
        self._thread: ThreadPoolExecutor | None = None
        self._busy = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """Number of requests in the queue."""
        return len(self._arrived) + len(self._queue) + len(self._alone)

    async def ask(self, request: Request) -> Answer:
        """Return the answer to one request.

        Raises:
            Overloaded: when the queue is full, or the answer did not come in time.
            NotTrainedError: when the model cannot answer it.
            ConfigError: when it lacks what its family needs.
        """
        self.engine.check(request)
        if self.waiting >= self._limits.max_waiting:
            raise Overloaded(f"{self.waiting:,} requests are waiting.")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(request, loop.create_future())
        if not self._arrived:
            self._idle.clear()
            loop.call_soon(self._take)
        self._arrived.append(waiting)
        timer = loop.call_later(self._limits.deadline, waiting.give_up, self._limits.deadline)
        try:
            return await waiting.answer
        finally:
            timer.cancel()
            self._queue.pop(id(waiting), None)

    async def close(self) -> None:
        """Wait until no request waits, then end the thread; a later request starts a new one."""
        await self._idle.wait()
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None

    def _take(self) -> None:
        """Answer the requests of this turn of the loop; queue those that need a forward pass."""
        arrived, self._arrived = self._arrived, []
        here = [waiting for waiting in arrived if not waiting.answer.done()]
        at_once = _INLINE_WORK // max(self.engine.work, 1)
        try:
            unread = self._answer_known(here, at_once) if at_once else here
        except BaseException as error:
            for waiting in here:
                waiting.fail(error)
            self._wake()
            raise
        self._queue |= {id(waiting): waiting for waiting in unread}
        self._wake()

    def _answer_known(self, some: Sequence["_Waiting"], at_once: int) -> list["_Waiting"]:
        """Answer the requests that need no forward pass; return the others."""
        unread = []
        for start in range(0, len(some), at_once):
            part = some[start : start + at_once]
            answers = self.engine.answer_known([waiting.request for waiting in part])
            for waiting, answer in zip(part, answers, strict=True):
                if answer is None:
                    unread.append(waiting)
                else:
                    waiting.tell(answer)
        return unread

    def _wake(self) -> None:
        """Give the next batch to the thread, if the thread is idle."""
        batch = [] if self._busy else self._next_batch()
        if batch:
            self._busy = True
            self._idle.clear()
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="palate-model")
            requests = [waiting.request for waiting in batch]
            work = asyncio.get_running_loop().run_in_executor(
                self._thread, self.engine.answer, requests
            )
            work.add_done_callback(lambda done: self._finish(batch, done))
        elif not self._busy and not self._arrived:
            self._idle.set()

    def _next_batch(self) -> list["_Waiting"]:
        while self._alone:
            waiting = self._alone.popleft()
            if not waiting.answer.done():
                return [waiting]
        batch: list[_Waiting] = []
        while self._queue and len(batch) < self._limits.max_batch:
            waiting = self._queue.pop(next(iter(self._queue)))
            if not waiting.answer.done():
                batch.append(waiting)
        return batch

    def _finish(self, batch: Sequence["_Waiting"], done: "asyncio.Future[list[Answer]]") -> None:
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is None:
            for waiting, answer in zip(batch, done.result(), strict=True):
                waiting.tell(answer)
        elif len(batch) > 1:
            # One request that fails must not fail the others: each is tried alone.
            self._alone.extend(batch)
        else:
            batch[0].fail(error)
        self._busy = False
        self._wake()


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A request, and the future of its answer."""

    request: Request
    answer: "asyncio.Future[Answer]"

    def tell(self, answer: Answer) -> None:
        """Set the answer, unless the request was given up."""
        if not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def give_up(self, seconds: float) -> None:
        self.fail(Overloaded(f"No answer within {seconds:g} s."))
