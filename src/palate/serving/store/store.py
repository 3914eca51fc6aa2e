"""The store: everything the service must not forget, and must forget when it is told to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import text

from palate.data.field_checks import check_id
from palate.data.item_record import DeletedItem, ItemRecord
from palate.errors import ConfigError
from palate.serving.store import counters, events, items, recommendations, users
from palate.serving.store.database import Database, open_database
from palate.serving.store.keys import Keys
from palate.serving.store.records import (
    ClickThrough,
    Counts,
    Erased,
    Event,
    Mode,
    Outcome,
    Page,
    RecommendationRecord,
    StoredEvent,
    UserRecord,
)
from palate.serving.store.users import ErasedSince


class Store:
    """Users, items, events, answers and keys in one database; for any number of threads.

    What a call that writes has returned is on disk: it outlives the process and the machine.
    Each call raises :class:`palate.serving.overload.StoreUnavailable` when the database does not
    answer, and :class:`palate.errors.DataError` for what cannot be stored or looked for.

    >>> import tempfile
    >>> from palate.serving.store import Event, Store
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = Store.open(f"sqlite:///{folder.name}/palate.db")
    >>> click = Event("ann", "book", "click", None, 1_700_000_000.0, idempotency_key="1")
    >>> store.add_events([click, click], mode="accumulate")
    ['stored', 'duplicate']
    >>> [stored.event.item_id for stored in store.history("ann")]
    ['book']
    >>> store.close()
    >>> folder.cleanup()
    """

    def __init__(self, database: Database) -> None:
        """Use a database as :func:`palate.serving.store.database.open_database` returns it."""
        self._database = database
        self.keys = Keys(database)

    @classmethod
    def open(cls, url: str) -> "Store":
        """Open the store at ``sqlite:///FILE`` or ``postgresql://...``; an empty one is set up.

        Raises:
            ConfigError: when the address cannot be used or no database answers there.
            MissingExtraError: when the driver is not installed.
        """
        return cls(open_database(url))

    # Events

    def add_events(self, new: Sequence[Event], *, mode: Mode) -> list[Outcome]:
        """Add events in one transaction; say of each what became of it.

        An event whose user has one with the same ``idempotency_key`` is a duplicate and changes
        nothing; one without a key is always added. With ``overwrite``, an event takes the place of
        those of the same user, item and type.

        Raises:
            ConfigError: when the mode is unknown.
        """
        return self.add_event_groups([events.Group(new, mode)])[0]

    def add_event_groups(self, groups: Sequence[events.Group]) -> list[list[Outcome]]:
        """Add the events of several calls in one transaction, as if one came after the other."""
        for group in groups:
            if group.mode not in {"accumulate", "overwrite"}:
                raise ConfigError(
                    f"Events cannot be added in the mode {group.mode!r}.",
                    hint="Use accumulate or overwrite.",
                )
        with self._database.writing() as connection:
            return events.add(connection, groups)

    def history(self, user_id: str, limit: int = 200) -> list[StoredEvent]:
        """Return the newest events of a user that nothing overwrote, oldest first."""
        with self._database.reading() as connection:
            return events.history(connection, user_id, limit)

    def recent_events(self, after_sequence: int, limit: int = 100) -> list[StoredEvent]:
        """Return the events that follow ``after_sequence`` in the order of their commits.

        Whoever asks again with the last number they got misses none.
        """
        with self._database.reading() as connection:
            return events.recent(connection, after_sequence, limit)

    def newest_sequence(self) -> int:
        """Return the number of the newest event, 0 where there is none."""
        with self._database.reading() as connection:
            return events.newest(connection)

    # Items

    def upsert_items(self, records: Sequence[ItemRecord]) -> int:
        """Add items or replace them whole; return the number of the newest change.

        Of several records with one id, the last counts.
        """
        with self._database.writing() as connection:
            return items.upsert(connection, records)

    def get_item(self, item_id: str) -> ItemRecord | None:
        """Return an item, or None where the store has none or it was deleted."""
        with self._database.reading() as connection:
            return items.get(connection, item_id)

    def delete_item(self, item_id: str) -> bool:
        """Delete an item, also one that only a model's catalogue has; tell whether it was here.

        Either way the deletion is among :meth:`changed_items`.
        """
        with self._database.writing() as connection:
            return items.delete(connection, item_id)

    def items(self, cursor: str | None = None, limit: int = 100) -> Page[ItemRecord]:
        """Return the items by id, a page at a time."""
        with self._database.reading() as connection:
            return items.some(connection, cursor, limit)

    def changed_items(self, since: int) -> tuple[list[ItemRecord | DeletedItem], int]:
        """Return the items changed after the change ``since`` and the number of the newest change.

        An item that changed twice is there once, as it is now. Whoever asks again with the number
        they got misses none.
        """
        with self._database.reading() as connection:
            return items.changed(connection, since)

    # Users

    def upsert_users(self, records: Sequence[UserRecord]) -> None:
        """Add users or replace their attributes; of two records with one id, the later counts."""
        with self._database.writing() as connection:
            users.upsert(connection, records)

    def get_user(self, user_id: str) -> UserRecord | None:
        """Return a user, or None; whoever has an event is a user."""
        with self._database.reading() as connection:
            return users.get(connection, user_id)

    def users(
        self, cursor: str | None = None, limit: int = 100, *, prefix: str = ""
    ) -> Page[UserRecord]:
        """Return the users by id, of those whose id begins with ``prefix``, a page at a time."""
        with self._database.reading() as connection:
            return users.some(connection, cursor, limit, prefix)

    def users_among(self, user_ids: Collection[str]) -> Mapping[str, UserRecord]:
        """Return the users that there are among some ids."""
        with self._database.reading() as connection:
            return users.among(connection, user_ids)

    def erase_user(self, user_id: str) -> Erased:
        """Remove everything about a user; return how much there was.

        What stays is a keyed hash of the id, so that :meth:`is_erased` can tell that the user's
        training history must not be used either. Later events begin a new history.
        """
        with self._database.writing() as connection:
            erased = users.erase(connection, user_id)
        self._database.empty_log()
        return erased

    def is_erased(self, user_id: str) -> bool:
        """Tell whether the user was ever erased."""
        with self._database.reading() as connection:
            return users.is_erased(connection, user_id)

    def erased_among(self, user_ids: Collection[str]) -> set[str]:
        """Return which of some users were ever erased."""
        with self._database.reading() as connection:
            return users.erased_among(connection, user_ids)

    def num_erasures(self) -> int:
        """Return how many erasures there ever were: the number of the newest."""
        with self._database.reading() as connection:
            return users.num_erasures(connection)

    def erased_since(self, number: int) -> ErasedSince:
        """Return who was erased after the erasure ``number``.

        Whoever asks again with the number they got misses none.
        """
        with self._database.reading() as connection:
            return users.erased_since(connection, number)

    def export_user(self, user_id: str) -> dict[str, object]:
        """Return everything known about a user, as JSON can hold it."""
        check_id("user_id", user_id)
        with self._database.reading() as connection:
            user = users.get(connection, user_id)
            return {
                "user_id": user_id,
                "attributes": None if user is None else dict(user.attributes),
                "events": [
                    asdict(stored.event)
                    | {
                        "sequence": stored.sequence,
                        "received_at": stored.received_at,
                        "overwritten": replaced_by > 0,
                    }
                    for stored, replaced_by in events.of_user(connection, user_id)
                ],
                "recommendations": [
                    asdict(record) | {"item_ids": list(record.item_ids)}
                    for record in recommendations.of_user(connection, user_id)
                ],
                "erased_before": users.is_erased(connection, user_id),
            }

    # Answers

    def record_recommendations(self, records: Sequence[RecommendationRecord]) -> None:
        """Remember answers that were given; one that is known already stays as it is.

        Those to a user who was erased meanwhile are left out.
        """
        with self._database.writing() as connection:
            recommendations.record(connection, records)

    def click_through(self, since: float) -> Mapping[str, ClickThrough]:
        """Return, for each model version, how often its answers given ``since`` then were followed.

        An event counts as a click when its ``recommendation_id`` names an answer with its item.
        """
        with self._database.reading() as connection:
            found = recommendations.click_through(connection, since)
        return {one.model_version: one for one in found}

    def forget_recommendations(self, before: float, *, limit: int = 1_000) -> int:
        """Remove the oldest answers given before then (Unix seconds), at most ``limit``.

        Returns how many were removed: with ``limit`` of them there may be more.
        """
        with self._database.writing() as connection:
            return recommendations.forget(connection, before, limit)

    # The whole

    def counts(self) -> Counts:
        """Return how many users, items and events there are."""
        with self._database.reading() as connection:
            return Counts(
                users=counters.value(connection, "users"),
                items=items.count(connection),
                events=counters.value(connection, "events"),
            )

    def ping(self) -> None:
        """Return when the database answers.

        Raises:
            StoreUnavailable: when it does not.
        """
        with self._database.reading() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close the connections; the store cannot be used any more."""
        self._database.close()
