"""The loss of a batch: set, code and text answers."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from palate.language.batch import Batch
from palate.models.code_tokens import CodeTokens
from palate.models.language_model import RecommendationModel
from palate.models.references import ItemTable, references_of
from palate.training.config import TrainingConfig
from palate.training.objectives import (
    binary_cross_entropy,
    contrast,
    log_expected_uniform,
    next_code,
    next_word,
    sampled_softmax,
)


def batch_loss(model: RecommendationModel, batch: Batch, config: TrainingConfig) -> Tensor:
    """Return the loss of one batch: of its text answers, else of its set and code answers."""
    if batch.target_ids is not None:
        return config.text_weight * _word_loss(model, batch, batch.target_ids, config)
    sets = _SetAnswers.of(model, batch, config) if "set" in model.answers else None
    in_codes = model.codes is not None and "codes" in model.answers
    states, table = model(
        batch,
        needed=None if sets is None else sets.mentioned,
        users=sets is not None,
        target_rows=batch.targets[:, :, 0] if in_codes else None,
    )
    losses = []
    if sets is not None and states.users is not None:
        losses.append(config.set_weight * sets.loss(model, states.users.float(), table, config))
    if model.codes is not None and states.codes is not None:
        losses.append(config.code_weight * _code_loss(model.codes, states.codes, batch, config))
    return torch.stack(losses).sum()


@dataclass(frozen=True)
class _SetAnswers:
    """Targets and negatives of a batch whose answers are sets."""

    targets: Int[Tensor, "predictions targets"]
    references: Int[Tensor, "predictions targets"]
    negatives: Int[Tensor, " negatives"]
    log_expected: Float[Tensor, " negatives"]
    """Logarithm of how often each negative is expected, for :func:`sampled_softmax`."""
    own: Int[Tensor, "predictions own"]
    """Items that are not negatives for a prediction; -1 is padding."""

    @classmethod
    def of(cls, model: RecommendationModel, batch: Batch, config: TrainingConfig) -> "_SetAnswers":
        """Choose the negatives."""
        targets = batch.targets[batch.prefix_lengths >= 0]
        without_id = batch.without_id[:, None].expand(batch.prefix_lengths.shape)[
            batch.prefix_lengths >= 0
        ]
        references = references_of(targets, without_id[:, None], model.num_items)
        negatives = _negatives(model.num_items, config, targets)
        own = _of_the_row(batch) if config.negatives == "in-batch" else targets
        return cls(targets, references, *negatives, own)

    @property
    def mentioned(self) -> Int[Tensor, " references"]:
        """References of all targets and negatives."""
        targets = self.references.flatten()
        return torch.cat([targets[targets >= 0], self.negatives])

    def loss(
        self,
        model: RecommendationModel,
        users: Float[Tensor, "predictions queries width"],
        table: ItemTable,
        config: TrainingConfig,
    ) -> Tensor:
        """Return the loss of the user vectors under the objective of ``config``."""
        targets, negatives, outputs = self.targets, self.negatives, table.outputs.float()
        target_vectors = outputs[table.place[self.references.clamp(min=0)]]
        negative_vectors = outputs[table.place[negatives]]
        if config.objective == "bce":
            return binary_cross_entropy(users, target_vectors, negative_vectors, scale=model.scale)
        weights = (targets >= 0).float()
        place = torch.full((model.num_items,), -1, device=targets.device)
        place[negatives] = torch.arange(len(negatives), device=targets.device)
        return sampled_softmax(
            users,
            target_vectors,
            negative_vectors,
            weights_NK=weights / weights.sum(dim=1, keepdim=True).clamp(min=1),
            excluded=torch.where(self.own >= 0, place[self.own.clamp(min=0)], -1),
            log_expected=self.log_expected,
            scale=model.scale,
        )


def _word_loss(
    model: RecommendationModel,
    batch: Batch,
    target_ids: Int[Tensor, "batch predictions words"],
    config: TrainingConfig,
) -> Tensor:
    """Return the loss of the target texts, with the contrastive terms of ``config``."""
    contrasted = config.target_contrast + config.user_contrast
    states, _ = model(batch, users=False, target_ids=target_ids, keep_rows=contrasted > 0)
    assert states.words is not None
    wanted = target_ids[batch.prefix_lengths >= 0]
    logits = model.word_logits(states.words[wanted >= 0])
    if states.copied is not None:
        along = states.copied.along(wanted)
        logits = states.copied.draw(logits, states.words, along, wanted >= 0)
    loss = (1 - contrasted) * next_word(logits, wanted[wanted >= 0])
    if states.rows is None:
        return loss
    alone = _mean_state(model.read_alone(wanted), wanted >= 0)
    temperature = config.contrast_temperature
    together = _mean_state(states.words, wanted >= 0)
    loss = loss + config.target_contrast * contrast(together, alone, temperature=temperature)
    read = (
        torch.arange(states.rows.shape[1], device=batch.prefix_lengths.device)
        < batch.prefix_lengths[:, :, None]
    )
    rows = states.rows[:, None].expand(-1, batch.prefix_lengths.shape[1], -1, -1)[
        batch.prefix_lengths >= 0
    ]
    users = _mean_state(rows, read[batch.prefix_lengths >= 0])
    return loss + config.user_contrast * contrast(users, alone, temperature=temperature)


def _mean_state(
    states: Float[Tensor, "texts words width"], there: Bool[Tensor, "texts words"]
) -> Float[Tensor, "texts width"]:
    total = (states * there[..., None]).sum(dim=1)
    return total / there.sum(dim=1, keepdim=True).clamp(min=1)


def _code_loss(
    codes: CodeTokens,
    states: Float[Tensor, "predictions levels width"],
    batch: Batch,
    config: TrainingConfig,
) -> Tensor:
    """Return the loss of the codes of each prediction's first target."""
    wanted = codes.values[batch.targets[:, :, 0][batch.prefix_lengths >= 0]] - codes.first_tokens
    logits = [codes.logits(states[:, level], level) for level in range(codes.num_levels)]
    return next_code(logits, wanted, temperature=config.code_temperature)


def _of_the_row(batch: Batch) -> Int[Tensor, "predictions own"]:
    """Return for each prediction all items of its row, in the input or as targets.

    Other items of the same user resemble the target. As negatives in every batch they would teach
    that similar items do not belong together.
    """
    own = torch.cat([batch.items, batch.targets.flatten(start_dim=1)], dim=1)
    return own[:, None].expand(-1, batch.prefix_lengths.shape[1], -1)[batch.prefix_lengths >= 0]


def _negatives(
    num_items: int, config: TrainingConfig, targets: Int[Tensor, "predictions targets"]
) -> tuple[Int[Tensor, " negatives"], Float[Tensor, " negatives"]]:
    """Return negatives and the logarithm of how often each is expected.

    Uniform negatives are one per prediction for ``bce``, else distinct items shared by the batch.
    In-batch negatives count as often as they are targets, without a popularity correction.
    """
    device = targets.device
    if config.negatives == "in-batch":
        rows, counts = targets[targets >= 0].unique(return_counts=True)
        return rows, -counts.float().log()
    if config.objective == "bce":
        rows = torch.randint(num_items, (len(targets),), device=device)
    elif config.num_negatives >= num_items:
        rows = torch.arange(num_items, device=device)
    else:
        rows = torch.randperm(num_items, device=device)[: config.num_negatives]
    expected = log_expected_uniform(max(len(rows), 1), num_items)
    return rows, torch.full((len(rows),), expected, device=device)
