"""Lists for many users, written to one table, a batch at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from palate.errors import ConfigError, DataError
from palate.recommender.recommender import Recommender
from palate.storage import real, whole_file

ENDINGS = (".parquet", ".csv", ".jsonl")
"""How the name of a table of lists may end; the ending says what it is."""

_USERS_AT_ONCE = 1024

Progress = Callable[[int, int], None]


def check_ending(path: Path) -> None:
    """Raise where the name of a file does not say what kind of table it is to be.

    Raises:
        ConfigError: naming the endings there are.
    """
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError(
            f"{str(path)!r} does not say what kind of file it is to be.",
            hint=f"Let the name end in {', '.join(ENDINGS)}.",
        )


def all_users(model: Recommender) -> list[str]:
    """Return the ids of all users of the model's dataset, in the order of the alphabet."""
    return sorted(map(str, model.dataset.interactions.users.ids))


def read_users(path: Path) -> list[str]:
    """Return the ids of users in a file, each once.

    Args:
        path: a table with a column ``user_id`` (``.csv``, ``.parquet``, ``.jsonl``); or any other
            text, with one id in a line.

    Raises:
        DataError: when the file cannot be read, has no such column, or no id.
    """
    try:
        ids = _user_ids(path)
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"The users in {str(path)!r} cannot be read: {reason}.",
            hint="Give a text file with one id in a line, or a table with a column user_id.",
        ) from error
    if not ids:
        raise DataError(f"There is no user in {str(path)!r}.", hint="Write one id in a line.")
    return ids


def lists_for(
    model: Recommender,
    user_ids: Sequence[str],
    n: int,
    *,
    progress: Progress | None = None,
) -> Iterator[pl.DataFrame]:
    """Return the best ``n`` items of each user, a batch of users at a time.

    Columns: ``user_id``, ``rank`` from 1, ``item_id``, ``title``, ``score``. Of a user for whom
    nothing is left there is no row.

    Raises:
        UnknownUserError: before anything is done, naming the first user nobody knows.
    """
    model.dataset.interactions.users.rows(user_ids)
    titles = np.asarray(model.dataset.catalog.titles(), dtype=object)
    for start in range(0, len(user_ids), _USERS_AT_ONCE):
        yield _batch(model, user_ids[start : start + _USERS_AT_ONCE], n, titles)
        if progress is not None:
            progress(min(start + _USERS_AT_ONCE, len(user_ids)), len(user_ids))


def write_lists(path: Path, batches: Iterable[pl.DataFrame]) -> int:
    """Write batches of rows to one table, whole or not at all, holding one batch at a time.

    Returns the number of users who have a row.

    Raises:
        ConfigError: when the ending of ``path`` is none of those there are.
        ArtifactError: when the file cannot be written.
    """
    check_ending(path)
    users = 0

    def counted() -> Iterator[pl.DataFrame]:
        nonlocal users
        for batch in batches:
            users += batch["user_id"].n_unique()
            yield batch

    with whole_file(path) as file:
        if path.suffix.lower() == ".parquet":
            _write_parquet(file, counted())
        else:
            _write_text(file, counted(), as_csv=path.suffix.lower() == ".csv")
    return users


def _batch(model: Recommender, user_ids: Sequence[str], n: int, titles: np.ndarray) -> pl.DataFrame:
    """Ask the model by rows and return ids: the one place where these lists change over."""
    rankings = model.by_rows.recommend([model.history(user_id) for user_id in user_ids], n)
    lengths = [len(ranking) for ranking in rankings]
    rows = np.concatenate([ranking.item_rows for ranking in rankings])
    return pl.DataFrame(
        {
            "user_id": np.repeat(np.asarray(user_ids, dtype=object), lengths).tolist(),
            "rank": np.concatenate([np.arange(1, length + 1) for length in lengths]),
            "item_id": model.dataset.catalog.vocabulary.ids[rows].tolist(),
            "title": titles[rows].tolist(),
            "score": np.concatenate([ranking.scores for ranking in rankings]).astype(np.float64),
        },
        schema={
            "user_id": pl.String,
            "rank": pl.Int64,
            "item_id": pl.String,
            "title": pl.String,
            "score": pl.Float64,
        },
    )


def _write_parquet(file: Path, batches: Iterable[pl.DataFrame]) -> None:
    """Write each batch to a file of its own, then stream them into one."""
    with TemporaryDirectory(prefix=".lists.", dir=real(file).parent) as folder:
        parts = []
        for number, batch in enumerate(batches):
            parts.append(Path(folder) / f"{number}.parquet")
            batch.write_parquet(parts[-1])
        pl.scan_parquet(parts, glob=False).sink_parquet(file)


def _write_text(file: Path, batches: Iterable[pl.DataFrame], *, as_csv: bool) -> None:
    with file.open("wb") as stream:
        for number, batch in enumerate(batches):
            if as_csv:
                batch.write_csv(stream, include_header=number == 0)
            else:
                batch.write_ndjson(stream)


def _user_ids(path: Path) -> list[str]:
    match path.suffix.lower():
        case ".parquet":
            table = pl.read_parquet(path, columns=["user_id"], glob=False)
        case ".csv":
            table = pl.read_csv(path, columns=["user_id"], infer_schema=False, glob=False)
        case ".jsonl" | ".ndjson":
            table = pl.read_ndjson(path.read_bytes(), schema={"user_id": pl.String})
        case _:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            table = pl.DataFrame({"user_id": [line.strip() for line in lines]})
    ids = table["user_id"].cast(pl.String).drop_nulls()
    return ids.filter(ids.str.len_chars() > 0).unique(maintain_order=True).to_list()
