"""Code health of our learned codes side by side, and beside those that others published.

    .venv/bin/python bench/code_health.py [--data amazon14_beauty] [--text minilm] [--threads 2]

All are judged by the same vectors of the items' texts. ``--set`` changes each of ours:
``--set levels=4``. The last line is ``code_health: <variance lost by residual k-means>``.
"""

import re

import numpy as np
import polars as pl
import torch
from measure import console, machine, options_of, parser, real_data
from threadpoolctl import threadpool_limits

from palate.data.catalog import Catalog
from palate.data.dataset import Dataset
from palate.items.codes.codes import Level
from palate.items.codes.health import CodeHealth, HealthEvidence, code_health, index_health
from palate.items.codes.index import IndexMaterial, fit_index
from palate.items.codes.indexings import category_paths
from palate.items.encoders import ItemEncoders, ItemsConfig
from palate.items.text import TextEncoderConfig
from palate.items.vectors import ItemVectors
from palate.studies.index_health import health_tables, index_config

OURS = ("residual-kmeans", "rqvae", "product")
PUBLISHED = {
    "amazon14_beauty": ("LETTER, published", "semantic_id_letter"),
    "minionerec_industrial": ("MiniOneRec, published", "semantic_id"),
}
"""Data set -> what published codes are called, and the column of the items that holds them."""

_TOKEN = re.compile(r"<[a-z]_(\d+)>")
_SIZE = 256


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--data", default="amazon14_beauty")
    arguments.add_argument("--text", choices=["tfidf-svd", "minilm"], default="tfidf-svd")
    chosen = arguments.parse_args()
    options = options_of("code_health", chosen)
    torch.set_num_threads(options.threads)
    dataset = Dataset.load(real_data(options, chosen.data))
    with threadpool_limits(options.threads):
        vectors = text_vectors(dataset.catalog, chosen.text)
        material = IndexMaterial(dataset.catalog, dataset.sequences, vectors)
        judged = {kind: ours(kind, material, options.overrides) for kind in OURS}
    if chosen.data in PUBLISHED:
        name, column = PUBLISHED[chosen.data]
        judged[name] = published(dataset.catalog, column, vectors)
    console.print(f"{machine()}, {options.threads} thread(s); {dataset.name}, {chosen.text}")
    console.print(*health_tables(judged))
    print(f"code_health: {judged[OURS[0]].reconstruction_error:.3f}")


def ours(kind: str, material: IndexMaterial, overrides: tuple[str, ...]) -> CodeHealth:
    """Index and judge."""
    console.print(f"indexing by {kind} ...")
    index = fit_index(index_config(kind, overrides), material, rng=np.random.default_rng(1))
    return index_health(index, material, rng=np.random.default_rng(0))


def text_vectors(catalog: Catalog, kind: str) -> ItemVectors:
    """Return the vectors of the items' texts."""
    text = TextEncoderConfig.model_validate({"kind": kind})
    config = ItemsConfig(modalities=("text",), text=text)
    encoders = ItemEncoders.fit(catalog, config, seed=1)
    return encoders.content(catalog, config)["text"]


def published(catalog: Catalog, column: str, vectors: ItemVectors) -> CodeHealth:
    """Judge published codes, whose codebooks are not known, by the same vectors."""
    values, levels = published_codes(catalog, column)
    categories = [path[0] if path else None for path in category_paths(catalog.table)]
    evidence = HealthEvidence(vectors, categories)
    return code_health(values, levels, evidence, drawn=values, rng=np.random.default_rng(0))


def published_codes(catalog: Catalog, column: str) -> tuple[np.ndarray, tuple[Level, ...]]:
    """Return the codes of each item, and their levels; items may be alike.

    A token such as ``<b_70>`` is code 70 of the second level.
    """
    tokens = catalog.table[column].cast(pl.List(pl.String)).to_list()
    rows = [
        [int(match[1]) for token in item if (match := _TOKEN.fullmatch(token))] for item in tokens
    ]
    values = np.asarray(rows, dtype=np.int32)
    sizes = np.maximum(values.max(axis=0) + 1, _SIZE)
    return values, tuple(Level("code", int(size)) for size in sizes)


if __name__ == "__main__":
    main()
