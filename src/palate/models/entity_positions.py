"""Two positions per token: one in the text, and one inside its entity or its blank.

Chu, Hao et al. 2023, RecSysLLM, arXiv 2308.10837; Du et al. 2022, GLM. The outer position is the
rotary one; words that fill a blank have the outer position of the blank's mark. The inner position
is a learned embedding.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from palate.language.batch import MAX_TARGET_TOKENS
from palate.language.entities import EntityTrie

MOST_PLACES = MAX_TARGET_TOKENS + 1
"""Number of distinct inner positions, the start symbol's included."""


class TwoPositions(nn.Module):
    """Embedding of the inner position, which is added to the token embedding."""

    edge_keys: Tensor
    edge_children: Tensor
    final_nodes: Tensor

    def __init__(self, entities: EntityTrie, width: int) -> None:
        """Start as zeros, without an effect."""
        super().__init__()
        self.table = nn.Parameter(torch.zeros(MOST_PLACES + 1, width))
        self.vocabulary, self.end = entities.vocabulary, entities.end
        self.register_buffer("edge_keys", entities.keys, persistent=False)
        self.register_buffer("edge_children", entities.children, persistent=False)
        self.register_buffer("final_nodes", entities.final, persistent=False)

    @property
    def entities(self) -> EntityTrie:
        """The entity pool."""
        return EntityTrie(
            self.edge_keys, self.edge_children, self.final_nodes, self.vocabulary, self.end
        )

    def of(self, places: Int[Tensor, "*any"]) -> Float[Tensor, "*any width"]:
        """Return the vectors of inner positions: 0 outside entities, 1, 2, ... inside one."""
        return self.table[places.clamp(max=MOST_PLACES)]

    def of_answer(self, words: Int[Tensor, "*texts words"]) -> Float[Tensor, "*texts places width"]:
        """Return the position vectors of the start symbol and of each word after it.

        The entity pool decides which words belong together, in training and in generation.
        """
        return self.of(self.entities.places(words))

    def of_blanks(
        self,
        words: Int[Tensor, "batch predictions words"],
        masks: Int[Tensor, "batch predictions blanks"],
    ) -> Int[Tensor, "batch predictions places"]:
        """Return for each place of an answer the position in the row of its blank's mark."""
        # Each end token closes a blank; the words after it fill the next one.
        filled = F.pad((words == self.end).long().cumsum(dim=2), (1, 0))
        return masks.gather(2, filled.clamp(max=masks.shape[2] - 1))
