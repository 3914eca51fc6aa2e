"""The loaded models: each is tested before it answers, and can be swapped while others answer.

A request holds its :class:`Served` until it is answered, so that a model that is replaced meanwhile
still finishes its requests.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from palate.data.item_record import DeletedItem, ItemRecord
from palate.errors import ConfigError, NotTrainedError
from palate.inference.engine import Device, Engine
from palate.inference.self_test import self_test
from palate.serving.batching import Batcher
from palate.serving.histories import Histories
from palate.serving.store import Event, Outcome, Store

_logger = logging.getLogger(__name__)

SERVED_FORMS = ("set", "codes", "hybrid")
"""Forms of answer that are quick enough for a service: not the search for titles, word by word."""

_CHANGES_AT_ONCE = 20_000
_GOLDEN = 0.6180339887498949
"""Steps of this size visit every part of 0..1 evenly, whatever the shares are."""


@dataclass(frozen=True, eq=False)
class Served:
    """A loaded model, its batcher, and the histories in its catalogue rows."""

    engine: Engine
    batcher: Batcher
    histories: Histories
    share: float
    """Its weight when traffic is divided among the models."""
    folder: Path
    changes: int
    """The store's change number up to which its catalogue is up to date."""


class ModelPool:
    """The loaded models; their tuple is replaced as a whole, never modified.

    Loading takes seconds and belongs in a thread; everything else returns at once.
    """

    def __init__(
        self,
        store: Store,
        *,
        load: Callable[[Path], Engine] | None = None,
    ) -> None:
        """Serve the users and items of ``store``."""
        self._store, self._load = store, load or load_engine
        self._changing = threading.Lock()
        self._turn = 0.0
        self.models: tuple[Served, ...] = ()

    def load(self, folder: Path, share: float = 1.0) -> Served:
        """Load a model beside the others and give it a share of the traffic.

        Raises:
            ArtifactError: when the folder is not a model, is damaged, or does not answer.
            ConfigError: when the share is negative, or this version is in service already.
        """
        return self.add(self._load(folder), folder, share)

    def add(self, engine: Engine, folder: Path, share: float = 1.0) -> Served:
        """Add an engine to the others and give it a share of the traffic.

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
        """Load a model that takes the place, and the share, of a loaded one.

        If anything fails, the old model stays. Otherwise the old model still finishes its requests;
        then ``await old.batcher.close()`` ends its thread.

        Args:
            folder: the new model.
            replacing: version of the model to replace; None if there is only one.

        Raises:
            ArtifactError: when the folder is not a model, is damaged, or does not answer.
            ConfigError: when it is not clear which model is to be replaced.
        """
        with self._changing:
            old = self.of_version(replacing)
            served = self._prepared(self._load(folder), folder, old.share)
            self.models = tuple(served if other is old else other for other in self.models)
        _logger.info("model %s replaces %s", served.engine.version, old.engine.version)
        self.sync()
        return served

    def remove(self, version: str) -> Served:
        """Take a model out of service, but never the last one.

        Raises:
            ConfigError: when there is no such model, or no other.
        """
        with self._changing:
            old = self.of_version(version)
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
            old = self.of_version(version)
            new = replace(old, share=_checked(share))
            self.models = tuple(new if other is old else other for other in self.models)

    def choose(self, user_id: str | None) -> Served:
        """Return the model that answers a user, always the same as long as the shares are.

        A hash gives each user a fixed place in 0..1, which the shares divide in the order of
        loading. Requests without a user id are divided evenly by the shares.

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

    def of_version(self, version: str | None) -> Served:
        """Return the loaded model of a version; None means the only model.

        Raises:
            ConfigError: when there is no such model, or more than one.
        """
        models = [s for s in self.models if version is None or s.engine.version == version]
        if len(models) == 1:
            return models[0]
        versions = ", ".join(served.engine.version for served in self.models) or "none"
        raise ConfigError(
            "It is not clear which model is meant."
            if version is None
            else f"No model of version {version!r} is in service.",
            hint=f"Versions in service: {versions}.",
        )

    def sync(self) -> int:
        """Apply the changed items of the store to all models; return how many rows changed."""
        with self._changing:
            rows = 0
            models = []
            for served in self.models:
                changes, newest = self._store.changed_items(served.changes)
                rows += _update_catalogue(served.engine, changes)
                models.append(
                    served if newest == served.changes else replace(served, changes=newest)
                )
            self.models = tuple(models)
        return rows

    def append(self, event: Event, outcome: Outcome = "stored") -> None:
        """Append an event that the store has acknowledged to the histories of every model."""
        for served in self.models:
            served.histories.append(event, outcome)

    def forget_all_of(self, erased: Container[str]) -> None:
        """Drop from memory all data of users who were erased from the store."""
        for served in self.models:
            served.histories.forget_all_of(erased)
        self.forget_user_states()

    def forget_user_states(self) -> None:
        """Drop the cached user states of all models."""
        for served in self.models:
            served.engine.forget_user_states()

    def _prepared(self, engine: Engine, folder: Path, share: float) -> Served:
        changes, newest = self._store.changed_items(0)
        _update_catalogue(engine, changes)
        self_test(engine)
        histories = Histories(self._store, engine)
        return Served(engine, Batcher(engine), histories, share, folder, newest)


def load_engine(folder: Path, device: Device | None = None) -> Engine:
    """Read a model folder, limited to the forms of answers that are quick enough.

    It is loaded onto ``device``; None means a GPU if there is one.

    Raises:
        ArtifactError: when the folder is not a model, or is damaged.
        NotTrainedError: when the model answers in no such form.
    """
    engine = Engine.load(folder, device=device, forms=SERVED_FORMS)
    if not engine.forms:
        raise NotTrainedError(
            f"{engine.name!r} answers in words alone ({', '.join(engine.capabilities.in_words)}), "
            "and a service has to recommend at once.",
            hint="Ask it on the command line (palate --help lists what can be asked), or train "
            "one that does both: palate train DATASET MODEL --recipe palate",
        )
    return engine


def _update_catalogue(engine: Engine, changes: Sequence[ItemRecord | DeletedItem]) -> int:
    """Apply changed items to a model, a part at a time; return how many rows changed.

    One large update would hold the interpreter lock, and so all other threads, for a long step.
    """
    parts = range(0, len(changes), _CHANGES_AT_ONCE)
    return sum(engine.catalogue.update(changes[at : at + _CHANGES_AT_ONCE]) for at in parts)


def _checked(share: float) -> float:
    if not 0 <= share < float("inf"):
        raise ConfigError(f"A share of traffic cannot be {share}.", hint="Give 0 or more.")
    return share
