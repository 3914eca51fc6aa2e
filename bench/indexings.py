"""The indexings of the literature side by side: the same decoder, other words for the items.

    .venv/bin/python bench/indexings.py [--data ml-100k] [--seeds 1] [--threads 2]

Hua et al. 2023 find collaborative with an own token > semantic > sequential > random. Where the
item numbers of a data set tell what comes next, an indexing by them would seem better than it is:
what the order of the codes alone finds is printed beside. The last line is
``indexings: <recall@10 of the hybrid over that of random>``.
"""

from generative import forms_table, in_every_form
from measure import (
    Found,
    Job,
    Measured,
    by_label,
    console,
    mean,
    measure,
    options_of,
    parser,
    real_data,
    seeded,
)
from rich.table import Table

from palate.data.dataset import Dataset
from palate.recommender.recommender import Recommender
from palate.training.system import LanguageModelSystem
from palate.trust.leak import probe_leaks, probe_order

PROBE = "order of the codes"

RECIPES = ("p5-random", "p5-sequential", "p5-semantic", "p5-collaborative", "p5-hybrid")


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--data", default="ml-100k")
    chosen = arguments.parse_args()
    options = options_of("indexings", chosen)
    folder = real_data(options, chosen.data)
    jobs = [Job(recipe, folder, recipe) for recipe in RECIPES]
    runs = measure(options, seeded(options, *jobs), judge=with_probes)
    console.print(forms_table(f"Indexings on {chosen.data}, test", runs))
    console.print(probes_table(runs))
    console.print("the data's own numbers:", probe_leaks(Dataset.load(folder), "test"))
    groups = by_label(runs)
    best, least = (
        mean(groups[name], "codes, masked", "recall@10") for name in (RECIPES[-1], RECIPES[0])
    )
    print(f"indexings: {best / max(least, 1e-9):.2f}")


def with_probes(model: Recommender) -> Found:
    """Judge each form on test, and what somebody finds who knows the order of the codes alone."""
    system = model.trained.system
    assert isinstance(system, LanguageModelSystem)
    assert system.index is not None
    prediction = probe_order(system.index.codes.order, model.dataset)
    return {**in_every_form(model), PROBE: prediction}


def probes_table(runs: list[Measured]) -> Table:
    """Return the hit rates of the probes, a line per indexing."""
    table = Table(title="Guessing by the order of the codes alone, test, hit rate")
    table.add_column("indexing")
    names = [name for name in runs[0].found[PROBE] if "@" in name or name == "chance"]
    for name in names:
        table.add_column(name, justify="right")
    for label, group in by_label(runs).items():
        table.add_row(label, *(f"{mean(group, PROBE, name):.4f}" for name in names))
    return table


if __name__ == "__main__":
    main()
