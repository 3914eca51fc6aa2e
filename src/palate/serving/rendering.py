"""Responses as JSON bytes; the fields of an item are written once and copied into each response."""

from collections.abc import Mapping, Sequence

import numpy as np
import orjson
from jaxtyping import Float, Int
from starlette.responses import Response

from palate.inference.engine import Engine
from palate.inference.item_view import ItemView

JSON_HEADERS = {"content-type": "application/json"}

_NEXT = b"},"
"""The end of one item, and the separator before the next."""


def json_response(value: object, status: int = 200) -> Response:
    """Return plain values as JSON."""
    return Response(orjson.dumps(value), status_code=status, headers=JSON_HEADERS)


class Renderer:
    """Writes the items of one model as JSON, for one state of the catalogue."""

    def __init__(self, engine: Engine, changes: int) -> None:
        """Write the items of ``engine``; the next change of the catalogue needs a new renderer."""
        self._engine, self.changes = engine, changes
        self._written: dict[int, bytes] = {}

    def items(
        self,
        rows: Int[np.ndarray, " n"],
        scores: Float[np.ndarray, " n"],
        reasons: Sequence[Sequence[Mapping[str, object]]] | None = None,
    ) -> bytes:
        """Return a JSON array of items with their scores, and their reasons if given."""
        if not len(rows):
            return b"[]"
        row_numbers = rows.tolist()
        # Item, score, item, score: joining them copies the bytes only once.
        pieces = [b""] * (2 * len(row_numbers))
        try:
            pieces[::2] = map(self._written.__getitem__, row_numbers)
        except KeyError:
            pieces[::2] = map(self._item, row_numbers)
        # All scores at once, in the fewest digits that tell them apart.
        score_texts = orjson.dumps(
            np.ascontiguousarray(scores, dtype=np.float32), option=orjson.OPT_SERIALIZE_NUMPY
        )[1:-1].split(b",")
        if reasons is not None:
            score_texts = [
                b'%b,"why":%b' % (score, orjson.dumps(why))
                for score, why in zip(score_texts, reasons, strict=True)
            ]
        pieces[1::2] = score_texts
        return b"[%b}]" % b"".join(pieces)[len(_NEXT) :]

    def _item(self, row: int) -> bytes:
        """Return the end of the previous item, and this item as an object up to its score."""
        written = _NEXT + orjson.dumps(short(self._engine.catalogue.view(row)))[:-1] + b',"score":'
        self._written[row] = written
        return written


def short(view: ItemView) -> dict[str, object]:
    """Return the fields of an item in a list."""
    return {
        "item_id": view.item_id,
        "title": view.title,
        "brand": view.brand,
        "categories": view.categories,
        "price": view.price,
        "in_stock": view.in_stock,
        "has_image": view.has_image,
    }
