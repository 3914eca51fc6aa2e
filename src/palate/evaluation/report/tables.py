"""Evaluations as readable tables; the caller prints them."""

from collections.abc import Mapping, Sequence

import numpy as np
from rich.markup import escape
from rich.table import Table

from palate.evaluation.result import Evaluation, Group, Interval
from palate.evaluation.significance import Comparison, compare_all

SIGNIFICANT = 0.05
"""Corrected p-value below which a difference is marked."""

HEADLINE = ("recall@5", "ndcg@5", "recall@10", "ndcg@10")
"""The metrics that the literature on next-item recommendation reports."""

GROUP_TITLES: dict[str, str] = {
    "activity": "by the length of the history",
    "popularity": "by the popularity of the item to find",
    "transition": "by whether training saw the step to the item",
    "user": "by whether training knew the user",
}
"""Description of each grouping in a title."""

BEYOND_TITLES: dict[str, str] = {
    "coverage": "share of the catalogue that at least one user is shown",
    "gini": "inequality of exposure (0 all items alike, 1 one takes all)",
    "popularity": "mean training events of the items shown",
    "history_popularity": "mean training events of the items in the histories",
    "novelty": "mean surprise of an item shown, in bits",
    "diversity": "mean dissimilarity of two items of a list (0 equal, 1 nothing shared)",
    "miscalibration": "distance of the list's categories from the history's (0 is best)",
}
"""Description of each metric beyond accuracy."""

PROBE_TITLES: dict[str, str] = {
    "largest_row": "the row after the largest so far",
    "largest_id": "the id after the largest so far",
    "next_id": "the id after that of the last item",
    "constant": "the same list for everybody",
}
"""Description of the guess of each leak probe."""


def evaluation_tables(name: str, evaluation: Evaluation) -> list[Table]:
    """Return all tables of one evaluation; ``name`` is the name of the model."""
    return [
        accuracy_table(name, evaluation),
        *(
            group_table(name, evaluation, grouping)
            for grouping, groups in evaluation.groups.items()
            if len(groups) > 1
        ),
        beyond_table(name, evaluation),
        leak_table(evaluation),
    ]


def accuracy_table(name: str, evaluation: Evaluation) -> Table:
    """Return all accuracy metrics at all cut-offs, with the history left out and left in."""
    cutoffs = evaluation.cutoffs
    table = Table(
        title=f"How well {escape(name)}{evaluation.mark} finds what came next",
        caption=f"{_what(evaluation)}, ranked over the whole catalogue",
    )
    table.add_column("metric")
    table.add_column("history")
    for cutoff in cutoffs:
        table.add_column(f"first {cutoff}", justify="right")
    for metric in metric_names(evaluation):
        for words, means in (("left out", evaluation.masked), ("left in", evaluation.unmasked)):
            table.add_row(metric, words, *(f"{means[f'{metric}@{k}']:.4f}" for k in cutoffs))
        table.add_section()
    if "auc" in evaluation.masked:
        for words, means in (("left out", evaluation.masked), ("left in", evaluation.unmasked)):
            table.add_row("auc", words, f"{means['auc']:.4f}")
    return table


def group_table(name: str, evaluation: Evaluation, grouping: str) -> Table:
    """Return recall and NDCG of each group, with the 95 % interval of the recall."""
    k = evaluation.headline
    table = Table(
        title=f"{escape(name)} {GROUP_TITLES.get(grouping, f'by {grouping}')}",
        caption="history left out; in brackets the 95 % interval",
    )
    table.add_column("group")
    table.add_column("cases", justify="right")
    table.add_column(f"recall@{k}", justify="right")
    table.add_column(f"ndcg@{k}", justify="right")
    for group in evaluation.groups[grouping]:
        table.add_row(
            escape(group.label),
            f"{group.cases:,}",
            _with_interval(group, f"recall@{k}"),
            f"{group.metrics[f'ndcg@{k}']:.4f}",
        )
    return table


