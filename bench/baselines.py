"""What needs no training loop, on Amazon Beauty and MovieLens 1M: plain, and weighted by recency.

    .venv/bin/python bench/baselines.py [--threads 2]

Item-kNN and EASE weigh an event of the history by ``decay ** age``; 1 is the plain method. On ML-1M
item-kNN alone is run. The last line is ``baselines: <best recall@10 on Beauty, masked>``.
"""

from measure import (
    Job,
    accuracy_table,
    by_label,
    console,
    mean,
    measure,
    options_of,
    parser,
    real_data,
    seeded,
)

KNN = {"item-kNN, plain": 1.0, "item-kNN, recency 0.5": 0.5}
EASE = {"EASE, plain": 1.0, "EASE, recency 0.7": 0.7}


def main() -> None:
    options = options_of("baselines", parser(__doc__).parse_args())
    beauty, movies = real_data(options, "amazon14_beauty"), real_data(options, "ml-1m")
    knn = {label: (f"baseline.decay={decay}",) for label, decay in KNN.items()}
    ease = {label: (f"baseline.decay={decay}",) for label, decay in EASE.items()}
    jobs = [
        Job("popularity", beauty, "popularity"),
        Job("popularity, half-life 90 days", beauty, "popularity", ("baseline.half_life_days=90",)),
        *(Job(label, beauty, "itemknn", how) for label, how in knn.items()),
        *(Job(label, beauty, "ease", how) for label, how in ease.items()),
        Job("ALS", beauty, "als"),
        Job("BPR", beauty, "bpr"),
    ]
    on_beauty = measure(options, seeded(options, *jobs))
    on_movies = measure(
        options, seeded(options, *(Job(label, movies, "itemknn", h) for label, h in knn.items()))
    )
    console.print(accuracy_table("Baselines on Amazon Beauty", on_beauty))
    console.print(accuracy_table("Item-kNN on MovieLens 1M", on_movies))
    best = max(mean(group, "masked", "recall@10") for group in by_label(on_beauty).values())
    print(f"baselines: {best:.4f}")


if __name__ == "__main__":
    main()
