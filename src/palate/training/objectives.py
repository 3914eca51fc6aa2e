"""Training objectives; each is one pure function of vectors.

Shape suffixes: N predictions, M query tokens of a prediction, K targets of a prediction, Q
negatives, D width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import BackwardCFunction

_LOGITS_KEPT = 2**22
"""Logits kept between the forward and backward products: few enough for the outer cache."""

_LOWEST = -1e30

_SAFE_LOGIT = 60.0
"""``exp`` of it, times any number of negatives, is far from the limits of single precision."""

_BLOCK = 2048
"""Negatives multiplied at once. A block of logits then stays in the inner cache of one core until
its exponentials are summed; the product is twice as fast as over all columns."""


def sampled_softmax(  # noqa: PLR0913 - the terms of one formula
    users_NMD: Float[Tensor, "predictions queries width"],
    targets_NKD: Float[Tensor, "predictions targets width"],
    negatives_QD: Float[Tensor, "negatives width"],
    *,
    weights_NK: Float[Tensor, "predictions targets"],
    excluded: Int[Tensor, "predictions excluded"],
    log_expected: Float[Tensor, " negatives"],
    scale: float,
) -> Float[Tensor, ""]:
    """Softmax cross-entropy of sets of user vectors over shared negatives, with logQ correction.

    ``s(n, i) = scale * max_m <u_nm, w_i>``;
    ``Z(n) = sum_k exp s(n, t_nk) + sum_j exp(s(n, j) - log E_j)``, over ``j`` that
    are not excluded for ``n``;
    ``loss = mean_n sum_k weight_nk * (log Z(n) - s(n, t_nk))``.

    ``E_j`` is how often item ``j`` is expected among the Q negatives: subtracting its logarithm
    makes Z an unbiased estimate of the full sum (Bengio & Senecal 2008; Yi et al. 2019). With all
    items as negatives and ``E = 1`` this *is* the full softmax. The maximum over query tokens is
    URM's set-out score (arXiv 2502.03041); with M = 1 it is the plain two-tower softmax.

    The gradient is computed in the forward pass, a chunk of predictions at a time, so that no
    N x Q matrix is kept. Within a chunk the negatives are cut into blocks; each block has its own
    largest logit, and the blocks are rescaled to a common one at the end (online softmax, Milakov &
    Gimelshein 2018). On a CPU that takes a quarter of the time.

    Args:
        users_NMD: user vectors.
        targets_NKD: output vectors of the targets; any value where the weight is 0.
        negatives_QD: output vectors of the negatives.
        weights_NK: share of each target; 0 for padding; rows sum to 1.
        excluded: for each prediction, indices of negatives to leave out, such as its targets; -1 is
            padding.
        log_expected: ``log E_j`` per negative.
        scale: logit per unit of inner product.
    """
    constants = _Constants(weights_NK, excluded, log_expected, scale)
    loss: Float[Tensor, ""] = _SampledSoftmax.apply(  # type: ignore[no-untyped-call]
        users_NMD, targets_NKD, negatives_QD, constants
    )
    return loss


@dataclass(frozen=True)
class _Vectors:
    """The vectors that the loss depends on, or the gradients with respect to them."""

    users: Float[Tensor, "predictions queries width"]
    targets: Float[Tensor, "predictions targets width"]
    negatives: Float[Tensor, "negatives width"]

    def of(self, predictions: slice) -> "_Vectors":
        return _Vectors(self.users[predictions], self.targets[predictions], self.negatives)


@dataclass(frozen=True)
class _Constants:
    """The other arguments of the loss, which get no gradient."""

    weights: Float[Tensor, "predictions targets"]
    excluded: Int[Tensor, "predictions excluded"]
    log_expected: Float[Tensor, " negatives"]
    scale: float

    def of(self, predictions: slice) -> "_Constants":
        return replace(self, weights=self.weights[predictions], excluded=self.excluded[predictions])


class _SampledSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: BackwardCFunction,
        users: Float[Tensor, "predictions queries width"],
        targets: Float[Tensor, "predictions targets width"],
        negatives: Float[Tensor, "negatives width"],
        given: _Constants,
    ) -> Float[Tensor, ""]:
        vectors = _Vectors(users, targets, negatives)
        gradients = _Vectors(
            torch.empty_like(users), torch.empty_like(targets), _zeros_by_column(negatives)
        )
        rows = max(32, _LOGITS_KEPT // max(users.shape[1] * len(negatives), 1))
        table = _table(vectors, given, rows)
        loss = users.new_zeros(())
        for start in range(0, len(users), rows):
            predictions = slice(start, start + rows)
            loss += _chunk(
                vectors.of(predictions), given.of(predictions), table, gradients.of(predictions)
            )
        gradients.negatives.mul_(table.inverse[:, None])
        ctx.save_for_backward(gradients.users, gradients.targets, gradients.negatives)
        return loss / max(len(users), 1)

    @staticmethod
    def backward(
        ctx: BackwardCFunction, grad: Float[Tensor, ""]
    ) -> tuple[Tensor, Tensor, Tensor, None]:
        gradients = _Vectors(*list(ctx.saved_tensors))  # torch types it as a tuple of one
        each = grad / max(len(gradients.users), 1)
        return gradients.users * each, gradients.targets * each, gradients.negatives * each, None


@dataclass(frozen=True)
class _Table:
    """Values that depend only on the negatives, computed once for all chunks of predictions."""

    inverse: Float[Tensor, " negatives"]
    """``1 / E``. It multiplies a whole column of exponentials, so it is applied to vectors."""
    weighted: Float[Tensor, "negatives width"]
    """The negatives times ``1 / E``."""
    bounded: bool
    """True if no logit is so large that its exponential overflows; then none is shifted."""
    spans: Sequence[slice]
    """The blocks of negatives."""
    room: Sequence[Float[Tensor, "_ _"]]
    """Memory for each block of logits, reused; allocating it costs as much as the product."""


def _table(vectors: _Vectors, given: _Constants, rows: int) -> _Table:
    users, negatives = vectors.users, vectors.negatives
    inverse = (-given.log_expected).exp()
    starts = range(0, len(negatives), _BLOCK)
    spans = [slice(start, min(start + _BLOCK, len(negatives))) for start in starts]
    height = min(rows, len(users)) * users.shape[1]
    largest = [x.norm(dim=-1).amax() if len(x) else x.new_zeros(()) for x in (users, negatives)]
    return _Table(
        inverse,
        negatives * inverse[:, None],
        float(largest[0] * largest[1]) * given.scale < _SAFE_LOGIT,
        spans,
        [users.new_empty(height, span.stop - span.start) for span in spans],
    )


def _chunk(
    vectors: _Vectors, given: _Constants, table: _Table, gradients: _Vectors
) -> Float[Tensor, ""]:
    """Return the summed loss of some predictions and write the gradients of that sum."""
    positive, best_positive = _positive_scores(vectors, given)
    scaled = replace(vectors, users=vectors.users * given.scale)
    blocks = [_block(scaled, given, table, number) for number in range(len(table.spans))]
    # Z = exp(shift) * total: bring targets and blocks to the largest logit of all.
    shift = torch.stack([positive.amax(dim=1), *(block.shift for block in blocks)]).amax(dim=0)
    share = (positive - shift[:, None]).exp()
    total = share.sum(dim=1)
    for block in blocks:
        total += block.total * (block.shift - shift).exp()
    # d loss / d score is the softmax probability, minus the weight for targets.
    slope = (share / total[:, None] - given.weights) * given.scale
    _write_positive_gradients(vectors, _Slope(slope, best_positive), gradients)
    for block in blocks:
        factor = (block.shift - shift).exp() * given.scale / total
        _add_block_gradients(vectors, table, block, factor, gradients)
    gained = torch.where(given.weights > 0, given.weights * (positive - shift[:, None]), 0)
    return total.log().sum() - gained.sum()


def _positive_scores(
    vectors: _Vectors, given: _Constants
) -> tuple[Float[Tensor, "predictions targets"], Int[Tensor, "predictions targets"]]:
    """Return the targets' scores (-inf for padding) and the query tokens with the maximum."""
    logits_NMK = given.scale * torch.einsum("nmd,nkd->nmk", vectors.users, vectors.targets)
    positive, best = logits_NMK.max(dim=1)
    return positive.masked_fill(given.weights == 0, -torch.inf), best


