"""Which event is for what: made once, stored with the dataset; no other code slices a history."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Int

from palate.errors import ConfigError

PartName = Literal["train", "valid", "test"]

Fit = Literal["train", "valid", "all"]
"""Through which part a model learns: the training part alone, train and valid, or every event."""

LEARNED_TOO: Mapping[Fit, tuple[PartName, ...]] = {
    "train": (),
    "valid": ("valid",),
    "all": ("valid", "test"),
}
"""The held-out parts that a model of each fit has learned from, and cannot be judged by."""


def refit_mark(fit: Fit) -> str:
    """Return what stands beside the name of a model that learned from more than training."""
    return "" if fit == "train" else " (refit)"


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
    fit: Fit = "train"
    """Which held-out parts were moved into training, by
    :meth:`palate.data.dataset.Dataset.with_train_through`."""

    def check_held_out(self, part: PartName) -> None:
        """Make sure that nothing was learned from ``part``.

        Raises:
            ConfigError: when it was moved into training.
        """
        if part not in LEARNED_TOO[self.fit]:
            return
        again = "Judge a model that has not seen them: palate train DATASET MODEL --fit train"
        raise ConfigError(
            f"This model learned from the {part} events (fit {self.fit!r}): "
            "it cannot be judged by them.",
            hint=again if self.fit == "all" else f"Take --split test. {again}",
        )

    def count(self, part: Part) -> int:
        """Return the number of events in ``part``."""
        return int((self.parts == part).sum())

    def write(self, folder: Path) -> None:
        """Write ``split.parquet``."""
        pl.DataFrame({"part": self.parts.astype(np.int8)}).write_parquet(
            folder / "split.parquet", compression="zstd"
        )

    @classmethod
    def read(cls, folder: Path, description: str, fit: Fit = "train") -> "Split":
        """Read what :meth:`write` wrote."""
        return cls(
            parts=pl.read_parquet(folder / "split.parquet", glob=False)["part"].to_numpy(),
            description=description,
            fit=fit,
        )
