"""SASRec on Amazon Beauty: with sampled softmax, and with its own loss (``sasrec-bce``).

    .venv/bin/python bench/sasrec.py [--seeds 1] [--threads 2]

Published on this split: 0.0921 recall@10 with sampled softmax, 0.060-0.074 with binary
cross-entropy. The last line is ``sasrec: <recall@10 of sasrec, masked>``.
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

RECIPES = ("sasrec", "sasrec-bce")


def main() -> None:
    options = options_of("sasrec", parser(__doc__).parse_args())
    folder = real_data(options, "amazon14_beauty")
    jobs = [Job(recipe, folder, recipe) for recipe in RECIPES]
    runs = measure(options, seeded(options, *jobs))
    console.print(accuracy_table("SASRec on Amazon Beauty", runs))
    softmax = [run for run in runs if run.label == "sasrec"]
    print(f"sasrec: {mean(softmax, 'masked', 'recall@10'):.4f}")


if __name__ == "__main__":
    main()
