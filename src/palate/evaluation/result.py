"""Results of an evaluation: means, values per user for significance tests, and their files."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import cast, get_args

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from palate.data.split import Fit, PartName, refit_mark
from palate.errors import ArtifactError

Interval = tuple[float, float]


@dataclass(frozen=True)
class Group:
    """Metrics of one group of cases (inactive users, popular items, ...), with masked history."""

    label: str
    cases: int
    """Number of users, or of pairs of user and target."""
    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval]
    """95 % bootstrap interval of each metric."""


@dataclass(frozen=True)
class Evaluation:
    """Results of a recommender on one part of a dataset, ranked over the whole catalogue."""

    dataset: str
    part: PartName
    users: int
    split: str
    """Description of the split of the dataset."""
    cases: str
    """Hash of the cases; evaluations with equal hashes can be compared."""
    masked: Mapping[str, float]
    """Mean over users of each metric (``recall@10``, ..., ``auc``), with the history left out."""
    unmasked: Mapping[str, float]
    """The same with the items of the history left in."""
    intervals: Mapping[str, Interval]
    """95 % bootstrap interval over users of each metric in :attr:`masked`."""
    groups: Mapping[str, Sequence[Group]]
    """Groups by ``activity``, ``popularity``, ``transition`` and ``user``, without empty ones."""
    beyond_accuracy: Mapping[str, float]
    """Coverage, novelty, diversity, popularity bias and calibration of the masked lists."""
    leak_probe: Mapping[str, float]
    """Hit rates of recommenders that only know the numbering (:mod:`palate.trust.leak`)."""
    seconds: float
    """Wall-clock time of the evaluation."""
    user_rows: Int[np.ndarray, " users"] = field(repr=False, compare=False)
    per_user: Mapping[str, Float[np.ndarray, " users"]] = field(repr=False, compare=False)
    """The values behind :attr:`masked`, in the order of ``user_rows``."""
    fit: Fit = "train"
    """The last part of the data that the model learned from."""

    @property
    def mark(self) -> str:
        """Suffix of the model's name: `` (refit)`` if it also learned from the validation split."""
        return refit_mark(self.fit)

    def __str__(self) -> str:
        """Return a summary in three lines."""
        k = self.headline
        masked = ", ".join(self._with_interval(f"{metric}@{k}") for metric in ("recall", "ndcg"))
        unmasked = ", ".join(
            f"{metric}@{k} {self.unmasked[f'{metric}@{k}']:.4f}" for metric in ("recall", "ndcg")
        )
        leak = self.leak_probe.get("max", 0.0)
        return (
            f"{self.dataset}, {self.part} part, {self.users:,} users, ranked over all items\n"
            f"history left out: {masked}\n"
            f"history left in: {unmasked}; guessing by numbers alone reaches {leak:.4f}"
        )

    @property
    def cutoffs(self) -> list[int]:
        """The cut-offs of the metrics, smallest first."""
        return sorted({int(name.split("@")[1]) for name in self.masked if "@" in name})

    @property
    def headline(self) -> int:
        """The cut-off to show if there is room for one: 10, or the largest if 10 is missing."""
        return 10 if 10 in self.cutoffs else max(self.cutoffs)

    def _with_interval(self, metric: str) -> str:
        low, high = self.intervals[metric]
        return f"{metric} {self.masked[metric]:.4f} [{low:.4f} to {high:.4f}]"

    def to_json(self) -> dict[str, object]:
        """Return everything except the values per user as JSON values; ``split`` is the part."""
        return {
            "dataset": self.dataset,
            "split": self.part,
            "users": self.users,
            "masked": dict(self.masked),
            "unmasked": dict(self.unmasked),
            "leak_probe": dict(self.leak_probe),
            "intervals": {name: list(pair) for name, pair in self.intervals.items()},
            "groups": {
                name: [_group_json(group) for group in groups]
                for name, groups in self.groups.items()
            },
            "beyond_accuracy": dict(self.beyond_accuracy),
            "split_description": self.split,
            "cases": self.cases,
            "seconds": self.seconds,
            "fit": self.fit,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> "Evaluation":
        """Restore the result of :meth:`to_json`, without the values per user that tests need.

        Raises:
            ArtifactError: when ``values`` is not what :meth:`to_json` writes.
        """
        try:
            return _from_json(values)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"This is not the result of an evaluation: {type(error).__name__} {error}.",
                hint="Make one with: palate evaluate MODEL",
            ) from error

    def save(self, folder: Path | str) -> None:
        """Write ``evaluation-<part>.json``, and ``.parquet`` with the values per user."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        table = pl.DataFrame({"user_row": self.user_rows, **self.per_user})
        # Write the JSON last: if it exists, the table is complete.
        waiting = folder / f".evaluation-{self.part}.parquet"
        table.write_parquet(waiting, compression="zstd")
        os.replace(waiting, folder / f"evaluation-{self.part}.parquet")
        waiting = folder / f".evaluation-{self.part}.json"
        waiting.write_text(json.dumps(self.to_json(), indent=2) + "\n", encoding="utf-8")
        os.replace(waiting, folder / f"evaluation-{self.part}.json")

    @classmethod
    def load(cls, folder: Path | str, part: PartName = "test") -> "Evaluation":
        """Read what :meth:`save` wrote.

        Raises:
            ArtifactError: when the folder has no evaluation of ``part``, or a damaged one.
        """
        path = Path(folder) / f"evaluation-{part}.json"
        if not path.is_file():
            raise ArtifactError(
                f"No evaluation on {part!r} in {str(folder)!r}: there is no {path.name}.",
                hint="Make one with: palate evaluate MODEL",
            )
        try:
            found = cls.from_json(_object(json.loads(path.read_text(encoding="utf-8"))))
            table = pl.read_parquet(path.with_suffix(".parquet"), glob=False)
        except (OSError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
            raise ArtifactError(
                f"The evaluation {str(path)!r} cannot be read: {error}.",
                hint="Make it again with: palate evaluate MODEL",
            ) from error
        return replace(
            found,
            user_rows=table["user_row"].to_numpy(),
            per_user={name: table[name].to_numpy() for name in table.columns[1:]},
        )


def _group_json(group: Group) -> dict[str, object]:
    return {
        "label": group.label,
        "cases": group.cases,
        **group.metrics,
        "intervals": {name: list(pair) for name, pair in group.intervals.items()},
    }


def _from_json(values: Mapping[str, object]) -> Evaluation:
    return Evaluation(
        dataset=_text(values["dataset"]),
        part=_part(values["split"]),
        users=int(_number(values["users"])),
        split=_text(values["split_description"]),
        cases=_text(values["cases"]),
        masked=_numbers(values["masked"]),
        unmasked=_numbers(values["unmasked"]),
        intervals=_intervals(values["intervals"]),
        groups={
            name: [_group(_object(group)) for group in _list(groups)]
            for name, groups in _object(values["groups"]).items()
        },
        beyond_accuracy=_numbers(values["beyond_accuracy"]),
        leak_probe=_numbers(values["leak_probe"]),
        seconds=_number(values["seconds"]),
        user_rows=np.zeros(0, dtype=np.int64),
        per_user={},
        fit=_fit(values.get("fit", "train")),
    )


def _group(values: Mapping[str, object]) -> Group:
    own = {attribute.name for attribute in fields(Group)}
    return Group(
        label=_text(values["label"]),
        cases=int(_number(values["cases"])),
        metrics={name: _number(value) for name, value in values.items() if name not in own},
        intervals=_intervals(values["intervals"]),
    )


def _numbers(values: object) -> dict[str, float]:
    return {name: _number(value) for name, value in _object(values).items()}


def _intervals(values: object) -> dict[str, Interval]:
    found = {}
    for name, pair in _object(values).items():
        low, high = _list(pair)
        found[name] = (_number(low), _number(high))
    return found


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"an object was expected, not {value!r:.60}")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"a list was expected, not {value!r:.60}")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"a number was expected, not {value!r:.60}")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, not {value!r:.60}")
    return value


def _fit(value: object) -> Fit:
    for name in get_args(Fit):
        if value == name:
            return cast("Fit", name)
    raise ValueError(f"{value!r:.60} is no fit")


def _part(value: object) -> PartName:
    for name in get_args(PartName):
        if value == name:
            return cast("PartName", name)
    raise ValueError(f"{value!r:.60} is no part of a dataset")
