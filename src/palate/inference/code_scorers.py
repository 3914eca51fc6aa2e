"""Code scorers: next-code and next-word probabilities of the model, for the beam search.

Shape suffixes: U users, K beams, D width, R words generated so far.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from palate.inference.generation import logits_after
from palate.models.language_model import RecommendationModel
from palate.models.outputs import Prefix


class ModelCodes:
    """Scores the next code of each beam (a :class:`palate.inference.beam.CodeScorer`)."""

    def __init__(self, model: RecommendationModel, prefix: Prefix) -> None:
        """Start after the histories that ``prefix`` holds."""
        assert model.codes is not None
        self._codes = model.codes
        self._beams = model.decoder.continue_from(prefix)
        self._context_UKD = prefix.context_state[:, None]
        self._level = 0

    def first(self) -> Float[Tensor, "users codes"]:
        """Return the log-probabilities of the first code."""
        nobody = torch.zeros(len(self._context_UKD), 1, dtype=torch.long)
        return self._read(nobody.to(self._context_UKD.device))[:, 0]

    def next(
        self, parents: Int[Tensor, "users beams"], codes: Int[Tensor, "users beams"]
    ) -> Float[Tensor, "users beams codes"]:
        """Return the log-probabilities of the next code of beams that grew by ``codes``."""
        width = self._context_UKD.shape[2]
        kept = self._context_UKD.gather(1, parents.long()[..., None].expand(-1, -1, width))
        added = self._codes.previous(codes.long() + self._codes.bases[self._level])
        self._context_UKD = kept + added
        self._level += 1
        return self._read(parents.long())

    def _read(self, parents: Int[Tensor, "users beams"]) -> Float[Tensor, "users beams codes"]:
        x = self._context_UKD + self._codes.start[self._level]
        hidden = self._beams.step(x, parents)
        return self._codes.logits(hidden, self._level).float().log_softmax(dim=-1)


class ModelTitles:
    """Scores the next word of a title per beam (a :class:`palate.inference.beam.CodeScorer`).

    A complete title is not decoded further: its next word has log-probability 0.
    """

    def __init__(
        self, model: RecommendationModel, prefix: Prefix, *, end: int, most_words: int
    ) -> None:
        """Start after the prompts that ``prefix`` holds.

        Args:
            model: the language model.
            prefix: the encoded prompts.
            end: the token that ends a title.
            most_words: maximum title length; longer titles were cut and have no end token.
        """
        assert model.text is not None
        self._model = model
        self._beams = model.decoder.continue_from(prefix)
        self._end, self._most_words = end, most_words
        self._first_U1D = (prefix.context_state + model.text.start)[:, None]
        self._generated_UKR = torch.zeros(
            len(prefix.context_state), 1, 0, dtype=torch.long, device=prefix.context_state.device
        )

    def first(self) -> Float[Tensor, "users codes"]:
        """Return the log-probabilities of the first word."""
        return self._read(
            self._first_U1D, self._generated_UKR.new_zeros(len(self._generated_UKR), 1)
        )[:, 0]

    def next(
        self, parents: Int[Tensor, "users beams"], codes: Int[Tensor, "users beams"]
    ) -> Float[Tensor, "users beams codes"]:
        """Return the log-probabilities of the next word of beams that grew by ``codes``."""
        parents, words = parents.long(), codes.long()
        length = self._generated_UKR.shape[2]
        before = self._generated_UKR.gather(1, parents[..., None].expand(-1, -1, length))
        self._generated_UKR = torch.cat([before, words[..., None]], dim=2)
        whole = (words == self._end) | (length + 1 == self._most_words)
        if bool(whole.all()):
            return words.new_zeros(*words.shape, self._model.num_words, dtype=torch.float32)
        logs = self._read(self._model.embed_words(words), parents)
        return logs.masked_fill(whole[..., None], 0.0)

    def _read(
        self,
        x: Float[Tensor, "users beams width"],
        parents: Int[Tensor, "users beams"],
    ) -> Float[Tensor, "users beams codes"]:
        model = self._model
        if model.entity_positions is not None:
            x = x + model.entity_positions.of_answer(self._generated_UKR.flatten(0, 1))[
                :, -1
            ].view_as(x)
        return logits_after(model, self._beams.step(x, parents), None).log_softmax(dim=-1)
