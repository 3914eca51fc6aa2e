"""From a question to a reading: who answers, and what they make of the history."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np
from jaxtyping import Bool, Float, Int

from palate.inference.ask import Ask
from palate.inference.engine import LanguageEngine
from palate.inference.model_folder import TrainedModel
from palate.models.baselines import Baseline, Popularity
from palate.serving.catalogue import CatalogueState
from palate.serving.questions import Question
from palate.serving.readings import Reading
from palate.serving.searches import Search
from palate.training.recipe import Form
from palate.training.system import LanguageModelSystem
from palate.types import History, Ranking

POPULAR = "popular"
COLD_START = "cold-start"
_ABOUT_A_HISTORY = frozenset({"next-item", "objective", "scenario", "direct"})
"""Families whose words say nothing of the items wanted: without a history they ask nothing."""
_NOBODY = History(item_rows=np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Way:
    """How one history is to be read."""

    history: History
    """The events of items that the model knows anything about."""
    ask: Ask | None
    """None asks the baseline, or for what is popular."""
    fallback: str | None = None
    search: Search | None = None
    """For codes, where the answer is made of them."""


class HistoryReader:
    """Reads histories with one trained system, which is never changed."""

    def __init__(self, trained: TrainedModel) -> None:
        """Take what was trained."""
        self._dataset = trained.dataset
        self._parts = trained.system if isinstance(trained.system, LanguageModelSystem) else None
        self._baseline = trained.system if isinstance(trained.system, Baseline) else None

    def reads(
        self, state: CatalogueState, rows: Int[np.ndarray, " rows"]
    ) -> Bool[np.ndarray, " rows"]:
        """Return which items a prompt can tell the model of."""
        known: np.ndarray = state.readable[rows]
        if self._parts is not None and self._parts.item_format.item_parts != ("item",):
            # Titles and codes are spelled for the items of training alone.
            known = known & (rows < len(self._dataset.catalog))
        return known

    def known(self, state: CatalogueState, history: History) -> History:
        """Return what the model can be told of: events of items it reads, ratings on its scale."""
        if self._parts is not None:
            history = _only_ratings(history, self._parts.ratings)
        known = self.reads(state, history.item_rows)
        return history if known.all() else history.take(np.flatnonzero(known))

    def way(self, state: CatalogueState, question: Question) -> Way:
        """Decide who answers a question."""
        history = self.known(state, question.history)
        if self._parts is None:
            return Way(history, None)
        search = self.search(question)
        if len(history):
            return Way(history, question.ask, None, search)
        if self._parts.model.config.num_queries == 0:
            return Way(history, None, POPULAR)
        if question.prompt is not None or question.family not in _ABOUT_A_HISTORY:
            return Way(history, question.ask, None, search)
        if COLD_START not in self._parts.tasks:
            return Way(history, None, POPULAR)
        fallback = None if question.family == "next-item" else COLD_START
        return Way(history, Ask(COLD_START, context=question.context), fallback, search)

    def search(self, question: Question) -> Search | None:
        """Return what is to be searched for; None where a question is answered as a set."""
        if self._parts is None or self._parts.recipe.codes is None:
            return None
        form = cast("Form", question.form or self._parts.forms[0])
        return Search.of(question, form, self._parts.recipe.codes.beams)

    def read(self, state: CatalogueState, ways: Sequence[Way]) -> list[Reading]:
        """Return the readings, with one pass of the model for all that share a wording."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for place, way in enumerate(ways):
            groups.setdefault((*_wording(way.ask), way.search), []).append(place)
        found: dict[int, Reading] = {}
        for places in groups.values():
            together = [ways[place] for place in places]
            found |= zip(places, self._together(state, together), strict=True)
        return [found[place] for place in range(len(ways))]

    def _together(self, state: CatalogueState, ways: Sequence[Way]) -> list[Reading]:
        ask, parts = ways[0].ask, self._parts
        if self._baseline is not None:
            return self._by_baseline(self._baseline, ways)
        if parts is None or ask is None:
            return [Reading(None, self._shares, way.fallback) for way in ways]
        engine = LanguageEngine(parts, replace(ask, context=""), state.vectors)
        contexts = [way.ask.context for way in ways if way.ask is not None]
        told = contexts if any(contexts) else None
        spelled = self._spelled(state, engine, ways, told)
        if ways[0].search is not None and ways[0].search.form == "codes":
            return [
                Reading(None, None, way.fallback, found)
                for way, found in zip(ways, spelled, strict=True)
            ]
        users = engine.user_vectors([way.history for way in ways], told)
        vectors = (users * parts.model.scale).numpy()
        blend = None if ways[0].search is None else parts.blend.weight
        extras = self._priors(ask, ways)
        if blend is not None:
            extras = [self._with_newcomers(state, extra) for extra in extras]
        made = zip(ways, vectors, extras, spelled, strict=True)
        return [
            # Copies, for a slice would keep the vectors of the whole batch in memory.
            Reading(own.copy(), extra, way.fallback, found, blend)
            for way, own, extra, found in made
        ]

    def _spelled(
        self,
        state: CatalogueState,
        engine: LanguageEngine,
        ways: Sequence[Way],
        contexts: Sequence[str] | None,
    ) -> Sequence[Ranking | None]:
        search = ways[0].search
        if search is None:
            return [None] * len(ways)
        table = state.spellable(search.filter, search.candidates)
        if not len(table):
            nothing = np.zeros(0, dtype=np.int64)
            return [Ranking(nothing, nothing.astype(np.float32))] * len(ways)
        return engine.spelled(
            [way.history for way in ways],
            search.most,
            table=table,
            exclude_seen=search.exclude_seen,
            contexts=contexts,
        )

    def _priors(self, ask: Ask, ways: Sequence[Way]) -> list[Float[np.ndarray, " trained"] | None]:
        """Return what the prior adds: it speaks of the next item alone, for it reads no words."""
        prior = None if self._parts is None else self._parts.prior
        if prior is None or ask.prompt is not None or ask.family != "next-item":
            return [None] * len(ways)
        scores = prior.baseline.score([self._fitted(way.history) for way in ways])
        return [np.float32(prior.weight) * own for own in scores]

    def _with_newcomers(
        self, state: CatalogueState, extra: Float[np.ndarray, " trained"] | None
    ) -> Float[np.ndarray, " items"]:
        """Raise what training never saw, as hybrid answers do (see ``Blend.new_item_boost``)."""
        assert self._parts is not None
        known = np.zeros(len(state), dtype=bool)
        known[: len(self._parts.features)] = self._parts.features.has_id
        raised = np.where(known, 0, self._parts.blend.new_item_boost).astype(np.float32)
        if extra is not None:
            raised[: len(extra)] += extra
        return raised

    def _by_baseline(self, baseline: Baseline, ways: Sequence[Way]) -> list[Reading]:
        scores = baseline.score([self._fitted(way.history) for way in ways])
        return [
            Reading(None, own.astype(np.float32), POPULAR if self._says_nothing(own) else None)
            for own in scores
        ]

    def _says_nothing(self, scores: Float[np.ndarray, " trained"]) -> bool:
        """Tell a baseline that had nothing to go by: it scores as it does for nobody."""
        personal = not isinstance(self._baseline, Popularity)
        return personal and np.array_equal(scores, self._of_nobody)

    def _fitted(self, history: History) -> History:
        """Return the events whose item a baseline was fitted with."""
        known = history.item_rows < len(self._dataset.catalog)
        return history if known.all() else history.take(np.flatnonzero(known))

    @cached_property
    def _of_nobody(self) -> Float[np.ndarray, " trained"]:
        assert self._baseline is not None
        scores: Float[np.ndarray, " trained"] = self._baseline.score([_NOBODY])[0]
        return scores

    @cached_property
    def _shares(self) -> Float[np.ndarray, " trained"]:
        counts = self._dataset.train_counts
        shares: Float[np.ndarray, " trained"] = (counts / max(counts.sum(), 1)).astype(np.float32)
        return shares


def _wording(ask: Ask | None) -> tuple[object, ...]:
    if ask is None:
        return ()
    return ask.family, ask.prompt, tuple(sorted(ask.slots.items()))


def _only_ratings(history: History, levels: Sequence[float]) -> History:
    """Return the history without values that are off the scale: amounts, not ratings."""
    given = history.ratings
    if given is None or not levels:
        return history
    on_scale = (given >= min(levels)) & (given <= max(levels))
    return replace(history, ratings=np.where(on_scale, given, np.nan).astype(given.dtype))
