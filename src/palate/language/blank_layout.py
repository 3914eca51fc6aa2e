"""Layout of blanks: the visible part of a history, and the hidden words of each blank."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from palate.language.item_format import NOTHING, FormattedItems
from palate.language.tasks.task import Example


def concealed(example: Example) -> Example:
    """Return the example without the event types and ratings of its hidden events."""
    if example.hidden is None:
        return example
    history, shown = example.history, example.hidden < 0
    types, ratings = history.event_types, history.ratings
    return replace(
        example,
        history=replace(
            history,
            event_types=None if types is None else np.where(shown, types, NOTHING),
            ratings=None if ratings is None else np.where(shown, ratings, np.nan),
        ),
    )


def corrupted(
    formatted: FormattedItems, hidden: Int[np.ndarray, " events"], mark: int
) -> FormattedItems:
    """Return the formatted history, with one ``mark`` in place of the events of each blank."""
    table = np.stack([formatted.token_ids, formatted.items, formatted.levels])
    stand_in = np.asarray([[mark], [NOTHING], [NOTHING]])
    before = np.append(NOTHING, hidden[:-1])
    pieces = [
        piece if blank < 0 else stand_in[:, : int(blank != previous)]
        for piece, blank, previous in zip(_of_events(table, formatted), hidden, before, strict=True)
    ]
    words, items, levels = np.concatenate(pieces, axis=1)
    lengths = np.asarray([piece.shape[1] for piece in pieces])
    return FormattedItems(words, items, levels, lengths)


def hidden_words(formatted: FormattedItems, hidden: Int[np.ndarray, " events"]) -> list[list[int]]:
    """Return the words of each blank, in order."""
    of_events = _of_events(formatted.token_ids, formatted)
    blanks = [
        np.concatenate([of_events[event] for event in np.flatnonzero(hidden == blank)])
        for blank in range(int(hidden.max(initial=-1)) + 1)
    ]
    return [words[words >= 0].tolist() for words in blanks]


def _of_events(
    table: Int[np.ndarray, "*rows places"], formatted: FormattedItems
) -> list[np.ndarray]:
    """Split the tokens of a history by event."""
    return np.split(table, np.cumsum(formatted.lengths)[:-1], axis=-1)
