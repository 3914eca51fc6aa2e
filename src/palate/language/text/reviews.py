"""Reviews of events, from which text tasks are made."""

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
from palate.language.text.plain import one_line, without_markup, words
from palate.trust.sentences import split_sentences

MAX_TITLE = 160
"""Maximum number of characters of a review's title."""
_SHORTEST, _LONGEST = 4, 25
"""Minimum and maximum number of words of an explaining sentence."""
_MOST_COUNTED = 30_000
"""Number of reviews from which aspects are mined; more cost time and change little."""
_STORY = re.compile(
    r"\b(?:i (?:have|had|was|am|bought|got|use|play|went|\w+ed)|we (?:bought|got)"
    r"|i've|i'm|my (?:son|daughter|wife|husband|friend|friends|first)"
    r"|when|ago|arrived|ordered|shipped|years?|months?|weeks?|yesterday|amazon)\b"
)


class Remark(NamedTuple):
    """A sentence of a review, and its aspect."""

    aspect: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Review:
    """The review of one item by one user, in plain text."""

    text: str
    """Empty where there is none."""
    title: str
    """Empty where there is none."""
    rating: float | None


@dataclass(frozen=True)
class Reviews:
    """Reviews of the events of one part, by index in the flat arrays of the dataset."""

    lines: Int[np.ndarray, " events"]
    """Index of each event's review; -1 without one."""
    item_rows: Int[np.ndarray, " reviews"]
    texts: pl.Series
    titles: pl.Series
    ratings: Float[np.ndarray, " reviews"]
    """NaN where the user gave none."""
    neutral: float
    """Middle of the rating scale: users are pleased above it, displeased below it."""
    aspects: Aspects
    user_rows: Int[np.ndarray, " reviews"]
    highest: float = float("nan")
    """Highest rating of the data; NaN where there is none."""

    def __len__(self) -> int:
        """Return the number of reviews."""
        return len(self.item_rows)

    def of(self, place: int) -> Review | None:
        """Return the review of an event; None without one."""
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
        """Return the events that have a review."""
        return np.asarray(places[self.lines[places] >= 0])

    @property
    def pleased(self) -> float:
        """Lowest rating of a customer who is pleased: three quarters up the scale, 4 of 1 to 5."""
        return (self.neutral + self.highest) / 2

    def lines_about(self, item_row: int) -> Int[np.ndarray, " about"]:
        """Return the reviews of an item."""
        bounds = np.searchsorted(self._by_item[1], [item_row, item_row + 1])
        return np.asarray(self._by_item[0][slice(*bounds.tolist())])

    def sentences_about(self, item_row: int) -> list[str]:
        """Return the sentences of usable length of an item's reviews."""
        return [
            sentence
            for line in self.lines_about(item_row)
            for sentence in _readable_sentences(without_markup(self.texts[int(line)]))
        ]

    def remarks(self, place: int) -> list[Remark]:
        """Return the sentences of a review that name an aspect, best explanation first.

        A good explanation states an opinion that agrees with the rating and is no story of the
        buyer: +1 for each of at most two opinion words, +1 or -1 for agreeing or disagreeing with
        the rating, -1 for each of at most two story words, -2 for a question. Ties keep the order
        of the review.
        """
        review = self.of(place)
        if review is None:
            return []
        mood = self._mood(review)
        found = [
            (-_worth(sentence, mood), order, Remark(aspect, sentence))
            for order, sentence in enumerate(_readable_sentences(review.text))
            if (aspect := self.aspects.of(sentence)) is not None
        ]
        return [remark for _, _, remark in sorted(found)]

    def explanation_of(self, place: int, rng: np.random.Generator | None = None) -> Remark | None:
        """Return the sentence of a review that best explains its rating.

        Args:
            place: of the event in the flat arrays.
            rng: samples the best sentence with probability 2/3, else the second; without it the
                best is returned.
        """
        found = self.remarks(place)
        if not found:
            return None
        chosen = 0 if rng is None or len(found) == 1 else int(rng.random() < 1 / 3)
        return found[chosen]

    def judgement_of(self, place: int) -> tuple[bool, list[str]] | None:
        """Return whether a reviewer is pleased, and at most two aspects that agree.

        None where the rating is missing or neutral, or where no sentence with an aspect agrees with
        it.
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
    """Return the reviews of the training events; None without any.

    Read from the columns ``review_text`` and ``review_title`` of the interactions, either of which
    may be missing.
    """
    chosen = _reviewed(dataset, Part.TRAIN)
    if len(chosen) == 0:
        return None
    return _gathered(dataset, chosen, _mined(dataset, chosen))


def read_held_out(dataset: Dataset, part: PartName, known: Reviews) -> Reviews | None:
    """Return the reviews of a held-out part, for evaluation only.

    Args:
        dataset: what to read.
        part: ``valid`` or ``test``.
        known: the training reviews, which supply the aspects.
    """
    chosen = _reviewed(dataset, Part.named(part))
    return _gathered(dataset, chosen, known.aspects) if len(chosen) else None


def _reviewed(dataset: Dataset, part: Part) -> Int[np.ndarray, " reviews"]:
    """Return the indices of the events of a part that have a review text or title."""
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
        user_rows=events.user_rows[chosen],
        highest=_highest(events.ratings),
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


def _highest(ratings: Float[np.ndarray, " events"] | None) -> float:
    if ratings is None or np.isnan(ratings).all():
        return float("nan")
    return float(np.nanmax(ratings))


def _readable_sentences(text: str) -> list[str]:
    """Return the sentences of usable length."""
    sentences = map(str.strip, split_sentences(text))
    return [s for s in sentences if _SHORTEST <= len(s.split()) <= _LONGEST]


def _worth(sentence: str, mood: int) -> int:
    """Return how well a sentence explains a rating (see :meth:`Reviews.remarks`)."""
    tokens = words(sentence)
    sense = opinion(tokens)
    return (
        min(num_opinions(tokens), 2)
        + int(np.sign(sense)) * mood
        - min(len(_STORY.findall(sentence.lower())), 2)
        - 2 * sentence.endswith("?")
    )
