"""What a model answers: recommend, search, rate, explain, summarise, rank."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from palate.cli.application import (
    Count,
    DeviceName,
    GivenHistory,
    Json,
    KnownUser,
    Model,
    PrecisionName,
    app,
    check_file,
    item_ids,
    load,
    pairs,
    somebody,
)
from palate.errors import ConfigError
from palate.terminal.progress import progress_bar
from palate.terminal.tables import show_items, show_rated
from palate.terminal.words import say, say_json

if TYPE_CHECKING:
    from palate.inference.request import Answer, Reason, Request
    from palate.recommender.recommender import Recommender
    from palate.types import History

Item = Annotated[str, typer.Option(help="An item of the catalogue.")]


_FALLBACKS = {
    "cold-start": "nothing is known of this user: answered as somebody new",
    "popular": "nothing is known of this user: answered with what is popular",
    "base": "the language model gave no answer that could be read: the list of its base",
    "titles": "the model was not trained to search: found in titles, brands and categories",
}
"""What a person is told where something else was answered than was asked."""


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
    exclude: Annotated[
        list[str] | None, typer.Option(help="Item ids to leave out, with commas, or again.")
    ] = None,
    candidates: Annotated[
        list[str] | None, typer.Option(help="Item ids to choose from, with commas, or again.")
    ] = None,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Answer items of the history too.")
    ] = False,
    diversity: Annotated[
        float,
        typer.Option(min=0, max=1, help="From 0 (by score alone) to 1 (as different as possible)."),
    ] = 0.0,
    all_users: Annotated[
        bool, typer.Option("--all-users", help="Write lists for all users of the dataset.")
    ] = False,
    users: Annotated[
        Path | None,
        typer.Option(help="Write lists for the users in this file: an id a line, or a table."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where the lists of many users go: a .parquet, .csv or .jsonl file."),
    ] = None,
    as_json: Json = False,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Recommend items to a user, or to anybody with a history, and say why; or to many users."""
    if prompt is not None and (task is not None or slot):
        raise ConfigError("Both a task and a free prompt were given.", hint="Give one of the two.")
    many = None
    if all_users or users is not None or out is not None:
        one = user is not None or bool(history) or as_json
        many = _many(users, out, everybody=all_users, one=one)
    from palate.inference.request import Request

    loaded = load(model, device, precision)
    items, known = loaded.engine.catalogue, loaded.dataset.catalog.vocabulary
    request = Request(
        n=n,
        family=task or "next-item",
        prompt=prompt,
        slots=pairs(slot or (), "--slot", "event=purchase"),
        form=form,
        filter=items.filter(filter_) if filter_ else None,
        candidates=items.known_rows(item_ids(candidates, known)) if candidates else None,
        exclude=items.known_rows(item_ids(exclude or (), known)),
        exclude_seen=not include_seen,
        diversity=diversity,
    )
    if many is not None:
        _recommend_to_many(loaded.asking(request), n, *many)
        return
    request = replace(request, history=somebody(loaded, user, history))
    (answer,) = loaded.engine.answer([request])
    found = loaded.engine.reasons(request, answer.rows.tolist())
    reasons = [_because(loaded, request.history, of_item) for of_item in found]
    _show(
        loaded,
        answer,
        f"Recommended to {_called(user)}",
        reasons,
        as_json=as_json,
        nothing=_nothing_left(loaded, request, filter_ or (), user),
    )


