"""What several user vectors bring: ``urm`` with 1, 4 and 16 query tokens on Amazon Beauty.

    .venv/bin/python bench/queries.py [--tokens 1 4 16] [--seeds 1] [--threads 2]

Diversity is that of the ten recommended items, 1 - their mean similarity: by categories (Jaccard)
and by text vectors (cosine). Coverage is the share of the catalogue that anybody is recommended.
The last line is ``queries: <recall@10 with the most query tokens over that with the fewest>``.
"""

from collections.abc import Sequence

import numpy as np
from measure import (
    Found,
    Job,
    Measured,
    accuracy,
    accuracy_table,
    by_label,
    console,
    mean,
    measure,
    options_of,
    parser,
    real_data,
    seeded,
    with_spread,
)
from rich.table import Table

from palate.evaluation.metrics import vector_diversity
from palate.recommender.recommender import Recommender


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--tokens", type=int, nargs="+", default=[1, 4, 16])
    chosen = arguments.parse_args()
    options = options_of("queries", chosen)
    folder = real_data(options, "amazon14_beauty")
    jobs = [
        Job(f"{count} query tokens", folder, "urm", (f"model.num_queries={count}",))
        for count in sorted(chosen.tokens)
    ]
    runs = measure(options, seeded(options, *jobs), judge=accuracy_and_diversity)
    console.print(accuracy_table("Query tokens on Amazon Beauty", runs))
    console.print(diversity_table(runs))
    groups = list(by_label(runs).values())
    fewest, most = (mean(group, "masked", "recall@10") for group in (groups[0], groups[-1]))
    print(f"queries: {most / max(fewest, 1e-9):.3f}")


def accuracy_and_diversity(model: Recommender) -> Found:
    """Add to the usual figures how different the ten recommended items are by their texts."""
    found = accuracy(model)
    parts = model.trained.language_model
    if parts is None or "text" not in parts.features.vectors:
        return found
    lists = model.by_rows.recommend(model.dataset.cases("test").histories, 10)
    rows = np.stack([np.resize(ranking.item_rows, 10) for ranking in lists])
    values = vector_diversity(rows, parts.features.vectors["text"].values)
    return {**found, "beyond": {**found["beyond"], "text_diversity@10": float(values.mean())}}


def diversity_table(runs: Sequence[Measured]) -> Table:
    """Return how varied the lists are."""
    shown = {
        "diversity@10": "diversity by category",
        "text_diversity@10": "diversity by text",
        "coverage@10": "coverage",
        "gini@10": "Gini",
    }
    table = Table(title="How varied ten recommendations are, history masked")
    table.add_column("system")
    for heading in shown.values():
        table.add_column(heading, justify="right")
    for label, group in by_label(runs).items():
        values = [[run.found["beyond"].get(name, float("nan")) for run in group] for name in shown]
        table.add_row(label, *(with_spread(each, 3) for each in values))
    return table


if __name__ == "__main__":
    main()
