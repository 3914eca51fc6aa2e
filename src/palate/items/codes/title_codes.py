"""Titles as codes: word after word, so that a search among titles is one over codes."""

from collections.abc import Sequence

import numpy as np

from palate.items.codes.codes import Codes, Level
from palate.items.codes.collisions import Drawn, ExtraDigit


def title_codes(replies: Sequence[Sequence[int]], *, end: int, num_words: int) -> Codes:
    """Return the words of each title and the mark that ends it, which fills the rest of the row.

    The last level numbers the items that share a title: words cannot tell them apart.

    Args:
        replies: of each item the words that say its title, with the mark if they were not cut
            before it (see :meth:`palate.language.batch.Writer.reply`).
        end: the mark.
        num_words: words there are.

    Example:
        >>> title_codes([[5, 9], [7, 9], [5, 9], [9]], end=9, num_words=10).values.tolist()
        [[5, 9, 0], [7, 9, 0], [5, 9, 1], [9, 9, 0]]
    """
    words = np.full((len(replies), max(map(len, replies), default=0)), end, dtype=np.int32)
    for row, reply in enumerate(replies):
        words[row, : len(reply)] = reply
    levels = (Level("word", num_words),) * words.shape[1]
    return ExtraDigit(least=1).resolve(Drawn(words, levels))
