"""Item format: an item is one fused token, its codes, its title words, or several of these.

Shape suffixes: E events of a history, S places of an item.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

from palate.language.tokenizer import Tokenizer

NOTHING = -1
"""Fill value: no word, item, event, prediction or target."""

MAX_TITLE_WORDS = 12
"""Default number of title words that are read."""

MAX_TITLE_WORDS_IN_TEXT = 40
"""The same for prompts in text, in tokens of a pre-trained tokenizer."""

ItemPart = Literal["title", "codes", "item"]
"""One representation of an item."""


@dataclass(frozen=True)
class FormattedItems:
    """The tokens of a history, in order."""

    token_ids: Int[np.ndarray, " places"]
    items: Int[np.ndarray, " places"]
    """Catalogue rows, of fused tokens and of codes."""
    levels: Int[np.ndarray, " places"]
    """Code level at each token; NOTHING for fused item tokens and words."""
    lengths: Int[np.ndarray, " events"]
    """Number of tokens of each event."""

    @property
    def inner(self) -> Int[np.ndarray, " places"]:
        """Position of each token inside its item, from 1."""
        firsts = np.cumsum(self.lengths) - self.lengths
        return np.asarray(np.arange(len(self.items)) - np.repeat(firsts, self.lengths) + 1)


@dataclass(frozen=True, eq=False)
class ItemFormat:
    """How histories are formatted; the fused token, which holds most information, comes last.

    Example:
        >>> formatted = ItemFormat(("codes", "item"), num_levels=2).lay_out(np.array([7]))
        >>> formatted.items.tolist(), formatted.levels.tolist()
        ([7, 7, 7], [0, 1, -1])
    """

    item_parts: tuple[ItemPart, ...] = ("item",)
    num_levels: int = 0
    """Codes of an item, where codes are formatted."""
    titles: Int[np.ndarray, "items words"] | None = None
    """Words of each title, padded with NOTHING, where titles are formatted."""
    entity_positions: bool = False
    """Whether tokens also get the embedding of their position inside the item."""
    between: int = 0
    """Approximate number of words before each item in a prompt in text; counted, not laid out."""

    @property
    def places(self) -> int:
        """Maximum number of tokens of an item, with those before it."""
        return self.between + self._own_places

    @property
    def _own_places(self) -> int:
        words = 0 if self.titles is None else self.titles.shape[1]
        return words + ("codes" in self.item_parts) * self.num_levels + ("item" in self.item_parts)

    def lay_out(self, rows: Int[np.ndarray, " events"]) -> FormattedItems:
        """Return the tokens of the items in ``rows``."""
        if self.item_parts == ("item",):
            nothing = np.full(len(rows), NOTHING)
            return FormattedItems(nothing, rows, nothing, np.ones(len(rows), dtype=np.int64))
        words, items, levels = (np.full((len(rows), self._own_places), NOTHING) for _ in range(3))
        at = 0
        if self.titles is not None:
            at = self.titles.shape[1]
            words[:, :at] = self.titles[rows]
        if "codes" in self.item_parts:
            items[:, at : at + self.num_levels] = rows[:, None]
            levels[:, at : at + self.num_levels] = np.arange(self.num_levels)
        if "item" in self.item_parts:
            items[:, -1] = rows
        there = (words >= 0) | (items >= 0)
        return FormattedItems(words[there], items[there], levels[there], there.sum(axis=1))


def title_words(
    titles: Sequence[str],
    tokenizer: Tokenizer,
    most: int = MAX_TITLE_WORDS,
    *,
    inline: bool = False,
) -> Int[np.ndarray, "items words"]:
    """Return the first tokens of each title, padded with NOTHING.

    With ``inline`` a title is encoded as it stands after other words, behind a space.
    """
    whole = (
        tokenizer.encode_after([f" {title}" if title else "" for title in titles])
        if inline
        else tokenizer.encode_batch(list(titles))
    )
    encoded = [tokens[:most] for tokens in whole]
    longest = max((len(tokens) for tokens in encoded), default=0)
    table = np.full((len(encoded), longest), NOTHING)
    for row, tokens in enumerate(encoded):
        table[row, : len(tokens)] = tokens
    return table
