"""What a model answers: recommend, search, rate, explain, summarise, rank."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from palate.cli.application import (
    Count,
    Json,
    Model,
    app,
    listed,
    load,
    pairs,
    print_json,
    somebody,
)
from palate.errors import ConfigError
from palate.terminal import show_items, show_rated

if TYPE_CHECKING:
    from palate.inference.request import Answer, Reason
    from palate.recommender.recommender import Recommender
    from palate.types import History

KnownUser = Annotated[str | None, typer.Option(help="A user of the dataset.")]
GivenHistory = Annotated[
    str | None, typer.Option(help="Item ids, oldest first, in place of (or after) a user's.")
]
Item = Annotated[str, typer.Option(help="An item of the catalogue.")]


_FALLBACKS = {
    "cold-start": "nothing is known of this user: answered as somebody new",
    "popular": "nothing is known of this user: answered with what is popular",
    "titles": "the model was not trained to search: found in titles, brands and categories",
}
"""What a person is told where something else was answered than was asked."""


@app.command()
def recommend(
    model: Model,
    user: KnownUser = None,
    n: Count = 10,
    prompt: Annotated[str | None, typer.Option(help="Say in words what is wanted.")] = None,
    history: Annotated[
        str | None,
        typer.Option(
            help="Item ids, oldest first, in place of (or after) a user's; '' is somebody new."
        ),
    ] = None,
    form: Annotated[
        Literal["set", "codes", "hybrid", "titles"] | None,
        typer.Option(help="How to answer; the model's usual form where none is given."),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="A family of prompts; see palate prompts MODEL.")
    ] = None,
    slot: Annotated[
        list[str] | None, typer.Option(help="A slot of the task: event=purchase.")
    ] = None,
    filter_: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            help="What items must fulfil: brand=Acme, category=Lamps, 'price<20', in_stock=true. "
            "Again for more; several brands, or categories, mean any of them.",
        ),
    ] = None,
    exclude: Annotated[str, typer.Option(help="Item ids to leave out, with commas.")] = "",
    candidates: Annotated[
        str | None, typer.Option(help="Item ids to choose from, with commas.")
    ] = None,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Answer items of the history too.")
    ] = False,
    diversity: Annotated[
        float, typer.Option(min=0, max=1, help="From 0, by score alone, to 1, as unlike as can be.")
    ] = 0.0,
    as_json: Json = False,
) -> None:
    """Recommend items to a user, or to anybody with a history, and say why."""
    from palate.inference.request import Request

    if prompt is not None and (task is not None or slot):
        raise ConfigError("Both a task and a free prompt were given.", hint="Give one of the two.")
    loaded = load(model)
    items = loaded.engine.catalogue
    request = Request(
        somebody(loaded, user, history),
        n,
        family=task or "next-item",
        prompt=prompt,
        slots=pairs(slot or (), "--slot", "event=purchase"),
        form=form,
        filter=items.filter(filter_) if filter_ else None,
        candidates=None if candidates is None else items.known_rows(listed(candidates)),
        exclude=items.known_rows(listed(exclude)),
        exclude_seen=not include_seen,
        diversity=diversity,
    )
    (answer,) = loaded.engine.answer([request])
    found = loaded.engine.reasons(request, answer.rows.tolist())
    reasons = [_because(loaded, request.history, of_item) for of_item in found]
    title = f"Recommended to {user or 'somebody with this history'}"
    _show(loaded, answer, title, reasons, as_json=as_json)


@app.command()
def search(
    model: Model,
    words: Annotated[str, typer.Argument(help="What to look for.")],
    n: Count = 10,
    user: Annotated[str | None, typer.Option(help="Whose taste to follow.")] = None,
    as_json: Json = False,
) -> None:
    """Find items by words."""
    from palate.inference.request import NOBODY, Request

    loaded = load(model)
    who = loaded.history(user) if user else NOBODY
    answer = loaded.engine.search(words, Request(who, n))
    _show(loaded, answer, f"Found for “{words}”", None, as_json=as_json)


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
    row = loaded.engine.catalogue.row_of(item)
    rated = loaded.engine.rate(somebody(loaded, user, history), row)
    if as_json:
        print_json(
            _named(loaded, row)
            | {
                "rating": round(rated.value, 4),
                "likeliest": rated.likeliest,
                "words": rated.words,
                "chances": rated.by_level,
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
    row = loaded.engine.catalogue.row_of(item)
    explained = loaded.engine.explain(somebody(loaded, user, history), row, aspect)
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
    rows = loaded.engine.catalogue.known_rows(ids)
    ranking = loaded.engine.rank(somebody(loaded, user, history), rows)
    title = f"Ranked for {_called(user)}: {loaded.ranked_by}"
    show_items(loaded, ranking, title, None, as_json=as_json)


def _show(
    loaded: "Recommender",
    answer: "Answer",
    title: str,
    reasons: list[list[dict[str, object]]] | None,
    *,
    as_json: bool,
) -> None:
    """Print the items, and say where something else was answered than was asked."""
    from palate.types import Ranking

    ranking = Ranking(answer.rows, answer.scores)
    show_items(loaded, ranking, title, reasons, fallback=answer.fallback, as_json=as_json)
    if answer.fallback is not None:
        typer.echo(f"fallback {answer.fallback}: {_FALLBACKS[answer.fallback]}", err=True)


def _because(
    loaded: "Recommender", who: "History", reasons: list["Reason"]
) -> list[dict[str, object]]:
    """Return the events an item is there because of, the weightiest first."""
    views = loaded.engine.catalogue.views([int(who.item_rows[reason.event]) for reason in reasons])
    return [
        {
            "item_id": view.item_id,
            "title": view.title or view.item_id,
            "weight": round(reason.weight, 4),
        }
        for view, reason in zip(views, reasons, strict=True)
    ]


def _named(loaded: "Recommender", row: int) -> dict[str, object]:
    item_id, title = loaded.dataset.catalog.table.select("item_id", "title").row(row)
    return {"item_id": item_id, "title": title or item_id}


def _called(user: str | None) -> str:
    return user or "somebody with this history"
