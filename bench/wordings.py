"""What is lost where a model is asked in words it never saw: ``recsysllm`` beside ``p5``.

    .venv/bin/python bench/wordings.py [--seeds 1] [--threads 2] [--most 500]

Both learn the five families of P5 on Amazon Instruments with a decoder of one size. Ratings,
explanations and summaries of the test part are asked for by three wordings that were trained on and
by those that were not; the loss is how much worse the mean is, in parts of what it was. The last
line is ``wordings: <mean loss of recsysllm over families, in per cent>, p5 <that of p5>``.
"""

from collections.abc import Sequence
from functools import partial, update_wrapper

import numpy as np
from measure import (
    Found,
    Job,
    Judge,
    Measured,
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

from palate.recommender.recommender import Recommender
from palate.studies.task_evaluation import evaluate_task

RECIPES = ("p5", "recsysllm")
METRICS: dict[str, str] = {
    "rating": "rmse",
    "explanation": "rouge_1",
    "summary": "rouge_1",
}
LOWER_IS_BETTER = {"rmse"}
NUM_SEEN = 3


def in_other_words(model: Recommender, most: int | None = None) -> Found:
    """Return the mean figure of each family over wordings that were trained on, and over others."""
    found: dict[str, dict[str, float]] = {"seen": {}, "unseen": {}}
    for family, metric in METRICS.items():
        wordings = model.answers.system.prompts[family]
        for kind, said in (("seen", wordings.seen[:NUM_SEEN]), ("unseen", wordings.unseen)):
            values = [_figure(model, family, metric, wording, most) for wording in said]
            found[kind][family] = float(np.mean(values))
    return found


def _figure(model: Recommender, family: str, metric: str, wording: str, most: int | None) -> float:
    result = evaluate_task(model, family, wording=wording, most=most)
    return result.figures["model"][metric]


def asking(most: int | None) -> Judge:
    """Return the judge, told how many events to ask about."""
    judge = partial(in_other_words, most=most)
    update_wrapper(judge, in_other_words)
    judge.__name__ = f"in_other_words_{most}"
    return judge


def loss(seen: float, unseen: float, metric: str) -> float:
    """Return how much worse a figure became, in parts of what it was."""
    worse = unseen - seen if metric in LOWER_IS_BETTER else seen - unseen
    return worse / max(seen, 1e-9)


def mean_loss(runs: Sequence[Measured]) -> float:
    """Return the mean loss over the families."""
    losses = [
        loss(mean(runs, "seen", family), mean(runs, "unseen", family), metric)
        for family, metric in METRICS.items()
    ]
    return float(np.mean(losses))


def wordings_table(title: str, runs: Sequence[Measured]) -> Table:
    """Return one row per system and family."""
    table = Table("system", "family", "metric", "seen", "unseen", "loss", title=title)
    for label, group in by_label(runs).items():
        for family, metric in METRICS.items():
            seen, unseen = (
                [run.found[kind][family] for run in group] for kind in ("seen", "unseen")
            )
            lost = loss(float(np.mean(seen)), float(np.mean(unseen)), metric)
            figures = (with_spread(seen), with_spread(unseen), f"{lost:+.2%}")
            table.add_row(label, family, metric, *figures)
    return table


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--data", default="amazon14_instruments_reviews")
    arguments.add_argument("--most", type=int, default=500, help="events asked about per family")
    chosen = arguments.parse_args()
    options = options_of("wordings", chosen)
    folder = real_data(options, chosen.data)
    jobs = [Job(recipe, folder, recipe) for recipe in RECIPES]
    runs = measure(options, seeded(options, *jobs), judge=asking(chosen.most))
    console.print(wordings_table(f"Seen and unseen wordings on {chosen.data}, test", runs))
    losses = {label: mean_loss(group) for label, group in by_label(runs).items()}
    print(f"wordings: {100 * losses['recsysllm']:.2f}, p5 {100 * losses['p5']:.2f}")


if __name__ == "__main__":
    main()
