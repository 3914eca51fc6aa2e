"""The models in service: loaded beside each other, probed before they are asked, swapped unseen.

Whoever asks takes a :class:`Served` and keeps it until the answer is there, so that a model that
was replaced meanwhile still finishes what it began.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from palate.data.item_record import DeletedItem, ItemRecord
from palate.errors import ArtifactError, ConfigError, NotTrainedError, UnknownItemError
from palate.inference.engine import Engine
from palate.inference.request import NOBODY, Request
from palate.serving.batching import Batcher, BatchingLimits
from palate.serving.histories import EventStore, Histories
from palate.serving.store.records import Event, Outcome
from palate.types import History

_logger = logging.getLogger(__name__)

SERVED_FORMS = ("set", "codes", "hybrid")
"""Forms of answer that are quick enough for a service: not the search for titles, word by word."""

_SHOWN_AT_ONCE = 20_000
_GOLDEN = 0.6180339887498949
"""Steps of this size visit every part of 0..1 evenly, whatever the shares are."""


@runtime_checkable
class LiveStore(EventStore, Protocol):
    """The part of the store that models in service need."""

    def changed_items(self, since: int) -> tuple[Sequence[ItemRecord | DeletedItem], int]:
        """Return the items changed after a change number, and the newest number."""
        ...


@dataclass(frozen=True, eq=False)
class Served:
    """A model in service, with all that is in its rows."""

    engine: Engine
    batcher: Batcher
    histories: Histories
    share: float
    """Part of the traffic it gets, against the shares of the others."""
    folder: Path
    changes: int
    """The store's change number up to which its items are known to be those of the store."""


class ModelPool:
    """The models in service; the tuple of them is replaced as a whole, never changed.

    Loading takes seconds and is meant for a thread; everything else returns at once.
    """

    def __init__(
        self,
        store: LiveStore,
        *,
        limits: BatchingLimits | None = None,
        load: Callable[[Path], Engine] | None = None,
    ) -> None:
        """Serve the users and items of ``store``."""
        self._store, self._limits, self._load = store, limits, load or load_engine
        self._changing = threading.Lock()
        self._turn = 0.0
        self.models: tuple[Served, ...] = ()

    def load(self, folder: Path, share: float = 1.0) -> Served:
        """Load a model beside those in service and give it a share of the traffic.

        Raises:
            ArtifactError: when the folder is not a model, is damaged, or does not answer.
            ConfigError: when the share is negative, or this version is in service already.
        """
        return self.add(self._load(folder), folder, share)

    def add(self, engine: Engine, folder: Path, share: float = 1.0) -> Served:
        """Put a loaded model beside those in service and give it a share of the traffic.

        Raises:
            ArtifactError: when it does not answer.
            ConfigError: when the share is negative, or this version is in service already.
        """
        with self._changing:
            served = self._prepared(engine, folder, _checked(share))
            if any(other.engine.version == served.engine.version for other in self.models):
                raise ConfigError(
                    f"The model in {str(folder)!r} is in service already.",
                    hint="Change its share, or load another folder.",
                )
            self.models = (*self.models, served)
        self.sync()
        return served

    def swap(self, folder: Path, replacing: str | None = None) -> Served:
        """Load a model and let it take the place, and the share, of one in service.

        Whatever goes wrong, the old one stays in service. It finishes what it was asked; then
        ``await old.batcher.close()`` ends its thread, or its owner drops it.

        Args:
            folder: the new model.
            replacing: version of the one to replace; None where there is only one.

        Raises:
            ArtifactError: when the folder is not a model, is damaged, or does not answer.
            ConfigError: when it is not clear which model is to be replaced.
        """
        with self._changing:
            old = self._one(replacing)
            served = self._prepared(self._load(folder), folder, old.share)
            self.models = tuple(served if other is old else other for other in self.models)
        _logger.info("model %s replaces %s", served.engine.version, old.engine.version)
        self.sync()
        return served

    def remove(self, version: str) -> Served:
        """Take a model out of service; the last one has to stay.

        Raises:
            ConfigError: when there is no such model, or no other.
        """
        with self._changing:
            old = self._one(version)
            if len(self.models) == 1:
                raise ConfigError("The only model has to stay.", hint="Swap it for another.")
            self.models = tuple(other for other in self.models if other is not old)
        return old

    def set_share(self, version: str, share: float) -> None:
        """Change how much of the traffic a model gets.

        Raises:
            ConfigError: when there is no such model, or the share is negative.
        """
        with self._changing:
            old = self._one(version)
            new = replace(old, share=_checked(share))
            self.models = tuple(new if other is old else other for other in self.models)

    def choose(self, user_id: str | None) -> Served:
        """Return who answers a user: always the same one while the shares stay as they are.

        A user has a fixed place in 0..1, and the shares are laid out there in order of loading.
        Visitors without an id are dealt out by share.

        Raises:
            NotTrainedError: when no model is in service.
        """
        models = self.models
        if len(models) == 1:
            return models[0]
        if not models:
            raise NotTrainedError("No model is in service.", hint="Load one: palate serve MODEL")
        if user_id is None:
            self._turn = place = (self._turn + _GOLDEN) % 1.0
        else:
            digest = hashlib.blake2b(user_id.encode(errors="surrogatepass"), digest_size=8)
            place = int.from_bytes(digest.digest()) / 2**64
        ends = np.cumsum([served.share for served in models])
        return models[min(int(np.searchsorted(ends, place * ends[-1], "right")), len(models) - 1)]

    def of_version(self, version: str) -> Served:
        """Return the model in service of a version.

        Raises:
            ConfigError: when there is none.
        """
        return self._one(version)

    def sync(self) -> int:
        """Bring the items of all models up to the store; return how many rows changed."""
        with self._changing:
            rows = 0
            models = []
            for served in self.models:
                changes, newest = self._store.changed_items(served.changes)
                rows += _shown(served.engine, changes)
                models.append(
                    served if newest == served.changes else replace(served, changes=newest)
                )
            self.models = tuple(models)
        return rows

    def append(self, event: Event, outcome: Outcome = "stored") -> None:
        """Let every model's histories know of an event that the store has acknowledged."""
        for served in self.models:
            served.histories.append(event, outcome)

    def forget(self, user_id: str) -> None:
        """Drop all that is in memory of a user who was erased from the store."""
        for served in self.models:
            served.histories.forget(user_id)
        self.forget_user_states()

    def forget_all_of(self, erased: Container[str]) -> None:
        """Drop all that is in memory of each user who is among the ``erased``."""
        for served in self.models:
            served.histories.forget_all_of(erased)
        self.forget_user_states()

    def forget_user_states(self) -> None:
        """Drop all that the models made of anybody's history."""
        for served in self.models:
            served.engine.forget_user_states()

    def _prepared(self, engine: Engine, folder: Path, share: float) -> Served:
        changes, newest = self._store.changed_items(0)
        _shown(engine, changes)
        probe(engine)
        histories = Histories(self._store, engine)
        return Served(engine, Batcher(engine, self._limits), histories, share, folder, newest)

    def _one(self, version: str | None) -> Served:
        found = [s for s in self.models if version is None or s.engine.version == version]
        if len(found) == 1:
            return found[0]
        versions = ", ".join(served.engine.version for served in self.models) or "none"
        raise ConfigError(
            "It is not clear which model is meant."
            if version is None
            else f"No model of version {version!r} is in service.",
            hint=f"Versions in service: {versions}.",
        )


