"""What a person sees in the terminal: tables, items and bars."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import shorten
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from palate.inference.text_results import Rated
    from palate.recommender.recommender import Recommender
    from palate.studies.shown_prompts import ShownFamily
    from palate.training.loop import Report
    from palate.types import Ranking


def show(*renderables: object) -> None:
    """Print tables and whatever else ``rich`` draws."""
    from rich.console import Console

    console = Console()
    for renderable in renderables:
        console.print(renderable)


def show_markdown(text: str) -> None:
    """Print Markdown with its headings and tables drawn."""
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))


def show_items(
    loaded: "Recommender",
    ranking: "Ranking",
    title: str,
    reasons: Sequence[Sequence[dict[str, object]]] | None,
    *,
    fallback: str | None = None,
    as_json: bool,
) -> None:
    """Print recommended items with their scores, and what each is there because of.

    ``fallback`` says what was answered in place of what was asked, if anything was.
    """
    table = loaded.dataset.catalog.table
    rows = []
    for place, (row, score) in enumerate(zip(ranking.item_rows, ranking.scores, strict=True)):
        item = table.row(int(row), named=True)
        found = {
            "item_id": item["item_id"],
            "title": item["title"] or item["item_id"],
            "categories": list(item["categories"] or []),
            "score": round(float(score), 4),
        }
        found |= {} if reasons is None else {"because": reasons[place]}
        rows.append(found | ({} if fallback is None else {"fallback": fallback}))
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    show(_items_table(title, rows))


def show_rated(rated: "Rated", title: str) -> None:
    """Print a rating with the chance of each level."""
    from rich.markup import escape
    from rich.table import Table

    caption = f"{rated.value:.2f} in the mean, most likely {rated.words}"
    shown = Table("Rating", "Chance", "", title=escape(title), caption=caption)
    for level, chance in zip(rated.levels, rated.chances.tolist(), strict=True):
        shown.add_row(f"{level:g}", f"{chance:.3f}", "█" * round(20 * chance))
    show(shown)


def show_wordings(families: Sequence["ShownFamily"], trained_on: Sequence[str] | None) -> None:
    """Print families of prompts: one asked in full, then every wording.

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
            asked = escape(f"asked of {family.user_id}")
            show(Panel(escape(family.rendered), title=asked, title_align="left"))
        table = Table("", "Wording")
        for wording in family.wordings.seen:
            table.add_row("seen", escape(wording))
        for wording in family.wordings.unseen:
            table.add_row("unseen", escape(wording))
        show(table)


def _items_table(title: str, rows: Sequence[dict[str, object]]) -> object:
    from rich.markup import escape
    from rich.table import Table

    with_reasons = any("because" in row for row in rows)
    shown = Table("#", "Item", "Title", "Categories", "Score", title=escape(title), show_lines=True)
    if with_reasons:
        shown.add_column("Because of (score lost without it)")
    for place, row in enumerate(rows, 1):
        categories = row["categories"]
        assert isinstance(categories, list)
        cells = [
            str(place),
            str(row["item_id"]),
            shorten(str(row["title"]), 80, placeholder="…"),
            ", ".join(categories),
            str(row["score"]),
        ]
        if with_reasons:
            cells.append(_reasons_text(row["because"]))
        shown.add_row(*map(escape, cells))
    return shown


def _reasons_text(reasons: object) -> str:
    assert isinstance(reasons, list)
    return "\n".join(
        f"{shorten(str(r['title']), 48, placeholder='…')} ({r['weight']:.2f})" for r in reasons
    )


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Draw a bar for something that counts (done, total)."""
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@dataclass(frozen=True)
class TrainingBar:
    """What a training tells the terminal."""

    encoding: Callable[[int, int], None]
    """Items encoded, and items in all."""
    report: Callable[["Report"], None]
    """Where the training stands."""


@contextmanager
def training_progress() -> Iterator[TrainingBar]:
    """Draw items encoded, then loss, throughput and time left, and a line for each validation."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[rest]}"),
    ]
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("Training", total=None, rest="")

        def encoding(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description="Encoding items")

        def report(at: "Report") -> None:
            speed = f"{at.interactions_per_second:,.0f}/s"
            rest = f"loss {at.loss:.3f} · {speed} · {at.seconds_left:,.0f} s left"
            name = f"{'Refit, epoch' if at.refit else 'Epoch'} {at.epoch}/{at.epochs}"
            bar.update(task, completed=at.step, total=at.steps, description=name, rest=rest)
            if at.estimate is not None:
                bar.print(str(at.estimate))
            if at.validation is not None:
                reached = " ".join(["validation", *at.measure.split(), f"{at.validation:.4f}"])
                bar.print(f"{name}  loss {at.loss:.3f}  {reached}  {speed}")

        yield TrainingBar(encoding, report)
