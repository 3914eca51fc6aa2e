"""A folder of tables: who did what and, where they are there, what the items and users are.

The files are found by their names (``interactions.parquet``, ``items.jsonl``, ``users.tsv.gz``).
``image_features.parquet`` (``item_id`` and one list of numbers) becomes the catalogue column
``image_vector``.
"""

from pathlib import Path

import polars as pl

from palate.data.sources.read import SUFFIXES, Source, SourceFile, format_suffix, read_file
from palate.errors import DataError

EVENT_FILES = (
    *("interactions", "events", "ratings", "reviews", "clicks", "behaviors", "behaviours"),
    *("actions", "purchases", "transactions", "views", "history", "logs"),
)
ITEM_FILES = (
    "items",
    "catalog",
    "catalogue",
    "products",
    "movies",
    "books",
    "metadata",
    "articles",
)
USER_FILES = ("users", "customers", "visitors", "members")
IMAGE_FILE = "image_features"
IMAGE_VECTOR = "image_vector"


def read_bundle(folder: Path) -> Source:
    """Read the tables of a folder.

    Raises:
        DataError: when there is no table of events, or a table is broken.
    """
    events = _find(folder, EVENT_FILES) or _only_table(folder)
    items = _find(folder, ITEM_FILES)
    users = _find(folder, USER_FILES)
    images = _find(folder, (IMAGE_FILE,))
    event_file = read_file(events)
    item_file = None if items is None else read_file(items)
    if images is not None:
        item_file = _with_images(item_file, read_file(images))
    return Source(
        name=folder.resolve().name,
        events=event_file,
        items=item_file,
        users=None if users is None else read_file(users),
    )


def _find(folder: Path, stems: tuple[str, ...]) -> Path | None:
    """Return the table with the first of the names; two tables of one name are an error."""
    for stem in stems:
        found = [path for path in _tables(folder) if path.name.split(".")[0].lower() == stem]
        if len(found) > 1:
            raise DataError(
                f"{str(folder)!r} holds {found[0].name!r} and {found[1].name!r}:"
                " which one is meant?",
                hint="Leave one of them in the folder.",
            )
        if found:
            return found[0]
    return None


def _only_table(folder: Path) -> Path:
    tables = _tables(folder)
    if len(tables) == 1:
        return tables[0]
    have = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
    raise DataError(
        f"No table of events in the folder {str(folder)!r}: it holds {have}.",
        hint="Call it interactions.csv (or .tsv, .jsonl, .parquet;"
        f" or {', '.join(EVENT_FILES[1:5])}), or name the file itself.",
    )


def _tables(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if format_suffix(path) in SUFFIXES)


def _with_images(items: SourceFile | None, images: SourceFile) -> SourceFile:
    """Join image vectors to the items by ``item_id``; without a table of items they make one."""
    lists = [name for name, dtype in images.table.schema.items() if dtype == pl.List]
    if "item_id" not in images.table.columns or len(lists) != 1:
        raise DataError(
            f"{str(images.path)!r}: wanted the columns item_id and one list of numbers,"
            f" found {', '.join(images.table.columns)}.",
            hint="Write it as Parquet with these two columns.",
        )
    vectors = images.table.select(
        pl.col("item_id").cast(pl.String),
        pl.col(lists[0]).cast(pl.List(pl.Float32)).alias(IMAGE_VECTOR),
    ).unique("item_id", keep="first", maintain_order=True)
    if items is None:
        return SourceFile(images.path, vectors)
    if "item_id" not in items.table.columns:
        raise DataError(
            f"{str(images.path)!r}: image vectors are joined by item_id,"
            f" which {items.path.name!r} lacks.",
            hint="Call the column of the item ids item_id in both files.",
        )
    table = items.table.with_columns(pl.col("item_id").cast(pl.String))
    joined = table.join(vectors, on="item_id", how="left", maintain_order="left")
    return items.with_table(joined)
