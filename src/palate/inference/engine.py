"""Asking a language model: histories and words in, a score for every item out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from palate.errors import ConfigError, NotTrainedError
from palate.inference.retrieval import largest_products, retrieve
from palate.language.prompts import SLOTS
from palate.language.stream import Writer
from palate.language.tasks import Example
from palate.ranking import rank_scored
from palate.training.parts import Parts, Prior
from palate.types import History, Ranking

_TOKENS_PER_BATCH = 16_384


@dataclass(frozen=True)
class Ask:
    """What is asked of the model, beside the history."""

    family: str = "next-item"
    """Family of prompts; its first wording is used unless ``prompt`` is given."""
    prompt: str | None = None
    """Free text read in place of the wording."""
    slots: dict[str, str] = field(default_factory=dict)
    """Values of the wording's slots."""
    context: str = ""
    """Words read before the history: a query, a category."""
    wording: int = 0
    """Which of the seen wordings."""


class LanguageEngine:
    """A trained model with its catalogue vectors computed once."""

    def __init__(self, parts: Parts, ask: Ask | None = None) -> None:
        """Take the trained ``parts``; every later question is asked as ``ask`` says."""
        self.parts = parts
        self.ask = ask or Ask()
        self._outputs: Float[Tensor, "items width"] | None = None

    def asking(self, ask: Ask) -> "LanguageEngine":
        """Return the same model, asked in another way.

        Raises:
            NotTrainedError: when the model was not trained on the family of prompts.
            ConfigError: when the slots are not those of the family.
        """
        if ask.prompt is None and ask.family not in self.parts.tasks:
            raise NotTrainedError(
                f"This model was not trained to answer {ask.family!r}; "
                f"it answers {', '.join(self.parts.tasks)}.",
                hint="Train one that can: palate train DATASET MODEL --recipe urm",
            )
        if ask.prompt is None and set(ask.slots) != SLOTS[ask.family]:
            raise ConfigError(
                f"{ask.family!r} has the slots {sorted(SLOTS[ask.family])}; "
                f"{sorted(ask.slots)} were given.",
                hint='Write Ask(family="objective", slots={"event": "purchase"}).',
            )
        other = LanguageEngine(self.parts, ask)
        other._outputs = self._outputs
        return other

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
        return self.parts.prior if asked else None

    def recommend(
        self,
        histories: Sequence[History],
        n: int,
        *,
        candidates: Int[np.ndarray, " candidates"] | None = None,
        exclude_seen: bool = True,
    ) -> list[Ranking]:
        """Return the best ``n`` items for each history."""
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

    def user_vectors(self, histories: Sequence[History]) -> Float[Tensor, "users queries width"]:
        """Return the user vectors of each history, read in batches of similar length."""
        model = self.parts.model
        model.train(mode=False)
        width = model.config.decoder.width
        result = torch.empty(len(histories), max(model.config.num_queries, 1), width)
        instruction, example, writer = self._worded()
        lengths = np.asarray([min(len(h), self._max_history) for h in histories], dtype=np.int64)
        for users in _cut(lengths, len(example.context) // 3 + 1 + model.config.num_queries):
            examples = [
                replace(
                    example,
                    history=histories[user].last(self._max_history),
                    cuts=np.asarray([lengths[user]]),
                )
                for user in users
            ]
            batch = writer.batch(instruction, examples).to(model.queries.device)
            with torch.inference_mode():
                table = model.items(batch.items[batch.items >= 0], batch.descriptions)
                result[users] = model.user_vectors(batch, table).float().cpu()
        return result

    @property
    def _max_history(self) -> int:
        return self.parts.recipe.tasks.max_history

    def _worded(self) -> tuple[str, Example, Writer]:
        """Return the instruction, an example to fill, and a writer that knows the query's."""
        ask, parts = self.ask, self.parts
        wording = (
            parts.prompts[ask.family].seen[ask.wording].format(**ask.slots)
            if ask.prompt is None
            else ask.prompt
        )
        vectors = parts.encoders.query_vectors([ask.context]) if ask.family == "search" else None
        nothing = History(item_rows=np.zeros(0, np.int64))
        example = Example(
            history=nothing,
            cuts=np.zeros(1, np.int64),
            targets=np.zeros((1, 0), np.int64),
            context=ask.context,
            query=None if vectors is None else 0,
        )
        return wording, example, Writer(parts.tokenizer, vectors)


def _cut(lengths: Int[np.ndarray, " users"], extra: int) -> list[Int[np.ndarray, " _"]]:
    """Return batches of users of similar length within the token budget."""
    order = np.argsort(lengths, kind="stable")
    batches, start = [], 0
    for end in range(1, len(order) + 1):
        longest = lengths[order[end]] if end < len(order) else np.inf
        if (end - start + 1) * (longest + extra) > _TOKENS_PER_BATCH:
            batches.append(order[start:end])
            start = end
    return batches
