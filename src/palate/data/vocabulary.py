"""Ids to rows and back: the only place where an id changes form."""

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Int

from palate.errors import PalateError, UnknownItemError


class Vocabulary:
    """A fixed, ordered set of ids; the position of an id is its *row*.

    Rows are a seeded random permutation of the ids, so that no numbering (file order, alphabet,
    first appearance) can leak from the ids into a model or into the tie rule of a ranking.
    """

    def __init__(
        self, ids: Sequence[str], *, unknown: type[PalateError] = UnknownItemError
    ) -> None:
        """Keep ``ids`` in their order; ``unknown`` is the error for an id not among them."""
        self.ids = np.asarray(ids, dtype=object)
        self._unknown = unknown
        if len(self._row_of) != len(self.ids):
            raise ValueError("a vocabulary needs distinct ids")

    @classmethod
    def shuffled(
        cls,
        ids: Iterable[str],
        rng: np.random.Generator,
        *,
        unknown: type[PalateError] = UnknownItemError,
    ) -> "Vocabulary":
        """Return the distinct ``ids`` in random order, the same for the same set and seed."""
        ordered = np.asarray(sorted(set(ids)), dtype=object)
        return cls(ordered[rng.permutation(len(ordered))].tolist(), unknown=unknown)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {item_id: row for row, item_id in enumerate(self.ids)}

    def __len__(self) -> int:
        """Return the number of ids."""
        return len(self.ids)

    def __contains__(self, item_id: object) -> bool:
        """Tell whether ``item_id`` is known."""
        return item_id in self._row_of

    def row(self, item_id: str) -> int:
        """Return the row of one id.

        Raises:
            UnknownItemError: (or the class given as ``unknown``) when the id is not known.
        """
        try:
            return self._row_of[item_id]
        except KeyError:
            examples = ", ".join(repr(str(x)) for x in self.ids[:3])
            raise self._unknown(
                f"Unknown id {item_id!r}: it is not among the {len(self):,} known ids.",
                hint=f"Ids look like {examples}; check spelling and case.",
            ) from None

    def rows(self, item_ids: Iterable[str]) -> Int[np.ndarray, " ids"]:
        """Return the rows of several ids, in their order."""
        return np.fromiter((self.row(x) for x in item_ids), dtype=np.int64)
