"""The raw files of MovieLens.

100K has ``u.data``, 1M and 10M have ``ratings.dat``, 20M and later have ``ratings.csv``.
"""

from pathlib import Path

import polars as pl

from palate.data.sources.delimited import Delimited
from palate.data.sources.read import (
    Source,
    SourceFile,
    read_delimited,
    read_file,
)
from palate.data.sources.scan import check_file, text_lines
from palate.errors import DataError

_RATINGS = ("user_id", "item_id", "rating", "timestamp")
_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance"),
    *("Sci-Fi", "Thriller", "War", "Western"),
)
_OCCUPATIONS = (
    *("other", "academic/educator", "artist", "clerical/admin", "college/grad student"),
    *("customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker"),
    *("K-12 student", "lawyer", "programmer", "retired", "sales/marketing", "scientist"),
    *("self-employed", "technician/engineer", "tradesman/craftsman", "unemployed", "writer"),
)
_NO_GENRE = "(no genres listed)"


def is_movielens(folder: Path) -> bool:
    """Tell whether a folder holds raw MovieLens files."""
    if (folder / "u.data").is_file() or (folder / "ratings.dat").is_file():
        return True
    return (folder / "ratings.csv").is_file() and _has_films(folder / "movies.csv")


def _has_films(path: Path) -> bool:
    """Tell whether a table has the columns of MovieLens; other films are a table like any other."""
    if not path.is_file():
        return False
    first = next(text_lines(path), (0, b""))[1].decode(errors="replace")
    return {"movieId", "title", "genres"} <= {name.strip('" \r\n') for name in first.split(",")}


def read_movielens(folder: Path) -> Source:
    """Read the ratings, movies and, where there are any, users of a MovieLens folder.

    Raises:
        DataError: when a file is broken.
    """
    if (folder / "u.data").is_file():
        return _read_100k(folder)
    if (folder / "ratings.dat").is_file():
        return _read_dat(folder)
    return _read_csv(folder)


def _read_100k(folder: Path) -> Source:
    items = users = None
    if (folder / "u.item").is_file():
        names = ("item_id", "title", "release_date", "video_date", "imdb_url", *_GENRES)
        raw = _read_fields(folder / "u.item", "|", names)
        flags = [
            pl.when(pl.col(genre) == "1").then(pl.lit(genre)).alias(genre) for genre in _GENRES
        ]
        genres = pl.concat_list(flags).list.drop_nulls().alias("categories")
        kept = pl.col("item_id", "title", "release_date")
        items = raw.with_table(_with_year(raw.table.select(kept, genres)))
    if (folder / "u.user").is_file():
        users = _read_fields(
            folder / "u.user", "|", ("user_id", "age", "gender", "occupation", "zip_code")
        )
        users = users.with_table(users.table.cast({"age": pl.Int32}))
    events = read_delimited(folder / "u.data", Delimited("\t", columns=_RATINGS, quoted=False))
    return Source(folder.name, events, items, users, kind="MovieLens 100K")


def _read_dat(folder: Path) -> Source:
    items = users = None
    if (folder / "movies.dat").is_file():
        items = _movies(_read_fields(folder / "movies.dat", "::", ("item_id", "title", "genres")))
    if (folder / "users.dat").is_file():
        users = _described(
            _read_fields(
                folder / "users.dat",
                "::",
                ("user_id", "gender", "age", "occupation_code", "zip_code"),
            )
        )
    events = _read_fields(folder / "ratings.dat", "::", _RATINGS)
    return Source(folder.name, events, items, users, kind="MovieLens 1M or 10M")


def _read_csv(folder: Path) -> Source:
    events = read_file(folder / "ratings.csv")
    movies = read_file(folder / "movies.csv")
    items = _movies(movies.with_table(movies.table.rename({"movieId": "item_id"}, strict=False)))
    tags = folder / "tags.csv"
    if tags.is_file() and tags.stat().st_size:
        items = items.with_table(_with_tags(items.table, read_file(tags)))
    return Source(folder.name, events, items, kind="MovieLens 20M or later, or latest")


def _movies(file: SourceFile) -> SourceFile:
    """Cut the genres at the bar, with no category where MovieLens writes that there is none."""
    genres = pl.col("genres").replace(_NO_GENRE, None).str.split("|").alias("categories")
    return file.with_table(_with_year(file.table.with_columns(genres).drop("genres")))


def _with_year(table: pl.DataFrame) -> pl.DataFrame:
    year = pl.col("title").str.extract(r"\((\d{4})\)\s*$").cast(pl.Int32).alias("year")
    return table.with_columns(year)


def _with_tags(movies: pl.DataFrame, tags: SourceFile) -> pl.DataFrame:
    by_movie = (
        tags.table.drop_nulls("tag")
        .group_by(pl.col("movieId").alias("item_id"), maintain_order=True)
        .agg(pl.col("tag").unique(maintain_order=True).alias("tags"))
    )
    return movies.join(by_movie, on="item_id", how="left", maintain_order="left").with_columns(
        pl.col("tags").fill_null([])
    )


def _described(users: SourceFile) -> SourceFile:
    """Put words in the place of the occupation codes."""
    code = pl.col("occupation_code").cast(pl.Int32)
    words = dict(enumerate(_OCCUPATIONS))
    occupation = code.replace_strict(words, default=None, return_dtype=pl.String)
    return users.with_table(
        users.table.with_columns(occupation.alias("occupation"), pl.col("age").cast(pl.Int32)).drop(
            "occupation_code"
        )
    )


def _read_fields(path: Path, separator: str, names: tuple[str, ...]) -> SourceFile:
    """Read a file without header, its separator of any length, its text UTF-8 or Latin-1."""
    check_file(path)
    content = path.read_bytes()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = pl.Series("line", text.splitlines(), dtype=pl.String)
    fields = lines.str.split(separator)
    uneven = (fields.list.len() != len(names)) & (lines != "")
    if uneven.any():
        row = uneven.arg_max() or 0
        raise DataError(
            f"{str(path)!r}, line {row + 1}: {len(fields[row])} fields"
            f" where {len(names)} were wanted ({', '.join(names[:6])}).",
            hint="Fetch the file again.",
        )
    numbers = (lines != "").arg_true() + 1
    table = (
        fields.filter(lines != "")
        .list.to_struct(fields=list(names))
        .struct.unnest()
        .with_columns(pl.all().replace("", None))
    )
    return SourceFile(path, table, lambda: iter(numbers.to_list()))
