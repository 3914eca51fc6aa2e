"""Answers as bytes: what is said of an item is written once and copied into every answer."""

from collections.abc import Mapping, Sequence

import numpy as np
import orjson
from jaxtyping import Float, Int

from palate.inference.engine import Engine
from palate.inference.item_view import ItemView

_NEXT = b"},"
"""Ends one item and parts it from the next."""


class Renderer:
    """Writes the items of one model as JSON, as they are after one change of the catalogue."""

    def __init__(self, engine: Engine, changes: int) -> None:
        """Write the items of ``engine``; after another change a new renderer is needed."""
        self._engine, self.changes = engine, changes
        self._written: dict[int, bytes] = {}

    def items(
        self,
        rows: Int[np.ndarray, " n"],
        scores: Float[np.ndarray, " n"],
        whys: Sequence[Sequence[Mapping[str, object]]] | None = None,
    ) -> bytes:
        """Return a JSON array of items with their scores, and the reasons for each if given."""
        if not len(rows):
            return b"[]"
        numbers = rows.tolist()
        # Item, score, item, score: one copy of the bytes in all.
        pieces = [b""] * (2 * len(numbers))
        try:
            pieces[::2] = map(self._written.__getitem__, numbers)
        except KeyError:
            pieces[::2] = map(self._item, numbers)
        # All scores at once, in the fewest digits that tell them apart.
        told = orjson.dumps(
            np.ascontiguousarray(scores, dtype=np.float32), option=orjson.OPT_SERIALIZE_NUMPY
        )[1:-1].split(b",")
        if whys is not None:
            told = [
                b'%b,"why":%b' % (score, orjson.dumps(why))
                for score, why in zip(told, whys, strict=True)
            ]
        pieces[1::2] = told
        return b"[%b}]" % b"".join(pieces)[len(_NEXT) :]

    def _item(self, row: int) -> bytes:
        """Return the end of the item before, and the item as an object up to its score."""
        written = _NEXT + orjson.dumps(short(self._engine.catalogue.view(row)))[:-1] + b',"score":'
        self._written[row] = written
        return written


def short(view: ItemView) -> dict[str, object]:
    """Return what a list says of an item."""
    return {
        "item_id": view.item_id,
        "title": view.title,
        "brand": view.brand,
        "categories": view.categories,
        "price": view.price,
        "in_stock": view.in_stock,
        "has_image": view.has_image,
    }
