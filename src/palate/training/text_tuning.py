"""A table of token vectors tuned on the shop's own pairs, so that what follows each other is near.

Windows and targets are encoded alike (a Siamese encoder: Reimers and Gurevych, 2019, SBERT). The
result is a table like the one it started from, and encodes as fast.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from palate.items.static_text import StaticTextEncoder, TokenTable
from palate.training.config import TrainingConfig
from palate.training.loop import Report, Run, fit
from palate.training.objectives import sampled_softmax
from palate.training.step import PlainStep
from palate.training.text_pairs import PairBatch, Pairs, TextTuning


class TunableTable(nn.Module):
    """Token vectors ``start + change`` with weights ``exp(log_weights)``."""

    start: Tensor

    def __init__(self, table: TokenTable) -> None:
        """Start from a table; a token of weight 0 stays silent."""
        super().__init__()
        weights = torch.from_numpy(table.weights)
        self.register_buffer("start", torch.from_numpy(table.vectors.astype(np.float32)))
        self.change = nn.Parameter(torch.zeros_like(self.start))
        self.log_weights = nn.Parameter(torch.where(weights > 0, weights, 1).log())

    def forward(
        self, tokens: Int[Tensor, " tokens"], offsets: Int[Tensor, " texts"]
    ) -> Float[Tensor, "texts dim"]:
        """Return the unit vectors of texts, which lie one after the other in ``tokens``."""
        weights = self.log_weights.exp()[tokens]
        summed = F.embedding_bag(
            tokens, self.start + self.change, offsets, mode="sum", per_sample_weights=weights
        )
        return F.normalize(summed, dim=-1)

    def table(self, before: TokenTable) -> TokenTable:
        """Return the table as it is now."""
        with torch.no_grad():
            vectors = (self.start + self.change).cpu().numpy().astype(np.float16)
            weights = self.log_weights.exp().cpu().numpy()
        silent = before.weights == 0
        return replace(before, vectors=vectors, weights=np.where(silent, 0, weights))


def tune_table(
    table: TokenTable,
    pairs: Pairs,
    *,
    validate: Callable[[StaticTextEncoder], float] | None,
    name: str,
    folder: Path | None = None,
    report: Callable[[Report], None] | None = None,
) -> tuple[TokenTable, Sequence[Mapping[str, object]]]:
    """Tune a table and return it as it was at its best validation, with the learning curve.

    Args:
        table: the vectors to start from.
        pairs: what is to be near to what.
        validate: returns the value to maximise; None keeps the vectors of the last epoch.
        name: hash of everything that decides the run.
        folder: of checkpoints, from which a killed run resumes.
        report: called after each step.
    """
    module = TunableTable(table)
    config = pairs.config

    def validated(trained: nn.Module) -> float:
        assert validate is not None
        assert isinstance(trained, TunableTable)
        return validate(StaticTextEncoder(trained.table(table)))

    run = Run(
        batches=pairs,
        config=TrainingConfig(
            epochs=config.epochs,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            patience=3,
        ),
        validate=None if validate is None else validated,
        measure="" if validate is None else "NDCG@10",
        name=name,
        folder=folder,
        report=report,
        objective=pair_loss(config),
        step=PlainStep(1.0, bfloat16=False),
        where="the processor",
    )
    curve = fit(module, run)
    return module.table(table), curve


def pair_loss(config: TextTuning) -> Callable[[TunableTable, PairBatch], Float[Tensor, ""]]:
    """Return the loss of a batch of pairs.

    With ``a`` the unit vector of the decayed sum of a window, ``p`` that of the target and ``n``
    that of a negative: ``in-batch`` is the softmax of ``<a, p> / temperature`` over the targets of
    the batch, each corrected by how often it is one (:func:`sampled_softmax`); ``triplet`` is
    ``max(0, |a - p| - |a - n| + margin)``.
    """

    def loss(module: TunableTable, batch: PairBatch) -> Float[Tensor, ""]:
        texts = module(batch.tokens, batch.offsets)
        summed = (texts[batch.windows] * batch.shares[:, :, None]).sum(dim=1)
        anchors, candidates = F.normalize(summed, dim=-1), texts[batch.candidates]
        targets = candidates[batch.targets]
        if config.loss == "triplet":
            return triplet_loss(
                anchors, targets, candidates[batch.drawn], batch.drawn >= 0, config.margin
            )
        return sampled_softmax(
            anchors[:, None],
            targets[:, None],
            candidates,
            weights_NK=torch.ones(len(batch), 1, device=texts.device),
            excluded=batch.excluded,
            log_expected=batch.log_expected,
            scale=1 / config.temperature,
        )

    return loss


def triplet_loss(
    anchors: Float[Tensor, "pairs dim"],
    targets: Float[Tensor, "pairs dim"],
    negatives: Float[Tensor, "pairs dim"],
    there: Bool[Tensor, " pairs"],
    margin: float,
) -> Float[Tensor, ""]:
    """Return the mean of ``max(0, |a - p| - |a - n| + margin)`` where there is a negative."""
    near, far = (F.pairwise_distance(anchors, other) for other in (targets, negatives))
    losses = F.relu(near - far + margin) * there
    return losses.sum() / there.sum().clamp(min=1)
