"""What the reviews of an item say: praised aspects, sentences fit to quote, what they call it.

Reviews of training events alone. Everything here can be counted again from the data: an aspect is
praised by the reviews that hold a sentence about it that praises (:mod:`.sentiment`), and a quote
is a sentence of one of them, word for word, from a customer who was pleased.
"""

import math
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import numpy as np
import polars as pl
from jaxtyping import Int

from palate.language.text.aspects import NEGATIVE, POSITIVE, STOP, folded
from palate.language.text.plain import words
from palate.language.text.quotable import is_quotable, word_counts
from palate.language.text.reviews import Review, Reviews
from palate.language.text.sentiment import sentiment
from palate.trust.sentences import split_sentences

_MOST_REVIEWS = 200
"""Reviews of one item that are read."""
_MOST_COUNTED = 30_000
"""Reviews by which words are counted."""
_MOST_KEPT = 2_000
"""Items whose voices are remembered."""
_KNOWN_BY = 4
"""A word that fewer reviews use counts as misspelled."""
_FEWEST_FOR_SPELLING = 500
"""Number of reviews below which spelling is not judged."""
_CALLED_BY = 0.25
"""Share of an item's reviews that must call it what it is said to be."""
_THING_SHARE = 0.07
"""Share of its uses in which a noun stands after "this" or "these", from which it is a thing."""
_FEWEST_USES = 10
_CALLING = re.compile(
    r"\b(?:this|these|great|good|nice|best|excellent|awesome|perfect|solid|decent|favou?rite)"
    r"((?:\s+[a-z][a-z'-]*){1,4})"
)
_BESIDE_WORDS = """
sounds looks feels fits holds plays stays gives does sound look feel fit hold play
"""
_BESIDE = frozenset(_BESIDE_WORDS.split())
"""Verbs that end the name of a thing: "this pedal sounds great"."""
_NO_THING_WORDS = """
sound tone price quality gain setting ear track loop value deal level volume brand feature size
color colour design company idea addition choice option condition shape job instrument style build
construction bass acoustic signal note hand tuning music length weight feel finish range look
clarity action reason item stuff care purchase variety selection assortment pack version model
thing product one brand company seller way time year kind type line series movie film book guy
"""
_NO_THING = frozenset(_NO_THING_WORDS.split())
"""Nouns that are no name for a thing that is sold."""
_SURE_QUALITIES_WORDS = """
price quality sound size design feature style color colour
"""
_SURE_QUALITIES = frozenset(_SURE_QUALITIES_WORDS.split())
_NO_QUALITY_WORDS = """
instrument addition situation opinion friend store beginner guitarist musician person deal option
idea item shipping hand model brand company music boss fan player band job match acoustic studio
result feature stuff bit guy choice reason family room line head face mix song note world life
experience condition problem child kid reader customer buyer review book series movie film game
"""
_NO_QUALITY = frozenset(_NO_QUALITY_WORDS.split())
"""Nouns that reviews use beside praise without praising them."""
_ITS_OWN_WORDS = """
best better great good nice excellent little small big new first second other same fantastic real
single cheap whole right left different only particular type brand awesome wonderful amazing
perfect beautiful cool simple basic solid high quality low price old
"""
_ITS_OWN = frozenset(_ITS_OWN_WORDS.split())
"""Words before a noun that are no part of its name."""
_COPULA_WORDS = """
is are was were sounds sound looks look feels feel works work has have
"""
_COPULA = frozenset(_COPULA_WORDS.split())


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of a review, word for word."""

    text: str
    place: int
    """Of the review's event in the flat arrays of the dataset."""
    rating: float | None
    aspect: str = ""
    """What it is about; empty where no aspect is named."""


@dataclass(frozen=True, slots=True)
class Calling:
    """What reviewers call an item: "guitar strap", "strings"."""

    noun: str
    is_plural: bool


@dataclass(frozen=True, slots=True)
class Voice:
    """What the reviews of one item say."""

    num_reviews: int
    quotes: tuple[Quote, ...] = ()
    """Sentences fit to print, the most telling first."""
    praised: Mapping[str, tuple[int, ...]] | None = None
    """The events whose reviews praise each aspect, most praised first."""
    spoken: Mapping[str, int] | None = None
    """How many reviews use each word, in its form of :func:`folded`."""
    calling: Calling | None = None

    def speaks_of(self, aspect: str) -> int:
        """Return how many reviews use the rarest word of an aspect."""
        wanted = [folded(word) for word in words(aspect)]
        return min(((self.spoken or {}).get(word, 0) for word in wanted), default=0)


