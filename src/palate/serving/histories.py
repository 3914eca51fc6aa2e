"""Who did what until now: the events a model was trained on, and all that came since.

Histories are in the rows of one engine. Those of recent users are kept in memory and grow with
each event, so that the very next recommendation sees it; the store is read once per user.
"""

import threading
from collections import OrderedDict
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from palate.errors import UnknownItemError
from palate.inference.engine import Engine
from palate.serving.store.records import Event, Outcome, StoredEvent
from palate.types import History

_EVENTS = 1_000
"""Events of a user that are read back from the store, the newest; what is older is forgotten."""
_USERS = 100_000
_LARGEST = float(np.finfo(np.float32).max)


@runtime_checkable
class EventStore(Protocol):
    """The part of the store that histories need."""

    def history(self, user_id: str, limit: int = 200) -> Sequence[StoredEvent]:
        """Return a user's newest events, oldest first."""
        ...

    def is_erased(self, user_id: str) -> bool:
        """Tell whether the user asked to be forgotten."""
        ...


class Histories:
    """The histories of one model's users; safe to use from several threads."""

    def __init__(self, store: EventStore, engine: Engine, *, max_users: int = _USERS) -> None:
        """Keep up to ``max_users`` histories in memory, those used last."""
        self._store, self._engine, self._max_users = store, engine, max_users
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._reading: dict[str, int] = {}
        """Users being read from the store, and how many events came meanwhile."""
        self._readers: dict[str, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of histories in memory."""
        return len(self._known)

    def known(self, user_id: str) -> History | None:
        """Return the history of a user if it is in memory: this never waits for the store."""
        with self._lock:
            known = self._known.get(user_id)
            if known is None:
                return None
            self._known.move_to_end(user_id)
            return known.history(self._engine)

    def of(self, user_id: str) -> History:
        """Return the history of a user, empty for somebody unknown; this may read the store."""
        while True:
            history = self.known(user_id)
            if history is not None:
                return history
            with self._lock:
                changes = self._reading.setdefault(user_id, 0)
                self._readers[user_id] = self._readers.get(user_id, 0) + 1
            try:
                known = self._read(user_id)
            finally:
                with self._lock:
                    unchanged = self._reading[user_id] == changes
                    self._readers[user_id] -= 1
                    if not self._readers[user_id]:
                        del self._readers[user_id], self._reading[user_id]
            # An event that came while the store was read may or may not be in what was read.
            if unchanged:
                with self._lock:
                    return self._keep(user_id, known)

    def append(self, event: Event, outcome: Outcome = "stored") -> None:
        """Take an event that the store has just acknowledged."""
        if outcome == "duplicate":
            return
        with self._lock:
            if event.user_id in self._reading:
                self._reading[event.user_id] += 1
            known = self._known.get(event.user_id)
            # One that replaces another, or is older than the last, has its place from the store.
            if known is not None and (outcome == "overwritten" or not known.add(event)):
                del self._known[event.user_id]

    def forget(self, user_id: str) -> None:
        """Drop what is in memory: the user was erased, or their events were changed."""
        with self._lock:
            self._known.pop(user_id, None)
            if user_id in self._reading:
                self._reading[user_id] += 1

    def forget_all_of(self, erased: Container[str]) -> None:
        """Drop what is in memory of each user who is among the ``erased``."""
        with self._lock:
            users = [*self._known, *self._reading]
        # To look a hundred thousand users up takes a tenth of a second: nobody waits for it.
        for user_id in users:
            if user_id in erased:
                self.forget(user_id)

    def _read(self, user_id: str) -> "_Known":
        users = self._engine.dataset.interactions.users
        trained = user_id in users and not self._store.is_erased(user_id)
        base = self._engine.dataset.history(user_id) if trained else None
        return _Known(base, [stored.event for stored in self._store.history(user_id, _EVENTS)])

    def _keep(self, user_id: str, known: "_Known") -> History:
        self._known[user_id] = known
        while len(self._known) > self._max_users:
            self._known.popitem(last=False)
        return known.history(self._engine)


@dataclass(slots=True, eq=False)
class _Known:
    """The events of one user; the arrays are made when they are asked for."""

    base: History | None
    """What the model was trained on."""
    events: list[Event]
    """What came since, oldest first."""
    made: History | None = None
    made_with: int = -1
    """Number of items of the model when ``made`` was, where an event was of an item it lacked."""

    def add(self, event: Event) -> bool:
        """Append the newest event; False where it is not the newest."""
        if self.events and event.timestamp < self.events[-1].timestamp:
            return False
        self.events.append(event)
        del self.events[:-_EVENTS]
        self.made = None
        return True

    def history(self, engine: Engine) -> History:
        """Return all as a history in the rows of ``engine``; items it lacks are left out."""
        if self.made is None or self.made_with not in (-1, len(engine.catalogue)):
            num_items = len(engine.catalogue)
            later, complete = _history(self.events, engine)
            self.made = later if self.base is None else self.base.extended(later)
            self.made_with = -1 if complete else num_items
        return self.made


def _history(events: Sequence[Event], engine: Engine) -> tuple[History, bool]:
    """Return events in the rows and codes of a model, and whether it knows all of their items."""
    codes = {name: code for code, name in enumerate(engine.dataset.interactions.event_types)}
    known: list[tuple[int, Event]] = []
    for event in events:
        try:
            known.append((engine.catalogue.row_of(event.item_id), event))
        except UnknownItemError:
            continue
    values = [np.nan if e.value is None else e.value for _, e in known]
    history = History(
        item_rows=np.asarray([row for row, _ in known], dtype=np.int64),
        event_types=np.asarray([codes.get(e.event_type, -1) for _, e in known], dtype=np.int64),
        ratings=np.clip(values, -_LARGEST, _LARGEST).astype(np.float32),
        timestamps=np.asarray([int(e.timestamp) for _, e in known], dtype=np.int64),
        scenarios=np.full(len(known), -1, dtype=np.int64),
    )
    return history, len(known) == len(events)


def history_of(engine: Engine, events: Sequence[Event]) -> History:
    """Return a session as a history of nobody in particular; items the model lacks are left out."""
    return _history(events, engine)[0]
