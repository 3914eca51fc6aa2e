"""Figures and tables of a report page; every plot comes with its numbers as a table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from palate.evaluation.report.entries import ReportEntry
from palate.evaluation.report.svg import (
    Bars,
    Dot,
    Series,
    bar_chart,
    bar_swatch,
    dot_chart,
    line_chart,
    line_swatch,
)
from palate.evaluation.report.tables import (
    BEYOND_TITLES,
    PROBE_TITLES,
    interval_text,
    mark,
    metric_names,
    probe_names,
)
from palate.evaluation.result import Group
from palate.evaluation.significance import Comparison, compare_all

TEST_SEED = 0
"""Fixed seed, so that a report always has the same test results."""

GROUP_PLOTS: dict[str, tuple[str, str]] = {
    "activity": ("By activity", "Users by the length of their history."),
    "popularity": ("By popularity", "Items to find by their number of events in training."),
    "transition": (
        "Memorised or generalised",
        "Whether training ever saw the step from the last item to the one to find.",
    ),
    "user": ("Known and new users", "Whether training saw anything of the user."),
}
"""Title and caption of the plot of each grouping."""


_NOTE = "Mean over users, history left out, ranked over the whole catalogue."
_COMPARED = (
    "▲ better and ▼ worse than the first model beyond luck (paired sign-flip test, "
    "Holm-corrected p < 0.05); the best of each column is bold."
)


@dataclass(frozen=True)
class Table:
    """Numbers as text; the first column has the row headers."""

    caption: str
    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    strong: frozenset[tuple[int, int]] = frozenset()
    """Row and column of the cells to emphasise."""


@dataclass(frozen=True)
class Figure:
    """A plot, its caption, and its numbers as a table."""

    title: str
    caption: str
    plot: Markup
    numbers: Table
    legend: Sequence[tuple[Markup, str]] = ()
    """Swatch and name of each series; empty if there is only one."""


@dataclass(frozen=True)
class Cohort:
    """Models that were evaluated on the same cases, and can therefore be compared."""

    title: str
    entries: Sequence[tuple[int, ReportEntry]]
    """The entries, each with the number of its plot style."""
    overview: Table
    note: str
    """How to read the overview."""
    figures: Sequence[Figure]


def cohorts(entries: Sequence[ReportEntry]) -> list[Cohort]:
    """Group the entries by the cases they were evaluated on."""
    gathered: dict[tuple[str, str], list[tuple[int, ReportEntry]]] = {}
    for place, entry in enumerate(entries):
        key = (entry.evaluation.part, entry.evaluation.cases)
        gathered.setdefault(key, []).append((place, entry))
    return [_cohort(members) for members in gathered.values()]


def _cohort(members: Sequence[tuple[int, ReportEntry]]) -> Cohort:
    evaluation = members[0][1].evaluation
    metrics = [
        f"{name}@{k}"
        for name in ("recall", "ndcg")
        for k in evaluation.cutoffs
        if all(f"{name}@{k}" in entry.evaluation.masked for _, entry in members)
    ]
    compared = _compared(members, metrics)
    figures = [
        *_curves(members),
        *(figure for name in GROUP_PLOTS if (figure := _group_figure(members, name))),
        *_breadth(members),
        *(_difference(members, place, compared[place]) for place in compared),
    ]
    return Cohort(
        title=f"{evaluation.dataset}, {evaluation.part} part, {evaluation.users:,} users",
        entries=members,
        overview=_overview(members, metrics, compared),
        note=_NOTE if len(members) == 1 else f"{_NOTE} {_COMPARED}",
        figures=figures,
    )


def _compared(
    members: Sequence[tuple[int, ReportEntry]], metrics: Sequence[str]
) -> dict[int, list[Comparison]]:
    """Compare each model with the first, if both have values per user."""
    (_, first), *others = members
    able = {
        str(place): entry.evaluation
        for place, entry in others
        if entry.evaluation.per_user and first.evaluation.per_user
    }
    rng = np.random.default_rng(TEST_SEED)
    found = compare_all(first.evaluation, able, metrics, rng)
    return {int(place): comparisons for place, comparisons in found.items()}


def _overview(
    members: Sequence[tuple[int, ReportEntry]],
    metrics: Sequence[str],
    compared: Mapping[int, Sequence[Comparison]],
) -> Table:
    values = [[entry.evaluation.masked[name] for name in metrics] for _, entry in members]
    best = [max(column) for column in zip(*values, strict=True)]
    signs = [
        [mark(x).strip() for x in compared[place]] if place in compared else [""] * len(metrics)
        for place, _ in members
    ]
    return Table(
        caption="Accuracy of each model",
        header=["Model", *metrics],
        lines=[
            [entry.name, *(f"{v:.4f} {sign}".strip() for v, sign in zip(row, marks, strict=True))]
            for (_, entry), row, marks in zip(members, values, signs, strict=True)
        ],
        strong=frozenset(
            (line, column + 1)
            for line, row in enumerate(values)
            for column, value in enumerate(row)
            if value == best[column] and len(members) > 1
        ),
    )


def _curves(members: Sequence[tuple[int, ReportEntry]]) -> list[Figure]:
    return [
        figure
        for title, caption, y_label, measure in (
            ("Learning curve", "Validation during training.", "validation metric", "validation"),
            ("Training loss", "Loss during training.", "loss", "loss"),
        )
        if (figure := _curve(members, title, caption, y_label=y_label, measure=measure))
    ]


def _curve(
    members: Sequence[tuple[int, ReportEntry]],
    title: str,
    caption: str,
    *,
    y_label: str,
    measure: str,
) -> Figure | None:
    series = []
    for place, entry in members:
        read = [
            (p.seconds / 60, p.validation if measure == "validation" else p.loss)
            for p in entry.curve
        ]
        points = [(x, y) for x, y in read if y is not None and math.isfinite(y)]
        if points:
            series.append(Series(entry.name, place, points))
    if not series:
        return None
    return Figure(
        title=title,
        caption=caption,
        plot=line_chart(series, title=f"{title}: {caption}", x_label="minutes", y_label=y_label),
        numbers=Table(
            caption=title,
            header=["Model", "Minutes", y_label.capitalize()],
            lines=[[s.name, f"{x:.2f}", f"{y:.4f}"] for s in series for x, y in _thinned(s.points)],
        ),
        legend=[(line_swatch(s.style), s.name) for s in series],
    )


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Return at most 12 evenly spaced points, including the first and the last."""
    chosen = np.unique(np.linspace(0, len(points) - 1, min(len(points), 12)).astype(int))
    return [points[i] for i in chosen]


