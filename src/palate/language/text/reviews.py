"""Reviews of training events: the words that text tasks are made from."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from palate.data.dataset import Dataset
from palate.data.split import Part, PartName
from palate.language.text.aspects import Aspects, find_aspects, num_opinions, opinion
from palate.language.text.plain import one_line, sentences, without_markup, words

MAX_TITLE = 160
"""Characters of a review's title that are kept."""
_SHORTEST, _LONGEST = 4, 25
"""Words of a sentence that may explain."""
_MOST_COUNTED = 30_000
"""Reviews that aspects are mined from; more change them hardly and cost time."""
_STORY = re.compile(
    r"\b(?:i (?:have|had|was|am|bought|got|use|play|went|\w+ed)|we (?:bought|got)"
    r"|i've|i'm|my (?:son|daughter|wife|husband|friend|friends|first)"
    r"|when|ago|arrived|ordered|shipped|years?|months?|weeks?|yesterday|amazon)\b"
)


class Remark(NamedTuple):
    """A sentence of a review, and the aspect it judges."""

    aspect: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Review:
    """What one user wrote of one item, in plain text."""

    text: str
    """Empty where there is none."""
    title: str
    """Empty where there is none."""
    rating: float | None


@dataclass(frozen=True)
class Reviews:
    """Reviews by place in the flat arrays; what does not belong to them cannot be read here."""

    lines: Int[np.ndarray, " events"]
    """Which review belongs to each event; -1 where none does."""
    item_rows: Int[np.ndarray, " reviews"]
    texts: pl.Series
    titles: pl.Series
    ratings: Float[np.ndarray, " reviews"]
    """NaN where the user gave none."""
    neutral: float
    """The middle of the scale: above it users are pleased, below it they are not."""
    aspects: Aspects

    def __len__(self) -> int:
        """Return the number of reviews."""
        return len(self.item_rows)

    def of(self, place: int) -> Review | None:
        """Return the review of the event at a place; None where there is none to read."""
        line = int(self.lines[place])
        if line < 0:
            return None
        rating = float(self.ratings[line])
        return Review(
            text=without_markup(self.texts[line]),
            title=one_line(without_markup(self.titles[line]), MAX_TITLE),
            rating=None if np.isnan(rating) else rating,
        )

    def among(self, places: Int[np.ndarray, " events"]) -> Int[np.ndarray, " reviewed"]:
        """Return those of the places that have a review."""
        return np.asarray(places[self.lines[places] >= 0])

    def sentences_about(self, item_row: int) -> list[str]:
        """Return the sentences, neither very short nor very long, of an item's reviews."""
        bounds = np.searchsorted(self._by_item[1], [item_row, item_row + 1])
        lines = self._by_item[0][slice(*bounds.tolist())]
        return [
            sentence for line in lines for sentence in _told(without_markup(self.texts[int(line)]))
        ]

    def aspect_of(self, sentence: str) -> str | None:
        """Return the aspect that a sentence judges; None where it names none."""
        return self.aspects.of(sentence)

    def remarks(self, place: int) -> list[Remark]:
        """Return the sentences of a review that hold an aspect, best explanation first.

        A sentence explains well that gives an opinion, in the sense of the rating, and is no
        story of the buyer: +1 for each of at most two words of opinion, +1 or -1 for agreeing or
        disagreeing with the rating, -1 for each of at most two words of a story, -2 for a
        question. Equals stay in their order.
        """
        review = self.of(place)
        if review is None:
            return []
        mood = self._mood(review)
        found = [
            (-_worth(sentence, mood), order, Remark(aspect, sentence))
            for order, sentence in enumerate(_told(review.text))
            if (aspect := self.aspects.of(sentence)) is not None
        ]
        return [remark for _, _, remark in sorted(found)]

    def explanation_of(self, place: int, rng: np.random.Generator | None = None) -> Remark | None:
        """Return the sentence of a review that best explains its rating.

        Args:
            place: of the event in the flat arrays.
            rng: draws the best twice as often as the second, if there are several; without it the
                best is returned.
        """
        found = self.remarks(place)
        if not found:
            return None
        chosen = 0 if rng is None or len(found) == 1 else int(rng.random() < 1 / 3)
        return found[chosen]

    def judgement_of(self, place: int) -> tuple[bool, list[str]] | None:
        """Return whether a reviewer is pleased, and with which aspects, at most two.

        None where the rating is missing or in the middle of the scale, or where no sentence with
        an aspect agrees with it.
        """
        review = self.of(place)
        mood = 0 if review is None else self._mood(review)
        if mood == 0:
            return None
        agreeing = [
            aspect
            for aspect, sentence in self.remarks(place)
            if opinion(words(sentence)) * mood >= 0
        ]
        return (mood > 0, list(dict.fromkeys(agreeing))[:2]) if agreeing else None

    @cached_property
    def _by_item(self) -> tuple[Int[np.ndarray, " reviews"], Int[np.ndarray, " reviews"]]:
        """Reviews sorted by item, and their items."""
        order = np.argsort(self.item_rows, kind="stable")
        return order, self.item_rows[order]

    def _mood(self, review: Review) -> int:
        return 0 if review.rating is None else int(np.sign(review.rating - self.neutral))


