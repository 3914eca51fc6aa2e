"""Choose what to say of an item to a user, as statements that can be checked.

What weighs most comes first: the events without which the item's score falls (``why``), what the
item has in common with them, what its reviews praise, of that what this user writes about, and the
price beside what the user usually pays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from palate.inference.printed.naming import Name, month_of, name_of
from palate.inference.printed.shop_facts import ShopFacts
from palate.inference.printed.statements import (
    Alike,
    Because,
    Described,
    Filed,
    Popular,
    Praised,
    Priced,
    Shared,
    Statement,
    Unlinked,
    Unspoken,
    WellRated,
)
from palate.inference.request import Reason
from palate.language.text.aspects import folded
from palate.language.text.plain import one_line, rating_words, words
from palate.language.text.voices import Quote, Voice, Voices
from palate.types import History

MOST_REASONS = 10
"""Events that ``why`` is asked for."""
MAX_ASPECT = 60
"""Characters of an aspect that is asked for."""

_NEAR = 0.2
"""Prices that differ by no more than this share are about the same."""
_FEWEST_PRICES = 3
_WEIGHTIEST = 3
_SECOND = 0.3
"""A second event is named where it weighs at least so much of the first."""
_FEWEST_PRAISING = 2
_POPULAR = 20
_CATEGORY_TELLS = 0.4
"""Shared categories are said before other facts where they are rarer than this."""
_ASKED = {
    "price": "price",
    "cost": "price",
    "brand": "brand",
    "maker": "brand",
    "category": "categories",
    "categories": "categories",
    "genre": "categories",
    "genres": "categories",
}
"""Aspects that the catalogue answers, and by which column."""
_NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}
_ACTS = {
    "purchase": "bought {}",
    "buy": "bought {}",
    "bought": "bought {}",
    "order": "bought {}",
    "transaction": "bought {}",
    "view": "looked at {}",
    "click": "looked at {}",
    "detail": "looked at {}",
    "cart": "put {} into your cart",
    "addtocart": "put {} into your cart",
    "add_to_cart": "put {} into your cart",
    "wishlist": "put {} on your wish list",
    "favorite": "saved {}",
    "favourite": "saved {}",
    "save": "saved {}",
    "like": "liked {}",
    "play": "played {}",
    "listen": "listened to {}",
    "watch": "watched {}",
    "read": "read {}",
    "rating": "rated {}",
    "review": "reviewed {}",
}


@dataclass(frozen=True, slots=True)
class Scale:
    """The rating scale of a shop; NaN where nobody rates."""

    pleased: float
    """Lowest rating of somebody who is pleased."""
    highest: float

    @classmethod
    def of(cls, ratings: np.ndarray | None) -> "Scale":
        """Read the scale off all ratings: pleased is three quarters of the way up."""
        if ratings is None or np.isnan(ratings).all():
            return cls(float("nan"), float("nan"))
        lowest, highest = float(np.nanmin(ratings)), float(np.nanmax(ratings))
        return cls((lowest + 3 * highest) / 4, highest)

    def words(self, rating: float | None) -> str:
        """Return a rating in words: "five stars", "9 of 10"; empty for none."""
        if rating is None or np.isnan(rating):
            return ""
        if self.highest == max(_NUMBERS):
            number = _NUMBERS.get(int(rating), "") if rating % 1 == 0 else ""
            return f"{number or rating_words(rating)} star{'' if rating == 1 else 's'}"
        return f"{rating_words(rating)} of {rating_words(self.highest)}"


@dataclass(frozen=True, slots=True)
class Content:
    """What is to be said: the item's name, and statements in the order of their weight."""

    name: Name
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class _Event:
    """An event of the history, as far as a sentence needs it."""

    place: int
    row: int
    act: str
    is_liked: bool
    rating: str = ""
    rank: int = 0
    """Place among the events that weigh most, 0 first."""
    weight: float | None = None


