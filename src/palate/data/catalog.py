"""What the items are: one table, one row per item, in vocabulary order."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from palate.data.vocabulary import Vocabulary

TEXT_COLUMNS = ("title", "brand", "categories", "description")
"""The columns an item's text is made of, most telling first."""


@dataclass(frozen=True)
class Catalog:
    """The items: ``table`` has one row per item, in the order of ``vocabulary``.

    Columns: ``item_id`` (str), ``title``, ``description``, ``brand`` (str or null), ``categories``
    (list of str, empty where none), ``price`` (float or null), ``image`` (PNG or JPEG bytes or
    null), and whatever else the source had.
    The known columns are always there; a source that lacks one gives nulls.
    """

    vocabulary: Vocabulary
    table: pl.DataFrame

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.vocabulary)

    def texts(self, columns: tuple[str, ...] = TEXT_COLUMNS) -> list[str]:
        """Return one text per item, its parts joined by `` . ``; empty where it has no text."""
        parts = [
            pl.col("categories").list.join(" ")
            if name == "categories"
            else pl.col(name).cast(pl.String)
            for name in columns
            if name in self.table.columns
        ]
        joined = pl.concat_str(parts, separator=" . ", ignore_nulls=True)
        return self.table.select(joined.fill_null("").str.strip_chars(" .")).to_series().to_list()

    def titles(self) -> list[str]:
        """Return one title per item; the id where there is none."""
        return self.table.select(pl.coalesce("title", "item_id")).to_series().to_list()

    def write(self, path: Path) -> None:
        """Write the table as Parquet; the order of the lines is the order of the rows."""
        self.table.write_parquet(path, compression="zstd")

    @classmethod
    def read(cls, path: Path) -> "Catalog":
        """Read what :meth:`write` wrote."""
        table = pl.read_parquet(path, glob=False)
        return cls(vocabulary=Vocabulary(table["item_id"].to_list()), table=table)
