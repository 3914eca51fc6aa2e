"""Tables and lists in the terminal."""

from collections.abc import Iterable, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING

from palate.terminal.words import console, harmless, say, say_json

if TYPE_CHECKING:
    from palate.inference.text_results import Rated
    from palate.models.weights.named import NamedModel
    from palate.recommender.recommender import Recommender
    from palate.studies.shown_prompts import ShownFamily
    from palate.types import Ranking


def show(*renderables: object) -> None:
    """Print tables and anything else that ``rich`` can draw."""
    on = console()
    for renderable in renderables:
        on.print(renderable)


def show_markdown(text: str) -> None:
    """Print Markdown, with its headings and tables formatted."""
    from rich.markdown import Markdown

    console().print(Markdown(harmless(text), hyperlinks=False))


def show_items(  # noqa: PLR0913 - what is shown, and how
    loaded: "Recommender",
    ranking: "Ranking",
    title: str,
    reasons: Sequence[Sequence[dict[str, object]]] | None,
    *,
    fallback: str | None = None,
    understood: dict[str, object] | None = None,
    as_json: bool,
    nothing: str = "Nothing was found.",
) -> None:
    """Print items with their scores and reasons; without items print ``nothing``.

    ``fallback`` names what answered instead, if nothing is known of the user; ``understood`` is
    what was read in a prompt.
    """
    rows = _item_rows(loaded, ranking, reasons)
    if fallback is not None:
        rows = [row | {"fallback": fallback} for row in rows]
    if understood is not None and as_json:
        rows = [row | {"understood": understood} for row in rows]
    if as_json:
        say_json([{key: row[key] for key in row if key != "price"} for row in rows])
    elif rows:
        show(_items_table(title, rows))
    if not rows:
        say(nothing, err=as_json)


def _item_rows(
    loaded: "Recommender",
    ranking: "Ranking",
    reasons: Sequence[Sequence[dict[str, object]]] | None,
) -> list[dict[str, object]]:
    table = loaded.dataset.catalog.table
    rows = []
    for place, (row, score) in enumerate(zip(ranking.item_rows, ranking.scores, strict=True)):
        item = table.row(int(row), named=True)
        found = {
            "item_id": item["item_id"],
            "title": item["title"] or item["item_id"],
            "categories": list(item["categories"] or []),
            "price": item["price"],
            "score": round(float(score), 4),
        }
        rows.append(found | ({"because": reasons[place]} if reasons is not None else {}))
    return rows


def show_rated(rated: "Rated", title: str) -> None:
    """Print a rating with the probability of each level."""
    from rich.markup import escape
    from rich.table import Table

    caption = f"{rated.value:.2f} in the mean, most likely {rated.words}"
    shown = Table("Rating", "Chance", "", title=escape(title), caption=caption)
    for level, chance in zip(rated.levels, rated.chances.tolist(), strict=True):
        shown.add_row(f"{level:g}", f"{chance:.3f}", "█" * round(20 * chance))
    show(shown)


def show_wordings(families: Sequence["ShownFamily"], trained_on: Sequence[str] | None) -> None:
    """Print families of prompts: one prompt in full, then every wording.

    Args:
        families: what to show.
        trained_on: families that the model was trained on; None without a model.
    """
    from rich.markup import escape
    from rich.panel import Panel
    from rich.table import Table

    for family in families:
        unknown = trained_on is not None and family.family not in trained_on
        note = " This model was not trained on it." if unknown else ""
        show(f"[bold]{family.family}[/bold]: {family.description}{note}")
        if family.rendered:
            heading = escape(f"prompt for {family.user_id}")
            show(Panel(escape(family.rendered), title=heading, title_align="left"))
        table = Table("", "Wording")
        for wording in family.wordings.seen:
            table.add_row("seen", escape(wording))
        for wording in family.wordings.unseen:
            table.add_row("unseen", escape(wording))
        show(table)


def _items_table(title: str, rows: Sequence[dict[str, object]]) -> object:
    """Return a table of items, two lines each: title, price and score; then id and main reason."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    priced = any(row["price"] is not None for row in rows)
    shown = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    shown.add_column("#", justify="right")
    shown.add_column("Title", no_wrap=True, overflow="ellipsis", ratio=1)
    if priced:
        shown.add_column("Price", justify="right")
    shown.add_column("Score", justify="right")
    for place, row in enumerate(rows, 1):
        lines = [shorten(str(row["title"]), 200, placeholder="…"), _line_below(row)]
        cells = [str(place), "\n".join(line for line in lines if line)]
        if priced:
            cells.append("" if row["price"] is None else f"{row['price']:,.2f}")
        shown.add_row(*map(escape, [*cells, f"{row['score']:.4f}"]))
    return shown


def _line_below(row: dict[str, object]) -> str:
    """Return the line below a title: the id, unless it is the title, and one reason."""
    parts = [str(row["item_id"])] if row["item_id"] != row["title"] else []
    reasons = row.get("because")
    if isinstance(reasons, list) and reasons:
        parts.append(f"because of {shorten(str(reasons[0]['title']), 200, placeholder='…')}")
    return ", ".join(parts)


def show_backbones(models: "Iterable[NamedModel]") -> None:
    """Print the models that are known by name, each with where it comes from."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Name", "Use", "Size", "Licence", "Pinned", "From"):
        table.add_column(heading, no_wrap=True)
    for model in models:
        size = f"{model.num_bytes / 1e6:,.0f} MB"
        known = "no" if model.sha256 is None else "yes"
        places = "hub" if model.wheel is None else "hub, index"
        row = (model.name, model.use, size, model.licence, known, places)
        table.add_row(*map(escape, row))
    show(table)
    say("Get one: palate backbone get NAME FOLDER")
    say("Repositories, revisions and hashes: palate backbone list --json")
