"""Instructions that were read before: what is repeated and does not change is encoded once.

The instruction of a task stands before every prompt of every user (see
:mod:`palate.language.batch`). Its keys and values depend on nothing but its words and the weights,
so that answers need it read once for as long as the weights stay.
"""

from collections.abc import Callable, Sequence

from jaxtyping import Int
from torch import Tensor, nn

from palate.models.attention_layout import Instruction

_MOST = 16
"""Instructions that are kept: 16 of 64 tokens are 24 MB with 30 layers and three heads of 64."""

Stamp = tuple[tuple[int, int], ...]
"""Changes whenever a weight is changed, exchanged or moved."""


class KnownInstructions:
    """The instructions read last, for one state of the weights. Mutable: a cache."""

    def __init__(self) -> None:
        """Start without any."""
        self._kept: dict[tuple[object, ...], Instruction] = {}

    def __deepcopy__(self, _: object) -> "KnownInstructions":
        """A copy of a model reads anew: its weights may become others."""
        return KnownInstructions()

    def get(
        self,
        words: Int[Tensor, " words"],
        weights: Sequence[nn.Parameter],
        precision: object,
        read: Callable[[], Instruction | None],
    ) -> Instruction | None:
        """Return an instruction as it was read before, or read it.

        Args:
            words: its token ids.
            weights: everything that its keys and values depend on.
            precision: what else they depend on: the precision that products are computed in.
            read: reads it.
        """
        # Nobody can tell whether weights that were made in inference mode have changed.
        if any(weight.is_inference() for weight in weights):
            return read()
        stamp = tuple((weight.data_ptr(), weight._version) for weight in weights)
        key = (tuple(words.tolist()), precision, stamp)
        known = self._kept.get(key)
        if known is not None:
            return known
        found = read()
        if found is not None:
            # Of other weights nothing is kept. The dictionary is exchanged, since threads share it.
            recent = [(old, kept) for old, kept in self._kept.items() if old[2] == stamp]
            self._kept = {**dict(recent[-(_MOST - 1) :]), key: found}
        return found
