"""Baselines that every new model is compared with, evaluated in the same way.

Each has one file with its settings and its method. To add one, write its file and add the class to
:data:`BASELINES`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from palate.errors import ArtifactError
from palate.models.baselines.baseline import Baseline, BaselineSettings, read_kind
from palate.models.baselines.ease import Ease, EaseConfig
from palate.models.baselines.factors import Als, AlsConfig, Bpr, BprConfig
from palate.models.baselines.itemknn import ItemKnn, ItemKnnConfig
from palate.models.baselines.popularity import Popularity, PopularityConfig
from palate.models.baselines.trainer import FIRST_SEED, Fitting, GradientSettings, Trainer
from palate.types import History

__all__ = [
    "BASELINES",
    "Als",
    "AlsConfig",
    "Baseline",
    "BaselineConfig",
    "BaselineSettings",
    "Bpr",
    "BprConfig",
    "Ease",
    "EaseConfig",
    "Fitting",
    "GradientSettings",
    "ItemKnn",
    "ItemKnnConfig",
    "Popularity",
    "PopularityConfig",
    "Trainer",
    "fit_baseline",
    "load_baseline",
]

BASELINES: tuple[type[Baseline], ...] = (Popularity, ItemKnn, Ease, Als, Bpr)
"""All baselines."""

_KINDS: Mapping[str, type[Baseline]] = {
    str(one.settings.model_fields["kind"].default): one for one in BASELINES
}

if TYPE_CHECKING:
    BaselineConfig = BaselineSettings
else:
    # The settings of any baseline; their `kind` decides which.
    BaselineConfig = Annotated[
        Union[tuple(one.settings for one in BASELINES)],  # noqa: UP007 - made of the entries
        Field(discriminator="kind"),
    ]


def fit_baseline(
    config: BaselineConfig,
    sequences: Sequence[History],
    num_items: int,
    fitting: Fitting = FIRST_SEED,
) -> Baseline:
    """Fit the baseline that ``config`` describes to training sequences.

    Only baselines that draw random numbers use the seed of ``fitting``; others are deterministic.

    Raises:
        ConfigError: when the settings do not suit the data.
        MissingExtraError: when ALS or BPR is requested and ``implicit`` is not installed.

    Example:
        >>> import numpy as np
        >>> pairs = [History(np.array(rows)) for rows in ([0, 1], [0, 1], [2, 3], [2, 3])]
        >>> model = fit_baseline(ItemKnnConfig(), pairs, 4)
        >>> int(model.recommend([History(np.array([2]))], 1)[0].item_rows[0])
        3
    """
    return _KINDS[config.kind].fit(config, sequences, num_items, fitting)


def load_baseline(folder: Path) -> Baseline:
    """Read a baseline from the folder its ``save`` wrote.

    Raises:
        ArtifactError: when the folder holds no baseline, or a damaged one.
    """
    kind = read_kind(folder)
    if kind not in _KINDS:
        raise ArtifactError(
            f"{str(folder)!r} holds a baseline of kind {kind!r}; known are {', '.join(_KINDS)}.",
            hint="Upgrade with: pip install -U palate",
        )
    return _KINDS[kind].load(folder)