@app.command()
def search(
    model: Model,
    words: Annotated[str, typer.Argument(help="What to look for.")],
    n: Count = 10,
    user: Annotated[str | None, typer.Option(help="Whose taste to follow.")] = None,
    as_json: Json = False,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Find items by words."""
    from palate.inference.request import NOBODY, Request

    loaded = load(model, device, precision)
    who = loaded.history(user) if user else NOBODY
    answer = loaded.engine.search(words, Request(who, n))
    nothing = f"Nothing was found for “{words}”."
    _show(loaded, answer, f"Found for “{words}”", None, as_json=as_json, nothing=nothing)


@app.command()
def rate(
    model: Model,
    item: Item,
    user: KnownUser = None,
    history: GivenHistory = None,
    as_json: Json = False,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Predict how a user rates an item."""
    loaded = load(model, device, precision)
    row = loaded.engine.catalogue.row_of(item)
    rated = loaded.engine.rate(somebody(loaded, user, history), row)
    if as_json:
        say_json(
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
    llm: Annotated[
        str | None,
        typer.Option(help="A language model that may reword it: a URL, or a folder of weights."),
    ] = None,
    llm_model: Annotated[str, typer.Option(help="The name of the model behind the URL.")] = "",
    as_json: Json = False,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Say why an item fits a user: by what was chosen before, facts, and words of customers."""
    rewriter = None
    if llm is not None:
        from palate.inference.printed.rewriting import Rewriter
        from palate.llm.open import open_speaker

        rewriter = Rewriter(open_speaker(llm, model=llm_model))
    loaded = load(model, device, precision)
    loaded.engine.rewriter = rewriter
    from palate.inference.printed.statements import as_json as as_json_of

    row = loaded.engine.catalogue.row_of(item)
    explained = loaded.engine.explain(somebody(loaded, user, history), row, aspect)
    if as_json:
        say_json(
            _named(loaded, row)
            | {
                "explanation": explained.text,
                "written": explained.generated,
                "invented": list(explained.invented),
                "mended": explained.was_edited,
                "quoted": explained.quoted,
                "statements": [as_json_of(each) for each in explained.statements],
                "refused": explained.refused,
            }
        )
        return
    say(explained.text)
    if explained.refused:
        say(f"the language model's words are not shown: {explained.refused}", err=True)


@app.command()
def summarise(
    model: Model,
    text: Annotated[str, typer.Option(help="A review.")],
    as_json: Json = False,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Give a review a short title."""
    if not text.strip():
        raise ConfigError("There is nothing to summarise.", hint='Give --text "a review"')
    summary = load(model, device, precision).summarise(text)
    if as_json:
        say_json({"summary": summary})
        return
    say(summary)


@app.command()
def rank(
    model: Model,
    items: Annotated[
        list[str],
        typer.Option(
            help="Item ids with commas between them; may be given several times. An id with a "
            "comma stands alone, or in double quotes."
        ),
    ],
    user: KnownUser = None,
    history: GivenHistory = None,
    as_json: Json = False,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Put given items in order for a user."""
    loaded = load(model, device, precision)
    ids = list(dict.fromkeys(item_ids(items, loaded.dataset.catalog.vocabulary)))
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
    nothing: str,
) -> None:
    """Print the items, and say where something else was answered than was requested."""
    from palate.types import Ranking

    ranking, fallback = Ranking(answer.rows, answer.scores), answer.fallback
    show_items(loaded, ranking, title, reasons, fallback=fallback, as_json=as_json, nothing=nothing)
    if fallback is not None:
        say(f"fallback {fallback}: {_FALLBACKS[fallback]}", err=True)


def _many(
    users: Path | None, out: Path | None, *, everybody: bool, one: bool
) -> tuple[list[str] | None, Path]:
    """Return whom lists are for, None for all, and where they go; refuse what cannot be."""
    if one or everybody == (users is not None):
        raise ConfigError(
            "Lists for many users are for --all-users, or for those of --users FILE: one of both, "
            "without --user, --history and --json.",
            hint="Write: palate recommend MODEL --all-users --out lists.parquet",
        )
    if out is None:
        raise ConfigError("There is nowhere to write the lists.", hint="Give --out lists.parquet")
    check_file(out)
    from palate.recommender.bulk import check_ending, read_users

    check_ending(out)
    return None if users is None else read_users(users), out


def _recommend_to_many(
    loaded: "Recommender", n: int, users: Sequence[str] | None, out: Path
) -> None:
    """Write the lists of many users."""
    from palate.recommender.bulk import all_users, lists_for, write_lists

    chosen = all_users(loaded) if users is None else users
    with progress_bar("Recommending to users") as progress:
        listed = write_lists(out, lists_for(loaded, chosen, n, progress=progress))
    say(f"Lists for {listed:,} users written to {out}.")
    if listed < len(chosen):
        say(f"Nothing is left to recommend to {len(chosen) - listed:,} others.")


def _nothing_left(
    loaded: "Recommender", request: "Request", conditions: Sequence[str], user: str | None
) -> str:
    """Return why a list is empty."""
    items, who = loaded.engine.catalogue, _called(user)
    filtered = " and ".join(conditions)
    if filtered and not items.num_fulfilling(request.filter):
        return f"No item fulfils the filter: {filtered}."
    if filtered:
        left = "all that fulfil it were seen, left out, or are no candidates"
        return f"Nothing is left to recommend under the filter {filtered}: {left}."
    total = len(loaded.dataset.catalog)
    if len(set(request.history.item_rows.tolist())) < total:
        return f"The model finds nothing for {who}."
    return f"Nothing is left to recommend: {who} has seen all {total:,} items."


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
