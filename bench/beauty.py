"""The headline: recipe ``urm`` on Amazon Beauty, leave-last-out, full ranking, mean of three seeds.

    .venv/bin/python bench/beauty.py [--seeds 3] [--threads 2] [--workers 1]

With ``--workers 2 --threads 1`` two seeds train side by side on one core each; their seconds are an
upper bound of what a run alone takes on both. The last line is ``beauty: <mean recall@10>``, with
the history masked.
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

from palate.evaluation.report.tables import HEADLINE

WANTED = {"recall@5": 0.072, "ndcg@5": 0.052, "recall@10": 0.100, "ndcg@10": 0.061}
LIMIT_SECONDS = 900


def main() -> None:
    options = options_of("beauty", parser(__doc__, seeds=3).parse_args())
    folder = real_data(options, "amazon14_beauty")
    runs = measure(options, seeded(options, Job("urm", folder, "urm")))
    console.print(accuracy_table("Amazon Beauty: next item", runs))
    for metric in HEADLINE:
        reached = mean(runs, "masked", metric)
        verdict = "reached" if reached >= WANTED[metric] else "missed"
        console.print(f"{metric}: {reached:.4f}, {verdict} {WANTED[metric]:.3f}")
    longest = max(run.seconds for run in runs)
    verdict = "within" if longest <= LIMIT_SECONDS else "over"
    console.print(f"longest training: {longest:.0f} s, {verdict} the limit of {LIMIT_SECONDS} s")
    print(f"beauty: {mean(runs, 'masked', 'recall@10'):.4f}")


if __name__ == "__main__":
    main()
