"""How probable some texts are as what follows another.

The beginning that all of them share is read once. Where the texts begin is decided by their tokens,
since a tokenizer may join the end of the prompt and the start of an answer.

Shape suffixes: O options, T tokens.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from palate.llm.folder.weights import Weights
from palate.llm.reply import ChoiceScores

if TYPE_CHECKING:
    from transformers import Cache


@torch.inference_mode()
def score_options(
    weights: Weights, before: str, options: Sequence[str], *, after: str = ""
) -> ChoiceScores:
    r"""Return the log-probability of each option.

    ``log p(option | before) = sum_t log p(token_t | before, tokens < t)`` over the tokens of the
    option. Where one option begins another, both would share a probability: then the end of the
    answer is counted too, as ``after`` or, where that is empty, as the mark that ends a message.
    """
    shared, rests = _split(weights, before, options, after)
    rows_OT = torch.zeros(len(rests), max(map(len, rests)), dtype=torch.long)
    for row, rest in enumerate(rests):
        rows_OT[row, : len(rest)] = torch.tensor(rest)
    rows_OT = rows_OT.to(weights.model.device)
    first_O1 = torch.full_like(rows_OT[:, :1], shared[-1])
    # What stands right of an option's own tokens is read too, and by nobody: attention looks left.
    logits = weights.model(
        input_ids=torch.cat([first_O1, rows_OT[:, :-1]], dim=1),
        past_key_values=_read_once(weights, shared[:-1], copies=len(rests)),
    ).logits
    logprobs_OT = logits.float().log_softmax(-1).gather(2, rows_OT[..., None])[..., 0]
    return ChoiceScores(_sums(logprobs_OT, rests), tuple(map(len, rests)))


@torch.inference_mode()
def score_plainly(weights: Weights, before: str, option: str, *, after: str = "") -> float:
    """Return the log-probability of one option, reading everything in one piece."""
    shared, (rest,) = _split(weights, before, [option], after)
    tokens = torch.tensor([[*shared, *rest]], device=weights.model.device)
    logprobs = weights.model(input_ids=tokens).logits[0].float().log_softmax(-1)
    own = logprobs[len(shared) - 1 : -1].gather(1, tokens[0, len(shared) :, None])
    return float(own.sum())


def _read_once(weights: Weights, tokens: list[int], *, copies: int) -> "Cache | None":
    """Return the keys and values of ``tokens``, once for each of ``copies`` rows."""
    if not tokens:
        return None
    ids = torch.tensor([tokens], device=weights.model.device)
    cache: Cache = weights.model(input_ids=ids, use_cache=True).past_key_values
    cache.batch_repeat_interleave(copies)
    return cache


def _split(
    weights: Weights, before: str, options: Sequence[str], after: str
) -> tuple[list[int], list[list[int]]]:
    """Return the tokens that stand before every option, and the tokens of each from there on."""
    ends = _needs_an_end(options)
    whole = [weights.tokens(before + option + (after if ends else "")) for option in options]
    if ends and not after and weights.ends:
        whole = [[*tokens, min(weights.ends)] for tokens in whole]
    start = _shared_length([weights.tokens(before), *whole])
    # One token at least stands before, to speak from, and one belongs to each option.
    start = max(min(start, min(map(len, whole)) - 1), 1)
    return whole[0][:start], [tokens[start:] for tokens in whole]


def _needs_an_end(options: Sequence[str]) -> bool:
    ordered = sorted(options)  # a text that begins others stands right before one of them
    return any(other.startswith(one) for one, other in pairwise(ordered))


def _shared_length(lists: Sequence[Sequence[int]]) -> int:
    length = 0
    for column in zip(*lists, strict=False):
        if len(set(column)) > 1:
            break
        length += 1
    return length


def _sums(logprobs_OT: Float[Tensor, "options time"], rests: list[list[int]]) -> tuple[float, ...]:
    return tuple(float(logprobs_OT[row, : len(rest)].sum()) for row, rest in enumerate(rests))
