"""A plain way to score items by their codes: each item's codes are read to the end, one by one."""

from collections.abc import Sequence

import numpy as np
import torch

from palate.inference.prompt_runner import PromptRunner
from palate.training.system import LanguageModelSystem
from palate.types import History


def scores_by_codes(system: LanguageModelSystem, histories: Sequence[History]) -> np.ndarray:
    """Return the log-probability of the codes of every item after each history."""
    runner, model = PromptRunner(system), system.model
    codes = model.codes
    assert codes is not None
    scores = np.empty((len(histories), len(system.features)), dtype=np.float32)
    for users, batch in runner._batches(histories, None, codes.num_levels):
        with torch.inference_mode():
            read, table = runner.with_items(batch)
            for row in range(scores.shape[1]):
                rows = torch.full_like(read.prefix_lengths, row)
                states = model.states(read, table, users=False, target_rows=rows).codes
                assert states is not None
                tokens = codes.values[rows[read.prefix_lengths >= 0]] - codes.first_tokens
                logs = [
                    codes.logits(states[:, level], level).float().log_softmax(dim=-1)
                    for level in range(codes.num_levels)
                ]
                each = [log.gather(1, tokens[:, level, None]) for level, log in enumerate(logs)]
                scores[users, row] = torch.cat(each, dim=1).sum(dim=1).numpy()
    return scores
