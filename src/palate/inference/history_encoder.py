"""History encoder: from requests to plans (which model answers), and on to user states."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np
from jaxtyping import Bool, Float, Int

from palate.errors import NotTrainedError
from palate.inference.catalogue_state import CatalogueState
from palate.inference.code_search import CodeSearch
from palate.inference.model_folder import TrainedModel
from palate.inference.prompt_runner import PromptRunner
from palate.inference.request import NOBODY, Request
from palate.inference.title_search import TITLE_BEAMS, TitleSearch
from palate.inference.user_state import UserState
from palate.language.tasks import needs_history
from palate.models.baselines import Baseline, Popularity
from palate.training.recipe import Form
from palate.training.system import Blend, LanguageModelSystem
from palate.types import History, Ranking

POPULAR = "popular"
COLD_START = "cold-start"
_FOUND_NOTHING = Ranking(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32))


@dataclass(frozen=True, slots=True)
class Plan:
    """How one request is answered: by the model, by a baseline, or by a fallback."""

    history: History
    """The events of items that the system knows."""
    left_out: Int[np.ndarray, " rows"]
    """Rows excluded from a search."""
    request: Request | None
    """The request for the model; None for a baseline or the popularity fallback."""
    fallback: str | None = None
    search: CodeSearch | None = None
    """The beam search; None where vectors alone answer."""

    @property
    def group(self) -> tuple[object, ...]:
        """Key shared by plans that one forward pass can handle together."""
        return (self.request and self.request.worded, self.search)


class KnownEvents:
    """Filters histories to the events of known items, and ratings to the model's scale."""

    def __init__(self, trained: TrainedModel) -> None:
        """Take a trained system."""
        self._num_trained = len(trained.dataset.catalog)
        self._parts = trained.system if isinstance(trained.system, LanguageModelSystem) else None

    def items(
        self, state: CatalogueState, rows: Int[np.ndarray, " rows"]
    ) -> Bool[np.ndarray, " rows"]:
        """Return the mask of items that the model can read in a history."""
        known: np.ndarray = state.readable[rows]
        if self._parts is None or self._parts.item_format.item_parts == ("item",):
            return known
        # Titles and codes in prompts are those of the items of training alone; a title can be read
        # even where nobody ever chose the item.
        trained = rows < self._num_trained
        titled = self._titled[np.where(trained, rows, 0)]
        told: np.ndarray = (known | titled) & trained
        return told

    @cached_property
    def _titled(self) -> Bool[np.ndarray, " trained"]:
        """Which items of training have a title that the prompts hold."""
        titles = None if self._parts is None else self._parts.item_format.titles
        if titles is None or not titles.shape[1]:
            return np.zeros(self._num_trained, dtype=bool)
        return np.asarray(titles[:, 0] >= 0)

    def check(self, state: CatalogueState, rows: Int[np.ndarray, " rows"]) -> None:
        """Refuse items that the system cannot read.

        Raises:
            NotTrainedError: naming the first of them.
        """
        known = self.items(state, rows)
        if known.all():
            return
        item_id = state.views[int(rows[~known][0])].item_id
        raise NotTrainedError(
            f"This model knows nothing of the item {item_id!r}: it was not there in training, and "
            "nothing of it can be read.",
            hint="Give it a title, brand, categories or a price; if it has them, train again with "
            "it: palate train DATASET MODEL",
        )

    def of(self, state: CatalogueState, history: History) -> History:
        """Return the events that the system can read."""
        if self._parts is not None:
            history = _only_ratings(history, self._parts.ratings)
        known = self.items(state, history.item_rows)
        return history if known.all() else history.take(np.flatnonzero(known))