def _group_figure(members: Sequence[tuple[int, ReportEntry]], grouping: str) -> Figure | None:
    title, caption = GROUP_PLOTS[grouping]
    metric = f"recall@{members[0][1].evaluation.headline}"
    found = {
        place: {group.label: group for group in entry.evaluation.groups.get(grouping, ())}
        for place, entry in members
    }
    labels = list(dict.fromkeys(label for groups in found.values() for label in groups))
    if len(labels) < 2:
        return None
    counts = {label: group.cases for groups in found.values() for label, group in groups.items()}
    names = [f"{label} ({counts[label]:,})" for label in labels]
    bars = [
        Bars(
            name=entry.name,
            style=place,
            values=[_metric(found[place].get(label), metric) for label in labels],
            intervals=[_interval(found[place].get(label), metric) for label in labels],
        )
        for place, entry in members
    ]
    caption = f"{caption} {metric} with its 95 % interval; in brackets the number of cases."
    return Figure(
        title=title,
        caption=caption,
        plot=bar_chart(names, bars, title=f"{title}. {caption}"),
        numbers=_bar_numbers(title, names, bars),
        legend=[(bar_swatch(b.style), b.name) for b in bars],
    )


def _metric(group: Group | None, metric: str) -> float | None:
    return None if group is None else group.metrics.get(metric)


def _interval(group: Group | None, metric: str) -> tuple[float, float] | None:
    return None if group is None else group.intervals.get(metric)