def beyond_table(name: str, evaluation: Evaluation) -> Table:
    """Return coverage, novelty, diversity, popularity bias and calibration, with descriptions."""
    table = Table(title=f"What the lists of {escape(name)} are like", caption=_what(evaluation))
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("meaning")
    for measure, value in evaluation.beyond_accuracy.items():
        table.add_row(measure, f"{value:.4g}", BEYOND_TITLES.get(measure.split("@")[0], ""))
    return table


def leak_table(evaluation: Evaluation) -> Table:
    """Return the hit rates of the leak probes, compared with chance."""
    probe = evaluation.leak_probe
    table = Table(
        title="Leak probe: what guessing by numbers alone reaches",
        caption=f"share of users served; chance in the first 10 is {probe['chance']:.4f}",
    )
    table.add_column("guess")
    table.add_column("first 1", justify="right")
    table.add_column("first 10", justify="right")
    for name in probe_names(evaluation):
        table.add_row(
            PROBE_TITLES.get(name, name), f"{probe[f'{name}@1']:.4f}", f"{probe[f'{name}@10']:.4f}"
        )
    return table


def comparison_table(
    evaluations: Mapping[str, Evaluation], metrics: Sequence[str], rng: np.random.Generator
) -> Table:
    """Return a comparison of several models; significant differences to the first are marked.

    Raises:
        DataError: when the evaluations do not have the same cases.
    """
    (first_name, first), *others = evaluations.items()
    compared = compare_all(first, dict(others), metrics, rng)
    best = {
        metric: max(x.masked.get(metric, -np.inf) for x in evaluations.values())
        for metric in metrics
    }
    table = Table(
        title=f"Models side by side on {escape(first.dataset)}",
        caption=f"{_what(first)}, history left out. ▲ better, ▼ worse than {escape(first_name)} "
        f"(paired sign-flip test, Holm-corrected p < {SIGNIFICANT}); bold is the best",
    )
    table.add_column("model")
    for metric in metrics:
        table.add_column(metric, justify="right")
    for name, evaluation in evaluations.items():
        marks = [mark(x) for x in compared[name]] if name in compared else [" "] * len(metrics)
        table.add_row(
            escape(name) + evaluation.mark,
            *(
                _cell(evaluation.masked[metric], best[metric], sign)
                for metric, sign in zip(metrics, marks, strict=True)
            ),
        )
    return table


def mark(comparison: Comparison) -> str:
    """Return ▲ if the second model is significantly better, ▼ if it is worse, else a space."""
    if comparison.p_value >= SIGNIFICANT:
        return " "
    return "▲" if comparison.difference > 0 else "▼"


def metric_names(evaluation: Evaluation) -> list[str]:
    """Return the names of the metrics with a cut-off, without it, in the reported order."""
    return list(dict.fromkeys(name.split("@")[0] for name in evaluation.masked if "@" in name))


def probe_names(evaluation: Evaluation) -> list[str]:
    """Return the names of the leak probes of an evaluation."""
    return list(dict.fromkeys(x.split("@")[0] for x in evaluation.leak_probe if "@" in x))


def interval_text(interval: Interval) -> str:
    """Return a text such as ``0.0612 to 0.0688``."""
    return f"{interval[0]:.4f} to {interval[1]:.4f}"


def _what(evaluation: Evaluation) -> str:
    return f"{escape(evaluation.dataset)}, {evaluation.part} part, {evaluation.users:,} users"


def _with_interval(group: Group, metric: str) -> str:
    # The bracket is escaped, since rich would read it as markup.
    return f"{group.metrics[metric]:.4f} \\[{interval_text(group.intervals[metric])}]"


def _cell(value: float, best: float, sign: str) -> str:
    text = f"{value:.4f}"
    return f"[bold]{text}[/bold] {sign}" if value == best else f"{text} {sign}"
