"""Time the batches of a training loop that belongs to somebody else, in its own environment.

The scripts beside this file share it and a small exchange: they read ``EVENTS`` (a TSV of user,
item, place, part), train for at most ``SECONDS`` after warm-up, and print one JSON line as the last
of their output.
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

Batch = TypeVar("Batch")


@dataclass
class Stopwatch(Generic[Batch]):
    """Hand out the batches of a loop, note when each step ends, and stop when time is up."""

    batches: Iterable[Batch]
    seconds: float
    """How long to go on after the warm-up."""
    warm_up: int = 3
    """Batches that are not counted: allocation and lazy initialisation happen there."""
    fewest: int = 3
    """Batches that are timed at least, however long they take."""
    ends: list[float] = field(default_factory=list)
    """When each step was over."""

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches; whatever happens between two of them is one training step."""
        for batch in self.batches:
            yield batch
            self.ends.append(time.perf_counter())
            enough = len(self.ends) >= self.warm_up + self.fewest
            if enough and self._elapsed() >= self.seconds:
                return

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch, where the loop knows it."""
        if not isinstance(self.batches, Sized):
            raise TypeError("The loop does not say how many batches it has.")
        return len(self.batches)

    def __getattr__(self, name: str) -> object:
        """Answer for the wrapped loop whatever else a trainer asks of it."""
        return getattr(self.batches, name)

    def report(self, batches_per_epoch: float) -> None:
        """Print the JSON line: seconds for a whole epoch, by the batches timed."""
        timed = len(self.ends) - self.warm_up
        line = {
            "seconds_per_epoch": self._elapsed() / timed * batches_per_epoch,
            "timed_batches": timed,
            "batches_per_epoch": round(batches_per_epoch),
        }
        print(json.dumps(line), flush=True)

    def _elapsed(self) -> float:
        return self.ends[-1] - self.ends[self.warm_up - 1]


@dataclass(frozen=True)
class Arguments:
    """What each rival's script is told on its command line."""

    events: Path
    seconds: float


def read_arguments() -> Arguments:
    """Read ``EVENTS SECONDS`` from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("events", type=Path)
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    return Arguments(events=given.events, seconds=given.seconds)
