"""What is minimised: each objective is one pure function of vectors.

Shape suffixes: N probes, M query tokens of a probe, K targets of a probe, Q negatives, D width.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the name everyone uses
from jaxtyping import Float, Int
from torch import Tensor

_CHUNK = 256
"""Probes handled at once: 256 x 4,096 logits stay in the cache of one core."""


def sampled_softmax(
    users_NMD: Float[Tensor, "probes queries width"],  # noqa: N803 - shape suffixes
    targets_NKD: Float[Tensor, "probes targets width"],  # noqa: N803
    negatives_QD: Float[Tensor, "negatives width"],  # noqa: N803
    *,
    weights_NK: Float[Tensor, "probes targets"],  # noqa: N803
    collisions: Int[Tensor, "probes targets"],
    log_expected: Float[Tensor, " negatives"],
    scale: float,
) -> Float[Tensor, ""]:
    """Softmax cross-entropy over shared sampled negatives with the logQ correction, for a set of user vectors.

    ``s(n, i) = scale * max_m <u_nm, w_i>``;
    ``Z(n) = sum_k exp s(n, t_nk) + sum_j exp(s(n, j) - log E_j)`` over negatives ``j`` that are no target of ``n``;
    ``loss = mean_n sum_k weight_nk * (log Z(n) - s(n, t_nk))``.

    ``E_j`` is how often item ``j`` is expected among the Q negatives: subtracting its logarithm makes Z an unbiased
    estimate of the full sum (Bengio & Senecal 2008; Yi et al. 2019). With all items as negatives and ``E = 1`` this *is*
    the full softmax. The maximum over query tokens is URM's set-out score (arXiv 2502.03041); with M = 1 it is the plain
    two-tower softmax.

    The gradient is worked out on the way forward, chunk by chunk, so that no N x Q matrix is ever kept: on a CPU that
    halves the time of a step.

    Args:
        users_NMD: user vectors.
        targets_NKD: output vectors of the targets; anything where the weight is 0.
        negatives_QD: output vectors of the negatives.
        weights_NK: share of each target; 0 for padding; rows sum to 1.
        collisions: place of each target among the negatives, -1 where it is not there.
        log_expected: ``log E_j`` per negative.
        scale: logit per unit of inner product.
    """
    loss: Float[Tensor, ""] = _SampledSoftmax.apply(
        users_NMD, targets_NKD, negatives_QD, weights_NK, collisions, log_expected, scale
    )
    return loss


class _SampledSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, users, targets, negatives, weights, collisions, log_expected, scale):  # noqa: ANN001, ANN205, PLR0913
        wanted = [torch.empty_like(users), torch.empty_like(targets), torch.zeros_like(negatives)]
        loss = users.new_zeros(())
        for start in range(0, len(users), _CHUNK):
            part = slice(start, start + _CHUNK)
            loss += _chunk(
                users[part],
                targets[part],
                negatives,
                weights[part],
                collisions[part],
                log_expected,
                scale,
                (wanted[0][part], wanted[1][part], wanted[2]),
            )
        ctx.save_for_backward(*wanted)
        ctx.count = max(len(users), 1)
        return loss / ctx.count

    @staticmethod
    def backward(ctx, grad):  # noqa: ANN001, ANN205
        users, targets, negatives = (saved * (grad / ctx.count) for saved in ctx.saved_tensors)
        return users, targets, negatives, None, None, None, None


def _chunk(users, targets, negatives, weights, collisions, log_expected, scale, gradients):  # noqa: ANN001, ANN202, PLR0913
    """Return the summed loss of a chunk and write the gradients of that sum."""
    N, M, D = users.shape
    logits_NMQ = (users.reshape(N * M, D) @ negatives.T).view(N, M, -1)
    negative, best_negative = logits_NMQ.max(dim=1) if M > 1 else (logits_NMQ[:, 0], None)
    positive, best_positive = (scale * torch.einsum("nmd,nkd->nmk", users, targets)).max(dim=1)
    negative.mul_(scale).sub_(log_expected)
    row, column = (collisions >= 0).nonzero(as_tuple=True)
    negative[row, collisions[row, column]] = -torch.inf
    positive = positive.masked_fill(weights == 0, -torch.inf)
    shift = torch.maximum(negative.amax(dim=1), positive.amax(dim=1))[:, None]
    negative.sub_(shift).exp_()
    weight_k = (positive - shift).exp()
    total = negative.sum(dim=1, keepdim=True) + weight_k.sum(dim=1, keepdim=True)
    gained = torch.where(weights > 0, weights * (positive - shift), 0).sum(dim=1)
    negative.mul_(scale / total)
    weight_k = (weight_k / total - weights) * scale
    _write_gradients(
        users, targets, negatives, (negative, best_negative), (weight_k, best_positive), gradients
    )
    return (total[:, 0].log() - gained).sum()


def _write_gradients(users, targets, negatives, pull, push, gradients):  # noqa: ANN001, ANN202, PLR0913
    N, M, D = users.shape
    to_users, to_targets, to_negatives = gradients
    negative, best_negative = pull
    weight_k, best_positive = push
    if best_negative is None:
        to_users[:, 0] = negative @ negatives
        to_negatives.addmm_(negative.T, users[:, 0])
    else:
        routed = torch.zeros(N, M, negative.shape[1]).scatter_(
            1, best_negative[:, None], negative[:, None]
        )
        routed = routed.view(N * M, -1)
        to_users.copy_((routed @ negatives).view(N, M, D))
        to_negatives.addmm_(routed.T, users.reshape(N * M, D))
    index = best_positive[..., None].expand(-1, -1, D)
    to_users.scatter_add_(1, index, weight_k[..., None] * targets)
    to_targets.copy_(weight_k[..., None] * users.gather(1, index))


def binary_cross_entropy(
    users_NMD: Float[Tensor, "probes queries width"],  # noqa: N803
    targets_NKD: Float[Tensor, "probes targets width"],  # noqa: N803
    negatives_ND: Float[Tensor, "probes width"],  # noqa: N803
    *,
    scale: float,
) -> Float[Tensor, ""]:
    """SASRec's own loss: one target against one random negative per probe (Kang & McAuley 2018).

    ``loss = mean_n [-log sigmoid(s(n, t_n)) - log(1 - sigmoid(s(n, j_n)))]`` with ``s`` as in :func:`sampled_softmax`.
    """
    positive = scale * (users_NMD * targets_NKD[:, :1]).sum(-1).amax(dim=1)
    negative = scale * (users_NMD * negatives_ND[:, None]).sum(-1).amax(dim=1)
    return (F.softplus(-positive) + F.softplus(negative)).mean()


def log_expected_uniform(num_negatives: int, num_items: int) -> float:
    """Return ``log E`` of negatives drawn uniformly without replacement: the same for each, ``log(Q / I)``."""
    return math.log(num_negatives / num_items)
