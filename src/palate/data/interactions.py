"""Who did what when: a flat column per field, grouped by user, each user's events oldest first."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from palate.data.vocabulary import Vocabulary
from palate.errors import UnknownUserError
from palate.types import History


@dataclass(frozen=True)
class Interactions:
    """All events as parallel arrays.

    The events of user ``u`` are ``offsets[u]:offsets[u + 1]``, oldest first.
    """

    users: Vocabulary
    offsets: Int[np.ndarray, " bounds"]
    item_rows: Int[np.ndarray, " events"]
    event_codes: Int[np.ndarray, " events"]
    event_types: tuple[str, ...]
    """Names behind ``event_codes``: ``("view", "purchase")``."""
    ratings: Float[np.ndarray, " events"] | None = None
    """NaN where an event carries no rating; None where no event does."""
    timestamps: Int[np.ndarray, " events"] | None = None
    """Unix seconds, -1 where unknown; None where no event has a time."""
    scenario_codes: Int[np.ndarray, " events"] | None = None
    scenarios: tuple[str, ...] = ()
    """Names behind ``scenario_codes``; code -1 means none given."""
    extra: pl.DataFrame | None = None
    """Other columns of the source (review texts, helpful votes, ...), one line per event."""

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.item_rows)

    @property
    def num_users(self) -> int:
        """Number of users."""
        return len(self.users)

    @cached_property
    def user_rows(self) -> Int[np.ndarray, " events"]:
        """The user row of each event."""
        return np.repeat(np.arange(self.num_users), np.diff(self.offsets))

    def history(
        self, user_row: int, events: slice | Int[np.ndarray, " chosen"] | None = None
    ) -> History:
        """Return a user's events, or the ``events`` chosen (places in the flat arrays)."""
        own = slice(int(self.offsets[user_row]), int(self.offsets[user_row + 1]))
        where = own if events is None else events
        places = np.arange(where.start, where.stop) if isinstance(where, slice) else where
        return History(
            item_rows=self.item_rows[where],
            event_types=self.event_codes[where],
            ratings=None if self.ratings is None else self.ratings[where],
            timestamps=None if self.timestamps is None else self.timestamps[where],
            scenarios=None if self.scenario_codes is None else self.scenario_codes[where],
            places=places,
            user_row=user_row,
        )

    def frame(self) -> pl.DataFrame:
        """Return the events as a table: ``user_row``, ``item_row``, ``event_type`` and the rest."""
        columns: dict[str, object] = {
            "user_row": self.user_rows.astype(np.int32),
            "item_row": self.item_rows.astype(np.int32),
            "event_type": _decode(self.event_codes, self.event_types),
        }
        if self.ratings is not None:
            columns["rating"] = pl.Series(self.ratings, dtype=pl.Float32).fill_nan(None)
        if self.timestamps is not None:
            columns["timestamp"] = pl.Series(np.where(self.timestamps < 0, 0, self.timestamps)).set(
                pl.Series(self.timestamps < 0), None
            )
        if self.scenario_codes is not None:
            columns["scenario"] = _decode(self.scenario_codes, self.scenarios)
        table = pl.DataFrame(columns)
        return table if self.extra is None else pl.concat([table, self.extra], how="horizontal")

    def write(self, folder: Path) -> None:
        """Write ``interactions.parquet`` and ``users.parquet`` (ids in row order)."""
        self.frame().write_parquet(folder / "interactions.parquet", compression="zstd")
        pl.DataFrame({"user_id": self.users.ids.tolist()}).write_parquet(
            folder / "user_ids.parquet", compression="zstd"
        )

    @classmethod
    def read(cls, folder: Path) -> "Interactions":
        """Read what :meth:`write` wrote."""
        table = pl.read_parquet(folder / "interactions.parquet", glob=False)
        users = Vocabulary(
            pl.read_parquet(folder / "user_ids.parquet", glob=False)["user_id"].to_list(),
            unknown=UnknownUserError,
        )
        return cls.from_frame(table, users)

    @classmethod
    def from_frame(cls, table: pl.DataFrame, users: Vocabulary) -> "Interactions":
        """Build from a table as :meth:`frame` returns it, already sorted by user row and time."""
        counts = np.bincount(table["user_row"].to_numpy(), minlength=len(users))
        event_codes, event_types = _encode(table["event_type"])
        scenario_codes, scenarios = (
            _encode(table["scenario"]) if "scenario" in table.columns else (None, ())
        )
        known = {"user_row", "item_row", "event_type", "rating", "timestamp", "scenario"}
        others = [name for name in table.columns if name not in known]
        return cls(
            users=users,
            offsets=np.concatenate([[0], np.cumsum(counts)]),
            item_rows=table["item_row"].to_numpy().astype(np.int64),
            event_codes=event_codes,
            event_types=event_types,
            ratings=table["rating"].cast(pl.Float32).fill_null(float("nan")).to_numpy()
            if "rating" in table.columns
            else None,
            timestamps=table["timestamp"].fill_null(-1).to_numpy()
            if "timestamp" in table.columns
            else None,
            scenario_codes=scenario_codes,
            scenarios=scenarios,
            extra=table.select(others) if others else None,
        )


def _decode(codes: Int[np.ndarray, " events"], names: tuple[str, ...]) -> pl.Series:
    """Return the names behind ``codes`` (null for -1)."""
    of_code = pl.Series([*names, None], dtype=pl.Categorical)
    return of_code.gather(np.where(codes < 0, len(names), codes))


def _encode(column: pl.Series) -> tuple[Int[np.ndarray, " events"], tuple[str, ...]]:
    """Return small integer codes (-1 for null) and the names behind them, in alphabetical order."""
    names = tuple(sorted(column.drop_nulls().cast(pl.String).unique().to_list()))
    code_of = {name: code for code, name in enumerate(names)}
    codes = column.cast(pl.String).replace_strict(code_of, default=-1, return_dtype=pl.Int32)
    return codes.to_numpy().astype(np.int64), names