@dataclass(frozen=True)
class _Block:
    """``exp(score - shift)`` of a block of negatives; :func:`_chunk` rescales it later."""

    span: slice
    shares: Float[Tensor, "predictions block"]
    best: Int[Tensor, "predictions block"] | None
    """The query token with the maximal score; None if there is only one."""
    shift: Float[Tensor, " predictions"]
    total: Float[Tensor, " predictions"]
    """Sum of the shares, each divided by its ``E``."""


def _block(vectors: _Vectors, given: _Constants, table: _Table, number: int) -> _Block:
    N, M, D = vectors.users.shape
    span = table.spans[number]
    logits = table.room[number][: N * M]
    torch.mm(vectors.users.reshape(N * M, D), vectors.negatives[span].T, out=logits)
    scores, best = logits.view(N, M, -1).max(dim=1) if M > 1 else (logits, None)
    inside = (given.excluded >= span.start) & (given.excluded < span.stop)
    row, column = inside.nonzero(as_tuple=True)
    scores[row, given.excluded[row, column] - span.start] = -torch.inf
    shift = scores.new_zeros(N)
    if not table.bounded:
        # Finite even if all negatives are excluded, so that their shares are 0 and not NaN.
        shift = scores.amax(dim=1).clamp(min=_LOWEST)
        scores.sub_(shift[:, None])
    shares = scores.exp_()
    return _Block(span, shares, best, shift, shares @ table.inverse[span])


