"""How the time and memory of ``prepare`` grow with the number of interactions.

Each size is made as a CSV folder (events and items), prepared in a process of its own, and removed.
The last line is ``prepare: <seconds for 5 million>`` (for the largest size where that is left out).
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

HEADLINE = 5_000_000
SIZES = (100_000, 1_000_000, HEADLINE, 20_000_000)


def make_source(folder: Path, num_events: int, rng: np.random.Generator) -> None:
    """Write ``interactions.csv`` and ``items.csv``: 25 events per user, few items very popular."""
    num_users, num_items = max(10, num_events // 25), max(100, num_events // 100)
    items = (num_items * rng.random(num_events) ** 3).astype(np.int64)
    # Each item occurs, so that the catalogue has the size asked for.
    items[:num_items] = np.arange(num_items)
    events = pl.DataFrame(
        {
            "user_id": rng.integers(num_users, size=num_events),
            "item_id": items,
            "rating": rng.integers(1, 6, size=num_events),
            "timestamp": 1_500_000_000 + rng.integers(100_000_000, size=num_events),
        }
    )
    events.with_columns(
        pl.format("user-{}", "user_id").alias("user_id"),
        pl.format("B{}", "item_id").alias("item_id"),
    ).write_csv(folder / "interactions.csv")
    numbers = pl.DataFrame({"n": np.arange(num_items)})
    numbers.select(
        pl.format("B{}", "n").alias("item_id"),
        pl.format("Item number {} &amp; its title", "n").alias("title"),
        pl.format("Category {}|Shelf {}", pl.col("n") % 20, pl.col("n") % 300).alias("categories"),
        pl.format("Brand {}", pl.col("n") % 500).alias("brand"),
        ((pl.col("n") % 1000) / 10).alias("price"),
    ).write_csv(folder / "items.csv")


def measure(source: Path, target: Path) -> tuple[float, float, float]:
    """Prepare in a process of its own; return seconds, its CPU seconds and peak GB."""
    command = [sys.executable, __file__, "--one", str(source), str(target)]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    cpu_seconds, peak = map(float, done.stdout.split()[-2:])
    return seconds, cpu_seconds, peak


def prepare_one(source: Path, target: Path) -> None:
    """Prepare and print the CPU seconds and the peak memory in GB of this process."""
    from palate.data.prepare import prepare

    prepare(source, target)
    unit = 1 if sys.platform == "darwin" else 1024
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = used.ru_utime + used.ru_stime
    sys.stdout.write(f"{cpu_seconds:.1f} {used.ru_maxrss * unit / 1e9:.3f}\n")


def main() -> None:
    """Print one line per size, then the headline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--one", type=Path, nargs=2, metavar=("SOURCE", "TARGET"))
    arguments = parser.parse_args()
    if arguments.one:
        prepare_one(*arguments.one)
        return
    seconds: dict[int, float] = {}
    sys.stdout.write(f"{'events':>12} {'CSV MB':>8} {'seconds':>8} {'CPU s':>8} {'peak GB':>8}\n")
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source"
            source.mkdir()
            make_source(source, size, np.random.default_rng(0))
            megabytes = sum(path.stat().st_size for path in source.iterdir()) / 1e6
            seconds[size], cpu_seconds, peak = measure(source, Path(folder) / "dataset")
        sys.stdout.write(
            f"{size:>12,} {megabytes:>8,.0f} {seconds[size]:>8.1f}"
            f" {cpu_seconds:>8.1f} {peak:>8.2f}\n"
        )
        sys.stdout.flush()
    sys.stdout.write(f"prepare: {seconds[HEADLINE if HEADLINE in seconds else max(seconds)]:.1f}\n")


if __name__ == "__main__":
    main()
