"""One model for every family of prompts beside an expert for each, and beside classical baselines.

    .venv/bin/python bench/text_tasks.py [--data amazon14_instruments_reviews] [--seeds 1]
        [--families rating explanation summary preference] [--threads 2]

The model is the recipe ``palate``; an expert is the same recipe with the shares of all other
families set to nothing. Baselines: mean, biases and biased factors for ratings, the most relevant
sentence of the item's reviews for explanations, the first sentence for summaries. The last line is
``text_tasks: <families in which the one model beats its baseline> of <families>``.
"""

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
    with_spread,
)
from rich.table import Table

from palate.language.tasks import shared_families
from palate.recommender.recommender import Recommender
from palate.studies.task_evaluation import evaluate_task

HEADLINE = {
    "rating": "rmse",
    "explanation": "rouge_1",
    "summary": "rouge_1",
    "preference": "rouge_1",
    "yes-no": "auc",
}
"""The figure by which a family is compared; of a rating less is better."""

ONE = "one model"


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--data", default="amazon14_instruments_reviews")
    arguments.add_argument("--families", nargs="+", default=list(HEADLINE), choices=HEADLINE)
    chosen = arguments.parse_args()
    options = options_of("text-tasks", chosen)
    folder = real_data(options, chosen.data)
    families = tuple(chosen.families)
    jobs = [Job(f"{family} alone", folder, "palate", alone(family)) for family in families]
    runs = measure(options, seeded(options, Job(ONE, folder, "palate"), *jobs), judge=said)
    console.print(families_table(f"Answers in words on {chosen.data}, test", runs, families))
    better = sum(beats(runs, family) for family in families)
    print(f"text_tasks: {better} of {len(families)}")


def alone(family: str) -> tuple[str, ...]:
    """Return the overrides that leave one family of prompts."""
    others = [share for share, known in shared_families().items() if known.name != family]
    return ('answers=["text"]', *(f"tasks.{share}=0" for share in others))


def said(model: Recommender) -> Found:
    """Judge each family the model was trained on, on test: its answers and the baselines'."""
    found = {}
    for family in HEADLINE:
        if family not in model.tasks:
            continue
        figures = evaluate_task(model, family, "test").figures
        for system, values in figures.items():
            found[f"{family}, {system}"] = dict(values)
    return found


def families_table(title: str, runs: list[Measured], families: tuple[str, ...]) -> Table:
    """Return a line per family and system."""
    table = Table(title=title)
    for heading in ("family", "answered by", "figure", "value"):
        table.add_column(heading)
    groups = by_label(runs)
    for family in families:
        name = HEADLINE[family]
        for label in (ONE, f"{family} alone"):
            group = groups[label]
            for where in group[0].found:
                of_family, system = where.split(", ", 1)
                # The baselines are the same beside the expert.
                shown = of_family == family and (label == ONE or system == "model")
                if shown and name in group[0].found[where]:
                    by = label if system == "model" else system
                    values = [run.found[where][name] for run in group]
                    table.add_row(family, by, name, with_spread(values))
    return table


def beats(runs: list[Measured], family: str) -> bool:
    """Tell whether the one model is better than every baseline of a family."""
    group = by_label(runs)[ONE]
    own = mean(group, f"{family}, model", HEADLINE[family])
    others = [
        mean(group, where, HEADLINE[family])
        for where in group[0].found
        if where.startswith(f"{family}, ")
        and not where.startswith(f"{family}, model")
        and HEADLINE[family] in group[0].found[where]
    ]
    return all(own < other if family == "rating" else own > other for other in others)


if __name__ == "__main__":
    main()
