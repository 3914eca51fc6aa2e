"""Results of a model on one task family, compared with baselines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from palate.data.split import Fit, PartName, refit_mark


@dataclass(frozen=True)
class Sample:
    """One answer and the true one."""

    generated: str
    wanted: str


@dataclass(frozen=True)
class TaskResult:
    """The metrics of one task family on one part."""

    family: str
    title: str
    """Verb for the task, which follows the model's name, such as 'rates'."""
    dataset: str
    part: PartName
    num_answers: int
    wording: str
    """The instruction of the prompts."""
    figures: Mapping[str, Mapping[str, float]]
    """Metrics by system, first the forms of the model's answer, then baselines; NaN if undefined.
    """
    samples: Sequence[Sample] = ()
    fit: Fit = "train"
    """The last part of the data that the model learned from."""

    def to_json(self) -> dict[str, object]:
        """Return everything as JSON values; undefined metrics are null."""
        return {
            "family": self.family,
            "dataset": self.dataset,
            "part": self.part,
            "num_answers": self.num_answers,
            "wording": self.wording,
            "figures": {
                system: {name: None if math.isnan(x) else x for name, x in values.items()}
                for system, values in self.figures.items()
            },
            "samples": [{"said": s.generated, "wanted": s.wanted} for s in self.samples],
            "fit": self.fit,
        }


def task_tables(name: str, result: TaskResult) -> list[Table]:
    """Return the metrics of one result, and some answers; ``name`` is the name of the model."""
    tables = [figures_table(name, result)]
    return [*tables, samples_table(name, result)] if result.samples else tables


def figures_table(name: str, result: TaskResult) -> Table:
    """Return a table with one row per metric and one column per system."""
    table = Table(
        title=f"How well {escape(name)}{refit_mark(result.fit)} {result.title}",
        caption=f"{escape(result.dataset)}, {result.part} part, {result.num_answers:,} answers, "
        f"prompt: {escape(result.wording)}",
    )
    table.add_column("metric")
    for system in result.figures:
        table.add_column(escape(system), justify="right")
    for metric in dict.fromkeys(metric for values in result.figures.values() for metric in values):
        cells = [values.get(metric, math.nan) for values in result.figures.values()]
        table.add_row(metric, *("-" if math.isnan(x) else f"{x:.4f}" for x in cells))
    return table


def samples_table(name: str, result: TaskResult) -> Table:
    """Return a table of some answers and the true ones."""
    table = Table(title=f"Some answers of {escape(name)}", show_lines=True)
    table.add_column("answer")
    table.add_column("in truth")
    for sample in result.samples:
        table.add_row(escape(sample.generated), escape(sample.wanted))
    return table
