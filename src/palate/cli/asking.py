"""What a model answers: recommend, search."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from palate.cli.application import Count, Json, Model, app, load, somebody
from palate.terminal import show_items

if TYPE_CHECKING:
    from palate.recommender.recommender import Recommender
    from palate.types import History


@app.command()
def recommend(
    model: Model,
    user: Annotated[str | None, typer.Option(help="A user of the dataset.")] = None,
    n: Count = 10,
    prompt: Annotated[str | None, typer.Option(help="Say in words what is wanted.")] = None,
    history: Annotated[
        str | None, typer.Option(help="Item ids, oldest first, in place of (or after) a user's.")
    ] = None,
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


def _because(loaded: "Recommender", who: "History", item_row: int) -> list[dict[str, object]]:
    """Return the events an item is there because of, the weightiest first."""
    table = loaded.dataset.catalog.table.select("item_id", "title")
    found = []
    for reason in loaded.why(who, item_row):
        item_id, title = table.row(int(who.item_rows[reason.event]))
        weight = round(reason.weight, 4)
        found.append({"item_id": item_id, "title": title or item_id, "weight": weight})
    return found