def read_reviews(dataset: Dataset) -> Reviews | None:
    """Return the reviews of the training events; None where there is not one.

    Read from the columns ``review_text`` and ``review_title`` of the interactions, either of which
    may be missing.
    """
    chosen = _reviewed(dataset, Part.TRAIN)
    if len(chosen) == 0:
        return None
    return _gathered(dataset, chosen, _mined(dataset, chosen))


def read_held_out(dataset: Dataset, part: PartName, known: Reviews) -> Reviews | None:
    """Return the reviews of a part held out, to judge answers by; never to learn from.

    Args:
        dataset: what to read.
        part: ``valid`` or ``test``.
        known: the reviews of training, whose aspects are looked for.
    """
    chosen = _reviewed(dataset, Part.named(part))
    return _gathered(dataset, chosen, known.aspects) if len(chosen) else None


def _reviewed(dataset: Dataset, part: Part) -> Int[np.ndarray, " reviews"]:
    """Return the places of the events of a part that have a text or a title."""
    extra = dataset.interactions.extra
    if extra is None:
        return np.zeros(0, dtype=np.int64)
    there = np.zeros(len(dataset.interactions), dtype=bool)
    for name in {"review_text", "review_title"}.intersection(extra.columns):
        there |= (
            extra[name].cast(pl.String).str.contains(r"[\p{L}\p{N}]").fill_null(False).to_numpy()
        )
    return np.flatnonzero(there & (dataset.split.parts == part))


def _mined(dataset: Dataset, chosen: Int[np.ndarray, " reviews"]) -> Aspects:
    counted = chosen[:: -(-len(chosen) // _MOST_COUNTED)]
    texts = [without_markup(text) for text in _column(dataset, "review_text", counted)]
    return find_aspects(texts, dataset.interactions.item_rows[counted], dataset.catalog.titles())


def _gathered(dataset: Dataset, chosen: Int[np.ndarray, " reviews"], aspects: Aspects) -> Reviews:
    events = dataset.interactions
    lines = np.full(len(events), -1)
    lines[chosen] = np.arange(len(chosen))
    unrated = np.full(len(events), np.nan)
    return Reviews(
        lines=lines,
        item_rows=events.item_rows[chosen],
        texts=_column(dataset, "review_text", chosen),
        titles=_column(dataset, "review_title", chosen),
        ratings=(unrated if events.ratings is None else events.ratings)[chosen],
        neutral=_middle(events.ratings),
        aspects=aspects,
    )


def _column(dataset: Dataset, name: str, places: Int[np.ndarray, " reviews"]) -> pl.Series:
    extra = dataset.interactions.extra
    if extra is None or name not in extra.columns:
        return pl.Series(name, [""], dtype=pl.String).gather(np.zeros_like(places))
    return extra[name].cast(pl.String).gather(places).fill_null("")


def _middle(ratings: Float[np.ndarray, " events"] | None) -> float:
    """Return the middle between the lowest and the highest rating; NaN where there is none."""
    if ratings is None or np.isnan(ratings).all():
        return float("nan")
    return float(np.nanmin(ratings) + np.nanmax(ratings)) / 2


def _told(text: str) -> list[str]:
    """Return the sentences that are long enough to tell something, and short enough to be read."""
    return [s for s in sentences(text) if _SHORTEST <= len(s.split()) <= _LONGEST]


def _worth(sentence: str, mood: int) -> int:
    """Return how well a sentence explains a rating (see :meth:`Reviews.remarks`)."""
    said = words(sentence)
    sense = opinion(said)
    return (
        min(num_opinions(said), 2)
        + int(np.sign(sense)) * mood
        - min(len(_STORY.findall(sentence.lower())), 2)
        - 2 * sentence.endswith("?")
    )
