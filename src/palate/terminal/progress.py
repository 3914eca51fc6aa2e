"""Progress of some work: a bar in a terminal; lines of text in a file, a pipe or a log.

A log gets a line at once, others after 5, 15 and 35 seconds, and then one every half minute, even
while the work itself reports nothing.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING

from palate.terminal.words import console, say

if TYPE_CHECKING:
    from palate.training.loop import Report

_WAITS = (5.0, 10.0, 20.0)
_LAST_WAIT = 30.0


@dataclass(frozen=True)
class Standing:
    """The progress of some work at one moment."""

    what: str
    """What is done: ``Encoding items``."""
    done: int = 0
    total: int = 0
    """0 if unknown."""
    details: str = ""
    """More than a count: the loss, the throughput, the time that is left."""


class Progress:
    """Takes reports of progress, which a bar or lines show."""

    def __init__(self, what: str, show: Callable[[Standing], None]) -> None:
        """Start with what is done first; it is shown already."""
        self._show = show
        self._at = Standing(what)

    def __call__(self, done: int, total: int) -> None:
        """Report how much is done of how much."""
        self.at(Standing(self._at.what, done, total))

    def stage(self, what: str) -> None:
        """Report that other work begins."""
        self.at(Standing(what))

    def at(self, standing: Standing) -> None:
        """Report everything at once."""
        self._at = standing
        self._show(standing)


@contextmanager
def progress_bar(what: str, *, err: bool = False) -> Iterator[Progress]:
    """Show the progress of work that counts (done, total); on the error stream if ``err``.

    Use the error stream where the standard output carries data, such as JSON.
    """
    with _shown(what, err=err) as show:
        yield Progress(what, show)


@dataclass(frozen=True)
class TrainingBar:
    """What a training run reports to the terminal."""

    encoding: Callable[[int, int], None]
    """Items encoded, and items in all."""
    report: Callable[["Report"], None]
    """Takes a report of the training run."""
    status: Callable[[str], None]
    """Takes what is done now, in a few words."""


@contextmanager
def training_progress() -> Iterator[TrainingBar]:
    """Show items encoded, then loss, throughput and time left, and a line for each validation."""
    with progress_bar("Training") as progress:

        def encoding(done: int, total: int) -> None:
            progress.at(Standing("Encoding items", done, total))

        def report(at: "Report") -> None:
            speed = f"{at.interactions_per_second:,.0f}/s"
            name = f"{'Refit, epoch' if at.refit else 'Epoch'} {at.epoch}/{at.epochs}"
            details = f"loss {at.loss:.3f}, {speed}, {spoken(at.seconds_left)} left"
            progress.at(Standing(name, at.step, at.steps, details))
            if at.note:
                say(at.note)
            if at.estimate is not None:
                say(f"Estimate: {at.estimate}, validation and calibration included")
            if at.validation is not None:
                reached = " ".join(["validation", *at.measure.split(), f"{at.validation:.4f}"])
                say(f"{name}  loss {at.loss:.3f}  {reached}  {speed}")

        yield TrainingBar(encoding, report, progress.stage)


def spoken(seconds: float) -> str:
    """Return a duration as people say it: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


@contextmanager
def _shown(what: str, *, err: bool) -> Iterator[Callable[[Standing], None]]:
    stream = sys.stderr if err else sys.stdout
    if stream.isatty() and not console(err=err).is_dumb_terminal:
        with _bar(what, err=err) as show:
            yield show
        return
    lines = Lines(lambda line: say(line, err=err))
    lines.show(Standing(what))
    with lines.at_intervals():
        yield lines.show


@contextmanager
def _bar(what: str, *, err: bool) -> Iterator[Callable[[Standing], None]]:
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = [TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn()]
    columns.append(TextColumn("{task.fields[details]}"))
    # What is printed meanwhile stands above the bar, but only where both go the same way.
    on = console(err=err)
    with Progress(*columns, console=on, transient=True, redirect_stdout=not err) as bar:
        task = bar.add_task(escape(what), total=None, details="")
        clock = _Clock()
        clock.estimate(Standing(what))

        def show(at: Standing) -> None:
            details = escape(at.details or clock.estimate(at))
            what = escape(at.what)
            total = at.total or None
            bar.update(task, description=what, completed=at.done, total=total, details=details)

        yield show


class _Clock:
    """Estimates throughput and the time that is left, for each kind of work from its start."""

    def __init__(self) -> None:
        self._first: Standing | None = None
        self._started = 0.0

    def estimate(self, at: Standing) -> str:
        """Return items a second and time left; empty before both are known."""
        if self._first is None or self._first.what != at.what:
            self._first, self._started = at, time.monotonic()
        seconds, done = time.monotonic() - self._started, at.done - self._first.done
        if not at.total or done <= 0 or seconds <= 0:
            return ""
        speed = done / seconds
        return f"{speed:,.0f}/s, {spoken((at.total - at.done) / speed)} left"


class Lines:
    """Progress as lines of text, for files and pipes."""

    def __init__(self, write: Callable[[str], None]) -> None:
        """Print by ``write``."""
        self._write = write
        self._at = Standing("")
        self._clock = _Clock()
        self._started = time.monotonic()

    def show(self, at: Standing) -> None:
        """Keep the progress; the start of other work is printed at once."""
        new = at.what.split()[:1] != self._at.what.split()[:1]
        self._at = at
        self._clock.estimate(at)
        if new and at.what:
            self._write(f"{at.what} ...")

    def tell(self) -> None:
        """Print the progress."""
        at, parts = self._at, []
        if at.total:
            parts.append(f"{at.done:,} of {at.total:,} ({at.done / at.total:.0%})")
        details = at.details or self._clock.estimate(at)
        if details:
            parts.append(details)
        parts.append(f"{spoken(time.monotonic() - self._started)} so far")
        self._write(f"{at.what}: {', '.join(parts)}")

    @contextmanager
    def at_intervals(self) -> Iterator[None]:
        """Print after growing waits, whether the work reports something or not."""
        over = threading.Event()

        def watch() -> None:
            for seconds in chain(_WAITS, repeat(_LAST_WAIT)):
                if over.wait(seconds):
                    return
                with suppress(OSError):  # the work will meet a closed pipe by itself
                    self.tell()

        watcher = threading.Thread(target=watch, name="progress", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
