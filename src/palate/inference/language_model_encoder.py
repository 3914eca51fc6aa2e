"""Encoding of histories by a language model: user vectors, code search, titles, and fallbacks."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import cast

import numpy as np
from jaxtyping import Bool, Float, Int

from palate.inference.catalogue_state import CatalogueState
from palate.inference.code_search import CodeSearch
from palate.inference.history_encoder import POPULAR, HistoryEncoder, KnownEvents, Plan
from palate.inference.model_folder import TrainedModel
from palate.inference.prompt_runner import PromptRunner
from palate.inference.request import NOBODY, Request
from palate.inference.title_search import TITLE_BEAMS, TitleSearch
from palate.inference.user_state import UserState
from palate.language.tasks import needs_history
from palate.training.recipe import Form
from palate.training.system import Blend, LanguageModelSystem
from palate.types import History, Ranking

COLD_START = "cold-start"
_FOUND_NOTHING = Ranking(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32))


class EventsInPrompts(KnownEvents):
    """Filters histories to events that a prompt can hold, and ratings to the model's scale."""

    def __init__(self, model: LanguageModelSystem) -> None:
        """Take a trained language model."""
        self._model, self._num_trained = model, model.num_items

    def items(
        self, state: CatalogueState, rows: Int[np.ndarray, " rows"]
    ) -> Bool[np.ndarray, " rows"]:
        """Return the mask of items that the model can read in a history."""
        known = super().items(state, rows)
        if self._model.item_format.item_parts == ("item",):
            return known
        # Titles and codes in prompts are those of the items of training alone; a title can be read
        # even where nobody ever chose the item.
        trained = rows < self._num_trained
        titled = self._titled[np.where(trained, rows, 0)]
        in_prompts: np.ndarray = (known | titled) & trained
        return in_prompts

    @cached_property
    def _titled(self) -> Bool[np.ndarray, " trained"]:
        """Which items of training have a title that the prompts hold."""
        titles = self._model.item_format.titles
        if titles is None or not titles.shape[1]:
            return np.zeros(self._num_trained, dtype=bool)
        return np.asarray(titles[:, 0] >= 0)

    def of(self, state: CatalogueState, history: History) -> History:
        """Return the events that the model can read."""
        return super().of(state, _only_ratings(history, self._model.ratings))