@dataclass(frozen=True)
class _Slope:
    """The derivative of the loss by each score, and the query token with the maximal score."""

    by_score: Float[Tensor, "predictions scored"]
    best: Int[Tensor, "predictions scored"]


def _write_positive_gradients(vectors: _Vectors, towards: _Slope, gradients: _Vectors) -> None:
    index = towards.best[..., None].expand(-1, -1, vectors.users.shape[2])
    gradients.users.zero_()
    gradients.users.scatter_add_(1, index, towards.by_score[..., None] * vectors.targets)
    gradients.targets.copy_(towards.by_score[..., None] * vectors.users.gather(1, index))


def _add_block_gradients(
    vectors: _Vectors,
    table: _Table,
    block: _Block,
    factor: Float[Tensor, " predictions"],
    gradients: _Vectors,
) -> None:
    """Add the gradients from a block of negatives, whose slopes are ``factor * shares``."""
    N, M, D = vectors.users.shape
    shares = block.shares
    if block.best is not None:
        routed = shares.new_zeros(N, M, shares.shape[1])
        shares = routed.scatter_(1, block.best[:, None], shares[:, None]).view(N * M, -1)
    pushed = (shares @ table.weighted[block.span]).view(N, M, D)
    gradients.users.addcmul_(pushed, factor[:, None, None])
    users = (vectors.users * factor[:, None, None]).view(N * M, D)
    gradients.negatives[block.span].T.addmm_(users.T.contiguous(), shares)


def _zeros_by_column(x: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """Return zeros of the shape of ``x``, stored column by column.

    Adding products to rows of such a matrix is a third faster than with row-by-row storage.
    """
    return x.new_zeros(x.shape[1], x.shape[0]).T


def binary_cross_entropy(
    users_NMD: Float[Tensor, "predictions queries width"],
    targets_NKD: Float[Tensor, "predictions targets width"],
    negatives_ND: Float[Tensor, "predictions width"],
    *,
    scale: float,
) -> Float[Tensor, ""]:
    """The loss of SASRec: one random negative per target (Kang & McAuley 2018).

    ``loss = mean_n [-log sigmoid(s(n, t_n)) - log(1 - sigmoid(s(n, j_n)))]`` with ``s`` as in
    :func:`sampled_softmax`.
    """
    positive = scale * (users_NMD * targets_NKD[:, :1]).sum(-1).amax(dim=1)
    negative = scale * (users_NMD * negatives_ND[:, None]).sum(-1).amax(dim=1)
    return (F.softplus(-positive) + F.softplus(negative)).mean()


def next_code(
    logits: Sequence[Float[Tensor, "predictions _"]],
    codes_NL: Int[Tensor, "predictions levels"],
    *,
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """Cross-entropy of each code of an item, given the codes before it (TIGER, arXiv 2305.05065).

    ``loss = mean_n sum_l -log softmax(logits_l / temperature)[n, c_nl]``. A temperature below 1
    weighs hard negatives more (the ranking-guided loss of LETTER, arXiv 2405.07314).

    Args:
        logits: one per level, over the codes of that level.
        codes_NL: the true codes.
        temperature: divides the logits.
    """
    losses = [
        F.cross_entropy(each.float() / temperature, codes_NL[:, level])
        for level, each in enumerate(logits)
    ]
    return torch.stack(losses).sum()


def next_word(
    logits: Float[Tensor, "words vocabulary"], words: Int[Tensor, " words"]
) -> Float[Tensor, ""]:
    """Cross-entropy of each word of a target text, given the prompt and the words before it.

    ``loss = mean_w -log softmax(logits)[w, word_w]``: the loss of P5 (arXiv 2203.13366) and of
    instruction tuning (TALLRec, arXiv 2305.00447). For texts of one word it is the cross-entropy
    of a choice, and for *yes* and *no* nearly that of a click model.
    """
    return F.cross_entropy(logits.float(), words)


def contrast(
    left: Float[Tensor, "pairs width"], right: Float[Tensor, "pairs width"], *, temperature: float
) -> Float[Tensor, ""]:
    """InfoNCE: each ``left`` should be nearest to its own ``right`` among all of the batch.

    ``loss = mean_n -log [exp(cos(l_n, r_n) / t) / sum_m exp(cos(l_n, r_m) / t)]`` (van den Oord et
    al. 2018). With the history as ``left`` and the target's own text as ``right`` it is L_UT of
    CALRec; with the target as read after the history as ``left`` it is L_TT (arXiv 2405.02429).
    """
    cosines = F.normalize(left.float(), dim=1) @ F.normalize(right.float(), dim=1).T
    return F.cross_entropy(cosines / temperature, torch.arange(len(left), device=left.device))


def log_expected_uniform(num_negatives: int, num_items: int) -> float:
    """Return ``log E = log(Q / I)``, the same for each negative drawn without replacement."""
    return math.log(num_negatives / num_items)
