"""Popularity: everybody gets the most frequent items, optionally weighted by recency."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import PositiveFloat

from palate.errors import ConfigError
from palate.models.baselines.baseline import (
    Baseline,
    BaselineSettings,
    read_arrays,
    read_config,
    write_baseline,
)
from palate.models.baselines.trainer import FIRST_SEED, Fitting
from palate.types import History

_SECONDS_PER_DAY = 86_400


class PopularityConfig(BaselineSettings):
    """Settings of :class:`Popularity`."""

    kind: Literal["popularity"] = "popularity"
    half_life_days: PositiveFloat | None = None
    """An event this many days before the newest one counts half; None weighs all events equally."""


@dataclass(frozen=True, eq=False)
class Popularity(Baseline):
    """Ranks items by their share of the training events, the same for every user."""

    settings = PopularityConfig
    is_personal = False

    config: PopularityConfig
    shares: Float[np.ndarray, " items"]

    @classmethod
    def fit(
        cls,
        config: PopularityConfig,
        sequences: Sequence[History],
        num_items: int,
        fitting: Fitting = FIRST_SEED,
    ) -> "Popularity":
        """Count the events of each item.

        Raises:
            ConfigError: when a half-life is set and the events have no times.
        """
        if config.half_life_days is None:
            return cls(config, item_shares(sequences, num_items))
        weights = _time_weights(sequences, config.half_life_days)
        return cls(config, item_shares(sequences, num_items, weights=weights))

    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return the item shares, repeated for each user."""
        return np.tile(self.shares, (len(histories), 1))

    def save(self, folder: Path) -> None:
        """Write the settings and the shares."""
        write_baseline(folder, self.config, {"shares": self.shares})

    @classmethod
    def load(cls, folder: Path) -> "Popularity":
        """Read what :meth:`save` wrote."""
        return cls(read_config(folder, PopularityConfig), read_arrays(folder, ["shares"])["shares"])


def item_shares(
    sequences: Sequence[History],
    num_items: int,
    *,
    weights: Float[np.ndarray, " events"] | None = None,
) -> Float[np.ndarray, " items"]:
    """Return each item's share of all events; the sum is 1, or 0 without events."""
    rows = np.concatenate([np.empty(0, np.int64), *(s.item_rows for s in sequences)])
    counts = np.bincount(rows, weights=weights, minlength=num_items)
    shares: Float[np.ndarray, " items"] = (counts / max(counts.sum(), 1e-9)).astype(np.float32)
    return shares


def fill_silent(
    scores: Float[np.ndarray, "users items"], shares: Float[np.ndarray, " items"]
) -> Float[np.ndarray, "users items"]:
    """Give the popularity shares to users whose scores are all 0 (in place).

    Such a user has no event, or only events with items that training never saw; without this the
    order would be that of the rows, which is arbitrary.
    """
    scores[~scores.any(axis=1)] = shares
    return scores


def _time_weights(
    sequences: Sequence[History], half_life_days: float
) -> Float[np.ndarray, " events"]:
    """Return ``0.5 ** (age / half-life)`` per event; an unknown time counts as the oldest one."""
    times = np.concatenate([_known_timestamps(sequence) for sequence in sequences]).astype(float)
    if (times < 0).all():
        raise _without_times()
    times[times < 0] = times[times >= 0].min()
    days = (times.max() - times) / _SECONDS_PER_DAY
    weights: Float[np.ndarray, " events"] = 0.5 ** (days / half_life_days)
    return weights


def _known_timestamps(sequence: History) -> np.ndarray:
    if sequence.timestamps is None:
        raise _without_times()
    return sequence.timestamps


def _without_times() -> ConfigError:
    return ConfigError(
        "Popularity with a half-life needs event times, and these events have none.",
        hint="Leave half_life_days out, or prepare the data set from a source with timestamps.",
    )
