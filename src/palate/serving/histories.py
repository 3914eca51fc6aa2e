"""Histories of users: the events a model was trained on, then those of the store.

Histories are in the catalogue rows of one engine. Those of recent users are kept in memory and grow
with each event, so that the very next recommendation uses it; the store is read once per user.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Container
from dataclasses import dataclass

from palate.inference.engine import Engine
from palate.inference.item_events import ItemEvent
from palate.inference.request import NOBODY
from palate.serving.store import Event, Outcome, Store
from palate.types import History

_EVENTS = 1_000
"""Number of newest events of a user that are read from the store and kept."""
_USERS = 100_000


class Histories:
    """The histories of one model's users; thread-safe."""

    def __init__(self, store: Store, engine: Engine, *, max_users: int = _USERS) -> None:
        """Keep the ``max_users`` most recently used histories in memory."""
        self._store, self._engine, self._max_users = store, engine, max_users
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._reading: dict[str, int] = {}
        """Users who are being read from the store, and how many events arrived meanwhile."""
        self._readers = Counter[str]()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of histories in memory."""
        return len(self._known)

    def known(self, user_id: str) -> History | None:
        """Return the history of a user if it is in memory, without reading the store."""
        with self._lock:
            known = self._known.get(user_id)
            if known is None:
                return None
            self._known.move_to_end(user_id)
            return known.history(self._engine)

    def of(self, user_id: str) -> History:
        """Return the history of a user, empty for an unknown one; this may read the store."""
        while True:
            history = self.known(user_id)
            if history is not None:
                return history
            with self._lock:
                changes = self._reading.setdefault(user_id, 0)
                self._readers[user_id] += 1
            try:
                known = self._read(user_id)
            finally:
                with self._lock:
                    unchanged = self._reading[user_id] == changes
                    self._readers[user_id] -= 1
                    if not self._readers[user_id]:
                        del self._readers[user_id], self._reading[user_id]
            # An event that arrived during the read may or may not be in the result: read again.
            if unchanged:
                with self._lock:
                    return self._keep(user_id, known)

    def append(self, event: Event, outcome: Outcome = "stored") -> None:
        """Add an event that the store has just acknowledged."""
        if outcome == "duplicate":
            return
        with self._lock:
            if event.user_id in self._reading:
                self._reading[event.user_id] += 1
            known = self._known.get(event.user_id)
            # The store knows the place of an event that replaced another, or is not the newest.
            if known is not None and (outcome == "overwritten" or not known.add(event)):
                del self._known[event.user_id]

    def forget(self, user_id: str) -> None:
        """Drop a user from memory."""
        with self._lock:
            self._known.pop(user_id, None)
            if user_id in self._reading:
                self._reading[user_id] += 1

    def forget_all_of(self, erased: Container[str]) -> None:
        """Drop all users who are among the ``erased`` from memory."""
        with self._lock:
            users = [*self._known, *self._reading]
        # A hundred thousand look-ups take a tenth of a second: the lock is not held for it.
        for user_id in users:
            if user_id in erased:
                self.forget(user_id)

    def _read(self, user_id: str) -> "_Known":
        users = self._engine.dataset.interactions.users
        trained = user_id in users and not self._store.is_erased(user_id)
        base = self._engine.dataset.history(user_id) if trained else NOBODY
        return _Known(base, [stored.event for stored in self._store.history(user_id, _EVENTS)])

    def _keep(self, user_id: str, known: "_Known") -> History:
        self._known[user_id] = known
        while len(self._known) > self._max_users:
            self._known.popitem(last=False)
        return known.history(self._engine)


@dataclass(slots=True, eq=False)
class _Known:
    """The events of one user; the history is made from them when it is needed."""

    base: History
    """The events the model was trained on."""
    events: list[Event]
    """The later events, oldest first."""
    made: History | None = None
    made_with: int = -1
    """Number of catalogue rows when ``made`` lacked unknown items; -1 if all were known."""

    def add(self, event: Event) -> bool:
        """Append an event if it is the newest; tell whether it was."""
        if self.events and event.timestamp < self.events[-1].timestamp:
            return False
        self.events.append(event)
        del self.events[:-_EVENTS]
        self.made = None
        return True

    def history(self, engine: Engine) -> History:
        """Return all events as a history, without those of items that the engine lacks."""
        if self.made is None or self.made_with not in (-1, len(engine.catalogue)):
            num_items = len(engine.catalogue)
            events = [ItemEvent(e.item_id, e.event_type, e.value, e.timestamp) for e in self.events]
            self.made, missing = engine.history_of(events, self.base)
            self.made_with = num_items if missing else -1
        return self.made
