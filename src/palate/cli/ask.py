"""What a model answers: recommend, search, rate, explain, summarise, rank."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from palate.cli.application import Count, Json, Model, app, listed, load, print_json, somebody
from palate.errors import ConfigError
from palate.terminal import show_items, show_rated

if TYPE_CHECKING:
    from palate.recommender.recommender import Recommender
    from palate.types import History

KnownUser = Annotated[str | None, typer.Option(help="A user of the dataset.")]
GivenHistory = Annotated[
    str | None, typer.Option(help="Item ids, oldest first, in place of (or after) a user's.")
]
Item = Annotated[str, typer.Option(help="An item of the catalogue.")]


@app.command()
def recommend(
    model: Model,
    user: KnownUser = None,
    n: Count = 10,
    prompt: Annotated[str | None, typer.Option(help="Say in words what is wanted.")] = None,
    history: GivenHistory = None,
    form: Annotated[
        Literal["set", "codes", "hybrid", "titles"] | None,
        typer.Option(help="How to answer; the model's usual form where none is given."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Recommend items to a user, or to anybody with a history, and say why."""
    loaded = load(model)
    who = somebody(loaded, user, history)
    if prompt is not None or form is not None:
        from palate.inference.ask import Ask

        loaded = loaded.asking(Ask(prompt=prompt, form=form))
    ranking = loaded.recommend([who], n)[0]
    reasons = [_because(loaded, who, int(row)) for row in ranking.item_rows]
    title = f"Recommended to {user or 'somebody with this history'}"
    show_items(loaded, ranking, title, reasons, as_json=as_json)


@app.command()
def search(
    model: Model,
    words: Annotated[str, typer.Argument(help="What to look for.")],
    n: Count = 10,
    user: Annotated[str | None, typer.Option(help="Whose taste to follow.")] = None,
    as_json: Json = False,
) -> None:
    """Find items by words."""
    loaded = load(model)
    ranking = loaded.search(words, n, loaded.history(user) if user else None)
    show_items(loaded, ranking, f"Found for “{words}”", None, as_json=as_json)


@app.command()
def rate(
    model: Model,
    item: Item,
    user: KnownUser = None,
    history: GivenHistory = None,
    as_json: Json = False,
) -> None:
    """Predict how a user rates an item."""
    loaded = load(model)
    row = loaded.dataset.catalog.vocabulary.row(item)
    rated = loaded.rate(somebody(loaded, user, history), row)
    if as_json:
        chances = zip(rated.levels, rated.chances.tolist(), strict=True)
        print_json(
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
    user: KnownUser = None,
    history: GivenHistory = None,
    aspect: Annotated[str, typer.Option(help="What to speak of: sound, price, ...")] = "",
    as_json: Json = False,
) -> None:
    """Say why an item fits a user; what the catalogue does not bear out is left out."""
    loaded = load(model)
    row = loaded.dataset.catalog.vocabulary.row(item)
    explained = loaded.explain(somebody(loaded, user, history), row, aspect)
    if as_json:
        print_json(
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
        print_json({"summary": summary})
        return
    typer.echo(summary)


@app.command()
def rank(
    model: Model,
    items: Annotated[str, typer.Option(help="Item ids with commas between them.")],
    user: KnownUser = None,
    history: GivenHistory = None,
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


def _because(loaded: "Recommender", who: "History", item_row: int) -> list[dict[str, object]]:
    """Return the events an item is there because of, the weightiest first."""
    table = loaded.dataset.catalog.table.select("item_id", "title")
    found = []
    for reason in loaded.why(who, item_row):
        item_id, title = table.row(int(who.item_rows[reason.event]))
        weight = round(reason.weight, 4)
        found.append({"item_id": item_id, "title": title or item_id, "weight": weight})
    return found


def _named(loaded: "Recommender", row: int) -> dict[str, object]:
    item_id, title = loaded.dataset.catalog.table.select("item_id", "title").row(row)
    return {"item_id": item_id, "title": title or item_id}


def _called(user: str | None) -> str:
    return user or "somebody with this history"
