"""How long residual k-means takes, and what memory, from ten thousand to a million items.

    .venv/bin/python bench/index.py [--items 10000 100000 1000000] [--dim 384] [--threads 2]

The vectors are drawn: a thousand clouds of unequal size, with noise of the same strength. A run
fits the codebooks, codes every item and tells equals apart with an extra digit, in a process of its
own. ``--set`` changes the index: ``--set levels=3``. The last line is
``index: <seconds of the largest catalogue>``.
"""

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import polars as pl
from measure import console, machine, options_of, parser, peak_gb
from rich.table import Table

from palate.data.catalog import Catalog
from palate.data.vocabulary import Vocabulary
from palate.items.codes.health import lost_variance
from palate.items.codes.index import IndexMaterial, fit_index
from palate.items.vectors import ItemVectors
from palate.studies.index_health import index_config

CLOUDS = 1_000
BLOCK = 65_536
JUDGED = 20_000
"""Items whose lost variance is computed."""


@dataclass(frozen=True)
class Indexed:
    """What one run left behind."""

    items: int
    seconds: float
    cpu_seconds: float
    peak_gb: float
    vectors_gb: float
    lost: float
    colliding: float
    version: str


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    arguments.add_argument("--dim", type=int, default=384)
    arguments.add_argument("--kind", default="residual-kmeans", help="or rqvae, product")
    chosen = arguments.parse_args()
    options = options_of("index", chosen)
    # Four levels of 256 are the promise; what the command line says comes after and wins.
    overrides = ("levels=4", "size=256", *options.overrides)
    # Read by each process when it starts, before any library looks for its number of threads.
    os.environ.update({"OMP_NUM_THREADS": str(options.threads)})
    runs = []
    for count in chosen.items:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            runs.append(pool.submit(index, count, chosen.dim, chosen.kind, overrides).result())
        console.print(f"{count:,} items: {runs[-1].seconds:.1f} s", style="dim")
    console.print(f"{machine()}, {options.threads} thread(s)")
    console.print(as_table(chosen.kind, chosen.dim, runs))
    print(f"index: {runs[-1].seconds:.1f}")


def index(count: int, dim: int, kind: str, overrides: tuple[str, ...]) -> Indexed:
    """Index drawn vectors."""
    vectors = drawn_vectors(count, dim)
    ids = [str(row) for row in range(count)]
    catalog = Catalog(Vocabulary(ids), pl.DataFrame({"item_id": ids}))
    config = index_config(kind, overrides)
    started, busy = time.perf_counter(), time.process_time()
    made = fit_index(config, IndexMaterial(catalog, vectors=vectors), rng=np.random.default_rng(1))
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - busy
    peak = peak_gb()
    assert made.quantiser is not None
    telling = made.codes.values[:JUDGED, : made.codes.num_telling]
    first = ItemVectors(vectors.values[:JUDGED], vectors.present[:JUDGED])
    digits = made.codes.values[:, -1]
    return Indexed(
        items=count,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        peak_gb=peak,
        vectors_gb=vectors.values.nbytes / 2**30,
        lost=lost_variance(first, made.quantiser.decode(telling)),
        colliding=float((digits > 0).mean()),
        version=made.codes.version,
    )


def drawn_vectors(count: int, dim: int) -> ItemVectors:
    """Draw unit vectors around centres; the size of a cloud falls with its number."""
    draw = np.random.default_rng(count)
    centres = draw.standard_normal((CLOUDS, dim), dtype=np.float32)
    shares = 1 / np.arange(1, CLOUDS + 1)
    values = np.empty((count, dim), dtype=np.float32)
    for start in range(0, count, BLOCK):
        block = values[start : start + BLOCK]
        clouds = draw.choice(CLOUDS, len(block), p=shares / shares.sum())
        block[:] = draw.standard_normal(block.shape, dtype=np.float32)
        block += centres[clouds]
        block *= (dim**0.5 / np.linalg.norm(block, axis=1))[:, None]
    return ItemVectors(values, np.ones(count, dtype=bool))


def as_table(kind: str, dim: int, runs: list[Indexed]) -> Table:
    table = Table(
        title=f"{kind}, vectors of {dim} numbers",
        caption="memory is all that the process held, vectors included; "
        "extra digits are items that share their learned codes with one before them",
    )
    headings = (
        "items",
        "seconds",
        "CPU seconds",
        "peak GB",
        "vectors, GB",
        "variance lost",
        "extra digits",
    )
    for heading in (*headings, "version"):
        table.add_column(heading, justify="right")
    for run in runs:
        table.add_row(
            f"{run.items:,}",
            f"{run.seconds:.1f}",
            f"{run.cpu_seconds:.1f}",
            f"{run.peak_gb:.2f}",
            f"{run.vectors_gb:.2f}",
            f"{run.lost:.3f}",
            f"{run.colliding:.1%}",
            run.version,
        )
    return table


if __name__ == "__main__":
    main()
