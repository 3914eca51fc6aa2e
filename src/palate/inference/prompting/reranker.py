"""The list of a base, put in order by a language model that is asked about it.

What the model says can only order what the base found among the items that are allowed. Where it
says nothing that can be read, the base's own list stands, and the answer tells so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from palate.data.dataset import Dataset
from palate.inference.catalogue_state import CatalogueState
from palate.inference.prompting.conventional import Conventional
from palate.inference.prompting.grounding import Grounding, drawn_to, names_of
from palate.inference.prompting.reader import Read, Reader
from palate.inference.prompting.tally import Tally
from palate.inference.prompting.views import View, borda, shares_beaten, views_of
from palate.inference.prompting.writer import AnswerKind, Asked, Question, Thoughts, Writer
from palate.inference.ranking import finished
from palate.inference.request import Answer, Request
from palate.inference.user_state import fingerprint
from palate.llm.reply import Reply
from palate.llm.request import SpeakerRequest
from palate.training.system import PromptedSystem
from palate.trust.names import Names
from palate.types import Ranking

Values = Float[np.ndarray, " shown"]
"""A value of each candidate of a view, higher is better; NaN for one that was not named."""

BASE = "base"
"""The fallback of an answer that is the base's list, since the language model gave none."""


class Reranker:
    """Asks the speaker of a prompted system about the lists of its base."""

    def __init__(self, system: PromptedSystem, dataset: Dataset) -> None:
        """Take the system and the data of its base; the speaker is opened when it is asked."""
        self.tally = Tally()
        self._system, self._settings, self._dataset = system, system.settings, dataset
        self._writer = Writer(system, dataset)
        self._grounded: tuple[CatalogueState, Grounding] | None = None

    def for_base(self, request: Request, num_items: int) -> Request:
        """Return what the base is asked, to have enough candidates for a request."""
        says = self._settings.form == "say"
        most = num_items if says else max(request.pool, self._settings.candidates)
        words = request.prompt if self._system.base.reads_words else None
        return replace(request, n=most, diversity=0.0, prompt=words)

    def answers(
        self, state: CatalogueState, requests: Sequence[Request], below: Sequence[Answer]
    ) -> list[Answer]:
        """Return the answers, given those of the base to :meth:`for_base`."""
        asked = {
            place: _asked(request, answer)
            for place, (request, answer) in enumerate(zip(requests, below, strict=True))
            if len(answer.rows) > 1 and (len(request.history) or request.prompt)
        }
        # Equal questions are one: what is shuffled follows from what is asked.
        ranked = dict(zip(asked, self._ranked(state, list(asked.values())), strict=True))
        return [
            self._answer(state, request, answer, ranked.get(place), is_asked=place in asked)
            for place, (request, answer) in enumerate(zip(requests, below, strict=True))
        ]

    def prompts(
        self, state: CatalogueState, request: Request, below: Answer
    ) -> list[SpeakerRequest]:
        """Return what would be asked for one list, in order, and ask nothing.

        What the model is to say first is missing from what comes after it.
        """
        asked, writer = _asked(request, below), self._writer
        first = []
        if self._settings.profile == "words":
            first.append(writer.profile_request(state, asked))
        if self._settings.reasoning:
            first.append(writer.reasoning_request(state, asked, ""))
        views = [View(0, ())] if self._settings.form == "say" else self._views(0, asked)
        return first + [
            writer.question(state, asked, view.shown, self._kind, Thoughts()).request
            for view in views
        ]

    def _answer(
        self,
        state: CatalogueState,
        request: Request,
        below: Answer,
        found: Ranking | None,
        *,
        is_asked: bool,
    ) -> Answer:
        self.tally.count("lists")
        self.tally.count("lists of the base: nothing to ask", int(not is_asked))
        self.tally.count("lists of the base: no answer", int(is_asked and found is None))
        fallback = below.fallback
        if is_asked:
            fallback = None if found is not None else fallback or BASE
        ranking = found or Ranking(below.rows, below.scores)
        pool = Ranking(ranking.item_rows[: request.pool], ranking.scores[: request.pool])
        done = finished(state, request, pool)
        return Answer(done.item_rows, done.scores, below.version, fallback)

    def _ranked(self, state: CatalogueState, asked: Sequence[Asked]) -> list[Ranking | None]:
        """Return the list of each; None where nothing that was said could be read."""
        thoughts = self._thoughts(state, asked)
        if self._settings.form == "say":
            return self._said(state, asked, thoughts)
        views = [view for place, each in enumerate(asked) for view in self._views(place, each)]

        def write(view: View, kind: AnswerKind) -> Question:
            return self._writer.question(state, asked[view.of], view.shown, kind, thoughts[view.of])

        read = self._reader.read(views, self._kind, write)
        answers: dict[int, list[tuple[View, Read | None]]] = {n: [] for n in range(len(asked))}
        for view, one in zip(views, read, strict=True):
            answers[view.of].append((view, one))
        return [self._list(each, answers[place]) for place, each in enumerate(asked)]

    def _views(self, place: int, asked: Asked) -> list[View]:
        candidates = min(len(asked.rows), self._settings.candidates)
        return views_of(place, candidates, self._settings, asked.seed)

    def _list(self, asked: Asked, answers: Sequence[tuple[View, Read | None]]) -> Ranking | None:
        candidates = min(len(asked.rows), self._settings.candidates)
        views = [view for view, _ in answers]
        values = [None if one is None else self._mixed(asked, view, one) for view, one in answers]
        by_marks = self._kind == "marks"
        shares = (_shares_of_marks if by_marks else borda)(candidates, views, values)
        return None if shares is None else _reordered(asked, shares)

    def _mixed(self, asked: Asked, view: View, read: Read) -> Values:
        """Return ``g log p(title) + (1 - g) log softmax(s)`` over the candidates of a view.

        D3 (arXiv 2406.14900) mixes at each token, with the base's mass of the items whose titles
        still fit. The product of these shares over a title is the base's probability of the item,
        so that over whole titles its sum is this, without a search that could lose one.
        """
        weight = self._settings.mix
        if read.kind != "titles" or weight == 1:
            return read.values
        scores = asked.scores[list(view.shown)].astype(np.float64)
        of_base = scores - scores.max()
        of_base -= np.log(np.exp(of_base).sum())
        return np.asarray(weight * read.values + (1 - weight) * of_base)

    # --- said in words --------------------------------------------------------------------------

    def _said(
        self, state: CatalogueState, asked: Sequence[Asked], thoughts: Sequence[Thoughts]
    ) -> list[Ranking | None]:
        requests = [
            self._writer.question(state, each, (), "say", thought).request
            for each, thought in zip(asked, thoughts, strict=True)
        ]
        outcomes = self._reader.ask(requests)
        texts = [outcome.text if isinstance(outcome, Reply) else "" for outcome in outcomes]
        return [self._nearest(state, *pair) for pair in zip(asked, texts, strict=True)]

    def _nearest(self, state: CatalogueState, asked: Asked, said: str) -> Ranking | None:
        """Return the items by their distance to what was said, drawn to the base."""
        line = next(iter(said.strip().splitlines()), "")
        distances, ground = self._grounding(state).distances(line.strip(" \"'*."))
        self.tally.count(f"said: {ground}")
        if distances is None:
            return None
        drawn = drawn_to(distances[asked.rows], asked.scores, self._settings.gamma)
        order = np.argsort(drawn, kind="stable")
        return Ranking(asked.rows[order], -drawn[order].astype(np.float32))

    def _grounding(self, state: CatalogueState) -> Grounding:
        if self._grounded is None or self._grounded[0] is not state:
            self._grounded = state, Grounding(state.views, self._names)
        return self._grounded[1]

    @cached_property
    def _names(self) -> Names:
        return names_of(self._dataset.catalog)

    # --- before the question --------------------------------------------------------------------

    def _thoughts(self, state: CatalogueState, asked: Sequence[Asked]) -> list[Thoughts]:
        """Return what the model says of each customer first, if the recipe wants it.

        Where it says nothing the question is asked without.
        """
        profiles, reasons = [""] * len(asked), [""] * len(asked)
        if self._settings.profile == "words":
            wanted = [self._writer.profile_request(state, each) for each in asked]
            profiles = self._texts(wanted, "profiles that did not come")
        if self._settings.reasoning:
            wanted = [
                self._writer.reasoning_request(state, *pair)
                for pair in zip(asked, profiles, strict=True)
            ]
            reasons = self._texts(wanted, "reasonings that did not come")
        return [Thoughts(*pair) for pair in zip(profiles, reasons, strict=True)]

    def _texts(self, requests: Sequence[SpeakerRequest], missing: str) -> list[str]:
        outcomes = self._reader.ask(requests)
        texts = [each.text.strip() if isinstance(each, Reply) else "" for each in outcomes]
        self.tally.count(missing, texts.count(""))
        return texts

    @cached_property
    def conventional(self) -> Conventional:
        """Summaries and relations of single texts, by the same speaker, counted with the rest."""
        return Conventional(self._system.speaker, self._system.prompts, self.tally)

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self._system.speaker, self.tally, per_token=self._settings.normalise)

    @property
    def _kind(self) -> AnswerKind:
        settings = self._settings
        kinds: Mapping[str, AnswerKind] = {"pair": "pair", "point": "marks", "say": "say"}
        return kinds.get(settings.form, settings.read)


