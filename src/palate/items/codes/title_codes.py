"""Titles as codes, one word per level, so that title search can use the code search."""

from collections.abc import Sequence

import numpy as np

from palate.items.codes.codes import Codes, Level
from palate.items.codes.collisions import Drawn, ExtraDigit


def title_codes(titles: Sequence[Sequence[int]], *, end: int, num_words: int) -> Codes:
    """Return the token ids of each title, padded with the end token.

    The last level numbers the items that have the same title.

    Args:
        titles: token ids of each title, with the end token if the title was not cut before it.
        end: the end token.
        num_words: size of the vocabulary.

    Example:
        >>> title_codes([[5, 9], [7, 9], [5, 9], [9]], end=9, num_words=10).values.tolist()
        [[5, 9, 0], [7, 9, 0], [5, 9, 1], [9, 9, 0]]
    """
    words = np.full((len(titles), max(map(len, titles), default=0)), end, dtype=np.int32)
    for row, title in enumerate(titles):
        words[row, : len(title)] = title
    levels = (Level("word", num_words),) * words.shape[1]
    return ExtraDigit(least=1).resolve(Drawn(words, levels))
