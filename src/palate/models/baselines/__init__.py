"""Baselines: what any new model has to beat, judged in the same way.

One file each, with the settings beside the method. To add one, write its file and enter the class
in :data:`BASELINES`.
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
"""Every baseline there is."""

_KINDS: Mapping[str, type[Baseline]] = {
    str(one.settings.model_fields["kind"].default): one for one in BASELINES
}

if TYPE_CHECKING:
    BaselineConfig = BaselineSettings
else:
    # The settings of any baseline, told apart by their `kind`.
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

    Only what draws at random uses the seed of ``fitting``; the others have one answer.

    Raises:
        ConfigError: when the settings do not suit the data.
        MissingExtraError: when ALS or BPR is asked for and ``implicit`` is not installed.

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
        ArtifactError: when the folder holds none, or a damaged one.
    """
    kind = read_kind(folder)
    if kind not in _KINDS:
        raise ArtifactError(
            f"{str(folder)!r} holds a baseline of kind {kind!r}; known are {', '.join(_KINDS)}.",
            hint="Upgrade with: pip install -U palate",
        )
    return _KINDS[kind].load(folder)