def _asked(request: Request, below: Answer) -> Asked:
    key = fingerprint(request.history)
    seed = int.from_bytes(key[:6], "big") ^ int(below.rows[0])
    return Asked(request.history, request.prompt or "", below.rows, below.scores, seed)


def _shares_of_marks(
    candidates: int, views: Sequence[View], values: Sequence[Values | None]
) -> Float[np.ndarray, " candidates"] | None:
    """Return the share of the others that have a lower mean mark; None where none has a mark.

    A candidate without a mark stands at the mean of those that have one.
    """
    marks: dict[int, list[float]] = {}
    for view, value in zip(views, values, strict=True):
        if value is not None:
            marks.setdefault(view.shown[0], []).append(float(value[0]))
    if not marks:
        return None
    means = {place: sum(given) / len(given) for place, given in marks.items()}
    middle = sum(means.values()) / len(means)
    return shares_beaten(np.asarray([means.get(n, middle) for n in range(candidates)]))


def _reordered(asked: Asked, shares: Float[np.ndarray, " candidates"]) -> Ranking:
    """Return the base's list with its first items by their shares, ties as in the base.

    The scores of those asked about are one more than their shares; those of the rest fall from one
    towards zero in the base's order.
    """
    order = np.argsort(-shares, kind="stable")
    rest = len(asked.rows) - len(shares)
    tail = np.arange(rest, 0, -1) / (rest + 1)
    return Ranking(
        np.concatenate([asked.rows[order], asked.rows[len(shares) :]]),
        np.concatenate([1 + shares[order], tail]).astype(np.float32),
    )
