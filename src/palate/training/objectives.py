"""What is minimised: each objective is one pure function of vectors.

Shape suffixes: N probes, M query tokens of a probe, K targets of a probe, Q negatives, D width.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F  # noqa: N812 - the name everyone uses
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import BackwardCFunction

_CHUNK_LOGITS = 2**20
"""Logits worked on at once: few enough to stay in the cache of one core."""


def sampled_softmax(  # noqa: PLR0913 - the terms of one formula
    users_NMD: Float[Tensor, "probes queries width"],  # noqa: N803 - shape suffixes
    targets_NKD: Float[Tensor, "probes targets width"],  # noqa: N803
    negatives_QD: Float[Tensor, "negatives width"],  # noqa: N803
    *,
    weights_NK: Float[Tensor, "probes targets"],  # noqa: N803
    collisions: Int[Tensor, "probes targets"],
    log_expected: Float[Tensor, " negatives"],
    scale: float,
) -> Float[Tensor, ""]:
    """Softmax cross-entropy of sets of user vectors over shared negatives, with logQ correction.

    ``s(n, i) = scale * max_m <u_nm, w_i>``;
    ``Z(n) = sum_k exp s(n, t_nk) + sum_j exp(s(n, j) - log E_j)``, ``j`` being no target of ``n``;
    ``loss = mean_n sum_k weight_nk * (log Z(n) - s(n, t_nk))``.

    ``E_j`` is how often item ``j`` is expected among the Q negatives: subtracting its logarithm
    makes Z an unbiased estimate of the full sum (Bengio & Senecal 2008; Yi et al. 2019). With all
    items as negatives and ``E = 1`` this *is* the full softmax. The maximum over query tokens is
    URM's set-out score (arXiv 2502.03041); with M = 1 it is the plain two-tower softmax.

    The gradient is worked out on the way forward, chunk by chunk, so that no N x Q matrix is ever
    kept: on a CPU that halves the time of a step.

    Args:
        users_NMD: user vectors.
        targets_NKD: output vectors of the targets; anything where the weight is 0.
        negatives_QD: output vectors of the negatives.
        weights_NK: share of each target; 0 for padding; rows sum to 1.
        collisions: place of each target among the negatives, -1 where it is not there.
        log_expected: ``log E_j`` per negative.
        scale: logit per unit of inner product.
    """
    given = _Given(weights_NK, collisions, log_expected, scale)
    loss: Float[Tensor, ""] = _SampledSoftmax.apply(  # type: ignore[no-untyped-call]
        users_NMD, targets_NKD, negatives_QD, given
    )
    return loss


@dataclass(frozen=True)
class _Vectors:
    """The vectors a loss is made of, or its gradient with respect to each of them."""

    users: Float[Tensor, "probes queries width"]
    targets: Float[Tensor, "probes targets width"]
    negatives: Float[Tensor, "negatives width"]

    def of(self, probes: slice) -> "_Vectors":
        return _Vectors(self.users[probes], self.targets[probes], self.negatives)


@dataclass(frozen=True)
class _Given:
    """What the loss is told beside the vectors; no gradient flows into it."""

    weights: Float[Tensor, "probes targets"]
    collisions: Int[Tensor, "probes targets"]
    log_expected: Float[Tensor, " negatives"]
    scale: float

    def of(self, probes: slice) -> "_Given":
        return replace(self, weights=self.weights[probes], collisions=self.collisions[probes])


class _SampledSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: BackwardCFunction,
        users: Float[Tensor, "probes queries width"],
        targets: Float[Tensor, "probes targets width"],
        negatives: Float[Tensor, "negatives width"],
        given: _Given,
    ) -> Float[Tensor, ""]:
        vectors = _Vectors(users, targets, negatives)
        gradients = _Vectors(
            torch.empty_like(users), torch.empty_like(targets), torch.zeros_like(negatives)
        )
        loss = users.new_zeros(())
        rows = max(32, _CHUNK_LOGITS // (users.shape[1] * len(negatives)))
        for start in range(0, len(users), rows):
            probes = slice(start, start + rows)
            loss += _chunk(vectors.of(probes), given.of(probes), gradients.of(probes))
        ctx.save_for_backward(gradients.users, gradients.targets, gradients.negatives)
        return loss / max(len(users), 1)

    @staticmethod
    def backward(
        ctx: BackwardCFunction, grad: Float[Tensor, ""]
    ) -> tuple[Tensor, Tensor, Tensor, None]:
        gradients = _Vectors(*list(ctx.saved_tensors))  # torch types it as a tuple of one
        each = grad / max(len(gradients.users), 1)
        return gradients.users * each, gradients.targets * each, gradients.negatives * each, None


def _chunk(vectors: _Vectors, given: _Given, gradients: _Vectors) -> Float[Tensor, ""]:
    """Return the summed loss of a chunk and write the gradients of that sum."""
    users, weights, scale = vectors.users, given.weights, given.scale
    N, M, D = users.shape
    logits_NMQ = (users.reshape(N * M, D) @ vectors.negatives.T).view(N, M, -1)
    negative, best_negative = logits_NMQ.max(dim=1) if M > 1 else (logits_NMQ[:, 0], None)
    logits_NMK = scale * torch.einsum("nmd,nkd->nmk", users, vectors.targets)
    positive, best_positive = logits_NMK.max(dim=1)
    negative.mul_(scale).sub_(given.log_expected)
    row, column = (given.collisions >= 0).nonzero(as_tuple=True)
    negative[row, given.collisions[row, column]] = -torch.inf
    positive = positive.masked_fill(weights == 0, -torch.inf)
    shift = torch.maximum(negative.amax(dim=1), positive.amax(dim=1))[:, None]
    negative.sub_(shift).exp_()
    share = (positive - shift).exp()
    total = negative.sum(dim=1, keepdim=True) + share.sum(dim=1, keepdim=True)
    gained = torch.where(weights > 0, weights * (positive - shift), 0).sum(dim=1)
    away = _Slope(negative.mul_(scale / total), best_negative)
    towards = _Slope((share / total - weights) * scale, best_positive)
    _write_gradients(vectors, away, towards, gradients)
    return (total[:, 0].log() - gained).sum()


@dataclass(frozen=True)
class _Slope:
    """The derivative of the loss by each score, and the query token that gave the score."""

    by_score: Float[Tensor, "probes scored"]
    best: Int[Tensor, "probes scored"] | None
    """None where there is but one query token."""


def _write_gradients(vectors: _Vectors, away: _Slope, towards: _Slope, gradients: _Vectors) -> None:
    users = vectors.users
    N, M, D = users.shape
    if away.best is None:
        gradients.users[:, 0] = away.by_score @ vectors.negatives
        gradients.negatives.addmm_(away.by_score.T, users[:, 0])
    else:
        routed = away.by_score.new_zeros(N, M, away.by_score.shape[1])
        routed.scatter_(1, away.best[:, None], away.by_score[:, None])
        routed = routed.view(N * M, -1)
        gradients.users.copy_((routed @ vectors.negatives).view(N, M, D))
        gradients.negatives.addmm_(routed.T, users.reshape(N * M, D))
    assert towards.best is not None
    index = towards.best[..., None].expand(-1, -1, D)
    gradients.users.scatter_add_(1, index, towards.by_score[..., None] * vectors.targets)
    gradients.targets.copy_(towards.by_score[..., None] * users.gather(1, index))


def binary_cross_entropy(
    users_NMD: Float[Tensor, "probes queries width"],  # noqa: N803
    targets_NKD: Float[Tensor, "probes targets width"],  # noqa: N803
    negatives_ND: Float[Tensor, "probes width"],  # noqa: N803
    *,
    scale: float,
) -> Float[Tensor, ""]:
    """SASRec's own loss: one target against one random negative per probe (Kang & McAuley 2018).

    ``loss = mean_n [-log sigmoid(s(n, t_n)) - log(1 - sigmoid(s(n, j_n)))]`` with ``s`` as in
    :func:`sampled_softmax`.
    """
    positive = scale * (users_NMD * targets_NKD[:, :1]).sum(-1).amax(dim=1)
    negative = scale * (users_NMD * negatives_ND[:, None]).sum(-1).amax(dim=1)
    return (F.softplus(-positive) + F.softplus(negative)).mean()


def log_expected_uniform(num_negatives: int, num_items: int) -> float:
    """Return ``log E = log(Q / I)``, the same for each negative drawn without replacement."""
    return math.log(num_negatives / num_items)
