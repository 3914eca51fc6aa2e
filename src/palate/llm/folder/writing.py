"""Free words of a model: greedy for many prompts at once, sampled for one at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from palate.llm.folder.weights import Weights
from palate.llm.request import Sampling


@dataclass(frozen=True)
class Written:
    """What was written after one prompt."""

    text: str
    tokens_in: int
    tokens_out: int
    is_cut: bool
    """Whether the tokens or the time were used up."""


@torch.inference_mode()
def write(
    weights: Weights,
    prompts: Sequence[str],
    *,
    max_tokens: int,
    sampling: Sampling,
    stop: str = "",
    seconds: float | None = None,
) -> list[Written]:
    """Return what the model writes after each prompt.

    Args:
        weights: the model.
        prompts: whole prompts, up to where the answer begins.
        max_tokens: the most tokens of one answer.
        sampling: how tokens are drawn. Drawn answers are written one at a time, so that they do not
            depend on what else is asked.
        stop: a text after which nothing is written; it is left in.
        seconds: the most time for all of them.
    """
    lists = [weights.tokens(prompt) for prompt in prompts]
    options: dict[str, object] = {"max_new_tokens": max_tokens, "max_time": seconds}
    if stop:
        options |= {"stop_strings": [stop], "tokenizer": weights.tokenizer}
    if sampling.temperature == 0:
        return _generated(weights, lists, {**options, "do_sample": False})
    drawn = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p}
    with torch.random.fork_rng():
        written = []
        for tokens in lists:
            torch.manual_seed(sampling.seed)
            written += _generated(weights, [tokens], {**options, **drawn, "top_k": 0})
    return written


def _generated(
    weights: Weights, lists: Sequence[Sequence[int]], options: dict[str, object]
) -> list[Written]:
    longest = max(map(len, lists))
    pad = weights.tokenizer.pad_token_id
    pad = min(weights.ends, default=0) if pad is None else pad
    # Answers follow on the right, so that the padding stands on the left.
    rows = torch.full((len(lists), longest), pad, device=weights.model.device)
    mask = torch.zeros_like(rows)
    for row, tokens in enumerate(lists):
        rows[row, longest - len(tokens) :] = torch.tensor(tokens)
        mask[row, longest - len(tokens) :] = 1
    made = weights.model.generate(  # type: ignore[operator]
        input_ids=rows, attention_mask=mask, pad_token_id=pad, **options
    )
    answers = cast(Tensor, made)[:, longest:].tolist()
    most = cast(int, options["max_new_tokens"])
    return [_written(weights, *each, most) for each in zip(lists, answers, strict=True)]


def _written(
    weights: Weights, prompt: Sequence[int], answer: list[int], max_tokens: int
) -> Written:
    ended = next((at for at, token in enumerate(answer) if token in weights.ends), None)
    tokens = answer if ended is None else answer[:ended]
    return Written(weights.text(tokens), len(prompt), len(tokens), is_cut=ended is None)
