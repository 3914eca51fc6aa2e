"""The indexings of the literature side by side: the same decoder, other words for the items.

    .venv/bin/python bench/indexings.py [--data ml-100k] [--seeds 1] [--threads 2]

Hua et al. 2023 find collaborative with an own token > semantic > sequential > random. Where the
item numbers of a data set tell what comes next, an indexing by them would seem better than it is:
the leak probe is printed beside. The last line is
``indexings: <recall@10 of the hybrid over that of random>``.
"""

from generative import forms_table, in_every_form
from measure import (
    Job,
    by_label,
    console,
    mean,
    measure,
    options_of,
    parser,
    real_data,
    seeded,
)

from palate.data.dataset import Dataset
from palate.trust.leak import probe_leaks

RECIPES = ("p5-random", "p5-sequential", "p5-semantic", "p5-collaborative", "p5-hybrid")


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--data", default="ml-100k")
    chosen = arguments.parse_args()
    options = options_of("indexings", chosen)
    folder = real_data(options, chosen.data)
    jobs = [Job(recipe, folder, recipe) for recipe in RECIPES]
    runs = measure(options, seeded(options, *jobs), judge=in_every_form)
    console.print(forms_table(f"Indexings on {chosen.data}, test", runs))
    console.print("leak probe:", probe_leaks(Dataset.load(folder), "test"))
    groups = by_label(runs)
    best, least = (
        mean(groups[name], "codes, masked", "recall@10") for name in (RECIPES[-1], RECIPES[0])
    )
    print(f"indexings: {best / max(least, 1e-9):.2f}")


if __name__ == "__main__":
    main()
