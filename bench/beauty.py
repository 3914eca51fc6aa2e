"""The headline: recipe ``urm`` on Amazon Beauty, leave-last-out, full ranking, mean of three seeds.

    .venv/bin/python bench/beauty.py [--seeds 3] [--threads 2] [--workers 1] [--fit train|valid]

With ``--workers 2 --threads 1`` two seeds train side by side on one core each; their seconds are an
upper bound of what a run alone takes on both. The last line is ``beauty: <mean recall@10>``, with
the history masked. ``--fit valid`` trains once more on train and valid, for as many epochs as were
best, and reports test of that model below the one it was found with, both of one training.
"""

from measure import (
    Job,
    accuracy_table,
    both_fits,
    console,
    mean,
    measure,
    options_of,
    parser,
    real_data,
    refitted,
    refitted_accuracy,
    seeded,
)

from palate.evaluation.report.tables import HEADLINE

WANTED = {"recall@5": 0.072, "ndcg@5": 0.052, "recall@10": 0.100, "ndcg@10": 0.061}
LIMIT_SECONDS = 900


def main() -> None:
    words = parser(__doc__, seeds=3)
    words.add_argument("--fit", choices=("train", "valid"), default="train", help="learn from")
    arguments = words.parse_args()
    options = options_of("beauty", arguments)
    folder = real_data(options, "amazon14_beauty")
    if arguments.fit == "valid":
        jobs = seeded(options, Job("urm", folder, "urm"))
        refits = measure(options, jobs, judge=refitted_accuracy, train=refitted)
        console.print(accuracy_table("Amazon Beauty: next item", both_fits(refits)))
        print(f"beauty, refit: {mean(refits, 'masked', 'recall@10'):.4f}")
        return
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
