"""Result types of recommendations: lists of items with ids, titles, scores and ranks."""

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, overload

import polars as pl

from palate.errors import MissingExtraError
from palate.inference.request import Understood

if TYPE_CHECKING:
    import pandas as pd

_SCHEMA = {
    "user_id": pl.String,
    "rank": pl.Int64,
    "item_id": pl.String,
    "title": pl.String,
    "score": pl.Float64,
}


@dataclass(frozen=True)
class ItemReason:
    """An item of the history, and by how much the score falls without it."""

    item_id: str
    title: str
    weight: float


@dataclass(frozen=True)
class RankedItem:
    """An item of a list."""

    item_id: str
    title: str
    score: float
    """Higher is better; comparable within one list."""
    rank: int
    """Rank in the list, from 1."""
    reasons: tuple[ItemReason, ...] = ()
    """The most important events, if reasons were requested."""


@dataclass(frozen=True)
class ItemList(Sequence[RankedItem]):
    """The items for one user, best first.

    Example:
        >>> found = ItemList((RankedItem("i7", "Reading lamp", 2.5, 1),), user_id="u42")
        >>> found[0].item_id, found.item_ids
        ('i7', ['i7'])
        >>> found.to_polars().rows()
        [('u42', 1, 'i7', 'Reading lamp', 2.5)]
    """

    items: tuple[RankedItem, ...]
    user_id: str | None = None
    """None for a request by history alone."""
    fallback: str | None = None
    """Fallback that answered: ``cold-start`` or ``popular`` for an unknown user, ``titles`` for a
    search that only matched titles, ``base`` where a prompted model gave no answer."""
    missing_ids: tuple[str, ...] = ()
    """Items of the given history that are not in the catalogue; the list is made without them."""
    understood: Understood | None = None
    """What was understood of a prompt in free words; None without one."""

    @property
    def item_ids(self) -> list[str]:
        """The item ids, best first."""
        return [item.item_id for item in self.items]

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.items)

    @overload
    def __getitem__(self, place: int) -> RankedItem: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[RankedItem, ...]: ...

    def __getitem__(self, place: int | slice) -> RankedItem | tuple[RankedItem, ...]:
        """Return the item at an index from 0, or a slice."""
        return self.items[place]

    def __iter__(self) -> Iterator[RankedItem]:
        """Iterate over the items, best first."""
        return iter(self.items)

    def rows(self) -> list[dict[str, object]]:
        """Return one dictionary per item: user_id, rank, item_id, title, score."""
        return [
            {
                "user_id": self.user_id,
                "rank": item.rank,
                "item_id": item.item_id,
                "title": item.title,
                "score": item.score,
            }
            for item in self.items
        ]

    def to_polars(self) -> pl.DataFrame:
        """Return a polars frame with the columns user_id, rank, item_id, title, score."""
        return pl.DataFrame(self.rows(), schema=_SCHEMA)

    def to_pandas(self) -> "pd.DataFrame":
        """Return the same as a pandas frame.

        Raises:
            MissingExtraError: when pandas is not installed.
        """
        return _as_pandas(self.rows())

    def _repr_html_(self) -> str:
        """Return an HTML table for a notebook; item texts are escaped."""
        return _html(self.rows(), self.fallback)


@dataclass(frozen=True)
class ItemLists(Sequence[ItemList]):
    """The lists of several users, in the order of the request."""

    lists: tuple[ItemList, ...]

    def __len__(self) -> int:
        """Return the number of lists."""
        return len(self.lists)

    @overload
    def __getitem__(self, place: int) -> ItemList: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[ItemList, ...]: ...

    def __getitem__(self, place: int | slice) -> ItemList | tuple[ItemList, ...]:
        """Return the list at an index from 0, or a slice."""
        return self.lists[place]

    def __iter__(self) -> Iterator[ItemList]:
        """Iterate over the lists."""
        return iter(self.lists)

    def rows(self) -> list[dict[str, object]]:
        """Return one dictionary per user and item."""
        return [row for one in self.lists for row in one.rows()]

    def to_polars(self) -> pl.DataFrame:
        """Return one polars frame of all lists."""
        return pl.DataFrame(self.rows(), schema=_SCHEMA)

    def to_pandas(self) -> "pd.DataFrame":
        """Return one pandas frame of all lists.

        Raises:
            MissingExtraError: when pandas is not installed.
        """
        return _as_pandas(self.rows())

    def _repr_html_(self) -> str:
        """Return a table for a notebook."""
        return _html(self.rows(), None)


def _as_pandas(rows: Sequence[Mapping[str, object]]) -> "pd.DataFrame":
    if find_spec("pandas") is None:
        raise MissingExtraError("pandas", "pandas")
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(_SCHEMA))


def _html(rows: Sequence[Mapping[str, object]], fallback: str | None) -> str:
    """Return rows as a table, every cell escaped."""
    columns = [name for name in _SCHEMA if name != "user_id" or any(row[name] for row in rows)]
    head = "".join(f"<th>{name}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(row[name])}</td>" for name in columns) + "</tr>"
        for row in rows
    )
    caption = "" if fallback is None else f"<caption>answered by: {html.escape(fallback)}</caption>"
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    shown = f"{value:.4f}" if isinstance(value, float) else value
    return html.escape("" if shown is None else str(shown))
