"""Prompt sensitivity of a model as tables and as a heat map."""

from rich.markup import escape
from rich.table import Table

from palate.evaluation.report.heat_map import heat_map as matrix_heat_map
from palate.studies.prompt_search import FoundPrompt
from palate.studies.sensitivity import Sensitivity


def sensitivity_tables(name: str, found: Sensitivity) -> list[Table]:
    """Return the matrix, the overlaps and the spread over wordings."""
    tables = [] if not found.objectives else [_matrix(name, found), _overlaps(found)]
    spread = Table(title="NDCG@10 over wordings, lowest to highest")
    for heading in ("family", "trained on", "never trained on"):
        spread.add_column(heading)
    for one in found.spreads:
        spread.add_row(escape(one.family), _range(one.seen), _range(one.unseen))
    return [*tables, spread]


def search_table(found: FoundPrompt) -> Table:
    """Return the wording found by search beside the one it started from."""
    table = Table(title=f"The best of {found.tried} edited wordings, by NDCG@10")
    for heading in ("wording", "valid", "test"):
        table.add_column(heading)
    for number, wording in enumerate((found.start, found.found)):
        table.add_row(escape(wording), f"{found.valid[number]:.4f}", f"{found.test[number]:.4f}")
    return table


def heat_map(found: Sensitivity) -> str:
    """Return the objective x prompt matrix as a self-contained SVG.

    Each row is shaded by its own range, since objectives differ in difficulty; the best prompt of a
    row has a border.
    """
    return matrix_heat_map(
        found.objectives,
        found.matrix,
        title="NDCG@10 by objective and prompt",
        rows="wanted",
        columns="requested",
    )


def _matrix(name: str, found: Sensitivity) -> Table:
    table = Table(title=f"{escape(name)}: NDCG@10 by objective wanted and objective requested")
    table.add_column("wanted")
    table.add_column("users", justify="right")
    for objective in found.objectives:
        table.add_column(f"requested: {escape(objective)}", justify="right")
    for objective, users, values in zip(found.objectives, found.cases, found.matrix, strict=True):
        best = values.max()
        cells = [f"[bold]{v:.4f}[/bold]" if v == best else f"{v:.4f}" for v in values.tolist()]
        table.add_row(escape(objective), f"{users:,}", *cells)
    table.caption = f"best where requested: {found.on_diagonal} of {len(found.objectives)}"
    return table


def _overlaps(found: Sensitivity) -> Table:
    table = Table(title="Jaccard index of the top 10")
    table.add_column("between")
    table.add_column("overlap", justify="right")
    table.add_row("two wordings of one objective", f"{found.paraphrase_overlap:.3f}")
    table.add_row("two objectives in one wording", f"{found.objective_overlap:.3f}")
    return table


def _range(values: tuple[float, ...]) -> str:
    if not values:
        return "-"
    mean = sum(values) / len(values)
    return f"{mean:.4f} ({min(values):.4f} to {max(values):.4f})"
