"""Encoders of texts before anything is trained: what is nearest, how fast, and how soon.

    .venv/bin/python bench/text_encoders.py [--data amazon14_beauty] [--split leave-last-out]
        [--table FOLDER ...] [--threads 1]

An encoder recommends what is nearest to the last items of a history, raw and whitened, out of the
whole catalogue without the history; the mean of two questions, the last item and the decayed sum of
the last five. The validation part is what ``items.text.kind = auto`` chooses by. *one text* is the
median time of an item or a query that comes alone. The last line is ``text encoders: <the one that
validation chooses>``.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from measure import console, options_of, parser, real_data
from rich.table import Table

from palate.data.dataset import Cases, Dataset
from palate.data.prepare import PrepareOptions
from palate.data.splitting import SplitName
from palate.errors import MissingExtraError
from palate.items.text import TextEncoder, TextEncoderConfig, fit_text_encoder
from palate.items.vectors import ItemVectors
from palate.recommender.item_text import (
    asked_cases,
    cheapest_of_the_best,
    nearest_gains,
    whitened,
)

_ALONE = 200


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    name: str
    valid: np.ndarray
    """Gain of each user asked."""
    test: np.ndarray
    per_second: float
    milliseconds: float


def main() -> None:
    words = parser(__doc__)
    words.add_argument("--data", default="amazon14_beauty")
    words.add_argument("--split", default="leave-last-out", choices=get_args(SplitName))
    words.add_argument("--table", type=Path, nargs="*", default=[], help="of token vectors")
    chosen = words.parse_args()
    options = options_of("text_encoders", chosen)
    torch.set_num_threads(options.threads)
    os.environ["RAYON_NUM_THREADS"] = str(options.threads)
    folder = real_data(options, chosen.data, PrepareOptions(split=chosen.split))
    lines = compared(Dataset.load(folder), encoders(chosen.table))
    console.print(table_of(f"{chosen.data}, {chosen.split}: what is nearest, untrained", lines))
    best = lines[cheapest_of_the_best([line.valid for line in lines])]
    print(f"text encoders: {best.name}")


def encoders(tables: Sequence[Path]) -> dict[str, TextEncoderConfig]:
    """Return the encoders, the one that costs least first."""
    return {
        "tfidf-svd": TextEncoderConfig(),
        **{each.name: TextEncoderConfig(kind="static", path=str(each)) for each in tables},
        "minilm, int8": TextEncoderConfig(kind="minilm", int8=True),
        "minilm": TextEncoderConfig(kind="minilm"),
    }


def compared(dataset: Dataset, configs: dict[str, TextEncoderConfig]) -> list[Line]:
    """Return two lines per encoder that is installed, raw and whitened."""
    texts, valid = dataset.catalog.texts(), asked_cases(dataset, 0)
    test = dataset.cases("test").sample(len(valid), np.random.default_rng(0))
    lines = []
    for name, config in configs.items():
        try:
            encoder = fit_text_encoder(config, texts, seed=0)
        except MissingExtraError as error:
            console.print(f"{name}: {error}")
            continue
        alone = one_by_one(encoder, texts)
        started = time.perf_counter()
        vectors = encoder.encode(texts)
        speed = len(texts) / (time.perf_counter() - started)
        for kind, read in (("", vectors), (", whitened", whitened(vectors))):
            gains = of_parts(read, valid, test)
            lines.append(Line(name + kind, *gains, speed, alone))
    return lines


def of_parts(vectors: ItemVectors, valid: Cases, test: Cases) -> tuple[np.ndarray, np.ndarray]:
    return nearest_gains(vectors, valid), nearest_gains(vectors, test)


def one_by_one(encoder: TextEncoder, texts: Sequence[str]) -> float:
    """Return the median of the milliseconds that a text takes which comes alone."""
    some = [text for text in texts if text][:_ALONE]
    encoder.encode(some[:2])  # loads what is loaded once
    return float(np.median([_milliseconds(encoder, text) for text in some]))


def _milliseconds(encoder: TextEncoder, text: str) -> float:
    started = time.perf_counter()
    encoder.encode([text])
    return 1000 * (time.perf_counter() - started)


def table_of(title: str, lines: Sequence[Line]) -> Table:
    """Return the figures: NDCG@10, and the share of users with a hit in either list."""
    table = Table(title=title)
    table.add_column("texts")
    for heading in ("NDCG@10, valid", "NDCG@10, test", "found, test", "texts/s", "one text, ms"):
        table.add_column(heading, justify="right")
    for line in lines:
        figures = (line.valid.mean(), line.test.mean(), (line.test > 0).mean())
        table.add_row(
            line.name,
            *(f"{figure:.4f}" for figure in figures),
            f"{line.per_second:,.0f}",
            f"{line.milliseconds:.2f}",
        )
    return table


if __name__ == "__main__":
    main()