class Voices:
    """The voice of every item, read when it is first asked for."""

    def __init__(self, reviews: Reviews | None, titles: Sequence[str | None]) -> None:
        """Read nothing yet.

        Args:
            reviews: of the training events; None without any.
            titles: what each item is called, by row; None where it has no name but its id.
        """
        self._reviews, self._titles = reviews, titles
        self._known: OrderedDict[int, Voice] = OrderedDict()
        self._lock = Lock()

    def of(self, item_row: int, *, without: int | None = None) -> Voice:
        """Return the voice of an item.

        Args:
            item_row: the item; one that is new has no reviews.
            without: a user whose own review is left out.
        """
        if self._reviews is None or item_row >= len(self._titles):
            return Voice(0)
        if without is not None and without in self._reviewers(item_row):
            return self._read(item_row, without)
        with self._lock:
            known = self._known.get(item_row)
        if known is None:
            known = self._read(item_row, None)
            with self._lock:
                self._known[item_row] = known
                if len(self._known) > _MOST_KEPT:
                    self._known.popitem(last=False)
        return known

    def own_words(self, place: int) -> str:
        """Return the title of the user's own review of an event if it praises; else nothing."""
        review = None if self._reviews is None else self._reviews.of(place)
        if review is None or not self._is_pleased(review):
            return ""
        title = review.title.strip().rstrip(".!")
        return title if self._is_fit_title(title) else ""

    def cares(self, places: Iterable[int]) -> tuple[str, ...]:
        """Return the aspects that a user's own reviews speak of, the most frequent first."""
        if self._reviews is None:
            return ()
        counts: Counter[str] = Counter()
        for place in places:
            review = self._reviews.of(place)
            if review is not None:
                about = (self._reviews.aspects.of(s) for s in split_sentences(review.text))
                counts.update({aspect for aspect in about if aspect is not None})
        order = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return tuple(a for a, count in order if count > 1 and self._is_quality(a))

    @cached_property
    def _word_counts(self) -> Mapping[str, int]:
        assert self._reviews is not None
        return word_counts(self._sample.to_list())

    @cached_property
    def _sample(self) -> pl.Series:
        """Reviews by which words are counted: all, or evenly drawn ones of very many."""
        assert self._reviews is not None
        texts = self._reviews.texts
        return texts.gather_every(max(1, -(-len(texts) // _MOST_COUNTED)))

    @cached_property
    def _known_words(self) -> Collection[str] | None:
        """The words that are believed to be spelled right; None where too few reviews tell."""
        if self._reviews is None or len(self._reviews) < _FEWEST_FOR_SPELLING:
            return None
        return {word for word, count in self._word_counts.items() if count >= _KNOWN_BY}

    @cached_property
    def _uses(self) -> Mapping[str, tuple[float, float]]:
        """How often each frequent noun stands after "this" or "these", and with a capital."""
        assert self._reviews is not None
        tokens = (
            pl.DataFrame({"word": self._sample})
            .select(pl.col("word").str.extract_all(r"\p{L}[\p{L}'-]*|[.!?]"))
            .explode("word")
            .with_columns(low=pl.col("word").str.to_lowercase(), before=pl.col("word").shift(1))
            .with_columns(
                this=pl.col("before").str.to_lowercase().is_in(["this", "these"]),
                big=pl.col("word").str.contains(r"^\p{Lu}")
                & ~pl.col("before").is_in([".", "!", "?"]),
            )
            .group_by("low")
            .agg(n=pl.len(), this=pl.col("this").mean(), big=pl.col("big").mean())
            .filter(pl.col("n") >= _FEWEST_USES)
        )
        return {
            word: (this, big) for word, this, big in tokens.select("low", "this", "big").iter_rows()
        }

    def _is_thing(self, word: str) -> bool:
        """Return whether a noun names what is sold: people write "this pedal", not "this tone"."""
        return word not in _NO_THING and self._uses.get(word, (0.0, 0.0))[0] >= _THING_SHARE

    def _is_quality(self, aspect: str) -> bool:
        """Return whether an aspect is something that a thing has: no thing, and no brand."""
        this, big = self._uses.get(aspect, (0.0, 0.0))
        is_thing = this >= _THING_SHARE and aspect not in _SURE_QUALITIES
        return not is_thing and big < 0.5 and folded(aspect) not in _NO_QUALITY

    @cached_property
    def _places(self) -> Int[np.ndarray, " reviews"]:
        """The event of each review."""
        assert self._reviews is not None
        return np.flatnonzero(self._reviews.lines >= 0)

    def _reviewers(self, item_row: int) -> set[int]:
        assert self._reviews is not None
        users = self._reviews.user_rows
        return {int(users[line]) for line in self._reviews.lines_about(item_row)}

    def _read(self, item_row: int, without: int | None) -> Voice:
        assert self._reviews is not None
        lines = [
            int(line)
            for line in self._reviews.lines_about(item_row)
            if int(self._reviews.user_rows[line]) != without
        ][:_MOST_REVIEWS]
        places = [int(self._places[line]) for line in lines]
        read = {place: review for place in places if (review := self._reviews.of(place))}
        title = self._titles[item_row]
        calling = None if title else self._called(list(read.values()))
        own = {folded(word) for word in words(title or "")}
        own |= {folded(word) for word in words(calling.noun)} if calling else set()
        heard = [
            quote
            for place, review in read.items()
            if self._is_pleased(review)
            for quote in self._heard(place, review, own)
        ]
        return Voice(
            num_reviews=len(read),
            quotes=tuple(self._fit(heard, {word.lower() for word in (title or "").split()})),
            praised=_praised(heard),
            spoken=_spoken(read.values()),
            calling=calling,
        )

    def _is_pleased(self, review: Review) -> bool:
        """Return whether a rating lies in the upper quarter of the scale; unrated data has none."""
        assert self._reviews is not None
        if np.isnan(self._reviews.neutral):
            return True
        return review.rating is not None and review.rating >= self._reviews.pleased

    def _heard(self, place: int, review: Review, own: Collection[str]) -> Iterable[Quote]:
        """Yield the sentences of a review that praise and do nothing else."""
        assert self._reviews is not None
        for sentence in map(str.strip, split_sentences(review.text)):
            if sentiment(sentence).is_praise:
                aspect = self._reviews.aspects.of(sentence) or ""
                praised = (
                    folded(aspect) not in own
                    and self._is_quality(aspect)
                    and _is_praised(sentence, aspect)
                )
                yield Quote(sentence, place, review.rating, aspect if praised else "")

    def _fit(self, heard: Sequence[Quote], names: Collection[str]) -> list[Quote]:
        """Return the sentences that can be printed, the most telling first."""
        known = self._known_words
        fit = [
            quote
            for quote in heard
            if is_quotable(quote.text, names, known) and _telling(quote) >= _LEAST_TELLING
        ]
        return sorted(fit, key=lambda quote: (-_telling(quote), quote.place))

    def _is_fit_title(self, title: str) -> bool:
        tokens = words(title)
        known = self._known_words
        return (
            1 < len(title.split()) <= 8
            and sentiment(title).is_praise
            and title[0].isupper()
            and not title.isupper()
            and re.fullmatch(r"[\w', -]+", title) is not None
            and not _OF_THE_SHOP.intersection(tokens)
            and (known is None or all(word in known for word in tokens))
        )

    def _called(self, reviews: Sequence[Review]) -> Calling | None:
        """Return what an item without a name is, by what its reviewers call it."""
        if len(reviews) < 2:
            return None
        said: Counter[str] = Counter()
        forms: Counter[tuple[str, str]] = Counter()
        before: Counter[tuple[str, str]] = Counter()
        for review in reviews:
            found = _CALLING.finditer(f"{review.title.lower()} . {review.text.lower()}")
            heads = {
                head
                for match in found
                if (head := _head(match[1].split())) and self._is_thing(head[1])
            }
            said.update({folded(word) for _, word in heads})
            forms.update({(folded(word), word) for _, word in heads})
            before.update({(folded(word), first) for first, word in heads if first})
        return _best_calling(said, forms, before, self._share_of, len(reviews))

    def _share_of(self, word: str) -> float:
        """Return the share of all reviews that use a word."""
        assert self._reviews is not None
        counts = self._word_counts
        both = max(counts.get(word, 0), counts.get(f"{word}s", 0))
        return max(both, 1) / max(len(self._sample), 1)


_OF_THE_SHOP_WORDS = """
review stars star five amazon shipping delivery seller price-point gift purchase buy i my me we
our me you your ever wife husband son daughter than
"""
_OF_THE_SHOP = frozenset(_OF_THE_SHOP_WORDS.split())


def _head(run: Sequence[str]) -> tuple[str, str] | None:
    """Return the last noun of a run of words, and the word before it: "guitar", "strap"."""
    end = next(
        (place for place, word in enumerate(run) if word in STOP or word in _BESIDE), len(run)
    )
    if not end or not _may_be_a_thing(run[end - 1]):
        return None
    before = run[end - 2] if end > 1 else ""
    return ("" if before in _ITS_OWN else before), run[end - 1]


def _may_be_a_thing(word: str) -> bool:
    return (
        len(word) > 2
        and folded(word) not in _NO_THING
        and word not in STOP
        and word not in POSITIVE
        and word not in NEGATIVE
        and word not in _ITS_OWN
        and not word.endswith(("ly", "ing"))
    )


def _best_calling(
    said: Mapping[str, int],
    forms: Mapping[tuple[str, str], int],
    before: Mapping[tuple[str, str], int],
    share_of: Callable[[str], float],
    num_reviews: int,
) -> Calling | None:
    """Return the noun that stands out: used by a third of the reviews, and seldom elsewhere."""
    worth = {
        head: count / num_reviews * math.log(1 / share_of(head))
        for head, count in said.items()
        if count >= max(2, _CALLED_BY * num_reviews)
    }
    if not worth:
        return None
    head = min(worth, key=lambda word: (-worth[word], word))
    surface = min(
        (word for of, word in forms if of == head), key=lambda word: (-forms[head, word], word)
    )
    firsts = {
        first: count
        for (of, first), count in before.items()
        if of == head and count >= max(2, 0.25 * num_reviews)
    }
    first = min(firsts, key=lambda word: (-firsts[word], word), default="")
    if first in POSITIVE or first in NEGATIVE or folded(first) == head:
        first = ""
    return Calling(f"{first} {surface}".strip(), is_plural=surface != head)


def _is_praised(sentence: str, aspect: str) -> bool:
    """Return whether a sentence praises an aspect itself: "great sound", "the sound is great"."""
    tokens = words(sentence)
    for place, word in enumerate(tokens):
        if folded(word) != folded(aspect):
            continue
        beside = tokens[max(0, place - 2) : place]
        told = place > 0 and tokens[place - 1] in {"the", "its", "their", "this", "and", "sound"}
        after = tokens[place + 1 : place + 3]
        if not POSITIVE.isdisjoint(beside) or (told and not _COPULA.isdisjoint(after)):
            return True
    return False


def _praised(heard: Sequence[Quote]) -> dict[str, tuple[int, ...]]:
    """Return the events whose reviews praise each aspect, the most praised aspect first."""
    found: dict[str, dict[int, None]] = {}
    for quote in heard:
        if quote.aspect:
            found.setdefault(quote.aspect, {})[quote.place] = None
    order = sorted(found, key=lambda aspect: (-len(found[aspect]), aspect))
    return {aspect: tuple(found[aspect]) for aspect in order}


def _spoken(reviews: Iterable[Review]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for review in reviews:
        counts.update({folded(word) for word in words(f"{review.title} {review.text}")})
    return dict(counts)


def _telling(quote: Quote) -> float:
    """Return how much a quote tells: an aspect, words that are neither small nor plain praise."""
    tokens = words(quote.text)
    content = {t for t in tokens if t not in STOP and t not in _EMPTY and t not in POSITIVE}
    short = 0.5 * (len(tokens) < 6)
    if not content and not quote.aspect:
        return 0.0
    praise = min(sentiment(quote.text).praise, 3) / 3
    return 1.5 * bool(quote.aspect) + min(len(content), 4) / 2 + praise - short


_LEAST_TELLING = 0.5
_EMPTY_WORDS = """
very really item product highly recommend love works work looks super quite
"""
_EMPTY = frozenset(_EMPTY_WORDS.split())
