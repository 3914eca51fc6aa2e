"""Prompt runner: histories and words in, user vectors or code lists out.

This is the lowest layer of an engine: it builds prompts and batches and runs the model. Exclusions,
filters and blending are the business of :mod:`palate.inference.engine`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from palate.evaluation.metrics import pad
from palate.inference.beam import beam_search
from palate.inference.code_scorers import ModelCodes
from palate.inference.request import Request
from palate.items.codes.prefix_table import PrefixTable
from palate.language.batch import Batch, BatchBuilder
from palate.language.tasks import prompt_families
from palate.language.tasks.task import PLAIN_FRAME, Example, Frame
from palate.language.token_budget import cut_by_tokens
from palate.models.references import ItemTable, mentioned, numbered_items
from palate.ranking import largest_products
from palate.training.system import LanguageModelSystem
from palate.types import History, Ranking

TOKENS_PER_BATCH = 16_384

_BEAMS_AT_ONCE = 8_192
"""Maximum number of beams in a batch, over all users."""

BEAM_LOGITS_AT_ONCE = 8_000_000
"""Maximum number of beam logits in a batch: 32 MB; matters where every item has its own code."""


@dataclass(frozen=True)
class CatalogueVectors:
    """Token and output vectors of every item of a catalogue, including new items."""

    tokens: Float[Tensor, "items width"]
    """Item embeddings that the decoder reads in a history."""
    outputs: Float[Tensor, "items width"]
    """Output vectors that user vectors are compared with."""


class PromptRunner:
    """Runs one prompt of a trained model for many histories at a time."""

    def __init__(
        self,
        system: LanguageModelSystem,
        request: Request | None = None,
        catalogue: CatalogueVectors | None = None,
    ) -> None:
        """Take a trained model; ``request`` gives the wording of every prompt.

        Args:
            system: the model with its prompts and encoders.
            request: supplies wording, slots and context; its history and filters are ignored.
            catalogue: item vectors; histories and scores then use its rows instead of the rows
                of the training catalogue.
        """
        self.system = system
        self.request = request or Request()
        self.catalogue = catalogue

    @cached_property
    def outputs_DI(self) -> Float[np.ndarray, "width items"]:  # noqa: N802 - shape suffix
        """Output vectors of the whole catalogue, as columns."""
        if self.catalogue is None:
            return np.ascontiguousarray(self.system.item_vectors.T)
        return np.ascontiguousarray(self.catalogue.outputs.float().cpu().numpy().T)

    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return the score of every item: its logit plus the prior.

        The logit is the largest product of the item's vector with any of the user vectors.
        """
        users = self.user_vectors(histories) * self.system.model.scale
        scores = largest_products(users.numpy(), self.outputs_DI)
        added = self.prior_scores(histories)
        if added is not None:
            scores[:, : added.shape[1]] += added
        return scores

    def prior_scores(
        self, histories: Sequence[History]
    ) -> Float[np.ndarray, "users trained"] | None:
        """Return the prior score of each trained item; None where the prior does not apply.

        The prior reads no words, so it applies only to plain next-item requests.
        """
        prior, num_trained = self.system.prior, len(self.system.features)
        plain = self.request.prompt is None and self.request.family == "next-item"
        if prior is None or not plain:
            return None
        # The baseline was fitted with the items of training.
        known = [history.item_rows < num_trained for history in histories]
        fitted = [
            history if rows.all() else history.take(np.flatnonzero(rows))
            for history, rows in zip(histories, known, strict=True)
        ]
        return np.float32(prior.weight) * prior.baseline.score(fitted)

    def user_vectors(
        self, histories: Sequence[History], contexts: Sequence[str] | None = None
    ) -> Float[Tensor, "users queries width"]:
        """Return the user vectors of each history, read in batches of similar length.

        ``contexts`` gives each history its own context, in place of that of the request.
        """
        model = self.system.model
        shape = (len(histories), max(model.config.num_queries, 1), model.width)
        result = torch.empty(shape)
        for users, batch in self._batches(histories, contexts, model.config.num_queries):
            with torch.inference_mode():
                result[users] = model.user_vectors(*self.with_items(batch)).float().cpu()
        return result

    def find_by_codes(
        self,
        histories: Sequence[History],
        n: int,
        *,
        table: PrefixTable | None = None,
        left_out: Sequence[Int[np.ndarray, " rows"]] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> list[Ranking]:
        """Return the best ``n`` items for each history by beam search over their codes.

        Args:
            histories: their items may lack codes.
            n: length of a list, and minimum number of beams.
            table: prefix table of the allowed items; None allows all items of training.
            left_out: excluded rows of each history; None excludes the items of the history.
            contexts: as for :meth:`user_vectors`.
        """
        model, codes = self.system.model, self.system.recipe.codes
        assert codes is not None
        beams = max(codes.beams, n)
        device = model.queries.device
        table = table or self._table
        left_out = [history.item_rows for history in histories] if left_out is None else left_out
        rankings: dict[int, Ranking] = {}
        most = min(_BEAMS_AT_ONCE, BEAM_LOGITS_AT_ONCE // max(table.sizes)) // beams
        for users, batch in self._batches(histories, contexts, table.num_levels, most):
            seen = pad([left_out[user] for user in users])
            seen[seen >= len(table.leaves)] = -1
            with torch.inference_mode():
                scorer = ModelCodes(model, model.prefix(*self.with_items(batch)))
                rows, scores = beam_search(
                    scorer,
                    table,
                    beams=beams,
                    n=n,
                    seen=torch.from_numpy(seen).to(device),
                )
            for user, row, score in zip(
                users, rows.cpu().numpy(), scores.cpu().numpy(), strict=True
            ):
                rankings[int(user)] = Ranking(row[row >= 0], score[row >= 0])
        return [rankings[user] for user in range(len(histories))]

    @cached_property
    def _table(self) -> PrefixTable:
        assert self.system.index is not None
        return PrefixTable.of(self.system.index.codes, device=self.system.model.queries.device)

    def _batches(
        self,
        histories: Sequence[History],
        contexts: Sequence[str] | None,
        slots: int,
        most: int = _BEAMS_AT_ONCE,
    ) -> Iterator[tuple[Int[np.ndarray, " users"], Batch]]:
        """Yield batches of prompts of similar length, one prediction each, at most so many."""
        model = self.system.model
        if model.training:
            model.train(mode=False)
        instruction, examples, batch_builder = self._worded(contexts or [self.request.context])
        lengths = np.asarray([min(len(h), self._max_history) for h in histories], dtype=np.int64)
        words = max((len(example.context) for example in examples), default=0)
        places = lengths * batch_builder.item_format.places
        extra = words // 3 + 1 + slots
        for users in cut_by_tokens(places, extra=extra, budget=TOKENS_PER_BATCH, most=max(1, most)):
            prompts = [
                replace(
                    examples[user if contexts else 0],
                    history=histories[user].last(self._max_history),
                    prefix_lengths=np.asarray([lengths[user]]),
                )
                for user in users
            ]
            yield (
                users,
                batch_builder.batch(instruction, prompts, self._frame).to(model.queries.device),
            )

    def with_items(self, batch: Batch) -> tuple[Batch, ItemTable]:
        """Return the batch and its item vectors, from the catalogue vectors where available."""
        model = self.system.model
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
        return self.system.recipe.max_history

    @property
    def _frame(self) -> Frame:
        if self.request.prompt is not None:
            return PLAIN_FRAME
        family = prompt_families()[self.request.family]
        return Frame(family.context_label, family.reads_history, dates=family.reads_dates)

    def _worded(self, contexts: Sequence[str]) -> tuple[str, list[Example], BatchBuilder]:
        """Return the instruction, an example to fill per context, and a batch builder."""
        request, system = self.request, self.system
        wording = (
            system.prompts[request.family].seen[request.wording].format(**request.slots)
            if request.prompt is None
            else request.prompt
        )
        vectors = system.encoders.query_vectors(contexts) if request.family == "search" else None
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
        return wording, examples, system.batch_builder(vectors)
