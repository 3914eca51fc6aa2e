"""What reads the items' texts: TF-IDF or MiniLM, its vectors raw or whitened.

    .venv/bin/python bench/item_text.py [--data amazon14_beauty amazon14_sports ml-1m]
        [--split leave-last-out cold-items] [--recipe urm] [--texts tfidf minilm minilm-whitened]
        [--table FOLDER] [--seeds 3] [--threads 2]

The same recipe, but for the encoder. With ``--split cold-items`` a tenth of the items is held out
of training, and only such items are wanted, out of the whole catalogue; ``--recipe urm-codes`` then
answers as a hybrid too. ``--table`` adds a table of token vectors, such as ``palate tune-text``
writes. All is reported on the validation part, by which to choose, and beside it
on test. The last line is ``item text: <the choice of the validation part for each table>``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
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

DATA: Mapping[str, tuple[str, ...]] = {
    "amazon14_beauty": (),
    "amazon14_sports": (),
    "ml-1m": ("tasks.max_history=200",),
}
"""The data, and what a recipe is told of it."""

WHITENED = "model.fusion.whiten=true"
MINILM = "items.text.kind=minilm"
TEXTS: Mapping[str, tuple[str, ...]] = {
    "tfidf": (),
    "tfidf-whitened": (WHITENED,),
    "minilm": (MINILM,),
    "minilm-whitened": (MINILM, WHITENED),
}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--data", nargs="+", choices=DATA, default=["amazon14_beauty"])
    splits = get_args(SplitName)
    arguments.add_argument("--split", nargs="+", choices=splits, default=["leave-last-out"])
    arguments.add_argument("--recipe", default="urm")
    arguments.add_argument(
        "--texts", nargs="*", choices=TEXTS, default=["tfidf", "minilm", "minilm-whitened"]
    )
    arguments.add_argument("--table", type=Path, help="of token vectors, to be tried too")
    chosen = arguments.parse_args()
    options = options_of("item_text", chosen)
    texts = {name: TEXTS[name] for name in chosen.texts} | of_table(chosen.table)
    choices = []
    for split in chosen.split:
        for data in chosen.data:
            folder = real_data(options, data, PrepareOptions(split=split))
            jobs = [
                Job(name, folder, chosen.recipe, (*DATA[data], *settings))
                for name, settings in texts.items()
            ]
            runs = measure(options, seeded(options, *jobs), judge=chosen_and_reported)
            console.print(forms_table(f"{data}, {split}, {chosen.recipe}", runs))
            choices.append(f"{data} {split} {best_on_valid(runs)}")
    print(f"item text: {', '.join(choices)}")


def of_table(folder: Path | None) -> dict[str, tuple[str, ...]]:
    """Return the settings that read texts by a table, raw and whitened."""
    if folder is None:
        return {}
    read = ("items.text.kind=static", f"items.text.path={folder.resolve()}")
    return {folder.name: read, f"{folder.name}-whitened": (*read, WHITENED)}


def chosen_and_reported(model: Recommender) -> Found:
    """Judge each form that the model answers in: on valid, to choose by, and on test."""
    found = {}
    for form in model.trained.system.forms:
        asked = model.asking(Request(form=form))
        test = asked.evaluate("test")
        found[f"{form}, masked"] = dict(test.masked)
        found[f"{form}, unmasked"] = dict(test.unmasked)
        found[f"{form}, valid"] = dict(asked.evaluate("valid").masked)
    return found


def best_on_valid(runs: Sequence[Measured]) -> str:
    """Return the label with the highest mean NDCG@10 of the last form on the validation part."""
    form = [name for name in runs[0].found if name.endswith(", valid")][-1]
    reached = {label: mean(group, form, "ndcg@10") for label, group in by_label(runs).items()}
    return max(reached, key=lambda label: reached[label])


def forms_table(title: str, runs: Sequence[Measured]) -> Table:
    """Return a line per encoder, form and part of the data."""
    table = Table(title=title)
    for heading in ("texts", "answer", "judged on"):
        table.add_column(heading)
    for heading in (*HEADLINE, "training, s", "peak GB"):
        table.add_column(heading, justify="right")
    for label, group in by_label(runs).items():
        for name in group[0].found:
            form, _, part = name.partition(", ")
            values = [with_spread([run.found[name][m] for run in group]) for m in HEADLINE]
            seconds = " ".join(f"{run.seconds:.0f}" for run in group)
            peak = f"{max(run.peak_gb for run in group):.2f}"
            judged = "valid, masked" if part == "valid" else f"test, {part}"
            table.add_row(label, form, judged, *values, seconds, peak)
    return table


if __name__ == "__main__":
    main()