class HistoryEncoder:
    """Encodes histories with one trained system, which is never modified."""

    def __init__(self, trained: TrainedModel, titles: TitleSearch | None = None) -> None:
        """Take a trained system, and its title search if it answers by titles."""
        self._dataset, self._titles = trained.dataset, titles
        self.events = KnownEvents(trained)
        """Filters histories to what the system can read."""
        self._parts = trained.system if isinstance(trained.system, LanguageModelSystem) else None
        self._baseline = trained.system if isinstance(trained.system, Baseline) else None

    def plan(self, state: CatalogueState, request: Request) -> Plan:
        """Decide how a request is answered.

        A history with known events goes to the model. Without any, in this order: the model itself
        if the prompt needs no history, the cold-start task if it was trained, popular items.
        """
        history = self.events.of(state, request.history)
        if self._parts is None:
            return Plan(history, request.left_out, None)
        if len(history):
            return Plan(history, request.left_out, request, None, self.search(request))
        return self._plan_without_history(request)

    def _plan_without_history(self, request: Request) -> Plan:
        assert self._parts is not None
        popular = Plan(NOBODY, request.left_out, None, POPULAR)
        if self._parts.model.config.num_queries == 0:
            # Without query tokens the user vector is read at the last event, and there is none.
            return popular
        if request.prompt is not None or not needs_history(request.family):
            return Plan(NOBODY, request.left_out, request, None, self.search(request))
        if COLD_START not in self._parts.tasks:
            return popular
        form = self._form(request)
        if form == "titles":
            # Titles answer only next-item requests.
            form = self._parts.forms[0]
        instead = replace(
            request, family=COLD_START, slots={}, wording=0, form=form, history=NOBODY
        )
        return Plan(NOBODY, request.left_out, instead, COLD_START, self.search(instead))

    def search(self, request: Request) -> CodeSearch | None:
        """Return the beam search for a request; None where vectors alone answer it."""
        if self._parts is None or not self._parts.forms:
            return None
        form, codes = self._form(request), self._parts.recipe.codes
        beams = TITLE_BEAMS if codes is None or form == "titles" else codes.beams
        return CodeSearch.of(request, form, beams)

    def encode(self, state: CatalogueState, plans: Sequence[Plan]) -> list[UserState]:
        """Return the user states; plans that share a wording share one forward pass."""
        blend = Blend(0.0) if self._parts is None else self._parts.blend
        return self.encode_for(state, plans, [blend])[0]

    def encode_for(
        self, state: CatalogueState, plans: Sequence[Plan], blends: Sequence[Blend]
    ) -> list[list[UserState]]:
        """Return the user states for each of several blends; each history is encoded once."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for place, plan in enumerate(plans):
            groups.setdefault(plan.group, []).append(place)
        # With weight 0 the code search has no effect and is skipped.
        weighed = any(blend.weight for blend in blends)
        found: dict[int, UserState] = {}
        for places in groups.values():
            together = [plans[place] for place in places]
            found |= zip(places, self._together(state, together, weighed=weighed), strict=True)
        users = [found[place] for place in range(len(plans))]
        return [
            [self._blended(state, *pair, blend) for pair in zip(plans, users, strict=True)]
            for blend in blends
        ]

    def _form(self, request: Request) -> Form:
        assert self._parts is not None
        return cast("Form", request.form or self._parts.forms[0])

    def _together(
        self, state: CatalogueState, plans: Sequence[Plan], *, weighed: bool
    ) -> list[UserState]:
        """Encode the histories of one group of plans (see :attr:`Plan.group`)."""
        # All plans of a group share wording and search, so that the first one stands for all. In
        # order: baseline, popularity fallback, search alone (codes, titles), then vectors with the
        # prior, and with the search result in a hybrid answer.
        request, search, parts = plans[0].request, plans[0].search, self._parts
        if self._baseline is not None:
            return self._by_baseline(self._baseline, plans)
        if parts is None or request is None:
            return [UserState(None, self._shares, plan.fallback) for plan in plans]
        runner = PromptRunner(parts, replace(request, context=""), state.vectors)
        contexts = [plan.request.context for plan in plans if plan.request is not None]
        given = contexts if any(contexts) else None
        lists: Sequence[Ranking | None] = [None] * len(plans)
        if search is not None and (weighed or search.form != "hybrid"):
            lists = self._searched(state, runner, plans, given)
        if search is not None and search.form != "hybrid":
            pairs = zip(plans, lists, strict=True)
            return [UserState(None, None, plan.fallback, found) for plan, found in pairs]
        users = runner.user_vectors([plan.history for plan in plans], given)
        vectors = (users * parts.model.scale).numpy()
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

    def _blended(
        self, state: CatalogueState, plan: Plan, user: UserState, blend: Blend
    ) -> UserState:
        """Return the state with the blend weight and the new-item boost of a hybrid answer.

        Items without an ID are boosted because a model with item IDs prefers those it has seen
        in training (see ``Blend.new_item_boost``).
        """
        if plan.search is None or plan.search.form != "hybrid":
            return user
        assert self._parts is not None
        known = np.zeros(len(state), dtype=bool)
        known[: len(self._parts.features)] = self._parts.features.has_id
        boosted = np.where(known, 0, blend.new_item_boost).astype(np.float32)
        if user.extra is not None:
            boosted[: len(user.extra)] += user.extra
        weight = blend.weight if user.codes is not None else None
        return replace(user, extra=boosted, blend=weight)

    def _by_baseline(self, baseline: Baseline, plans: Sequence[Plan]) -> list[UserState]:
        scores = baseline.score([self._fitted(plan.history) for plan in plans])
        return [
            UserState(None, own.astype(np.float32, copy=False), POPULAR if nothing_known else None)
            for own, nothing_known in zip(scores, self._know_nothing(plans, scores), strict=True)
        ]

    def _know_nothing(
        self, plans: Sequence[Plan], scores: Float[np.ndarray, "plans trained"]
    ) -> list[bool]:
        """Return where a baseline knows nothing of a user: no event changes its scores.

        The popularity baseline gives everybody the same scores; for a user with a history that is
        its regular answer, not a fallback.
        """
        if self._is_personal:
            alike = (scores == self._of_nobody).all(axis=1)
            return [bool(one) for one in alike]
        return [not len(plan.history) for plan in plans]

    def _fitted(self, history: History) -> History:
        """Return the events whose items were in the baseline's training catalogue."""
        known = history.item_rows < len(self._dataset.catalog)
        return history if known.all() else history.take(np.flatnonzero(known))

    @property
    def _is_personal(self) -> bool:
        return not isinstance(self._baseline, Popularity)

    @cached_property
    def _of_nobody(self) -> Float[np.ndarray, " trained"]:
        assert self._baseline is not None
        scores: Float[np.ndarray, " trained"] = self._baseline.score([NOBODY])[0]
        return scores

    @cached_property
    def _shares(self) -> Float[np.ndarray, " trained"]:
        counts = self._dataset.train_counts
        shares: Float[np.ndarray, " trained"] = (counts / max(counts.sum(), 1)).astype(np.float32)
        return shares


def _only_ratings(history: History, levels: Sequence[float]) -> History:
    """Return the history without ratings off the scale, which are amounts of another kind."""
    given = history.ratings
    if given is None or not levels:
        return history
    on_scale = (given >= min(levels)) & (given <= max(levels))
    return replace(history, ratings=np.where(on_scale, given, np.nan).astype(given.dtype))
