"""How fast the best 100 items are found, exactly: for many users, for one, among a million items.

    .venv/bin/python bench/retrieve.py [--users 2048] [--items 12101 100000 1000000] [--threads 2]

First the model ``urm`` on Amazon Beauty, its forward pass included; its weights are random, which
changes no time. Then retrieval alone with random vectors over larger catalogues. The last line is
``retrieve: <users per second on Beauty, model included>``.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from measure import console, machine, options_of, parser, peak_gb, real_data
from rich.table import Table

from palate.data.dataset import Dataset
from palate.inference.engine import Engine
from palate.inference.model_folder import TrainedModel
from palate.inference.ranking import best_rows
from palate.inference.request import Request
from palate.ranking import largest_products
from palate.training.build import build_system
from palate.training.recipe import load_recipe
from palate.types import History

N = 100
BATCH = 64
"""Users asked at once in the larger catalogues."""


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--users", type=int, default=2048)
    arguments.add_argument("--singles", type=int, default=300, help="users asked one at a time")
    arguments.add_argument("--items", type=int, nargs="+", default=[12_101, 100_000, 1_000_000])
    chosen = arguments.parse_args()
    options = options_of("retrieve", chosen)
    torch.set_num_threads(options.threads)
    recipe = load_recipe("urm", options.overrides)
    dataset = Dataset.load(real_data(options, "amazon14_beauty"))
    parts, _ = build_system(dataset, recipe, seed=1)
    engine = Engine(TrainedModel("urm", recipe, dataset, parts, [], 1), cache_bytes=0)
    width = len(engine.catalogue.state.outputs_DI)

    def ask(asked: Sequence[History]) -> object:
        return engine.answer([Request(history, N) for history in asked])

    histories = dataset.cases("test").histories
    console.print(f"{machine()}, {options.threads} thread(s), top {N}, width {width}")

    table = Table(title="Exact retrieval")
    table.add_column("catalogue")
    for heading in ("items", "users / s", "p50, ms", "p99, ms", "peak GB"):
        table.add_column(heading, justify="right")
    many, single = histories[: chosen.users], histories[: chosen.singles]
    with_model = per_second(ask, many)
    times = latencies(ask, single)
    table.add_row("Beauty, with the model", f"{len(dataset.catalog):,}", *shown(with_model, times))
    for num_items in chosen.items:
        rate, times = vectors_alone(num_items, width, chosen.singles)
        table.add_row("random vectors", f"{num_items:,}", *shown(rate, times))
    console.print(table)
    print(f"retrieve: {with_model:.0f}")


def vectors_alone(num_items: int, width: int, num_singles: int) -> tuple[float, list[float]]:
    """Return users per second in batches, and the milliseconds of single users."""
    draw = np.random.default_rng(num_items)
    items_DI = draw.standard_normal((width, num_items), dtype=np.float32)
    users_UMD = draw.standard_normal((BATCH, 1, width), dtype=np.float32)
    histories = [History(draw.integers(0, num_items, 10), user_row=u) for u in range(BATCH)]

    def ask(asked: Sequence[History]) -> object:
        scores = largest_products(users_UMD[[history.user_row for history in asked]], items_DI)
        for own, history in zip(scores, asked, strict=True):
            own[history.item_rows] = -np.inf
        return best_rows(scores, N)

    # A large catalogue is slow enough to be measured on fewer users.
    singles = histories * max(1, min(num_singles, 20_000_000 // num_items) // BATCH)
    return per_second(ask, histories), latencies(ask, singles)


def per_second(ask: Callable[[Sequence[History]], object], users: Sequence[History]) -> float:
    """Return users per second, the better of two goes after a first one to warm up."""
    ask(users[:BATCH])
    best = np.inf
    for _ in range(2):
        started = time.perf_counter()
        ask(users)
        best = min(best, time.perf_counter() - started)
    return len(users) / best


def latencies(ask: Callable[[Sequence[History]], object], users: Sequence[History]) -> list[float]:
    """Return the milliseconds of each user asked alone."""
    found = []
    for user in users:
        started = time.perf_counter()
        ask([user])
        found.append(1000 * (time.perf_counter() - started))
    return found


def shown(rate: float, times: Sequence[float]) -> tuple[str, ...]:
    """Return the cells of a row."""
    p50, p99 = np.percentile(times, [50, 99])
    return f"{rate:,.0f}", f"{p50:.1f}", f"{p99:.1f}", f"{peak_gb():.2f}"


if __name__ == "__main__":
    main()
