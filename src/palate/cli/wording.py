"""What a model says of items, reviews and users, and how it is asked."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from palate.cli.application import Json, Model, app, listed, load, somebody
from palate.errors import ConfigError
from palate.terminal import show_items, show_rated, show_wordings

if TYPE_CHECKING:
    from palate.recommender.recommender import Recommender

User = Annotated[str | None, typer.Option(help="A user of the dataset.")]
History = Annotated[
    str | None, typer.Option(help="Item ids, oldest first, in place of (or after) a user's.")
]
Item = Annotated[str, typer.Option(help="An item of the catalogue.")]


@app.command()
def rate(
    model: Model,
    item: Item,
    user: User = None,
    history: History = None,
    as_json: Json = False,
) -> None:
    """Predict how a user rates an item."""
    loaded = load(model)
    row = loaded.dataset.catalog.vocabulary.row(item)
    rated = loaded.rate(somebody(loaded, user, history), row)
    if as_json:
        chances = zip(rated.levels, rated.chances.tolist(), strict=True)
        _print_json(
            _named(loaded, row)
            | {
                "rating": round(rated.value, 4),
                "likeliest": rated.likeliest,
                "words": rated.words,
                "chances": {f"{level:g}": round(chance, 4) for level, chance in chances},
            }
        )
        return
    show_rated(rated, f"How {_called(user)} would rate {_named(loaded, row)['title']}")


@app.command()
def explain(
    model: Model,
    item: Item,
    user: User = None,
    history: History = None,
    aspect: Annotated[str, typer.Option(help="What to speak of: sound, price, ...")] = "",
    as_json: Json = False,
) -> None:
    """Say why an item fits a user; what the catalogue does not bear out is left out."""
    loaded = load(model)
    row = loaded.dataset.catalog.vocabulary.row(item)
    explained = loaded.explain(somebody(loaded, user, history), row, aspect)
    if as_json:
        _print_json(
            _named(loaded, row)
            | {
                "explanation": explained.text,
                "written": explained.written,
                "invented": list(explained.invented),
                "mended": explained.was_mended,
                "quoted": explained.quoted,
            }
        )
        return
    typer.echo(explained.text)
    if explained.quoted:
        typer.echo("in the words of a review of the item", err=True)
    if explained.invented:
        typer.echo(f"left out as invented: {', '.join(explained.invented)}", err=True)


@app.command()
def summarise(
    model: Model,
    text: Annotated[str, typer.Option(help="A review.")],
    as_json: Json = False,
) -> None:
    """Give a review a short title."""
    if not text.strip():
        raise ConfigError("There is nothing to summarise.", hint='Give --text "a review"')
    summary = load(model).summarise(text)
    if as_json:
        _print_json({"summary": summary})
        return
    typer.echo(summary)


@app.command()
def rank(
    model: Model,
    items: Annotated[str, typer.Option(help="Item ids with commas between them.")],
    user: User = None,
    history: History = None,
    as_json: Json = False,
) -> None:
    """Put given items in order for a user."""
    loaded = load(model)
    ids = list(dict.fromkeys(listed(items)))
    if not ids:
        raise ConfigError("There is nothing to rank.", hint="Give --items ID,ID,...")
    rows = loaded.dataset.catalog.vocabulary.rows(ids)
    ranking = loaded.rank(somebody(loaded, user, history), rows.tolist())
    title = f"Ranked for {_called(user)}: {loaded.ranked_by}"
    show_items(loaded, ranking, title, None, as_json=as_json)


@app.command()
def prompts(
    model: Annotated[
        Path | None, typer.Argument(help="A model folder: its prompts, asked of its users.")
    ] = None,
    family: Annotated[str | None, typer.Option(help="Show this family alone.")] = None,
    user: Annotated[str | None, typer.Option(help="Whom to ask them of.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="Your own wordings: check and show them.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the prompts: every wording, and one asked in full of a real user."""
    from palate.language.prompts import SLOTS, load_prompts
    from palate.studies.shown_prompts import asked_of, show_families

    if family is not None and family not in SLOTS:
        raise ConfigError(
            f"Unknown prompt family {family!r}.", hint=f"The families are {', '.join(SLOTS)}."
        )
    if user is not None and model is None:
        raise ConfigError(
            f"Nobody knows {user!r} without a model.", hint="palate prompts MODEL --user ID"
        )
    loaded = None if model is None else load(model)
    known = load_prompts(file) if file is not None or loaded is None else loaded.prompts
    shown = show_families(known, family)
    if loaded is not None:
        shown = asked_of(shown, loaded.dataset, user)
    if as_json:
        _print_json(
            {
                each.family: {
                    "seen": each.wordings.seen,
                    "unseen": each.wordings.unseen,
                    "slots": each.slots,
                    "user_id": each.user_id or None,
                    "rendered": each.rendered or None,
                }
                for each in shown
            }
        )
        return
    show_wordings(shown, None if loaded is None else loaded.tasks)


def _named(loaded: "Recommender", row: int) -> dict[str, object]:
    item_id, title = loaded.dataset.catalog.table.select("item_id", "title").row(row)
    return {"item_id": item_id, "title": title or item_id}


def _called(user: str | None) -> str:
    return user or "somebody with this history"


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
