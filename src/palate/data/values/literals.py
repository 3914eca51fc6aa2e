"""Lists and objects written into one cell of text: JSON, Python, numpy, PostgreSQL.

``['Rock', 'R&B']``, ``[{'id': 16, 'name': 'Animation'}]``, ``["a", "b"]``, ``['a' 'b']``,
``{Rock,"R&B"}``, ``[Rock, Pop]``, ``frozenset({'Rock'})``, ``array(['Rock'], dtype=object)``. They
are read as literals; nothing is ever run.
"""

import ast
import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

_WRAPPERS = "array|frozenset|set|list|tuple|dict_keys|dict_values|Index|OrderedDict|Counter"
"""What Python, numpy and pandas write around the values of a list."""
_OPENS = rf"^(?:\[|\{{|\(\s*['\"()]|(?:{_WRAPPERS})\()"
"""How a list, an object, a set or a tuple of text begins."""
_WRAPPED = re.compile(rf"(?:{_WRAPPERS})\((.*?)(?:,\s*dtype=[^()]*)?\)", re.DOTALL)
_QUOTED = r"(?:'[^']*'|\"[^\"]*\")"
_NUMPY = re.compile(rf"\[\s*{_QUOTED}(?:\s+{_QUOTED})+\s*\]")
_NAMING = ("name", "title", "label", "value", "text", "tag", "category", "genre")
"""Keys whose value says what an object is, the likeliest first."""
_DEEPEST = 20


def are_literals(series: pl.Series, least: float = 0.5) -> bool:
    """Tell whether more than a share of ``least`` of a column of text are lists or objects."""
    filled = series.drop_nulls()
    return filled.len() > 0 and filled.str.contains(_OPENS).sum() > least * filled.len()


def from_literals(series: pl.Series) -> tuple[pl.Series, str]:
    """Return the lists of names in a column of text, and in which language they are written."""
    distinct = series.drop_nulls().unique(maintain_order=True).to_list()
    found = [_read(text) for text in distinct]
    languages = {language for _, language in found if language}
    lists = pl.DataFrame(
        {"text": distinct, "names": [names for names, _ in found]},
        schema={"text": pl.String, "names": pl.List(pl.String)},
    )
    joined = (
        series.alias("text").to_frame().join(lists, on="text", how="left", maintain_order="left")
    )
    language = f"{' and '.join(sorted(languages)) or 'written'} lists"
    return joined["names"].alias(series.name), language


def is_whole_literal(text: str) -> bool:
    """Tell whether a cell is a list or an object from end to end, and no text in brackets."""
    return re.match(_OPENS, text) is not None and _read(text)[1] not in {"", "bare"}


def names_of(value: object, depth: int = 0) -> list[str]:
    """Return the names in lists of lists and objects, each once, in order.

    Of an object it is its name, where it has one; else its texts; else its keys.
    """
    if value is None or depth > _DEEPEST:
        return []
    if isinstance(value, Mapping):
        return _names_of_object(value, depth)
    if isinstance(value, (set, frozenset)):
        return _once(name for part in sorted(value, key=str) for name in names_of(part, depth + 1))
    if isinstance(value, (list, tuple)):
        return _once(name for part in value for name in names_of(part, depth + 1))
    return [str(value)]


def _names_of_object(value: Mapping[object, object], depth: int) -> list[str]:
    by_key = {str(key).lower(): part for key, part in value.items()}
    for key in _NAMING:
        if by_key.get(key) is not None:
            return names_of(by_key[key], depth + 1)
    texts = [part for part in value.values() if isinstance(part, (str, list, tuple, Mapping))]
    if texts:
        return _once(name for part in texts for name in names_of(part, depth + 1))
    return [str(key) for key, part in value.items() if part is not None and part is not False]


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _read(text: str) -> tuple[list[str], str]:
    """Return the names in one cell and its language; a cell that is no list is one name."""
    if not re.match(_OPENS, text):
        return [text], ""
    wrapped = _WRAPPED.fullmatch(text)
    if wrapped is not None:
        return _read(wrapped[1]) if wrapped[1] else ([], "Python")
    if _NUMPY.fullmatch(text):
        # Python takes two texts side by side for one.
        return [found[1:-1] for found in re.findall(_QUOTED, text)], "numpy"
    try:
        return names_of(json.loads(text)), "JSON"
    except (ValueError, RecursionError):
        pass
    try:
        return names_of(ast.literal_eval(text)), "Python"
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return _bare(text), "bare"


def _bare(text: str) -> list[str]:
    """Return the names in brackets, with commas between and perhaps quotes around them."""
    inner = text.strip().strip("[]{}()")
    cells: Sequence[str] = next(csv.reader([inner], skipinitialspace=True), [])
    return _once(cell.strip().strip("'") for cell in cells)
