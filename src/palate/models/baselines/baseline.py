"""The base class of all baselines: score histories, rank by score, save to and load a folder."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from palate.errors import ArtifactError
from palate.models.baselines.trainer import FIRST_SEED, Fitting
from palate.ranking import rank_scored
from palate.types import History, Ranking

_CONFIG = "baseline.json"
_ARRAYS = "baseline.safetensors"

_TRAIN_AGAIN = "Train it again with: palate train DATASET MODEL --recipe NAME"

Arrays = Mapping[str, np.ndarray]
Config = TypeVar("Config", bound=BaseModel)


class BaselineSettings(BaseModel):
    """Settings of a baseline; ``kind`` names the method in recipes and in model folders."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str


class Baseline(ABC):
    """A recommender that is not a language model, with the interface of every recommender."""

    settings: ClassVar[type[BaselineSettings]]
    """Type of the settings."""

    kind: ClassVar[Literal["baseline"]] = "baseline"
    tasks: ClassVar[tuple[str, ...]] = ("next-item",)
    """Families of prompts that it answers: all baselines predict the next item, and no other."""
    forms: ClassVar[tuple[Literal["set"], ...]] = ("set",)
    """Forms of its lists of items: by a score of each item."""
    work_per_item: ClassVar[int] = 1
    is_personal: ClassVar[bool] = True
    """Whether its scores depend on the history."""
    reads_words: ClassVar[bool] = False
    reads_new_items: ClassVar[bool] = False
    max_history: ClassVar[int | None] = None
    """A baseline reads whole histories."""
    ratings: ClassVar[tuple[float, ...]] = ()

    @classmethod
    @abstractmethod
    def fit(
        cls,
        config: Any,  # noqa: ANN401 - each baseline takes settings of its own type
        sequences: Sequence[History],
        num_items: int,
        fitting: Fitting = FIRST_SEED,
    ) -> "Baseline":
        """Fit to training sequences.

        Args:
            config: settings, of the type :attr:`settings`.
            sequences: the training events of each user.
            num_items: number of items in the catalogue.
            fitting: the seed, and a trainer for baselines that learn by gradient.
        """

    @abstractmethod
    def score(self, histories: Sequence[History]) -> Float[np.ndarray, "users items"]:
        """Return one finite float32 score per user and catalogue row; higher is better."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the settings as JSON and the arrays as safetensors into ``folder``."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> "Baseline":
        """Load what :meth:`save` wrote; the scores are the same to the last bit.

        Raises:
            ArtifactError: when the folder holds no baseline, or a damaged one.
        """

    @property
    def num_items(self) -> int:
        """Number of items of the catalogue."""
        nobody = History(item_rows=np.zeros(0, dtype=np.int64))
        return int(self.score([nobody]).shape[1])

    @property
    def item_vectors(self) -> Float[np.ndarray, "items width"] | None:
        """Item vectors whose products with user vectors are the scores; None without vectors."""
        return None

    def recommend(
        self,
        histories: Sequence[History],
        n: int,
        *,
        candidates: Int[np.ndarray, " candidates"] | None = None,
        exclude_seen: bool = True,
    ) -> list[Ranking]:
        """Return the best ``n`` items for each history, or fewer if fewer are allowed."""
        return rank_scored(
            self.score, histories, n, candidates=candidates, exclude_seen=exclude_seen
        )


def write_baseline(folder: Path, config: BaseModel, arrays: Arrays) -> None:
    """Write the two files of a baseline's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CONFIG).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
    # safetensors writes raw memory: an array that is not in C order would load transposed.
    save_file({k: np.ascontiguousarray(a) for k, a in arrays.items()}, folder / _ARRAYS)


def read_kind(folder: Path) -> str:
    """Return the kind of the baseline in a folder.

    Raises:
        ArtifactError: when the folder holds no baseline.
    """
    return read_config(folder, _Kind).kind


def read_config(folder: Path, schema: type[Config]) -> Config:
    """Read the settings that :func:`write_baseline` wrote.

    Raises:
        ArtifactError: when there are no settings, or they do not match ``schema``.
    """
    try:
        return schema.model_validate_json((folder / _CONFIG).read_bytes())
    except (OSError, ValidationError) as error:
        raise ArtifactError(
            f"{str(folder)!r} holds no usable baseline: {_CONFIG}: {error}.",
            hint=_TRAIN_AGAIN,
        ) from error


def read_arrays(folder: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the named arrays that :func:`write_baseline` wrote.

    Raises:
        ArtifactError: when the file is missing or damaged, or lacks one of the arrays.
    """
    try:
        arrays = load_file(folder / _ARRAYS)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(
            f"{str(folder / _ARRAYS)!r} cannot be read: {error}.",
            hint=_TRAIN_AGAIN,
        ) from error
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ArtifactError(
            f"{str(folder / _ARRAYS)!r} lacks {', '.join(missing)}.", hint=_TRAIN_AGAIN
        )
    return {name: arrays[name] for name in names}


class _Kind(BaseModel):
    """The one setting that every baseline has."""

    model_config = ConfigDict(extra="ignore")

    kind: str
