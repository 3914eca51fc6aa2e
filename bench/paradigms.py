"""What two ways to learn are worth: pre-training on behaviour (PTUM), contrasts of titles (CALRec).

    .venv/bin/python bench/paradigms.py [--data ml-100k] [--seeds 3] [--threads 2]

PTUM is trained as its recipe says, without its first stage, and without it for as many epochs as
both stages take. CALRec, which answers with the title of what comes next, is trained with its two
contrasts and without. All are judged by full ranking. The last line is ``paradigms: <what PTUM's
first stage adds> <what CALRec's contrasts add>``, both of NDCG@10 with the history masked.
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

TUNING = "{ next_item = 1 }"
PTUM, TUNED = "PTUM", "PTUM, its second stage alone"
CALREC, PLAIN = "CALRec, by titles", "CALRec without contrasts"
VARIANTS = {
    PTUM: ("ptum", ()),
    TUNED: ("ptum", (f"stages=[{{ tasks = {TUNING}, training = {{ epochs = 12 }} }}]",)),
    f"{TUNED}, as long": (
        "ptum",
        (f"stages=[{{ tasks = {TUNING}, training = {{ epochs = 20 }} }}]",),
    ),
    CALREC: ("calrec", ()),
    PLAIN: ("calrec", ("training.target_contrast=0", "training.user_contrast=0")),
}
"""The recipe of each, and what is changed of it."""


def main() -> None:
    arguments = parser(__doc__, seeds=3)
    arguments.add_argument("--data", default="ml-100k")
    chosen = arguments.parse_args()
    options = options_of("paradigms", chosen)
    folder = real_data(options, chosen.data)
    jobs = [Job(label, folder, *what) for label, what in VARIANTS.items()]
    runs = measure(options, seeded(options, *jobs))
    console.print(accuracy_table(f"Ways to learn, {chosen.data}, test", runs))
    found = {label: mean(group, "masked", "ndcg@10") for label, group in by_label(runs).items()}
    print(f"paradigms: {found[PTUM] - found[TUNED]:.4f} {found[CALREC] - found[PLAIN]:.4f}")


if __name__ == "__main__":
    main()
