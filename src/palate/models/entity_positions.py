"""Two positions: where a token stands in the text, and where inside its entity or its blank.

Chu, Hao et al. 2023, RecSysLLM, arXiv 2308.10837; Du et al. 2022, GLM. The outer position is the
rotary one: of what fills a blank it is that of the blank's mark. The inner one is learned.
"""

import torch
import torch.nn.functional as F  # noqa: N812 - the name everyone uses
from jaxtyping import Float, Int
from torch import Tensor, nn

from palate.language.batch import MAX_TARGET_TOKENS
from palate.language.entities import EntityTrie

MOST_PLACES = MAX_TARGET_TOKENS + 1
"""Places inside an entity that are told apart, the start symbol's included."""


class TwoPositions(nn.Module):
    """The inner position of tokens, as a vector that is added to what is read."""

    edge_keys: Tensor
    edge_children: Tensor
    final_nodes: Tensor

    def __init__(self, entities: EntityTrie, width: int) -> None:
        """Start without an effect."""
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
        """Return the vectors of inner positions: 0 of what stands alone, else from 1."""
        return self.table[places.clamp(max=MOST_PLACES)]

    def of_reply(self, said: Int[Tensor, "*texts words"]) -> Float[Tensor, "*texts places width"]:
        """Return the vectors of the start symbol and of each word after it.

        The entity pool says which words belong together, in training as when words are written.
        """
        return self.of(self.entities.places(said))

    def of_blanks(
        self,
        said: Int[Tensor, "batch predictions words"],
        masks: Int[Tensor, "batch predictions blanks"],
    ) -> Int[Tensor, "batch predictions places"]:
        """Return for each place of an answer where in the row the mark of its blank stands."""
        filled = F.pad((said == self.end).long().cumsum(dim=2), (1, 0))
        return masks.gather(2, filled.clamp(max=masks.shape[2] - 1))
