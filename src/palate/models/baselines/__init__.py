"""Baselines that need no training loop: what any new model has to beat, judged in the same way.

One file each, with the settings beside the method. To add one: write its file, and add it to the
union and the two functions below.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from palate.errors import ArtifactError
from palate.models.baselines.baseline import Baseline, read_kind
from palate.models.baselines.ease import Ease, EaseConfig
from palate.models.baselines.factors import Als, AlsConfig, Bpr, BprConfig
from palate.models.baselines.itemknn import ItemKnn, ItemKnnConfig
from palate.models.baselines.popularity import Popularity, PopularityConfig
from palate.types import History

__all__ = [
    "Als",
    "AlsConfig",
    "Baseline",
    "BaselineConfig",
    "Bpr",
    "BprConfig",
    "Ease",
    "EaseConfig",
    "ItemKnn",
    "ItemKnnConfig",
    "Popularity",
    "PopularityConfig",
    "fit_baseline",
    "load_baseline",
]

BaselineConfig = Annotated[
    PopularityConfig | ItemKnnConfig | EaseConfig | AlsConfig | BprConfig,
    Field(discriminator="kind"),
]

_KINDS: dict[str, type[Baseline]] = {
    "popularity": Popularity,
    "itemknn": ItemKnn,
    "ease": Ease,
    "als": Als,
    "bpr": Bpr,
}


def fit_baseline(
    config: BaselineConfig, sequences: Sequence[History], num_items: int, *, seed: int
) -> Baseline:
    """Fit the baseline that ``config`` describes to training sequences.

    Only ALS and BPR use the ``seed``; the others have one answer.

    Raises:
        ConfigError: when the settings do not suit the data.
        MissingExtraError: when ALS or BPR is asked for and ``implicit`` is not installed.

    Example:
        >>> import numpy as np
        >>> pairs = [History(np.array(rows)) for rows in ([0, 1], [0, 1], [2, 3], [2, 3])]
        >>> model = fit_baseline(ItemKnnConfig(), pairs, 4, seed=0)
        >>> int(model.recommend([History(np.array([2]))], 1)[0].item_rows[0])
        3
    """
    match config:
        case PopularityConfig():
            return Popularity.fit(config, sequences, num_items)
        case ItemKnnConfig():
            return ItemKnn.fit(config, sequences, num_items)
        case EaseConfig():
            return Ease.fit(config, sequences, num_items)
        case AlsConfig():
            return Als.fit(config, sequences, num_items, seed=seed)
        case BprConfig():
            return Bpr.fit(config, sequences, num_items, seed=seed)


def load_baseline(folder: Path) -> Baseline:
    """Read a baseline from the folder its ``save`` wrote.

    Raises:
        ArtifactError: when the folder holds none, or a damaged one.
    """
    kind = read_kind(folder)
    if kind not in _KINDS:
        raise ArtifactError(
            f"{str(folder)!r} holds a baseline of kind {kind!r}; known are {', '.join(_KINDS)}.",
            hint="Upgrade with: pip install -U palate",
        )
    return _KINDS[kind].load(folder)
