"""Which event is for what: made once, stored with the dataset; no other code slices a history."""

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Int

PartName = Literal["train", "valid", "test"]


class Part(IntEnum):
    """What an event is for."""

    TRAIN = 0
    """Learned from, and history of what comes later."""
    VALID = 1
    """Predicted to choose between models; history of later test events."""
    TEST = 2
    """Predicted once, to report."""
    CONTEXT = 3
    """Never learned from, never predicted: history of a held-out user."""

    @classmethod
    def named(cls, name: PartName) -> "Part":
        """Return the part called ``name``."""
        return cls[name.upper()]


@dataclass(frozen=True)
class Split:
    """One :class:`Part` per event, in the order of the interactions, and how it was made."""

    parts: Int[np.ndarray, " events"]
    description: str
    """For the report and the evaluation: ``leave last out: each user's last event is test ...``."""

    def count(self, part: Part) -> int:
        """Return the number of events in ``part``."""
        return int((self.parts == part).sum())

    def write(self, folder: Path) -> None:
        """Write ``split.parquet``."""
        pl.DataFrame({"part": self.parts.astype(np.int8)}).write_parquet(
            folder / "split.parquet", compression="zstd"
        )

    @classmethod
    def read(cls, folder: Path, description: str) -> "Split":
        """Read what :meth:`write` wrote."""
        return cls(
            parts=pl.read_parquet(folder / "split.parquet")["part"].to_numpy(),
            description=description,
        )
