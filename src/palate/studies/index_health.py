"""Item codes of a dataset or a model, and a report on their health."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from rich.markup import escape
from rich.table import Table

from palate.artifacts import hash_text
from palate.config import checked, with_overrides
from palate.data.dataset import Dataset
from palate.evaluation.report.plot_page import BarPlot, plot_page
from palate.items.behaviour import BehaviourConfig, behaviour_vectors
from palate.items.codes.health import CodeHealth, index_health, summary
from palate.items.codes.index import About, IndexConfig, IndexMaterial, ItemIndex, fit_index
from palate.items.encoders import ItemEncoders, ItemsConfig
from palate.items.vectors import ItemVectors, Progress
from palate.recommender.recommender import Recommender

Modality = Literal["text", "image", "behaviour"]
"""Source of the vectors of learned codes."""

_ITEMS_PER_CODE = 4
"""Minimum average number of items per first code; with fewer, codes hardly group items."""


class IndexSettings(BaseModel):
    """Settings of one index, for validation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: IndexConfig


@dataclass(frozen=True)
class IndexReport:
    """An index with its health figures, as tables and as a page."""

    name: str
    index: ItemIndex
    health: CodeHealth
    seed: int
    inputs: Mapping[str, str]

    @property
    def tables(self) -> list[Table]:
        """Tables for the terminal."""
        return health_tables({self.name: self.health})

    @property
    def warnings(self) -> list[str]:
        """Warnings about the codes, each with a remedy."""
        first, config = self.health.prefixes[0], self.index.config
        if self.index.quantiser is None or first.prefixes * _ITEMS_PER_CODE <= self.health.items:
            return []
        return [
            f"{self.health.items:,} items have {first.prefixes:,} different first codes, so that "
            "hardly any two items share one: such codes say little more than the item's number. "
            f"Give fewer codes per level: --set size={self._fitting_size(config.kind)}"
        ]

    def _fitting_size(self, kind: str) -> int:
        """Return a codebook size that groups items by first code and still separates them."""
        levels = self.index.codes.num_telling
        depth = 2 if kind == "product" else levels
        bits = round(float(np.log2(max(self.health.items, 2))) / depth)
        return int(2 ** max(bits, 1))

    def page(self) -> str:
        """Return one self-contained HTML page with the plots."""
        return health_page(self.name, summary(self.index.codes), self.health)

    def save(self, folder: Path | str, *, made_by: str = "python") -> None:
        """Write the codes folder with ``health.json`` and ``health.html`` in it."""
        figures = json.dumps(asdict(self.health), indent=2) + "\n"
        about = About(
            name=self.name,
            made_by=made_by,
            inputs=self.inputs,
            seed=self.seed,
            reports={"health.json": figures, "health.html": self.page()},
        )
        self.index.save(folder, about)


def index_config(kind: str = "residual-kmeans", overrides: Sequence[str] = ()) -> IndexConfig:
    """Return the settings of an index from its kind and options such as ``levels=4``.

    Raises:
        ConfigError: when there is no such kind or setting.
    """
    tables = with_overrides({"kind": kind}, overrides)
    return checked(IndexSettings, {"index": tables}, "The settings of the index").index


def load_source(folder: Path) -> Dataset | Recommender:
    """Read the dataset or the model in ``folder``.

    Raises:
        ArtifactError: when it is neither, or is damaged.
    """
    is_model = (folder / "recipe.json").is_file()
    return Recommender.load(folder) if is_model else Dataset.load(folder)


def index_report(
    source: Dataset | Recommender,
    config: IndexConfig,
    *,
    seed: int = 0,
    modality: Modality = "text",
    progress: Progress | None = None,
) -> IndexReport:
    """Index the items of a dataset, or of a model with the vectors of its training.

    Args:
        source: a dataset or a model; only events of the training part are read.
        config: see :func:`index_config`.
        seed: the same seed gives the same codes.
        modality: source of the vectors for learned codes and for all health figures.
        progress: called with the number of encoded items and the total.

    Raises:
        ConfigError: when the kind needs vectors and the items have none of this modality.
    """
    material = index_material(source, config, modality=modality, seed=seed, progress=progress)
    dataset = source.dataset if isinstance(source, Recommender) else source
    draw, judge = np.random.default_rng(seed).spawn(2)
    index = fit_index(config, material, rng=draw)
    ids = hash_text("\n".join(dataset.catalog.vocabulary.ids.tolist()))
    return IndexReport(
        name=source.name,
        index=index,
        health=index_health(index, material, rng=judge),
        seed=seed,
        inputs={"item_ids": ids},
    )