def _bar_numbers(title: str, groups: Sequence[str], bars: Sequence[Bars]) -> Table:
    sure = any(interval for b in bars for interval in b.intervals)
    lines = [
        [group, b.name, _value_text(b.values[place])]
        + ([_interval_text(b.intervals[place])] if sure else [])
        for place, group in enumerate(groups)
        for b in bars
    ]
    header = ["Group", "Model", "Value", *(["95 % interval"] if sure else [])]
    return Table(caption=title, header=header, lines=lines)


def _value_text(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def _interval_text(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else interval_text(interval)


def _breadth(members: Sequence[tuple[int, ReportEntry]]) -> list[Figure]:
    k = members[0][1].evaluation.headline
    return [
        _measures(
            members,
            "Coverage and variety",
            f"Of the first {k} places: share of the catalogue shown to at least one user, "
            "dissimilarity of two items of a list, and inequality of exposure. All from 0 to 1.",
            {f"coverage@{k}": "coverage", f"diversity@{k}": "diversity", f"gini@{k}": "inequality"},
        ),
        _measures(
            members,
            "Popularity",
            "Mean training events of the items shown, and of the items in the histories.",
            {f"popularity@{k}": f"in the first {k}", "history_popularity": "in the histories"},
        ),
    ]


def _measures(
    members: Sequence[tuple[int, ReportEntry]],
    title: str,
    caption: str,
    labels: Mapping[str, str],
) -> Figure:
    shown = {
        name: label
        for name, label in labels.items()
        if any(name in entry.evaluation.beyond_accuracy for _, entry in members)
    }
    bars = [
        Bars(
            name=entry.name,
            style=place,
            values=[entry.evaluation.beyond_accuracy.get(name) for name in shown],
            intervals=[None] * len(shown),
        )
        for place, entry in members
    ]
    return Figure(
        title=title,
        caption=caption,
        plot=bar_chart(list(shown.values()), bars, title=f"{title}. {caption}"),
        numbers=_bar_numbers(title, list(shown.values()), bars),
        legend=[(bar_swatch(b.style), b.name) for b in bars],
    )


def _difference(
    members: Sequence[tuple[int, ReportEntry]], place: int, comparisons: Sequence[Comparison]
) -> Figure:
    first, second = members[0][1].name, dict(members)[place].name
    title = f"{second} against {first}"
    caption = (
        "Difference with its 95 % interval, over the same users. A filled dot: the interval leaves "
        "out zero."
    )
    dots = [Dot(x.metric, x.difference, (x.low, x.high), mark(x).strip()) for x in comparisons]
    return Figure(
        title=title,
        caption=caption,
        plot=dot_chart(dots, title=f"{title}. {caption}", worse="worse", better="better"),
        numbers=Table(
            caption=title,
            header=["Metric", first, second, "Difference", "95 % interval", "p (Holm)"],
            lines=[
                [
                    x.metric,
                    f"{x.first:.4f}",
                    f"{x.second:.4f}",
                    f"{x.difference:+.4f}",
                    interval_text((x.low, x.high)),
                    f"{x.p_value:.4f}",
                ]
                for x in comparisons
            ],
        ),
    )


def details(entry: ReportEntry) -> list[Table]:
    """Return tables of all measurements of one model."""
    evaluation = entry.evaluation
    cutoffs = evaluation.cutoffs
    accuracy = [
        [f"{name}, history {words}", *(f"{means[f'{name}@{k}']:.4f}" for k in cutoffs)]
        for name in metric_names(evaluation)
        for words, means in (("left out", evaluation.masked), ("left in", evaluation.unmasked))
    ]
    probe = evaluation.leak_probe
    return [
        Table("Accuracy", ["Metric", *(f"First {k}" for k in cutoffs)], accuracy),
        Table(
            "Beyond accuracy",
            ["Measure", "Value", "Meaning"],
            [
                [name, f"{value:.4g}", BEYOND_TITLES.get(name.split("@")[0], "")]
                for name, value in evaluation.beyond_accuracy.items()
            ],
        ),
        Table(
            f"Leak probe: guessing by numbers alone (chance at 10: {probe['chance']:.4f})",
            ["Guess", "First 1", "First 10"],
            [
                [PROBE_TITLES.get(x, x), f"{probe[f'{x}@1']:.4f}", f"{probe[f'{x}@10']:.4f}"]
                for x in probe_names(evaluation)
            ],
        ),
    ]
