"""Answers in codes: the beams of a search, read on code by code by the trained model.

Shape suffixes: U users, K beams, D width.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from palate.language.stream import Batch
from palate.models.continuation import read_on
from palate.models.language_model import RecommendationModel
from palate.models.references import ItemTable
from palate.models.states import Prefix


class ModelCodes:
    """How likely each next code is (a :class:`palate.inference.beam.CodeScorer`)."""

    def __init__(self, model: RecommendationModel, prefix: Prefix) -> None:
        """Start after the histories that ``prefix`` holds."""
        assert model.codes is not None
        self._codes = model.codes
        self._beams = read_on(model.decoder, prefix)
        self._carried_UKD = prefix.carried[:, None]
        self._level = 0

    def first(self) -> Float[Tensor, "users codes"]:
        """Return the log-probabilities of the first code."""
        nobody = torch.zeros(len(self._carried_UKD), 1, dtype=torch.long)
        return self._read(nobody.to(self._carried_UKD.device))[:, 0]

    def next(
        self, parents: Int[Tensor, "users beams"], codes: Int[Tensor, "users beams"]
    ) -> Float[Tensor, "users beams codes"]:
        """Return the log-probabilities of the next code of beams that grew by ``codes``."""
        width = self._carried_UKD.shape[2]
        kept = self._carried_UKD.gather(1, parents.long()[..., None].expand(-1, -1, width))
        said = self._codes.said(codes.long() + self._codes.bases[self._level])
        self._carried_UKD = kept + said
        self._level += 1
        return self._read(parents.long())

    def _read(self, parents: Int[Tensor, "users beams"]) -> Float[Tensor, "users beams codes"]:
        x = self._carried_UKD + self._codes.start[self._level]
        hidden = self._beams.step(x, parents)
        return self._codes.logits(hidden, self._level).float().log_softmax(dim=-1)


def log_probability(
    model: RecommendationModel,
    batch: Batch,
    table: ItemTable,
    spelled: Int[Tensor, "batch probes"],
) -> Float[Tensor, " answered"]:
    """Return the log-probability of the item in ``spelled`` at each probe, all its codes known."""
    codes = model.codes
    states = model.states(batch, table, users=False, spelled=spelled).codes
    assert codes is not None
    assert states is not None
    tokens = codes.values[spelled[batch.cuts >= 0]] - codes.first_tokens
    said = [
        codes.logits(states[:, level], level)
        .float()
        .log_softmax(dim=-1)
        .gather(1, tokens[:, level, None])
        for level in range(codes.num_levels)
    ]
    return torch.cat(said, dim=1).sum(dim=1)
