"""Claims on keys, so that threads and processes that share a folder do no work twice.

A claim is a lock on one byte of a file, at the place that the key names. The system gives it up
when its process dies, however it dies, so that no claim outlives its owner.
"""

import fcntl
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

_SHORTEST_WAIT, _LONGEST_WAIT = 0.005, 0.1
"""Seconds between two tries. Waiting in the system itself would do, but for threads: it takes two
processes, whose threads wait for one another's threads, for a deadlock."""


class Claims:
    """The claims of this process in one folder."""

    def __init__(self, folder: Path) -> None:
        """Keep the file ``claims`` in ``folder``, which must exist."""
        self._descriptor = os.open(folder / "claims", os.O_RDWR | os.O_CREAT, 0o600)
        self._held: set[int] = set()
        self._lock = Lock()

    @contextmanager
    def of(self, keys: Collection[str]) -> Iterator[None]:
        """Hold the claims on ``keys``, hexadecimal digits, as soon as nobody else does."""
        # In one order for all, or two could each hold what the other waits for.
        places = sorted(map(_place, set(keys)))
        taken: list[int] = []
        try:
            for place in places:
                self._wait_for(place)
                taken.append(place)
            yield
        finally:
            for place in taken:
                self._give_up(place)

    def is_free(self, key: str) -> bool:
        """Return whether nobody, this process included, holds the claim on ``key``."""
        place = _place(key)
        if not self._try(place):
            return False
        self._give_up(place)
        return True

    def _wait_for(self, place: int) -> None:
        pause = _SHORTEST_WAIT
        while not self._try(place):
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_WAIT)

    def _try(self, place: int) -> bool:
        # The system counts a lock as the process's: between threads the set decides.
        with self._lock:
            if place in self._held:
                return False
            with suppress(BlockingIOError, PermissionError):
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
                self._held.add(place)
                return True
            return False

    def _give_up(self, place: int) -> None:
        with self._lock:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, place)
            self._held.discard(place)

    def __del__(self) -> None:
        """Close the file."""
        with suppress(OSError, AttributeError):
            os.close(self._descriptor)


def _place(key: str) -> int:
    """Return the byte of a key: sixty bits of it, which no two keys share."""
    return int(key[:15], 16)
