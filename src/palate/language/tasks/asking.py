"""Helpers of several families: windows of a history, prompts without an answer, sampling."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int

from palate.language.tasks.task import Example
from palate.language.text.reviews import Review, Reviews
from palate.types import History

_MOST_TRIES = 6
"""Maximum number of reviews of one user that are tried for an example."""


def random_window(history: History, length: int, rng: np.random.Generator) -> History:
    """Return ``length`` consecutive events from a random start; the whole history if shorter."""
    if len(history) <= length:
        return history
    start = int(rng.integers(len(history) - length + 1))
    return history.take(slice(start, start + length))


def next_where(
    window: History, wanted: Bool[np.ndarray, " events"], *, context: str = ""
) -> Example | None:
    """Return an example that predicts, after each event, the first later ``wanted`` event."""
    places = np.flatnonzero(wanted)
    places = places[places > 0]
    if len(places) == 0:
        return None
    prefix_lengths = np.arange(1, places[-1] + 1)
    following = places[np.searchsorted(places, prefix_lengths)]
    return Example(
        history=window.take(slice(0, int(places[-1]))),
        prefix_lengths=prefix_lengths,
        targets=window.item_rows[following][:, None],
        context=context,
    )


def asking(
    history: History,
    prefix_lengths: Sequence[int] | Int[np.ndarray, " predictions"],
    *,
    candidates: Int[np.ndarray, "predictions candidates"] | None = None,
    context: str = "",
) -> Example:
    """Return a prompt without an answer: no target items, no target texts."""
    return Example(
        history=history,
        prefix_lengths=np.asarray(prefix_lengths),
        targets=np.zeros((len(prefix_lengths), 0), dtype=np.int64),
        context=context,
        candidates=candidates,
    )


def asking_of_each(history: History, item_rows: Int[np.ndarray, " items"]) -> Example:
    """Return a prompt about each item at the end of the history, one prediction per item."""
    prefix_lengths = np.full(len(item_rows), len(history))
    return asking(history, prefix_lengths, candidates=item_rows[:, None])


def asking_about_text(text: str) -> Example:
    """Return a prompt about a text alone, without a history."""
    return asking(no_events(), [0], context=text)


def before_events(
    window: History,
    places: Int[np.ndarray, " predictions"],
    item_rows: Int[np.ndarray, " predictions"],
    target_texts: Sequence[str],
) -> Example | None:
    """Return a prompt about one item before each of some events; None without events."""
    if len(places) == 0:
        return None
    prompt = asking(window.take(slice(0, int(places[-1]))), places, candidates=item_rows[:, None])
    return replace(prompt, target_texts=target_texts)


def no_events() -> History:
    """Return the empty history of a new user."""
    return History(item_rows=np.zeros(0, dtype=np.int64))


def titled_places(
    window: History, titles: Sequence[str], most: int, rng: np.random.Generator
) -> Int[np.ndarray, " chosen"]:
    """Return at most ``most`` positions of a window, from 1 on, whose item has a title."""
    titled = [place for place in range(1, len(window)) if titles[window.item_rows[place]]]
    return some(titled, most, rng)


def some(places: Sequence[int], most: int, rng: np.random.Generator) -> Int[np.ndarray, " chosen"]:
    """Return at most ``most`` of the positions at random, ascending."""
    return np.sort(rng.permutation(np.asarray(places, dtype=np.int64))[:most])


def unseen_items(
    history: History, n: int, num_items: int, rng: np.random.Generator
) -> Int[np.ndarray, " unseen"]:
    """Return ``n`` different random items that are not in a history, or all of those."""
    seen = np.unique(history.item_rows)
    drawn = rng.choice(num_items, min(num_items, n + len(seen)), replace=False)
    return np.asarray(drawn[~np.isin(drawn, seen)][:n])


def reviewed_events(
    reviews: Reviews, history: History, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Return a few reviewed events in random order, as (index in history, index in dataset)."""
    if history.places is None:
        return []
    events = np.flatnonzero(reviews.lines[history.places] >= 0)
    chosen: list[int] = rng.permutation(events)[:_MOST_TRIES].tolist()
    return [(event, int(history.places[event])) for event in chosen]


def user_reviews(
    reviews: Reviews, history: History, rng: np.random.Generator
) -> Iterable[tuple[int, Review]]:
    """Yield a few of the user's reviews with their index in the dataset, in random order."""
    for _, place in reviewed_events(reviews, history, rng):
        review = reviews.of(place)
        if review is not None:
            yield place, review


def most_common(texts: Iterable[str]) -> str:
    """Return the most frequent text, ties by alphabet; empty without any text."""
    counts = Counter(texts)
    return min(counts, key=lambda text: (-counts[text], text), default="")
