"""The leak probe: recommenders that only know the numbering of items, and should score near zero.

Files are often numbered in the order of events. If such a number reaches a model (as a row, as an
id in the prompt, as the order of equal scores), the next item can be guessed from it, and results
look better than they are. Each probe guesses in one such way. A probe well above *chance* is a
warning about the data or the numbering. It can also have an honest cause: the Amazon reviews only
have the day of an event and list the events of a day by item id, so that the alphabetical neighbour
of the last item is a little better than chance.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from palate.data.dataset import Cases, Dataset
from palate.data.split import PartName
from palate.types import History, Ranking

logger = logging.getLogger(__name__)

CUTOFFS = (1, 10)
"""List lengths at which the probes are evaluated."""


@dataclass(frozen=True)
class RingProbe:
    """Recommends the items after a place on a ring (a :class:`palate.types.SupportsScore`)."""

    order: Int[np.ndarray, " items"]
    """Rows in the order of the ring; the first follows the last."""
    start: Callable[[Int[np.ndarray, " events"]], int]
    """Maps the places of a history's items, oldest first, to the place where the list begins."""

    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return the negative distance along the ring from the start to each item."""
        num_items = len(self.order)
        starts = np.array([self._start(history) for history in histories], dtype=np.int64)
        return -((self._places[None, :] - starts[:, None]) % num_items).astype(np.float32)

    def recommend(
        self,
        histories: Sequence[History],
        n: int,
        *,
        candidates: Int[np.ndarray, " candidates"] | None = None,
        exclude_seen: bool = True,
    ) -> list[Ranking]:
        """Return the first ``n`` items from the start on."""
        allowed = np.full(len(self.order), candidates is None)
        if candidates is not None:
            allowed[candidates] = True
        # This limit is enough: at most len(history) of the items are already seen.
        limit = len(self.order) if candidates is not None else n
        return [
            self._walk(history, n, _without(allowed, history, exclude_seen), limit + len(history))
            for history in histories
        ]

    def _walk(
        self, history: History, n: int, allowed: Bool[np.ndarray, " items"], limit: int
    ) -> Ranking:
        steps = np.arange(min(limit, len(self.order)))
        rows = self.order[(self._start(history) + steps) % len(self.order)]
        keep = allowed[rows]
        return Ranking(item_rows=rows[keep][:n], scores=-steps[keep][:n].astype(np.float32))

    def _start(self, history: History) -> int:
        return self.start(self._places[history.item_rows]) if len(history) else 0

    @cached_property
    def _places(self) -> Int[np.ndarray, " items"]:
        places = np.empty(len(self.order), dtype=np.int64)
        places[self.order] = np.arange(len(self.order))
        return places


def probes(dataset: Dataset) -> dict[str, RingProbe]:
    """Return the probes of a dataset by name.

    ``largest_row`` and ``largest_id`` assume that numbers grow with time, ``next_id`` that
    alphabetical neighbours go together, ``constant`` that the first rows are special.
    """
    by_row = np.arange(len(dataset.catalog))
    by_id = np.argsort(dataset.catalog.vocabulary.ids.astype(str), kind="stable")
    return {
        "largest_row": RingProbe(by_row, lambda places: int(places.max()) + 1),
        "largest_id": RingProbe(by_id, lambda places: int(places.max()) + 1),
        "next_id": RingProbe(by_id, lambda places: int(places[-1]) + 1),
        "constant": RingProbe(by_row, lambda _: 0),
    }


def probe_leaks(dataset: Dataset, part: PartName = "test") -> dict[str, float]:
    """Return the hit rate of each probe at 1 and 10 (history masked), their ``max`` and ``chance``.

    Keys are ``largest_row@1``, ``largest_row@10``, ``largest_id@1`` and so on. ``chance`` is the
    hit rate at 10 of a list drawn at random for one target per user. A probe above twice ``chance``
    plus one per cent is logged as a warning.
    """
    found = _reached(probes(dataset), dataset, part)
    if found["max"] > 2 * found["chance"] + 0.01:
        worst = max((x for x in found if "@" in x), key=found.__getitem__)
        logger.warning(
            "the leak probe %s reaches %.4f, chance is %.4f: the order of %s tells what comes next",
            worst, found["max"], found["chance"], dataset.name,
        )  # fmt: skip
    return found


def probe_order(
    order: Int[np.ndarray, " items"], dataset: Dataset, part: PartName = "test"
) -> dict[str, float]:
    """Return the hit rates of guessing by an order of the items, such as the order of their codes.

    Keys are as for :func:`probe_leaks`, with the probes ``next`` (the item after the last one) and
    ``largest`` (the item after the largest so far). Codes learned from training events may well be
    above chance, since items chosen together lie together. An order that knows held-out events is
    far above.
    """
    return _reached(
        {
            "next": RingProbe(order, lambda places: int(places[-1]) + 1),
            "largest": RingProbe(order, lambda places: int(places.max()) + 1),
        },
        dataset,
        part,
    )


def _reached(
    guesses: Mapping[str, RingProbe], dataset: Dataset, part: PartName
) -> dict[str, float]:
    """Return the hit rates of each probe, their maximum and chance."""
    cases = dataset.cases(part)
    found: dict[str, float] = {}
    for name, probe in guesses.items():
        rates = _hit_rates(probe, cases)
        found |= {f"{name}@{k}": rate for k, rate in zip(CUTOFFS, rates, strict=True)}
    found["max"] = max(found.values(), default=0.0)
    found["chance"] = min(1.0, CUTOFFS[-1] / max(len(dataset.catalog), 1))
    return found


def _without(
    allowed: Bool[np.ndarray, " items"], history: History, exclude_seen: bool
) -> Bool[np.ndarray, " items"]:
    """Return ``allowed``, without the items of the history if ``exclude_seen``."""
    if not exclude_seen:
        return allowed
    fewer = allowed.copy()
    fewer[history.item_rows] = False
    return fewer


def _hit_rates(probe: RingProbe, cases: Cases) -> list[float]:
    """Return the hit rate at each of :data:`CUTOFFS`."""
    if not len(cases):
        return [0.0 for _ in CUTOFFS]
    hits = np.zeros((len(cases), max(CUTOFFS)), dtype=bool)
    rankings = probe.recommend(cases.histories, max(CUTOFFS))
    for user, (ranking, targets) in enumerate(zip(rankings, cases.targets, strict=True)):
        hits[user, : len(ranking)] = (ranking.item_rows[:, None] == targets).any(axis=1)
    return [float(hits[:, :k].any(axis=1).mean()) for k in CUTOFFS]
