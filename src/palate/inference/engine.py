"""Asking a language model: histories and words in, a score for every item out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from palate.errors import NotTrainedError
from palate.inference.ask import Ask, check_ask, words_alone
from palate.inference.beam import beam_search
from palate.inference.code_scorers import ModelCodes, log_probability
from palate.inference.hybrid import blended, with_raised
from palate.inference.retrieval import largest_products, retrieve
from palate.items.codes.prefix_table import PrefixTable
from palate.language.batch import Batch, BatchBuilder
from palate.language.tasks import Example
from palate.models.references import ItemTable, mentioned, numbered_items
from palate.ranking import mask_scores, rank_scored, top_rankings
from palate.training.recipe import Form
from palate.training.system import Blend, LanguageModelSystem, Prior
from palate.types import History, Ranking

_TOKENS_PER_BATCH = 16_384

_SCORED_AT_ONCE = 512
"""Users whose scores for the whole catalogue are in memory at a time."""

_BEAMS_AT_ONCE = 8_192
"""Beams of all users of a batch together."""

BEAM_LOGITS_AT_ONCE = 8_000_000
"""Logits of all beams of a batch together: 32 MB, where each item has a code of its own."""

_NOTHING = Ranking(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32))


@dataclass(frozen=True)
class CatalogueVectors:
    """Both vectors of every item of a catalogue, which may hold more items than were trained."""

    tokens: Float[Tensor, "items width"]
    """What the decoder reads of a history."""
    outputs: Float[Tensor, "items width"]
    """What user vectors are compared with."""


class LanguageEngine:
    """A trained model with its catalogue vectors computed once."""

    def __init__(
        self,
        parts: LanguageModelSystem,
        ask: Ask | None = None,
        catalogue: CatalogueVectors | None = None,
    ) -> None:
        """Take the trained ``parts``; every later question is asked as ``ask`` says.

        With a ``catalogue``, histories and answers speak of its rows in place of the trained ones;
        the prior, which knows the trained rows alone, is then left to the caller.
        """
        self.parts = parts
        self.ask = ask or Ask()
        self.catalogue = catalogue
        self._outputs: Float[Tensor, "items width"] | None = (
            None if catalogue is None else catalogue.outputs
        )

    def asking(self, ask: Ask) -> "LanguageEngine":
        """Return the same model, asked in another way.

        Raises:
            NotTrainedError: when the model was not trained on the family of prompts.
            ConfigError: when the slots are not those of the family.
        """
        check_ask(self.parts, ask)
        other = LanguageEngine(self.parts, ask, self.catalogue)
        other._outputs = self._outputs
        return other

    @property
    def form(self) -> Form:
        """The form in which it answers."""
        if not self.parts.forms:
            raise words_alone()
        return self.ask.form or self.parts.forms[0]

    @property
    def outputs(self) -> Float[Tensor, "items width"]:
        """Output vectors of the whole catalogue."""
        if self._outputs is None:
            self.parts.model.train(mode=False)
            with torch.inference_mode():
                self._outputs = self.parts.model.catalogue()
        return self._outputs

    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return the logit of every item: the largest product with any of the user's vectors."""
        with torch.inference_mode():
            users = self.user_vectors(histories) * self.parts.model.scale
            scores: np.ndarray = largest_products(users, self.outputs.cpu()).numpy()
        prior = self._prior
        if prior is not None:
            scores += np.float32(prior.weight) * prior.baseline.score(histories)
        return scores

    @property
    def _prior(self) -> Prior | None:
        """The prior speaks of the next item alone: it reads no words."""
        asked = self.ask.prompt is None and self.ask.family == "next-item"
        return self.parts.prior if asked and self.catalogue is None else None

    def recommend(
        self,
        histories: Sequence[History],
        n: int,
        *,
        candidates: Int[np.ndarray, " candidates"] | None = None,
        exclude_seen: bool = True,
    ) -> list[Ranking]:
        """Return the best ``n`` items for each history."""
        if self.form == "titles":
            raise NotTrainedError(
                "Titles are not found by this engine, which reads no words.",
                hint="Ask a palate.inference.title_search.TitleSearch, or Recommender.recommend.",
            )
        if self.form == "hybrid":
            one = [self.parts.blend]
            return self.joined(histories, n, one, candidates=candidates, exclude_seen=exclude_seen)[
                0
            ]
        if self.form == "codes":
            table = None if candidates is None else self._table_of(candidates)
            return self.spelled(histories, n, table=table, exclude_seen=exclude_seen)
        if self._prior is not None:
            return rank_scored(
                self.score, histories, n, candidates=candidates, exclude_seen=exclude_seen
            )
        return retrieve(
            self.user_vectors(histories) * self.parts.model.scale,
            self.outputs.cpu(),
            histories,
            n,
            candidates=candidates,
            exclude_seen=exclude_seen,
        )

    def user_vectors(
        self, histories: Sequence[History], contexts: Sequence[str] | None = None
    ) -> Float[Tensor, "users queries width"]:
        """Return the user vectors of each history, read in batches of similar length.

        ``contexts`` are words of each history's own, in place of those of :attr:`ask`.
        """
        model = self.parts.model
        shape = (len(histories), max(model.config.num_queries, 1), model.width)
        result = torch.empty(shape)
        for users, batch in self._batches(histories, contexts, model.config.num_queries):
            with torch.inference_mode():
                result[users] = model.user_vectors(*self.with_items(batch)).float().cpu()
        return result

    def score_item(
        self, histories: Sequence[History], item_row: int
    ) -> Float[np.ndarray, " users"]:
        """Return what each history scores for one item, in the form in which it answers."""
        if self.form != "codes":
            return self.score(histories)[:, item_row]
        model, scores = self.parts.model, np.empty(len(histories), dtype=np.float32)
        for users, batch in self._batches(histories, None, self._table.num_levels):
            spelled = torch.full_like(batch.prefix_lengths, item_row)
            with torch.inference_mode():
                found = log_probability(model, *self.with_items(batch), spelled)
            scores[users] = found.cpu().numpy()
        return scores

    def joined(
        self,
        histories: Sequence[History],
        n: int,
        blends: Sequence[Blend],
        *,
        candidates: Int[np.ndarray, " candidates"] | None = None,
        exclude_seen: bool = True,
    ) -> list[list[Ranking]]:
        """Return the best ``n`` of what either form finds, by both scores, for each blend.

        What is found is looked for once for all blends; codes that count in none are not asked.
        """
        codes = self.parts.recipe.codes
        assert codes is not None
        found = max(codes.beams, n)
        table = None if candidates is None else self._table_of(candidates)
        answers: list[list[Ranking]] = [[] for _ in blends]
        for start in range(0, len(histories), _SCORED_AT_ONCE):
            asked = histories[start : start + _SCORED_AT_ONCE]
            spelled = (
                self.spelled(asked, found, table=table, exclude_seen=exclude_seen)
                if any(blend.weight for blend in blends)
                else [_NOTHING] * len(asked)
            )
            scores = mask_scores(
                self.score(asked), asked, candidates=candidates, exclude_seen=exclude_seen
            )
            for answer, blend in zip(answers, blends, strict=True):
                raised = with_raised(scores, ~self.parts.features.has_id, blend.new_item_boost)
                answer += [
                    blended(*both, blend.weight, n)
                    for both in zip(raised, top_rankings(raised, found), spelled, strict=True)
                ]
        return answers

    def spelled(
        self,
        histories: Sequence[History],
        n: int,
        *,
        table: PrefixTable | None = None,
        exclude_seen: bool = True,
        contexts: Sequence[str] | None = None,
    ) -> list[Ranking]:
        """Return the best ``n`` items for each history by beam search over their codes.

        Args:
            histories: of items that may be without codes.
            n: items of a list; there are at least as many beams.
            table: the codes that may be said; None allows those of every item of training.
            exclude_seen: leave out the items of the history.
            contexts: as for :meth:`user_vectors`.
        """
        model, codes = self.parts.model, self.parts.recipe.codes
        assert codes is not None
        beams = max(codes.beams, n)
        device = model.queries.device
        table = table or self._table
        rankings: dict[int, Ranking] = {}
        most = min(_BEAMS_AT_ONCE, BEAM_LOGITS_AT_ONCE // max(table.sizes)) // beams
        for users, batch in self._batches(histories, contexts, table.num_levels, most):
            seen = padded_rows([histories[user] for user in users]) if exclude_seen else None
            if seen is not None:
                seen[seen >= len(table.leaves)] = -1
            with torch.inference_mode():
                scorer = ModelCodes(model, model.prefix(*self.with_items(batch)))
                rows, scores = beam_search(
                    scorer,
                    table,
                    beams=beams,
                    n=n,
                    seen=None if seen is None else torch.from_numpy(seen).to(device),
                )
            for user, row, score in zip(
                users, rows.cpu().numpy(), scores.cpu().numpy(), strict=True
            ):
                rankings[int(user)] = Ranking(row[row >= 0], score[row >= 0])
        return [rankings[user] for user in range(len(histories))]

    @cached_property
    def _table(self) -> PrefixTable:
        return self._table_of(None)

    def _table_of(self, rows: Int[np.ndarray, " candidates"] | None) -> PrefixTable:
        assert self.parts.index is not None
        return PrefixTable.of(
            self.parts.index.codes, device=self.parts.model.queries.device, rows=rows
        )

    def _batches(
        self,
        histories: Sequence[History],
        contexts: Sequence[str] | None,
        slots: int,
        most: int = _BEAMS_AT_ONCE,
    ) -> Iterator[tuple[Int[np.ndarray, " users"], Batch]]:
        """Yield at most so many histories as prompts of one prediction each, of similar lengths."""
        model = self.parts.model
        if model.training:
            model.train(mode=False)
        instruction, examples, batch_builder = self._worded(contexts or [self.ask.context])
        lengths = np.asarray([min(len(h), self._max_history) for h in histories], dtype=np.int64)
        words = max((len(example.context) for example in examples), default=0)
        places = lengths * batch_builder.item_format.places
        for users in cut_by_length(places, words // 3 + 1 + slots, max(1, most)):
            asked = [
                replace(
                    examples[user if contexts else 0],
                    history=histories[user].last(self._max_history),
                    prefix_lengths=np.asarray([lengths[user]]),
                )
                for user in users
            ]
            yield users, batch_builder.batch(instruction, asked).to(model.queries.device)

    def with_items(self, batch: Batch) -> tuple[Batch, ItemTable]:
        """Return the batch and the vectors of its items, looked up where they are known."""
        model = self.parts.model
        if self.catalogue is None:
            return batch, model.items(mentioned(batch, model.num_items), batch.descriptions)
        numbered, needed = numbered_items(batch)
        tokens = self.catalogue.tokens[needed]
        table = ItemTable(tokens, tokens, torch.arange(max(len(needed), 1), device=tokens.device))
        if batch.descriptions is not None:
            described = model.described(batch.descriptions)
            table = replace(table, tokens=torch.cat([tokens, described]))
        return numbered, table

    @cached_property
    def _max_history(self) -> int:
        return self.parts.recipe.max_history

    def _worded(self, contexts: Sequence[str]) -> tuple[str, list[Example], BatchBuilder]:
        """Return the instruction, an example per context to fill, and a writer for them."""
        ask, parts = self.ask, self.parts
        wording = (
            parts.prompts[ask.family].seen[ask.wording].format(**ask.slots)
            if ask.prompt is None
            else ask.prompt
        )
        vectors = parts.encoders.query_vectors(contexts) if ask.family == "search" else None
        nothing = History(item_rows=np.zeros(0, np.int64))
        examples = [
            Example(
                history=nothing,
                prefix_lengths=np.zeros(1, np.int64),
                targets=np.zeros((1, 0), np.int64),
                context=context,
                query=None if vectors is None else query,
            )
            for query, context in enumerate(contexts)
        ]
        return (
            wording,
            examples,
            BatchBuilder(parts.tokenizer, vectors, parts.item_format, parts.ratings),
        )


def cut_by_length(
    lengths: Int[np.ndarray, " users"], extra: int, most: int
) -> list[Int[np.ndarray, " _"]]:
    """Return batches of at most ``most`` users of similar length within the token budget."""
    order = np.argsort(lengths, kind="stable")
    batches, start = [], 0
    for end in range(1, len(order) + 1):
        longest = lengths[order[end]] if end < len(order) else np.inf
        rows = end - start + 1
        if rows * (longest + extra) > _TOKENS_PER_BATCH or rows > most:
            batches.append(order[start:end])
            start = end
    return batches


def padded_rows(histories: Sequence[History]) -> Int[np.ndarray, "users events"]:
    """Return the item rows of each history, padded with -1."""
    longest = max((len(history) for history in histories), default=0)
    rows = np.full((len(histories), longest), -1)
    for user, history in enumerate(histories):
        rows[user, : len(history)] = history.item_rows
    return rows
