"""The service behind the routes: keeps the store, the models and the histories consistent."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from palate.inference.engine import Engine
from palate.inference.recommendability import UpsertResult, upsert_result
from palate.serving.answering import Answering
from palate.serving.auth import Gate
from palate.serving.background import repeat, to_the_end
from palate.serving.bodies import Bodies
from palate.serving.clicks import ClickCounter
from palate.serving.erasure import ErasureFollower
from palate.serving.limits import Limits
from palate.serving.listing import Listing
from palate.serving.overload import Overloaded
from palate.serving.pool import ModelPool, Served
from palate.serving.recorder import Recorder
from palate.serving.retention import DAYS_KEPT, Retention
from palate.serving.store import ClickThrough, Event, EventWriter, ItemRecord, Store
from palate.serving.store.records import Mode, Outcome
from palate.serving.telemetry import Gauges, Metrics

_logger = logging.getLogger(__name__)

_RETENTION_SECONDS = 600.0
_ERASURE_SECONDS = 0.5
_FOLLOW_SECONDS = 2.0
"""How often each background work is done."""
_LEAVE_SECONDS = 15.0
"""Longer than any request takes between choosing a model and sending it the request."""


class Service:
    """Everything that changes the store, the models or the histories; slow work runs in threads."""

    def __init__(
        self,
        store: Store,
        *,
        gate: Gate,
        metrics: Metrics,
        limits: Limits,
        days_kept: float = DAYS_KEPT,
        load: Callable[[Path], Engine] | None = None,
    ) -> None:
        """Start without models; answers are recorded for ``days_kept`` days.

        ``load`` reads a model folder for the pool.
        """
        self.store, self.gate, self.metrics, self.limits = store, gate, metrics, limits
        self.bodies = Bodies(limits)
        self.writer = EventWriter(store)
        self.pool = ModelPool(store, load=load)
        self.recorder = Recorder(store)
        self._retention = Retention(store, days_kept)
        self.erasures = ErasureFollower(store, self.pool, self.recorder)
        self.answering = Answering(self.pool, self.recorder)
        self.listing = Listing(store, self.pool)
        self.streams = 0
        """Number of open event streams."""
        self.closing = False
        self._changing = asyncio.Lock()
        self._replaced: list[Served] = []
        """Models out of service that may still get a request that chose them before."""
        self.clicks = ClickCounter(store)
        metrics.gauges = Gauges(
            queue=lambda: self.queue_length,
            caches=lambda: self._cache_counts,
            models=self._model_labels,
            clicks=lambda: self.clicks.figures,
        )

    # --- Life cycle

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the background work; at the end, write everything that waits and close the store."""
        tasks = [
            asyncio.create_task(work)
            for work in (
                self.recorder.run(),
                repeat(self._retention.sweep, _RETENTION_SECONDS, "delete old answers"),
                repeat(self.erasures.follow, _ERASURE_SECONDS, "follow the erasures"),
                repeat(self._follow, _FOLLOW_SECONDS, "follow the items"),
                self._close_replaced(),
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
            for served in [*self._replaced, *self.models]:
                await served.batcher.close()
            await asyncio.to_thread(self.writer.close)
            await asyncio.to_thread(self.store.close)

    async def check(self) -> None:
        """Check that requests can be answered.

        Raises:
            Overloaded: when no model is loaded, or the service is stopping.
            StoreUnavailable: when the store does not answer.
        """
        if self.closing or not self.models:
            raise Overloaded("No model is loaded.", retry_after=5)
        await asyncio.to_thread(self.store.ping)

    # --- Models

    @property
    def models(self) -> Sequence[Served]:
        """The loaded models."""
        return self.pool.models

    @property
    def main(self) -> Engine:
        """The first model, whose catalogue is listed."""
        return self.models[0].engine

    @property
    def queue_length(self) -> int:
        """Number of requests that wait for a model."""
        return sum(one.batcher.waiting for one in self.models) + self.answering.num_slow

    async def load(self, folder: Path, *, share: float) -> str:
        """Load a model beside the others; return its version.

        Raises:
            ArtifactError: when the folder cannot be loaded; nothing has changed.
        """
        async with self._changing:
            served = await asyncio.to_thread(self.pool.load, folder, share)
        _logger.info("model %s loaded from %s", served.engine.version, folder)
        return served.engine.version

    async def swap(self, folder: Path, replaced: str | None) -> str:
        """Load a model that takes the place of another; return its version.

        Raises:
            ArtifactError: when the folder cannot be loaded; nothing has changed.
            ConfigError: when it is not clear which model is to be replaced.
        """
        async with self._changing:
            before = self.models
            served = await asyncio.to_thread(self.pool.swap, folder, replaced)
            self._retire(before)
        return served.engine.version

    async def remove(self, version: str) -> None:
        """Take a model out of service.

        Raises:
            ConfigError: when there is no such model, or no other.
        """
        async with self._changing:
            before = self.models
            self.pool.remove(version)
            self._retire(before)

    def described(self) -> list[dict[str, object]]:
        """Return the capabilities and the share of each model."""
        return [one.engine.describe() | {"share": one.share} for one in self.models]

    def _retire(self, before: Sequence[Served]) -> None:
        """Have the models closed later that were loaded before and are not any more."""
        staying = {one.batcher for one in self.models}
        self._replaced += [one for one in before if one.batcher not in staying]

    # --- Items

    async def upsert_items(self, records: Sequence[ItemRecord]) -> UpsertResult:
        """Store items and update every model; return which of them the main model recommends."""
        async with self._changing:
            await asyncio.to_thread(self.store.upsert_items, records)
            await asyncio.to_thread(self.pool.sync)
        return await asyncio.to_thread(upsert_result, self.main, records)

    async def delete_item(self, item_id: str) -> bool:
        """Delete an item; tell whether it existed."""
        if await asyncio.to_thread(self.listing.record, item_id) is None:
            return False
        async with self._changing:
            await asyncio.to_thread(self.store.delete_item, item_id)
            await asyncio.to_thread(self.pool.sync)
        return True

    def missing(self, item_ids: Collection[str]) -> list[str]:
        """Return the ids that the main model does not know."""
        return sorted(self.main.catalogue.rows_of(list(item_ids))[1])

    # --- Users

    async def feedback(self, events: Sequence[Event], mode: Mode) -> list[Outcome]:
        """Store events durably; the next request uses them."""
        outcomes = await self.writer.add(events, mode)
        for event, outcome in zip(events, outcomes, strict=True):
            self.pool.append(event, outcome)
        self.metrics.events.inc(len(events))
        return outcomes

    async def erase(self, user_id: str) -> dict[str, object]:
        """Erase a user everywhere; return what was removed."""
        learned = await asyncio.to_thread(self.listing.num_learned, user_id)
        # Answers that wait to be recorded must not be written after the user was erased.
        await self.recorder.flush()
        erased = await asyncio.to_thread(self.store.erase_user, user_id)
        self.recorder.forget_all_of({user_id})
        await asyncio.to_thread(self.pool.forget_all_of, {user_id})
        return asdict(erased) | {"training_events": learned}

    async def export(self, user_id: str) -> dict[str, object]:
        """Return all data of a user."""
        await self.recorder.flush()
        stored = await asyncio.to_thread(self.store.export_user, user_id)
        return stored | {"training_events": await asyncio.to_thread(self.listing.learned, user_id)}

    # --- Figures

    async def summary(self) -> dict[str, object]:
        """Return the figures of the operator's page."""
        await self.clicks.refresh()
        counts = await asyncio.to_thread(self.store.counts)
        clicks = {one.model_version: one for one in self.clicks.figures}
        models = [one | _click_figures(clicks.get(str(one["version"]))) for one in self.described()]
        hits, misses = self._cache_counts
        return self.metrics.summary() | {
            "models": models,
            "counts": asdict(counts),
            "health": await asyncio.to_thread(self.listing.health),
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

    # --- Background work

    async def _follow(self) -> None:
        """Apply the changes of items that other processes made in the store."""
        async with self._changing:
            await to_the_end(self.pool.sync)

    async def _close_replaced(self) -> None:
        """Close models out of service once no request can still choose them, until cancelled."""
        while True:
            replaced = list(self._replaced)
            await asyncio.sleep(_LEAVE_SECONDS)
            for one in replaced:
                await one.batcher.close()
                self._replaced.remove(one)
                version = one.engine.version
                if version not in {other.engine.version for other in self.models}:
                    self.answering.forget(version)
                    self.metrics.forget_model(version)


def _click_figures(clicks: ClickThrough | None) -> dict[str, object]:
    if clicks is None or not clicks.shown:
        return {"shown": 0, "clicked": 0, "click_through": None}
    return {"shown": clicks.shown, "clicked": clicks.clicked, "click_through": clicks.rate}
