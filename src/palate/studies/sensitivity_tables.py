"""Prompt sensitivity of a model as tables and as a heat map."""

from markupsafe import Markup, escape
from rich.table import Table

from palate.studies.prompt_search import FoundPrompt
from palate.studies.sensitivity import Sensitivity

_CELL = 64
_LEFT = 110
_TOP = 70

_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1b1b1f}"
    ".cell{fill:#1f5fbf}.best{stroke:#d9480f;stroke-width:3}"
    "@media(prefers-color-scheme:dark){text{fill:#f0f0f3}.cell{fill:#7fb0ff}}"
)


def sensitivity_tables(name: str, found: Sensitivity) -> list[Table]:
    """Return the matrix, the overlaps and the spread over wordings."""
    tables = [] if not found.objectives else [_matrix(name, found), _overlaps(found)]
    spread = Table(title="NDCG@10 over wordings, lowest to highest")
    for heading in ("family", "trained on", "never trained on"):
        spread.add_column(heading)
    for one in found.spreads:
        spread.add_row(one.family, _range(one.seen), _range(one.unseen))
    return [*tables, spread]


def search_table(found: FoundPrompt) -> Table:
    """Return the wording found by search beside the one it started from."""
    table = Table(title=f"The best of {found.tried} edited wordings, by NDCG@10")
    for heading in ("wording", "valid", "test"):
        table.add_column(heading)
    for number, wording in enumerate((found.start, found.found)):
        table.add_row(wording, f"{found.valid[number]:.4f}", f"{found.test[number]:.4f}")
    return table


def heat_map(found: Sensitivity) -> str:
    """Return the objective x prompt matrix as a self-contained SVG.

    Each row is shaded by its own range, since objectives differ in difficulty; the best prompt of a
    row has a border.
    """
    count = len(found.objectives)
    width, height = _LEFT + _CELL * count + 10, _TOP + _CELL * count + 10
    parts = [Markup("<style>{}</style>").format(Markup(_STYLE))]
    parts.append(_text(_LEFT, 20, "asked for"))
    parts.append(_text(8, _TOP - 12, "wanted"))
    for place, name in enumerate(found.objectives):
        parts.append(_text(_LEFT + _CELL * place + 6, _TOP - 12, name))
        parts.append(_text(8, _TOP + _CELL * place + 36, name))
    for row, values in enumerate(found.matrix):
        low, high = float(values.min()), float(values.max())
        for column, value in enumerate(values.tolist()):
            share = 0.5 if high == low else (value - low) / (high - low)
            parts.append(_cell(row, column, value, share, best=value == high))
    body = Markup("").join(parts)
    title = "NDCG@10 by objective and prompt"
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        "{}</svg>\n"
    ).format(width, height, title, body)


def _cell(row: int, column: int, value: float, share: float, *, best: bool) -> Markup:
    x, y = _LEFT + _CELL * column, _TOP + _CELL * row
    shade = Markup(
        '<rect class="cell{}" x="{}" y="{}" width="{}" height="{}" fill-opacity="{:.2f}"/>'
    ).format(" best" if best else "", x + 2, y + 2, _CELL - 4, _CELL - 4, 0.08 + 0.5 * share)
    return shade + _text(x + 12, y + 36, f"{value:.4f}")


def _text(x: int, y: int, words: str) -> Markup:
    return Markup('<text x="{}" y="{}">{}</text>').format(x, y, escape(words))


def _matrix(name: str, found: Sensitivity) -> Table:
    table = Table(title=f"{name}: NDCG@10 by objective wanted and objective asked for")
    table.add_column("wanted")
    table.add_column("users", justify="right")
    for objective in found.objectives:
        table.add_column(f"asked: {objective}", justify="right")
    for objective, users, values in zip(found.objectives, found.cases, found.matrix, strict=True):
        best = values.max()
        cells = [f"[bold]{v:.4f}[/bold]" if v == best else f"{v:.4f}" for v in values.tolist()]
        table.add_row(objective, f"{users:,}", *cells)
    table.caption = f"best where asked for: {found.on_diagonal} of {len(found.objectives)}"
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
