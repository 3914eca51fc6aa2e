"""How long an endpoint is waited for, and by how many at once."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock

from palate.llm.endpoint.refusals import OutOfTime, Refused

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0


@dataclass(frozen=True)
class Patience:
    """When to give up."""

    timeout: float = 60.0
    """Seconds until the last byte of one try."""
    total: float = 300.0
    """Seconds for one reply, with all that is tried."""
    retries: int = 4
    """How often a request is sent again that was refused for the time being."""


class Pace:
    """The turn-taking of all threads that ask one endpoint.

    A pause that one of them is asked to make is made by all: the others would be refused too.
    """

    def __init__(self, concurrency: int) -> None:
        """Let so many requests be under way at once."""
        self._places = BoundedSemaphore(concurrency)
        self._resume_at = 0.0
        self._lock = Lock()

    @contextmanager
    def turn(self, deadline: float) -> Iterator[None]:
        """Wait for a place, and for the end of any pause.

        Raises:
            OutOfTime: when the ``deadline``, on the monotonic clock, comes first.
        """
        while (pause := self._resume_at - time.monotonic()) > 0:
            if time.monotonic() + pause > deadline:
                raise OutOfTime(f"it asks for a pause of {pause:.1f} s, for which there is no time")
            time.sleep(pause)
        if not self._places.acquire(timeout=max(deadline - time.monotonic(), 0.0)):
            raise OutOfTime("other requests took all the time")
        try:
            yield
        finally:
            self._places.release()

    def pause(self, refused: Refused, tries: int) -> float:
        """Hold everybody back after a refusal, and return for how many seconds."""
        seconds = refused.retry_after
        if seconds is None:
            seconds = min(_FIRST_PAUSE * 2**tries, _LONGEST_PAUSE)
        with self._lock:
            self._resume_at = max(self._resume_at, time.monotonic() + seconds)
        return seconds
