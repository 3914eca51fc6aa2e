"""Entity trie: the words of all item titles, and the position of a text inside a title.

Chu, Hao et al. 2023, RecSysLLM, arXiv 2308.10837 ("dynamic position mechanism").
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from palate.errors import UnknownItemError
from palate.language.batch import MAX_TARGET_TOKENS
from palate.language.tokenizer import Tokenizer

_ROOT, _NOWHERE = 0, -1


@dataclass(frozen=True, eq=False)
class EntityTrie:
    """Words of all entities as a prefix tree in flat tensors; it is immutable.

    The edge from node ``n`` by word ``w`` has the key ``n V + w``, V the size of the vocabulary.

    Example:
        >>> trie = EntityTrie.of([[5, 6], [5, 7, 8]], vocabulary=10, end=2)
        >>> trie.places(torch.tensor([5, 7, 8, 5, 9, 4])).tolist()
        [1, 2, 3, 4, 1, 1, 1]
        >>> trie.allowed(torch.tensor([5])).nonzero().flatten().tolist()
        [6, 7]
        >>> trie.allowed(torch.tensor([5, 6])).nonzero().flatten().tolist()
        [2]
    """

    keys: Int[Tensor, " edges"]
    """Sorted; the first is below any real one."""
    children: Int[Tensor, " edges"]
    """The node that each edge leads to."""
    final: Bool[Tensor, " nodes"]
    """Whether an entity ends at the node; another, longer one may go on."""
    vocabulary: int
    end: int
    """The mark that ends a text: after it the next one starts."""

    @classmethod
    def of(cls, entities: Iterable[Sequence[int]], *, vocabulary: int, end: int) -> "EntityTrie":
        """Build the tree of some word sequences."""
        edges: dict[int, int] = {}
        ends: set[int] = set()
        for words in entities:
            node = _ROOT
            for word in words:
                node = edges.setdefault(node * vocabulary + word, len(edges) + 1)
            ends.add(node)
        final = torch.zeros(len(edges) + 1, dtype=torch.bool)
        final[sorted(ends)] = True
        known = sorted(edges.items())
        keys, children = zip((-1, _NOWHERE), *known, strict=True)
        return cls(torch.tensor(keys), torch.tensor(children), final, vocabulary, end)

    @classmethod
    def of_titles(cls, titles: Sequence[str], tokenizer: Tokenizer) -> "EntityTrie":
        """Build the tree of the titles of a catalogue, each cut to the maximum answer length."""
        encoded = tokenizer.encode_batch([title for title in titles if title])
        cut = (tokens[: MAX_TARGET_TOKENS - 1] for tokens in encoded)
        return cls.of(cut, vocabulary=len(tokenizer), end=tokenizer.end)

    def to(self, device: torch.device) -> "EntityTrie":
        """Return the same on ``device``."""
        return replace(
            self,
            keys=self.keys.to(device),
            children=self.children.to(device),
            final=self.final.to(device),
        )

    def places(self, words: Int[Tensor, "*texts words"]) -> Int[Tensor, "*texts places"]:
        """Return the position inside its entity of the start symbol and of each word after it.

        The start symbol has position 1. A word that continues a path of the tree has the position
        after that of the word before it; any other word restarts at 1. An end mark is the start
        symbol of the text that follows.
        """
        node = torch.full(words.shape[:-1], _ROOT, device=words.device)
        place = torch.ones_like(node)
        places = [place]
        for word in words.unbind(dim=-1):
            onward, anew = self._child(node, word), self._child(torch.zeros_like(node), word)
            goes_on, starts = onward >= 0, word == self.end
            node = torch.where(starts, _ROOT, torch.where(goes_on, onward, anew))
            place = torch.where(goes_on & ~starts, place + 1, 1)
            places.append(place)
        return torch.stack(places, dim=-1)

    def allowed(self, words: Int[Tensor, "*texts words"]) -> Bool[Tensor, "*texts vocabulary"]:
        """Mark the words that continue an entity, or the end mark where an entity is complete.

        Raises:
            UnknownItemError: when no entity begins with the words.
        """
        node = torch.full(words.shape[:-1], _ROOT, device=words.device)
        ended = torch.zeros_like(node, dtype=torch.bool)
        for word in words.unbind(dim=-1):
            ended |= word == self.end
            node = torch.where(ended, node, self._child(node, word))
        if bool((node < 0).any()):
            unknown = words[node < 0][0].tolist()
            raise UnknownItemError(f"No title begins with the words {unknown}.")
        mask = self._following(node).masked_fill_(ended[..., None], False)
        mask[..., self.end] = ended | self.final[node]
        return mask

    def _child(
        self, node: Int[Tensor, "*texts"], word: Int[Tensor, "*texts"]
    ) -> Int[Tensor, "*texts"]:
        """Return the node that ``word`` leads to; -1 where there is none."""
        key = torch.where((node >= 0) & (word >= 0), node * self.vocabulary + word, -1)
        place = torch.searchsorted(self.keys, key).clamp(max=len(self.keys) - 1)
        return torch.where(self.keys[place] == key, self.children[place], _NOWHERE)

    def _following(self, node: Int[Tensor, "*texts"]) -> Bool[Tensor, "*texts vocabulary"]:
        """Mark the words of the edges that leave each node; these edges are adjacent."""
        first = torch.searchsorted(self.keys, node * self.vocabulary)
        after = torch.searchsorted(self.keys, (node + 1) * self.vocabulary)
        most = int((after - first).max()) if node.numel() else 0
        edge = first[..., None] + torch.arange(most, device=node.device)
        there = edge < after[..., None]
        words = self.keys[edge.clamp(max=len(self.keys) - 1)] % self.vocabulary
        counts = torch.zeros(*node.shape, self.vocabulary, dtype=torch.int8, device=node.device)
        # A padded edge may carry the word of a real one: the sum, not the last one, decides.
        return counts.scatter_add_(-1, words, there.to(torch.int8)) > 0
