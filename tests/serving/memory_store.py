"""A store of the simplest kind: what histories and pools ask of one, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from palate.data.item_record import DeletedItem, ItemRecord
from palate.serving.store import Event, Store, StoredEvent


@dataclass
class MemoryStore(Store):
    """What histories and pools ask of a store, in memory."""

    events: list[Event] = field(default_factory=list)
    changes: list[ItemRecord | DeletedItem] = field(default_factory=list)
    erased: set[str] = field(default_factory=set)
    reads: int = 0

    def history(self, user_id: str, limit: int = 200) -> Sequence[StoredEvent]:
        self.reads += 1
        own = sorted((e for e in self.events if e.user_id == user_id), key=lambda e: e.timestamp)
        return [StoredEvent(n, event, 0.0) for n, event in enumerate(own[-limit:])]

    def is_erased(self, user_id: str) -> bool:
        return user_id in self.erased

    def changed_items(self, since: int) -> tuple[list[ItemRecord | DeletedItem], int]:
        return self.changes[since:], len(self.changes)
