"""A matrix drawn as a heat map, as an SVG file of its own."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from markupsafe import Markup, escape

_CELL = 64
_LEFT = 110
_TOP = 70

_SVG = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img" aria-label="{}">'
    "{}</svg>\n"
)
_RECT = Markup('<rect class="cell{}" x="{}" y="{}" width="{}" height="{}" fill-opacity="{:.2f}"/>')
_STYLE = Markup(
    "<style>text{font:12px system-ui,sans-serif;fill:#1b1b1f}"
    ".cell{fill:#1f5fbf}.best{stroke:#d9480f;stroke-width:3}"
    "@media(prefers-color-scheme:dark){text{fill:#f0f0f3}.cell{fill:#7fb0ff}}</style>"
)


def heat_map(
    names: Sequence[str],
    matrix: Float[np.ndarray, "names names"],
    *,
    title: str,
    rows: str,
    columns: str,
) -> str:
    """Return a square matrix as a self-contained SVG, with its values as text.

    Each row is shaded by its own range, so that rows of different levels can be compared; its
    largest value has a border.

    Args:
        names: of the rows, and of the columns alike.
        matrix: the values.
        title: what screen readers say.
        rows: what the rows are.
        columns: what the columns are.
    """
    width, height = _LEFT + _CELL * len(names) + 10, _TOP + _CELL * len(names) + 10
    parts = [_STYLE, _text(_LEFT, 20, columns), _text(8, _TOP - 12, rows)]
    for place, name in enumerate(names):
        parts.append(_text(_LEFT + _CELL * place + 6, _TOP - 12, name))
        parts.append(_text(8, _TOP + _CELL * place + 36, name))
    for row, values in enumerate(matrix):
        low, high = float(values.min()), float(values.max())
        for column, value in enumerate(values.tolist()):
            share = 0.5 if high == low else (value - low) / (high - low)
            parts.append(_cell(row, column, value, share, best=value == high))
    return _SVG.format(width, height, title, Markup("").join(parts))


def _cell(row: int, column: int, value: float, share: float, *, best: bool) -> Markup:
    x, y = _LEFT + _CELL * column, _TOP + _CELL * row
    style = " best" if best else ""
    shade = _RECT.format(style, x + 2, y + 2, _CELL - 4, _CELL - 4, 0.08 + 0.5 * share)
    return shade + _text(x + 12, y + 36, f"{value:.4f}")


def _text(x: int, y: int, words: str) -> Markup:
    return Markup('<text x="{}" y="{}">{}</text>').format(x, y, escape(words))
