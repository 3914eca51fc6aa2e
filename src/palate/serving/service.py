"""The service behind the routes: store, models and people's histories, kept in step."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from palate.errors import PalateError, UnknownItemError
from palate.inference.engine import Engine
from palate.inference.facets import Facets
from palate.inference.item_view import ItemView
from palate.serving.answering import Answering
from palate.serving.auth import Gate
from palate.serving.background import to_the_end
from palate.serving.bodies import Bodies
from palate.serving.clicks import ClickCounter
from palate.serving.erasure import ErasureFollower
from palate.serving.limits import Limits
from palate.serving.listing import Listing
from palate.serving.overload import Overloaded
from palate.serving.pool import ModelPool, Served
from palate.serving.recorder import Recorder
from palate.serving.retention import DAYS_KEPT, Retention
from palate.serving.store import Event, EventWriter, ItemRecord, Store
from palate.serving.store.records import Mode, Outcome
from palate.serving.telemetry import Gauges, Metrics
from palate.serving.upserts import Upserted, upserted

Result = TypeVar("Result")

_logger = logging.getLogger(__name__)

_FOLLOW_SECONDS = 2.0
_LEAVE_SECONDS = 15.0
"""Longer than any request takes from choosing a model to asking it."""


class Service:
    """Everything a route can ask for. Whatever touches the disk runs in a thread."""

    def __init__(
        self,
        store: Store,
        *,
        gate: Gate,
        metrics: Metrics,
        limits: Limits,
        days_kept: float = DAYS_KEPT,
    ) -> None:
        """Take the parts, and how long answers are remembered; models come into the pool."""
        self.store, self.gate, self.metrics, self.limits = store, gate, metrics, limits
        self.bodies = Bodies(limits)
        self.writer = EventWriter(store)
        self.pool = ModelPool(store)
        self.recorder = Recorder(store)
        self._retention = Retention(store, days_kept)
        self.erasures = ErasureFollower(store, self.pool, self.recorder)
        self.answering = Answering(self.pool, self.recorder)
        self.listing = Listing(store, self.pool)
        self.streams = 0
        """Event streams that are open."""
        self.closing = False
        self._changing = asyncio.Lock()
        self._leaving: list[Served] = []
        """Models that were replaced, and may still be asked by who chose them before."""
        self.clicks = ClickCounter(store)
        metrics.gauges = Gauges(
            queue=lambda: self.queue_length,
            caches=lambda: self._cache_counts,
            models=self._model_labels,
            clicks=lambda: self.clicks.figures,
        )

    # Its life.

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the background work going; write what waits when it ends."""
        tasks = [
            asyncio.create_task(work)
            for work in (
                self.recorder.run(),
                self._retention.run(),
                self.erasures.run(),
                self._follow(),
                self._see_off(),
            )
        ]
        try:
            yield
        finally:
            self.closing = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.clicks.close()
            await self.recorder.flush()
            self.answering.close()
            for served in [*self._leaving, *self.pool.models]:
                await served.batcher.close()
            await asyncio.to_thread(self.writer.close)
            await asyncio.to_thread(self.store.close)

    async def call(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Return what a function of the store gives, called in a thread."""
        return await asyncio.to_thread(function, *arguments)

    async def check(self) -> None:
        """Return when questions can be answered.

        Raises:
            Overloaded: when no model is loaded, or the service is going down.
            StoreUnavailable: when the store does not answer.
        """
        if self.closing or not self.models:
            raise Overloaded("No model is loaded.", retry_after=5)
        await self.call(self.store.ping)

    # Models.

    @property
    def models(self) -> Sequence[Served]:
        """The loaded models."""
        return self.pool.models

    @property
    def main(self) -> Engine:
        """The model whose catalogue is listed: the first."""
        return self.pool.models[0].engine

    @property
    def queue_length(self) -> int:
        """Questions that wait for a model."""
        return sum(one.batcher.waiting for one in self.models) + self.answering.num_aside

    async def load(self, folder: Path, *, share: float) -> str:
        """Load a model beside the others; return its version.

        Raises:
            ArtifactError: when the folder cannot be loaded; nothing has changed then.
        """
        async with self._changing:
            served = await self.call(self.pool.load, folder, share)
        _logger.info("model %s loaded from %s", served.engine.version, folder)
        return served.engine.version

    async def swap(self, folder: Path, replaced: str | None) -> str:
        """Load a model and let it take the place of another; return its version.

        Raises:
            ArtifactError: when the folder cannot be loaded; nothing has changed then.
            ConfigError: when it is not clear which model is to be replaced.
        """
        async with self._changing:
            before = self.models
            served = await self.call(self.pool.swap, folder, replaced)
            self._leave(before)
        return served.engine.version

    async def remove(self, version: str) -> None:
        """Take a model out of service.

        Raises:
            ConfigError: when there is no such model, or no other.
        """
        async with self._changing:
            before = self.models
            self.pool.remove(version)
            self._leave(before)

    def described(self) -> list[dict[str, object]]:
        """Return what each model can and cannot answer."""
        return [one.engine.describe() | {"share": one.share} for one in self.models]

    def _leave(self, before: Sequence[Served]) -> None:
        staying = {one.batcher for one in self.models}
        for one in before:
            if one.batcher not in staying:
                self._leaving.append(one)

    # Items.

    async def items(
        self, cursor: str | None, limit: int, wanted: str | None
    ) -> tuple[list[dict[str, object]], str | None]:
        """Return a page of items."""
        return await self.call(self.listing.items, cursor, limit, wanted)

    async def facets(self, most: int) -> Facets:
        """Return what the catalogue can be filtered by."""
        return await self.call(self.main.catalogue.facets, most)

    async def record(self, item_id: str) -> ItemRecord | None:
        """Return an item as the store would hold it, None where there is none."""
        return await self.call(self._record, item_id)

    async def item(self, item_id: str) -> dict[str, object] | None:
        """Return all that is known of an item, None where there is none."""
        return await self.call(self._item, item_id)

    def _record(self, item_id: str) -> ItemRecord | None:
        record, view = self.store.get_item(item_id), self._view(item_id)
        if record is not None or view is None:
            return record
        return ItemRecord(
            item_id=item_id,
            title=view.title,
            description=view.description,
            brand=view.brand,
            categories=view.categories,
            price=view.price,
            in_stock=view.in_stock,
        )

    def _item(self, item_id: str) -> dict[str, object] | None:
        record, view = self._record(item_id), self._view(item_id)
        if record is None:
            return None
        said = {name: x for name, x in asdict(record).items() if name != "updated"}
        return said | {"has_image": view is not None and view.has_image}

    def _view(self, item_id: str) -> ItemView | None:
        try:
            return self.main.catalogue.item(item_id)
        except UnknownItemError:
            return None

    async def image(self, item_id: str) -> bytes | None:
        """Return the picture of an item, None where it has none.

        Raises:
            UnknownItemError: when there is no such item.
        """
        return await self.call(self.main.catalogue.image, item_id)

    async def upsert_items(self, records: Sequence[ItemRecord]) -> Upserted:
        """Store items and show them to every model; return which of them it can recommend."""
        async with self._changing:
            await self.call(self.store.upsert_items, records)
            await self.call(self.pool.sync)
        return await self.call(upserted, self.main, records)

    async def delete_item(self, item_id: str) -> bool:
        """Delete an item; tell whether there was one."""
        if await self.record(item_id) is None:
            return False
        async with self._changing:
            await self.call(self.store.delete_item, item_id)
            await self.call(self.pool.sync)
        return True

    def missing(self, item_ids: Collection[str]) -> list[str]:
        """Return the ids that the main model does not know."""
        return sorted(self.main.catalogue.rows_of(list(item_ids))[1])

    # Users.

    async def users(
        self, cursor: str | None, limit: int, wanted: str | None
    ) -> tuple[list[dict[str, object]], str | None]:
        """Return a page of users."""
        return await self.call(self.listing.users, cursor, limit, wanted)

    async def user(self, user_id: str) -> dict[str, object] | None:
        """Return what is known of a user beside the events, None where there is nobody."""
        return await self.call(self.listing.user, user_id)

    async def past(self, user_id: str, limit: int) -> list[dict[str, object]]:
        """Return what a user did, oldest first."""
        return await self.call(self.listing.past, user_id, limit)

    async def feedback(self, events: Sequence[Event], mode: Mode) -> list[Outcome]:
        """Store events for good; the next question sees them."""
        outcomes = await self.writer.add(events, mode)
        for event, outcome in zip(events, outcomes, strict=True):
            self.pool.append(event, outcome)
        self.metrics.events.inc(len(events))
        return outcomes

    async def erase(self, user_id: str) -> dict[str, object]:
        """Remove everything about a user; return what was removed."""
        learned = await self.call(self.listing.num_learned, user_id)
        # Answers that wait to be recorded must not come back after the user is gone.
        await self.recorder.flush()
        erased = await self.call(self.store.erase_user, user_id)
        self.recorder.forget(user_id)
        self.pool.forget(user_id)
        return asdict(erased) | {"training_events": learned}

    async def export(self, user_id: str) -> dict[str, object]:
        """Return everything that is known of a user."""
        await self.recorder.flush()
        stored = await self.call(self.store.export_user, user_id)
        return stored | {"training_events": await self.call(self.listing.learned, user_id)}

    # Figures.

    async def before_newest(self, count: int) -> int:
        """Return the sequence number after which the newest ``count`` events come, about."""
        return max(0, await self.call(self.store.newest_sequence) - count)

    async def summary(self) -> dict[str, object]:
        """Return what the operator's page draws."""
        await self.clicks.refresh()
        counts = await self.call(self.store.counts)
        clicks = {one.version: one for one in self.clicks.figures}
        models = []
        for described in self.described():
            one = clicks.get(str(described["version"]))
            shown, clicked = (one.shown, one.clicked) if one else (0, 0)
            models.append(
                described
                | {
                    "shown": shown,
                    "clicked": clicked,
                    "click_through": clicked / shown if shown else None,
                }
            )
        hits, misses = self._cache_counts
        return self.metrics.summary() | {
            "models": models,
            "counts": asdict(counts),
            "health": await self.call(self.listing.health),
            "queue_length": self.queue_length,
            "events_waiting": self.writer.num_waiting,
            "answers_not_recorded": self.recorder.lost,
            "cache": {"hits": hits, "misses": misses},
            "open": self.gate.is_open,
        }

    def _model_labels(self) -> list[Mapping[str, str]]:
        return [
            {"name": one.engine.name, "version": one.engine.version, "share": f"{one.share:g}"}
            for one in self.models
        ]

    @property
    def _cache_counts(self) -> tuple[int, int]:
        counts = [one.engine.cache for one in self.models]
        return sum(one.hits for one in counts), sum(one.misses for one in counts)

    # What goes on in the background.

    async def _follow(self) -> None:
        """Take what other processes changed in the store."""
        while True:
            await asyncio.sleep(_FOLLOW_SECONDS)
            try:
                async with self._changing:
                    await to_the_end(self.pool.sync)
            except PalateError as error:
                _logger.warning("the store could not be followed: %s", error)

    async def _see_off(self) -> None:
        """Close a replaced model when nobody who chose it before can still ask it."""
        while True:
            leaving = list(self._leaving)
            await asyncio.sleep(_LEAVE_SECONDS)
            for one in leaving:
                await one.batcher.close()
                self._leaving.remove(one)
                version = one.engine.version
                if version not in {other.engine.version for other in self.models}:
                    self.answering.forget(version)
                    self.metrics.forget_model(version)