def index_material(
    source: Dataset | Recommender,
    config: IndexConfig,
    *,
    modality: Modality = "text",
    seed: int = 0,
    progress: Progress | None = None,
) -> IndexMaterial:
    """Return the material for an index of the source's items."""
    dataset = source.dataset if isinstance(source, Recommender) else source
    aligned = config.kind == "rqvae" and config.alignment > 0
    behaviour = (
        behaviour_vectors(dataset.sequences, len(dataset.catalog), BehaviourConfig(), seed=seed)
        if aligned or modality == "behaviour"
        else None
    )
    vectors = (
        behaviour
        if modality == "behaviour"
        else _content(source, modality, seed=seed, progress=progress)
    )
    return IndexMaterial(dataset.catalog, dataset.sequences, vectors, behaviour)


def health_tables(judged: Mapping[str, CodeHealth]) -> list[Table]:
    """Return the figures of one index, or of several side by side."""
    return [_whole_table(judged), _levels_table(judged), _prefixes_table(judged)]


def health_page(name: str, words: str, health: CodeHealth) -> str:
    """Return a page with three plots: use of the codes, near neighbours, and categories.

    Args:
        name: of the source of the items.
        words: a sentence about the codes.
        health: the figures to draw.
    """
    prefixes, lengths = health.prefixes, [f"first {p.length}" for p in health.prefixes]
    plots = [
        BarPlot(
            "How the codes of each level are used",
            [level.name for level in health.levels],
            {
                "codes in use": [level.used / level.size for level in health.levels],
                "evenness": [level.evenness for level in health.levels],
            },
        ),
        BarPlot(
            "Near neighbours that share their first codes",
            lengths,
            {
                "neighbours": [p.neighbours for p in prefixes],
                "any two items": [p.neighbours_by_chance for p in prefixes],
            },
        ),
        BarPlot(
            "Items in the commonest category of their first codes",
            lengths,
            {
                "as they are": [p.purity for p in prefixes],
                "categories dealt at random": [p.purity_by_chance for p in prefixes],
            },
        ),
    ]
    return plot_page(f"Codes of {name}", words, plots)


def _content(
    source: Dataset | Recommender,
    modality: Literal["text", "image"],
    *,
    seed: int,
    progress: Progress | None,
) -> ItemVectors | None:
    """Return the vectors of a model's training, or those of newly fitted encoders."""
    if isinstance(source, Recommender):
        model = source.trained.language_model
        if model is not None:
            return model.features.vectors.get(modality)
        return _content(source.dataset, modality, seed=seed, progress=progress)
    config = ItemsConfig(modalities=(modality,))
    encoders = ItemEncoders.fit(source.catalog, config, seed=seed)
    return encoders.content(source.catalog, config, progress=progress).get(modality)


def _whole_table(judged: Mapping[str, CodeHealth]) -> Table:
    table = Table(
        title="Codes as a whole",
        caption="collisions are counted before they were resolved; "
        "variance lost is 0 where codes say all of the vectors, 1 where nothing",
    )
    table.add_column("index")
    for heading in ("items", "items that collide", "largest collision", "variance lost"):
        table.add_column(heading, justify="right")
    for name, health in judged.items():
        table.add_row(
            escape(name),
            f"{health.items:,}",
            f"{health.colliding:,} ({health.colliding / max(1, health.items):.1%})",
            f"{health.largest_collision:,}",
            _share(health.reconstruction_error),
        )
    return table


def _levels_table(judged: Mapping[str, CodeHealth]) -> Table:
    table = Table(
        title="How each level is used",
        caption="entropy in bits; evenness is its share of the largest possible",
    )
    table.add_column("index")
    table.add_column("level")
    for heading in ("codes", "in use", "share", "entropy", "evenness"):
        table.add_column(heading, justify="right")
    for name, health in judged.items():
        for level in health.levels:
            table.add_row(
                escape(name),
                level.name,
                f"{level.size:,}",
                f"{level.used:,}",
                f"{level.used / level.size:.0%}",
                f"{level.entropy:.2f}",
                f"{level.evenness:.3f}",
            )
        table.add_section()
    return table


def _prefixes_table(judged: Mapping[str, CodeHealth]) -> Table:
    table = Table(
        title="What items with the same first codes have in common",
        caption="in brackets by chance: categories dealt at random, any two items",
    )
    table.add_column("index")
    for heading in ("first codes", "prefixes", "largest", "one category", "near neighbours"):
        table.add_column(heading, justify="right")
    for name, health in judged.items():
        for prefix in health.prefixes:
            table.add_row(
                escape(name),
                str(prefix.length),
                f"{prefix.prefixes:,}",
                f"{prefix.largest:,}",
                f"{_share(prefix.purity)} ({_share(prefix.purity_by_chance)})",
                f"{_share(prefix.neighbours)} ({_share(prefix.neighbours_by_chance)})",
            )
        table.add_section()
    return table


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
