"""How a model's answers move with the words, on a simulated shop with five kinds of event.

    .venv/bin/python bench/sensitivity.py [--recipe urm] [--users 3000] [--seeds 1] [--threads 2]

Printed are NDCG@10 by the objective wanted and the one asked for, the overlap of lists between
paraphrases and between objectives, and the spread over wordings that were never trained on. The
last line is ``sensitivity: <objectives best where asked for>``.
"""

import numpy as np
from measure import (
    Found,
    Job,
    Measured,
    console,
    mean,
    measure,
    options_of,
    parser,
    seeded,
    world_data,
)
from rich.table import Table

from palate.recommender.recommender import Recommender
from palate.simulation.world import World
from palate.studies.sensitivity import measure_sensitivity


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--recipe", default="urm")
    arguments.add_argument("--users", type=int, default=3_000)
    chosen = arguments.parse_args()
    options = options_of("sensitivity", chosen)
    folder = world_data(options, World(num_users=chosen.users, num_items=500, seed=0))
    runs = measure(options, seeded(options, Job(chosen.recipe, folder, chosen.recipe)), judge=moved)
    names = [name.removeprefix("wanted ") for name in runs[0].found if name.startswith("wanted ")]
    console.print(matrix(runs, names))
    console.print(overlaps(runs))
    values = [[mean(runs, f"wanted {wanted}", asked) for asked in names] for wanted in names]
    best = int((np.argmax(values, axis=1) == np.arange(len(names))).sum())
    print(f"sensitivity: {best} of {len(names)}")


def moved(model: Recommender) -> Found:
    """Return the matrix and the overlaps on test."""
    found = measure_sensitivity(model, "test")
    rows = {
        f"wanted {wanted}": dict(zip(found.objectives, values.tolist(), strict=True))
        for wanted, values in zip(found.objectives, found.matrix, strict=True)
    }
    spread = {
        f"{one.family}, {kind}, {name}": float(pick(values))
        for one in found.spreads
        for kind, values in (("seen", one.seen), ("unseen", one.unseen))
        for name, pick in (("least", min), ("mean", np.mean), ("most", max))
    }
    overlap = {"paraphrases": found.paraphrase_overlap, "objectives": found.objective_overlap}
    users = dict(zip(found.objectives, map(float, found.cases), strict=True))
    return {**rows, "overlap": overlap, "spread": spread, "users": users}


def matrix(runs: list[Measured], names: list[str]) -> Table:
    """Return NDCG@10 by objective wanted (rows) and asked for (columns)."""
    table = Table(title="NDCG@10 by objective wanted and objective asked for")
    for heading in ("wanted", "users", *(f"asked: {name}" for name in names)):
        table.add_column(heading)
    for wanted in names:
        cells = [f"{mean(runs, f'wanted {wanted}', asked):.4f}" for asked in names]
        table.add_row(wanted, f"{mean(runs, 'users', wanted):,.0f}", *cells)
    return table


def overlaps(runs: list[Measured]) -> Table:
    """Return how alike lists are, and how NDCG@10 varies over wordings."""
    table = Table(title="Overlap of the top 10, and NDCG@10 over wordings")
    for heading in ("what", "value"):
        table.add_column(heading)
    for group in ("overlap", "spread"):
        for name in runs[0].found[group]:
            table.add_row(name, f"{mean(runs, group, name):.4f}")
    return table


if __name__ == "__main__":
    main()