@dataclass(frozen=True, eq=False)
class Chooser:
    """Chooses statements from the facts of a shop and the voices of its customers."""

    facts: ShopFacts
    voices: Voices
    scale: Scale
    event_types: tuple[str, ...]
    counts: Int[np.ndarray, " items"]
    """Training events of each item."""
    means: Float[np.ndarray, " items"]
    """Mean training rating of each item; NaN where too few rated it."""

    def choose(
        self, history: History, item_row: int, reasons: Sequence[Reason], aspect: str = ""
    ) -> Content:
        """Return what to say.

        Args:
            history: of the user.
            item_row: the item.
            reasons: the events that weigh most, from :func:`palate.inference.reasons.reasons`.
            aspect: what is asked about, in a word.
        """
        voice = self.voices.of(item_row, without=history.user_row)
        aspect = one_line(aspect, MAX_ASPECT)
        events = self._events(history, item_row, reasons)
        because = self._because(history, events, item_row)
        statements: list[Statement] = [] if because is None else [because]
        if because is not None:
            shared = self._shared(because, history, item_row)
            statements += [] if shared is None else [shared]
        if aspect:
            statements = [*self._about(aspect, item_row, history, voice), *statements]
        else:
            statements += self._praise(item_row, history, voice)
            priced = self._priced(history, item_row)
            statements += [priced] if priced is not None and priced.standing != "more" else []
        if because is None and not aspect:
            statements += self._unknown(item_row)
        if not any(isinstance(each, Praised | Unspoken) for each in statements):
            statements += self._without_voices(item_row)
        if all(isinstance(each, WellRated | Popular) for each in statements):
            nothing: list[Statement] = [Unlinked()] if because is None and not aspect else []
            statements = [*nothing, *statements]
        return Content(self.name(item_row), tuple(statements))

    # --- Events

    def name(self, row: int) -> Name:
        """Return what an item is called in print."""
        return name_of(self.facts.views[row], self.voices.of(row).calling)

    def _events(self, history: History, item_row: int, reasons: Sequence[Reason]) -> list[_Event]:
        """Return the events that may be named, best first: those that weigh, then the newest."""
        weighed = {reason.event: reason.weight for reason in reasons}
        newest = range(len(history) - 1, max(-1, len(history) - 50), -1)
        places = list(weighed) if weighed else list(newest)
        found = [
            self._event(history, place, rank, weighed.get(place))
            for rank, place in enumerate(places)
            if int(history.item_rows[place]) != item_row
        ]
        return sorted(found, key=lambda event: not event.is_liked) if weighed else found

    def _event(self, history: History, place: int, rank: int, weight: float | None) -> _Event:
        rating = None if history.ratings is None else float(history.ratings[place])
        # A rating beyond the scale of the data is none that could be said.
        rated = rating is not None and not np.isnan(rating) and rating <= self.scale.highest
        liked = not rated or (rating is not None and rating >= self.scale.pleased)
        kind = "" if history.event_types is None else self._type(int(history.event_types[place]))
        act = _ACTS.get(kind, "chose {}")
        if rated and liked:
            act = (
                f"gave {self.scale.words(rating)} to {{}}"
                if self.scale.highest == max(_NUMBERS)
                else f"rated {{}} {self.scale.words(rating)}"
            )
        said = self.scale.words(rating) if rated else ""
        return _Event(place, int(history.item_rows[place]), act, liked, said, rank, weight)

    def _type(self, code: int) -> str:
        known = 0 <= code < len(self.event_types)
        return self.event_types[code].lower() if known else ""

    def _because(self, history: History, events: Sequence[_Event], item_row: int) -> Because | None:
        """Return the event to name, or two alike; without weights only one that shares a fact."""
        if not events:
            return None
        first = self._first(events, item_row)
        if first is None:
            return None
        also = [
            event
            for event in events
            if event.row != first.row
            and event.act == first.act
            and event.is_liked == first.is_liked
            and event.weight is not None
            and first.weight is not None
            and event.weight >= _SECOND * first.weight
            and self.name(event.row).is_title
            and self.name(first.row).is_title
            and self._related(event.row, item_row) == self._related(first.row, item_row)
        ]
        named = [first, *also[:1]]
        views = [self.facts.views[event.row] for event in named]
        return Because(
            events=tuple(event.place for event in named),
            item_ids=tuple(view.item_id for view in views),
            names=tuple(self._past_name(history, event, item_row) for event in named),
            act=first.act,
            weight=first.weight,
            own_words=self._own_words(history, first) if len(named) == 1 else "",
            rating=first.rating,
        )

    def _first(self, events: Sequence[_Event], item_row: int) -> _Event | None:
        """Return the event that explains best: it weighs, was liked and shares a fact."""
        if events[0].weight is None:
            related = [e for e in events if e.is_liked and self._related(e.row, item_row)]
            return related[0] if related else None
        top = events[0]
        assert top.weight is not None
        liked = [event for event in events if event.is_liked == top.is_liked]
        # Of what was liked, the three that weigh most have the first word.
        liked = [e for e in liked if e.rank < _WEIGHTIEST] or liked
        # A name says more than "an item from May".
        named = [event for event in liked if self.name(event.row).text != "item"] or liked
        strong = [e for e in named if (e.weight or 0) >= (named[0].weight or 0) / 2]
        return max(strong, key=lambda event: self._telling(event.row, item_row))

    def _telling(self, row: int, item_row: int) -> float:
        related = self._related(row, item_row)
        return 0.0 if related is None else self.facts.rarity(*related)

    def _past_name(self, history: History, event: _Event, item_row: int) -> str:
        """Return what an item of the history is called: a title, or "a tuner in May 2013"."""
        name = self.name(event.row)
        if name.is_title:
            return name.text
        known = history.timestamps is not None and int(history.timestamps[event.place]) > 0
        when = f" in {month_of(int(history.timestamps[event.place]))}" if known else ""  # type: ignore[index]
        same = name.text == self.name(item_row).text
        if name.text == "item":
            return f"{'another' if same else 'an'} item{when}"
        one = "an" if name.text[0] in "aeiou" else "a"
        article = ("other" if same else "some") if name.is_plural else "another" if same else one
        return f"{article} {name.text}{when}"

    def _own_words(self, history: History, event: _Event) -> str:
        if history.places is None or not event.is_liked:
            return ""
        return self.voices.own_words(int(history.places[event.place]))

    # --- What they have in common

    def _related(self, row: int, item_row: int) -> tuple[str, tuple[str, ...]] | None:
        """Return the most telling column in which two items agree, and the values."""
        found = [
            (column, values)
            for column in (*self.facts.relations, "brand", "categories")
            if (values := self.facts.shared(column, item_row, row))
        ]
        return max(found, key=lambda pair: self.facts.rarity(*pair), default=None)

    def _shared(self, because: Because, history: History, item_row: int) -> Shared | Alike | None:
        row = int(history.item_rows[because.events[0]])
        related = self._related(row, item_row)
        name, item_id = because.names[0], because.item_ids[0]
        if related is not None and self.facts.rarity(*related) >= _CATEGORY_TELLS:
            return Shared(related[0], related[1], name, item_id)
        pair = self.facts.alike(item_row, row)
        if pair is not None and len(because.names) == 1:
            return Alike(pair, name, item_id)
        return None if related is None else Shared(related[0], related[1], name, item_id)

    def _priced(self, history: History, item_row: int) -> Priced | None:
        price = self.facts.price(item_row)
        if price is None:
            return None
        rows = dict.fromkeys(history.item_rows.tolist())
        paid = [known for row in rows if (known := self.facts.price(row)) is not None]
        if len(paid) < _FEWEST_PRICES:
            return Priced(price, None, None) if not len(history) else None
        usual = float(np.median(paid))
        if abs(price - usual) <= _NEAR * usual:
            return Priced(price, usual, "about")
        return Priced(price, usual, "less" if price < usual else "more")

    # --- What reviews say

    def _praise(self, item_row: int, history: History, voice: Voice) -> list[Statement]:
        """Return what reviews praise: first what the user writes about, else what most praise."""
        praised = voice.praised or {}
        quotes = {quote.aspect: quote for quote in reversed(voice.quotes)}
        cared = [aspect for aspect in self._cares(history) if aspect in praised]
        often = [a for a, by in praised.items() if len(by) >= _FEWEST_PRAISING]
        for aspect in (*cared, *often):
            if aspect in quotes:
                return [self._praised(aspect, voice, quotes[aspect], is_cared_for=aspect in cared)]
        told = next((a for a in (*cared, *often) if len(praised[a]) >= _FEWEST_PRAISING), "")
        if told and (not voice.quotes or told in cared):
            return [self._praised(told, voice, None, is_cared_for=told in cared)]
        return [self._praised("", voice, voice.quotes[0])] if voice.quotes else []

    def _praised(
        self,
        aspect: str,
        voice: Voice,
        quote: Quote | None,
        *,
        is_cared_for: bool = False,
        is_asked_for: bool = False,
    ) -> Praised:
        rating = "" if quote is None else self.scale.words(quote.rating)
        by = (voice.praised or {}).get(aspect, ())
        return Praised(
            aspect, len(by), voice.num_reviews, quote, rating, is_cared_for, is_asked_for
        )

    def _cares(self, history: History) -> tuple[str, ...]:
        return () if history.places is None else self.voices.cares(history.places.tolist())

    # --- When something is asked for, or nothing is known

    def _without_voices(self, item_row: int) -> list[Statement]:
        """Return what speaks for an item of which no review does."""
        sentence = self.facts.described(item_row)
        found: list[Statement] = []
        mean = float(self.means[item_row]) if item_row < len(self.means) else float("nan")
        if mean >= self.scale.pleased:
            stars = " stars" if self.scale.highest == max(_NUMBERS) else ""
            average = f"{mean:.1f} out of {rating_words(self.scale.highest)}{stars}"
            found.append(WellRated(average, int(self.counts[item_row])))
        return found if sentence is None else [*found, Described(sentence)]

    def _about(self, aspect: str, item_row: int, history: History, voice: Voice) -> list[Statement]:
        """Return what is known of an aspect, or that nothing good is."""
        wanted = {folded(word) for word in words(aspect)}
        column = _ASKED.get(aspect.lower(), aspect.lower())
        found: list[Statement] = []
        if column == "price":
            priced = self._priced(history, item_row)
            price = self.facts.price(item_row)
            found = [priced or Priced(price, None, None)] if price is not None else []
        elif column in {"brand", "categories", *self.facts.relations}:
            values = self.facts.values(column, item_row)
            found = [Filed(column, values[-2:])] if values else []
        praised = voice.praised or {}
        named = next((each for each in praised if {folded(each)} == wanted), "")
        said = [q for q in voice.quotes if wanted and wanted <= set(map(folded, words(q.text)))]
        if named or said:
            said.sort(key=lambda quote: quote.aspect != named)
            return [*found, self._praised(named, voice, next(iter(said), None), is_asked_for=True)]
        if found:
            return found
        return [Unspoken(aspect, voice.num_reviews, voice.speaks_of(aspect))]

    def _unknown(self, item_row: int) -> list[Statement]:
        """Return facts of the item alone."""
        found: list[Statement] = []
        for column in ("brand", "categories"):
            values = self.facts.values(column, item_row)
            found += [Filed(column, values[-2:])] if values else []
        times = int(self.counts[item_row]) if item_row < len(self.counts) else 0
        if times >= _POPULAR:
            found.append(Popular(times))
        return found
