"""Codes for new items, without changing the codes of other items."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from palate.errors import ConfigError
from palate.items.codes.codes import Codes
from palate.items.codes.quantiser import Quantiser

_BLOCK = 4_096


def with_new_items(
    codes: Codes, quantiser: Quantiser, vectors: Float[np.ndarray, "new dim"]
) -> Codes:
    """Return ``codes`` with rows for new items appended: nearest codes, first free digit.

    An item takes the nearest code of each level and the lowest free extra digit. If all digits (or,
    without a digit, the code) are taken, it takes the next nearest code of the last level, and if
    its prefix is full, the next prefix with room.

    Args:
        codes: codes made with ``quantiser``, with an extra digit or without.
        quantiser: the fitted quantiser.
        vectors: vectors of the new items, from the same encoder as those of the old items.

    Raises:
        ConfigError: when the codes end in an item's own token, or no code is free.
    """
    learned = len(quantiser.sizes)
    if codes.num_telling != learned or codes.levels[-1].meaning == "item":
        raise ConfigError(
            "These codes give each item a token of its own, which a new item cannot have.",
            hint="Index again, with unique = 'digit' or 'sinkhorn'.",
        )
    taken = set(map(tuple, codes.values.tolist()))
    new = np.empty((len(vectors), codes.num_levels), dtype=np.int32)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        drawn = quantiser.encode(block)
        costs = quantiser.last_costs(block, drawn)
        for place, (row, cost) in enumerate(zip(drawn.tolist(), costs, strict=True)):
            ranked = [row[-1], *np.argsort(cost, kind="stable").tolist()]
            found = _first_free(row[:-1], ranked, codes.sizes[:learned], codes.sizes, taken)
            taken.add(found)
            new[start + place] = found
    return codes.extended(new)


def _first_free(
    prefix: list[int],
    ranked: list[int],
    learned: tuple[int, ...],
    sizes: tuple[int, ...],
    taken: set[tuple[int, ...]],
) -> tuple[int, ...]:
    digits = range(sizes[-1]) if len(sizes) > len(learned) else None
    for before in _prefixes(prefix, learned[:-1]):
        for code in ranked:
            path = (*before, code)
            tails = [path] if digits is None else ((*path, digit) for digit in digits)
            for candidate in tails:
                if candidate not in taken:
                    return candidate
    raise ConfigError(
        "No codes are left for a new item.", hint="Index again, with more levels or larger ones."
    )


def _prefixes(prefix: list[int], sizes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield ``prefix``, then all others; the last level changes fastest."""
    radix = np.asarray(sizes, dtype=object)
    total = int(np.prod(radix)) if len(sizes) else 1
    for shift in range(total):
        digits, carry = list(prefix), shift
        for level in reversed(range(len(sizes))):
            carry, digits[level] = divmod(prefix[level] + carry, sizes[level])
        yield tuple(digits)