def load_engine(folder: Path) -> Engine:
    """Read a model folder, to be asked in the forms that are quick enough.

    Raises:
        ArtifactError: when the folder is not a model, or is damaged.
        NotTrainedError: when the model answers in no such form.
    """
    engine = Engine.load(folder, forms=SERVED_FORMS)
    if not engine.forms:
        raise NotTrainedError(
            f"{engine.name!r} answers in words alone ({', '.join(engine.capabilities.in_words)}), "
            "and a service has to recommend at once.",
            hint="Ask it on the command line (palate --help lists what can be asked), or train "
            "one that does both: palate train DATASET MODEL --recipe palate",
        )
    return engine


def _shown(engine: Engine, changes: Sequence[ItemRecord | DeletedItem]) -> int:
    """Show a model what changed, a part at a time; return how many rows changed.

    Many items at once would keep others from the interpreter for as long as one step of reading
    them all takes.
    """
    parts = range(0, len(changes), _SHOWN_AT_ONCE)
    return sum(engine.catalogue.update(changes[at : at + _SHOWN_AT_ONCE]) for at in parts)


def probe(engine: Engine) -> None:
    """Ask a model for somebody known and for somebody new before it is put into service.

    Raises:
        ArtifactError: when an answer is empty, or holds what is no number.
    """
    interactions = engine.dataset.interactions
    somebody = interactions.history(0) if interactions.num_users else NOBODY
    family = "next-item" if "next-item" in engine.tasks else None
    asked = [NOBODY, somebody.last(50)] if family else []
    try:
        answers = engine.answer([Request(history, 5) for history in asked])
    except (RuntimeError, ValueError, IndexError, UnknownItemError) as error:
        raise _silent(engine, str(error)) from error
    for answer in answers:
        if not len(answer.rows):
            raise _silent(engine, "it recommends nothing")
        if not np.isfinite(answer.scores).all():
            raise _silent(engine, "its scores are no numbers")
    for answer in answers[:1]:
        _probe_words(engine, somebody.last(50), int(answer.rows[0]))


def _probe_words(engine: Engine, somebody: History, item_row: int) -> None:
    """Ask for what is answered in words; what is slow to make for it is made here."""
    try:
        if "rating" in engine.capabilities.in_words and not np.isfinite(
            engine.rate(somebody, item_row).value
        ):
            raise _silent(engine, "its ratings are no numbers")
        if "explanation" in engine.capabilities.in_words:
            engine.explain(somebody, item_row)
    except (RuntimeError, ValueError, IndexError) as error:
        raise _silent(engine, str(error)) from error


def _silent(engine: Engine, why: str) -> ArtifactError:
    return ArtifactError(
        f"The model {engine.name!r} does not answer: {why}.",
        hint="Train it again with: palate train DATASET MODEL",
    )


def _checked(share: float) -> float:
    if not 0 <= share < float("inf"):
        raise ConfigError(f"A share of traffic cannot be {share}.", hint="Give 0 or more.")
    return share
