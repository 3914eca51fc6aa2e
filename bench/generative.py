"""Answers in codes: TIGER, and one model that answers in every form.

    .venv/bin/python bench/generative.py [--recipes tiger urm-codes] [--data amazon14_beauty]
        [--split cold-items] [--seeds 1] [--threads 2]

Published on Amazon Beauty, unmasked: TIGER 0.0648 recall@10 (careful re-runs 0.063-0.068),
ActionPiece 0.0775. A model that was trained for both forms is judged as a set, in codes and as a
hybrid. With ``--split cold-items`` a tenth of the items is held out of training, and only such
items are wanted. The last line is ``generative: <best recall@10 in codes alone, unmasked>``.
"""

from typing import get_args

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

from palate.data.prepare import PrepareOptions
from palate.data.splitting import SplitName
from palate.evaluation.report.tables import HEADLINE
from palate.inference.request import Request
from palate.recommender.recommender import Recommender

FORMS = ("set", "codes", "hybrid")


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--recipes", nargs="+", default=["tiger", "urm-codes"])
    arguments.add_argument("--data", default="amazon14_beauty")
    arguments.add_argument("--split", default="leave-last-out", choices=get_args(SplitName))
    chosen = arguments.parse_args()
    options = options_of("generative", chosen)
    folder = real_data(options, chosen.data, PrepareOptions(split=chosen.split))
    jobs = [Job(recipe, folder, recipe) for recipe in chosen.recipes]
    runs = measure(options, seeded(options, *jobs), judge=in_every_form)
    console.print(forms_table(f"Answers in codes on {chosen.data}, test", runs))
    in_codes = [group for group in by_label(runs).values() if "codes, unmasked" in group[0].found]
    best = max((mean(group, "codes, unmasked", "recall@10") for group in in_codes), default=0.0)
    print(f"generative: {best:.4f}")


def in_every_form(model: Recommender) -> Found:
    """Judge each form that the model answers in, on test."""
    found = {}
    for form in model.trained.system.forms:
        asked = model.asking(Request(form=form))
        test = asked.evaluate("test")
        found[f"{form}, masked"] = dict(test.masked)
        found[f"{form}, unmasked"] = dict(test.unmasked)
    return found


def forms_table(title: str, runs: list[Measured]) -> Table:
    """Return a line per recipe, form and kind of list."""
    table = Table(title=title)
    for heading in ("recipe", "answer", "history"):
        table.add_column(heading)
    for heading in (*HEADLINE, "training, s", "peak GB"):
        table.add_column(heading, justify="right")
    for label, group in by_label(runs).items():
        for name in group[0].found:
            form, _, kind = name.partition(", ")
            if form not in FORMS:
                continue
            values = [with_spread([run.found[name][m] for run in group]) for m in HEADLINE]
            cost = (
                " ".join(f"{run.seconds:.0f}" for run in group),
                f"{max(run.peak_gb for run in group):.2f}",
            )
            table.add_row(label, form, kind, *values, *cost)
    return table


if __name__ == "__main__":
    main()