class LanguageModelEncoder(HistoryEncoder):
    """Encodes histories with a language model."""

    def __init__(
        self, trained: TrainedModel, model: LanguageModelSystem, titles: TitleSearch | None
    ) -> None:
        """Take a trained model, its dataset, and its title search if it answers by titles."""
        super().__init__(trained, EventsInPrompts(model))
        self._model, self._titles = model, titles

    @property
    def blend(self) -> Blend:
        """Weights of hybrid answers, tuned on the validation split."""
        return self._model.blend

    def plan(self, state: CatalogueState, request: Request) -> Plan:
        """Decide how a request is answered.

        A history with known events goes to the model. Without any, in this order: the model itself
        if the prompt needs no history, the cold-start task if it was trained, popular items.
        """
        history = self.events.of(state, request.history)
        if len(history):
            return Plan(history, request.left_out, request, None, self.search(request))
        return self._plan_without_history(request)

    def _plan_without_history(self, request: Request) -> Plan:
        popular = Plan(NOBODY, request.left_out, None, POPULAR)
        if self._model.model.config.num_queries == 0:
            # Without query tokens the user vector is read at the last event, and there is none.
            return popular
        if request.prompt is not None or not needs_history(request.family):
            return Plan(NOBODY, request.left_out, request, None, self.search(request))
        if COLD_START not in self._model.tasks:
            return popular
        form = self._form(request)
        if form == "titles":
            # Titles answer only next-item requests.
            form = self._model.forms[0]
        instead = replace(
            request, family=COLD_START, slots={}, wording=0, form=form, history=NOBODY
        )
        return Plan(NOBODY, request.left_out, instead, COLD_START, self.search(instead))

    def search(self, request: Request) -> CodeSearch | None:
        """Return the beam search for a request; None where vectors alone answer it."""
        if not self._model.forms:
            return None
        form, codes = self._form(request), self._model.recipe.codes
        beams = TITLE_BEAMS if codes is None or form == "titles" else codes.beams
        return CodeSearch.of(request, form, beams)

    def _form(self, request: Request) -> Form:
        return cast("Form", request.form or self._model.forms[0])

    def encode_group(
        self, state: CatalogueState, plans: Sequence[Plan], *, weighed: bool
    ) -> list[UserState]:
        """Encode the histories of plans that share wording and search."""
        # The first plan stands for all. In order: popularity fallback, search alone (codes,
        # titles), then vectors with the prior, and with the search result in a hybrid answer.
        request, search = plans[0].request, plans[0].search
        if request is None:
            return [UserState(None, self._shares, plan.fallback) for plan in plans]
        runner = PromptRunner(self._model, replace(request, context=""), state.vectors)
        contexts = [plan.request.context for plan in plans if plan.request is not None]
        given = contexts if any(contexts) else None
        lists: Sequence[Ranking | None] = [None] * len(plans)
        if search is not None and (weighed or search.form != "hybrid"):
            lists = self._searched(state, runner, plans, given)
        if search is not None and search.form != "hybrid":
            pairs = zip(plans, lists, strict=True)
            return [UserState(None, None, plan.fallback, found) for plan, found in pairs]
        users = runner.user_vectors([plan.history for plan in plans], given, _meanings(plans))
        vectors = (users * self._model.model.scale).numpy()
        added = runner.prior_scores([plan.history for plan in plans])
        extras: Sequence[np.ndarray | None] = [None] * len(plans) if added is None else [*added]
        made = zip(plans, vectors, extras, lists, strict=True)
        return [
            # Copied, since a slice would keep the vectors of the whole batch in memory.
            UserState(own.copy(), extra, plan.fallback, found)
            for plan, own, extra, found in made
        ]

    def _searched(
        self,
        state: CatalogueState,
        runner: PromptRunner,
        plans: Sequence[Plan],
        contexts: Sequence[str] | None,
    ) -> Sequence[Ranking]:
        """Return the result of the beam search for each history."""
        search = plans[0].search
        assert search is not None
        histories, left_out = [plan.history for plan in plans], [plan.left_out for plan in plans]
        if search.form == "titles":
            assert self._titles is not None
            return self._titles.find(state, histories, search, left_out, runner.request.prompt)
        table = state.code_table(search.filter, search.candidates)
        if not len(table):
            return [_FOUND_NOTHING] * len(plans)
        return runner.find_by_codes(
            histories, search.most, table=table, left_out=left_out, contexts=contexts
        )

    def blended(
        self, state: CatalogueState, plan: Plan, user: UserState, blend: Blend
    ) -> UserState:
        """Return the state with the blend weight and the new-item boost of a hybrid answer.

        Items without an ID are boosted because a model with item IDs prefers those it has seen
        in training (see ``Blend.new_item_boost``).
        """
        if plan.search is None or plan.search.form != "hybrid":
            return user
        known = np.zeros(len(state), dtype=bool)
        known[: len(self._model.features)] = self._model.features.has_id
        boosted = np.where(known, 0, blend.new_item_boost).astype(np.float32)
        if user.extra is not None:
            boosted[: len(user.extra)] += user.extra
        weight = blend.weight if user.codes is not None else None
        return replace(user, extra=boosted, blend=weight)

    @cached_property
    def _shares(self) -> Float[np.ndarray, " trained"]:
        counts = self.dataset.train_counts
        shares: Float[np.ndarray, " trained"] = (counts / max(counts.sum(), 1)).astype(np.float32)
        return shares


def _meanings(plans: Sequence[Plan]) -> list[str] | None:
    """Return the words whose text vector each prompt has; None where they are the contexts."""
    requests = [plan.request for plan in plans if plan.request is not None]
    if all(request.meaning is None for request in requests):
        return None
    return [r.context if r.meaning is None else r.meaning for r in requests]


def _only_ratings(history: History, levels: Sequence[float]) -> History:
    """Return the history without ratings off the scale, which are amounts of another kind."""
    given = history.ratings
    if given is None or not levels:
        return history
    on_scale = (given >= min(levels)) & (given <= max(levels))
    return replace(history, ratings=np.where(on_scale, given, np.nan).astype(given.dtype))
