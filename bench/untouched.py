"""The recipe ``urm`` as it is on data it was not tuned on: Amazon Sports and MovieLens 1M.

    .venv/bin/python bench/untouched.py [--seeds 1] [--only amazon14_sports]

All ratings of ML-1M count as events; histories are read up to 200 events there. The last line is
``untouched: <smallest ratio of a figure to what is wanted of it>``.
"""

from measure import (
    Job,
    accuracy_table,
    console,
    mean,
    measure,
    options_of,
    parser,
    real_data,
    seeded,
)

WANTED = {
    "amazon14_sports": {"recall@10": 0.060},
    "ml-1m": {"recall@10": 0.28, "ndcg@10": 0.158},
}
OVERRIDES = {"ml-1m": ("tasks.max_history=200",)}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--only", choices=WANTED, help="one of the two")
    chosen = arguments.parse_args()
    options = options_of("untouched", chosen)
    names = [chosen.only] if chosen.only else list(WANTED)
    jobs = [Job(name, real_data(options, name), "urm", OVERRIDES.get(name, ())) for name in names]
    runs = measure(options, seeded(options, *jobs))
    console.print(accuracy_table("The recipe urm on other data", runs))
    ratios = []
    for name in names:
        mine = [run for run in runs if run.label == name]
        for metric, wanted in WANTED[name].items():
            reached = mean(mine, "masked", metric)
            ratios.append(reached / wanted)
            verdict = "reached" if reached >= wanted else "missed"
            console.print(f"{name} {metric}: {reached:.4f}, {verdict} {wanted:.3f}")
    print(f"untouched: {min(ratios):.3f}")


if __name__ == "__main__":
    main()
