"""Reading a wish: from free words to conditions, by the catalogue's own terms.

No model is asked. What is read is bounded, and the same words always mean the same::

    cheap nail polish by OPI, but not glitter
    price     category     brand      avoided word
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from palate.language.wishes.terms import MAX_PHRASE, UBIQUITOUS, Terms
from palate.language.wishes.wish import PriceLevel, Wish
from palate.language.wishes.words import SMALL, tokens_of

MAX_TEXT = 600
"""Characters of a wish that are read."""
MAX_TOKENS = 100
MAX_PARTS = 12
"""Conditions and words that are taken from one wish."""

PartKind = Literal[
    "category", "brand", "attribute", "price", "word", "like", "history", "for", "meaning"
]

_SCOPE = 8
"""Words after a negation that it reaches."""
_NO_WORDS = """
no not without except excluding exclude avoid never nothing nor minus skip hate dislike isnt arent
dont doesnt wont neither besides
"""
_NO = frozenset(_NO_WORDS.split())
_NO_PAIRS = frozenset(
    {
        *(("other", "than"), ("anything", "but"), ("rather", "than"), ("instead", "of")),
        *(("free", "of"), ("leave", "out"), ("leav", "out"), ("sick", "of"), ("tired", "of")),
        *(("bored", "with"), ("apart", "from"), ("away", "from"), ("aside", "from")),
        *(("enough", "of"), ("stay", "off"), ("everything", "but"), ("lacking", "in")),
    }
)
_BUT = frozenset({"but", "however", "though", "although", "just", "instead", "please"})
_JOINS = frozenset({"or", "nor", "and"})
_BY = frozenset({"by", "from", "brand", "maker", "make"})
_COLUMN_CUES = {
    "director": frozenset({"by", "directed", "director"}),
    "actor": frozenset({"with", "starring", "star", "featuring", "actor"}),
}
_SMALL_IN_NAMES = frozenset({"and", "of", "for", "the"})

_NUMBER = r"[$£€]?\s?(\d{1,6}(?:[.,]\d{1,2})?)\s?(?:dollars?|bucks?|euros?|pounds?|usd|eur|gbp)?\b"
_MAX = re.compile(
    r"\b(?:under|below|(?:for |costing |that costs? |cost )?less than|cheaper than|"
    r"(?:for )?no more than|not more than|at (?:the )?most|up to|max(?:imum)?(?: of)?|within|"
    r"(?:not|nothing|isn't|never) (?:over|above|beyond)|"
    r"(?:won't|doesn't|not|does not|will not) (?:cost|costing|go|going) (?:me )?"
    r"(?:more than|over|above)|"
    r"budget (?:of|is)|stays? (?:under|below))\s*" + _NUMBER,
    re.IGNORECASE,
)
_MIN = re.compile(
    r"\b(?:over|above|more than|at least|starting at|no less than|not (?:under|below)|upwards of|"
    r"upward of|dearer than|pricier than|costs? (?:over|above))\s*" + _NUMBER,
    re.IGNORECASE,
)
_BETWEEN = re.compile(
    r"\b(?:between|from)\s*" + _NUMBER + r"\s*(?:and|to|-)\s*" + _NUMBER, re.IGNORECASE
)
_LOW = re.compile(
    r"\b(?:cheap(?:er|est)?|inexpensive|affordable|low[- ]priced?|bargains?|economical|"
    r"(?:on a|tight|low|small) budget|budget[- ]friendly|budget|easy on the wallet|"
    r"(?:not|isn't|nothing|without being|less) (?:too |so |very )?(?:expensive|pricey|dear))\b",
    re.IGNORECASE,
)
_HIGH = re.compile(
    r"\b(?:expensive|luxury|luxurious|high[- ]end|pric(?:e)?y|top[- ]shelf|upmarket|upscale|posh|"
    r"not (?:too |so )?cheap|money is no object|splurge|treat myself)\b",
    re.IGNORECASE,
)
_PEOPLE = (
    "mother|mom|mum|mommy|father|dad|daddy|sister|brother|friend|wife|husband|son|daughter|niece|"
    "nephew|aunt|uncle|grandmother|grandma|granny|grandfather|grandpa|boss|colleague|coworker|"
    "neighbou?r|teacher|girlfriend|boyfriend|partner|cousin|parents|roommate|in-law"
)
_OTHER = re.compile(
    rf"\b(?:(?:as )?an? (?:birthday |christmas )?(?:gift|present)(?: for (?:my|a|our|his|her) "
    rf"(?:\w+ )?(?:{_PEOPLE}))?|for (?:my|a|our|his|her) (?:\w+ )?(?:{_PEOPLE})(?:'s)?|"
    r"(?:for )?some(?:body|one) else|not for (?:me|myself)|on behalf of \w+|isn't for me)\b",
    re.IGNORECASE,
)
_UNLIKE = re.compile(
    r"\b(?:unlike|different (?:from|to|than)|nothing like|not like|other than|away from|"
    r"a (?:change|break|departure) from|not (?:at all )?like|far from|bored (?:of|with)|"
    r"tired of)\s+(?:all |anything |everything |things )?(?:my |the |what |that )*"
    r"(?:rest|usual\w*|others?|history|past|last ones?|purchases|own|i (?:usually |normally "
    r"|always |already |'ve |have |had |own |buy |bought |get |got |watch\w* |see |saw |seen )*\w*)"
    r"\b|"
    r"\b(?:not (?:my|the) usual(?: \w+)?|something (?:completely |totally |entirely |quite |very )?"
    r"(?:different|new|fresh for me)(?: for me| to me)?|out of my comfort zone|"
    r"(?:nothing|not) (?:i|that i) (?:usually|normally) \w+|surprise me)\b",
    re.IGNORECASE,
)
_LIKE = re.compile(
    r"\b(?:like|similar to|in the (?:style|spirit|vein) of|along the lines of|reminds me of|"
    r"resembl(?:es|ing)|close to|as in)\s+",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that was understood of a wish."""

    kind: PartKind
    name: str
    avoided: bool = False

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {"kind": self.kind, "name": self.name, "avoid": self.avoided}


@dataclass(frozen=True, slots=True)
class Reading:
    """A wish as it was understood."""

    wish: Wish
    parts: tuple[Part, ...]
    content: str
    """The words that say what the items should be; their text vector is the wish's meaning."""
    unknown: tuple[str, ...]
    """Words that the catalogue does not have."""


def read_wish(text: str, terms: Terms) -> Reading:
    """Return what a text asks for, in the terms of a catalogue."""
    return _Reader(text[:MAX_TEXT], terms).read()


@dataclass(eq=False)
class _Reader:
    """Reads one text; mutable."""

    text: str
    terms: Terms
    parts: list[Part] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)
    avoided: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    avoided_words: list[str] = field(default_factory=list)
    like: list[int] = field(default_factory=list)
    content: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    prices: dict[str, float] = field(default_factory=dict)

    def read(self) -> Reading:
        self.tokens = tokens_of(self.text)[:MAX_TOKENS]
        self.free = [True] * len(self.tokens)
        self.cased = not (self.text.islower() or self.text.isupper())
        names = self._named()
        unlike = self._take(_UNLIKE, "history", "unlike what was chosen before")
        other = self._take(_OTHER, "for", "somebody else")
        self._likenesses()
        level = self._priced()
        self._terms(names)
        return Reading(
            Wish(
                wanted=tuple(self.wanted),
                avoided=tuple(self.avoided),
                words=tuple(self.words),
                avoided_words=tuple(self.avoided_words),
                price_min=self.prices.get("min"),
                price_max=self.prices.get("max"),
                price_level=level,
                like=tuple(self.like),
                unlike_history=unlike,
                for_other=other,
            ),
            tuple(self.parts),
            " ".join(self.content),
            tuple(self.unknown),
        )

    # --- Spans

    def _named(self) -> dict[int, tuple[int, tuple[int, ...]]]:
        """Return the end and the labels of the longest name at each place, none overlapping."""
        found: dict[int, tuple[int, tuple[int, ...]]] = {}
        place = 0
        while place < len(self.tokens):
            end, labels = self._longest(place)
            if labels:
                found[place] = end, labels
            place = max(end, place + 1)
        return found

    def _longest(self, first: int) -> tuple[int, tuple[int, ...]]:
        for end in range(min(len(self.tokens), first + MAX_PHRASE), first, -1):
            phrase = tuple(
                token.folded
                for token in self.tokens[first:end]
                if token.folded not in _SMALL_IN_NAMES or end - first == 1
            )
            labels = self.terms.phrases.get(
                tuple(token.folded for token in self.tokens[first:end])
            ) or (self.terms.phrases.get(phrase) if self._is_whole(first, end) else None)
            cued = first > 0 and self.tokens[first - 1].folded in _BY
            if labels and (cued or len(phrase) != 1 or phrase[0] not in SMALL):
                return end, labels
        return first, ()

    def _is_whole(self, first: int, end: int) -> bool:
        ends = self.tokens[first].folded, self.tokens[end - 1].folded
        return end - first > 1 and _SMALL_IN_NAMES.isdisjoint(ends)

    def _spans(self, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], list[int]]]:
        """Yield the matches of a pattern over words that are still free."""
        for match in pattern.finditer(self.text):
            places = [
                place
                for place, token in enumerate(self.tokens)
                if token.start < match.end() and token.end > match.start()
            ]
            if places and all(self.free[place] for place in places):
                yield match, places

    def _use(self, places: Sequence[int]) -> None:
        for place in places:
            self.free[place] = False

    def _say(self, kind: PartKind, name: str, *, avoided: bool = False) -> None:
        self.parts.append(Part(kind, name, avoided))

    def _take(self, pattern: re.Pattern[str], kind: PartKind, name: str) -> bool:
        found = False
        for _, places in self._spans(pattern):
            self._use(places)
            found = True
        if found:
            self._say(kind, name)
        return found

    # --- Likeness

    def _likenesses(self) -> None:
        """Find items that are named after *like*, by the whole title or a telling beginning."""
        for match in _LIKE.finditer(self.text):
            first = next((p for p, t in enumerate(self.tokens) if t.start >= match.end()), None)
            if first is None or not self.free[first]:
                continue
            found = self._title_at(first)
            if found is not None:
                row, end = found
                self.like.append(row)
                self._use([*range(first, end)])
                title = " ".join(token.text for token in self.tokens[first:end])
                self._say("like", title)

    def _title_at(self, first: int) -> tuple[int, int] | None:
        folded = tuple(token.folded for token in self.tokens[first:])
        for length in range(len(folded), 0, -1):
            row = self.terms.titles.get(folded[:length])
            if row is not None:
                return row, first + length
        return None

    # --- Price

    def _priced(self) -> PriceLevel | None:
        if not self.terms.has_prices:
            return None
        for match, places in self._spans(_BETWEEN):
            low, high = sorted(_number(value) for value in match.groups())
            self.prices |= {"min": low, "max": high}
            self._say("price", f"{low:g} to {high:g}")
            self._use(places)
        for name, pattern, said in (("max", _MAX, "at most"), ("min", _MIN, "at least")):
            for match, places in self._spans(pattern):
                self.prices[name] = _number(match.group(1))
                self._say("price", f"{said} {self.prices[name]:g}")
                self._use(places)
        for level, pattern in (("low", _LOW), ("high", _HIGH)):
            for _, places in self._spans(pattern):
                self._say("price", "low" if level == "low" else "high")
                self._use(places)
                return "low" if level == "low" else "high"
        return None

    # --- Terms

    def _terms(self, names: dict[int, tuple[int, tuple[int, ...]]]) -> None:
        place, negated_until = 0, -1
        while place < len(self.tokens):
            if not self.free[place]:
                place += 1
                continue
            opened = self._negates(place)
            if opened and place not in names:
                negated_until = min(place + opened + _SCOPE, len(self.tokens))
                place += opened
                continue
            negated = place < negated_until
            end = self._one_term(place, names, negated=negated)
            if negated and self._closes(end, place):
                negated_until = -1
            place = end

    def _negates(self, place: int) -> int:
        """Return the length of a negation at a place; 0 where there is none."""
        pair = tuple(token.folded for token in self.tokens[place : place + 2])
        if pair in _NO_PAIRS:
            return 2
        return int(self.tokens[place].folded in _NO)

    def _closes(self, end: int, place: int) -> bool:
        """Return whether a negation ends before a place."""
        if self.tokens[end - 1].ends_clause:
            following = self.tokens[end].folded if end < len(self.tokens) else ""
            return following not in {"or", "nor"}
        if end < len(self.tokens) and self.tokens[end].folded in _BUT:
            return True
        said = self.tokens[place].folded not in SMALL
        return said and end < len(self.tokens) and self._moves_on(end)

    def _moves_on(self, place: int) -> bool:
        """Return whether something else is spoken of after a negated term."""
        token = self.tokens[place].folded
        return token not in _JOINS and token in SMALL

    def _one_term(
        self, place: int, names: dict[int, tuple[int, tuple[int, ...]]], *, negated: bool
    ) -> int:
        """Take the name or the word at a place; return where the next begins."""
        end, labels = names.get(place, (place, ()))
        if labels and all(self.free[place:end]):
            chosen = self._chosen(place, end, labels)
            if chosen:
                self._add_labels(chosen, place, end, negated=negated or self._is_free_of(end))
                return end
        self._add_word(place, negated=negated or self._is_free_of(place + 1))
        return place + 1

    def _is_free_of(self, end: int) -> bool:
        """Return whether *-free* follows, as in *fragrance-free*."""
        if end >= len(self.tokens) or self.tokens[end].text.casefold() != "free":
            return False
        between = self.text[self.tokens[end - 1].end : self.tokens[end].start]
        if between in {"-", " ", "\u2011"}:
            self.free[end] = False
            return True
        return False

    def _chosen(self, place: int, end: int, labels: Sequence[int]) -> list[int]:
        """Return the labels that a name stands for; none where it is an ordinary word.

        A person may be the director of one film and an actor of another: both are meant.
        """
        before = self.tokens[place - 1].folded if place else ""
        after = self.tokens[end].folded if end < len(self.tokens) else ""
        worth = [self._worth(label, place, {before, after}) for label in labels]
        best = max(worth)
        kind = self.terms.labels[labels[worth.index(best)]].kind
        if best <= 0:
            return []
        if kind != "attribute":
            return [labels[worth.index(best)]]
        return [
            label
            for label, found in zip(labels, worth, strict=True)
            if self.terms.labels[label].kind == kind and int(found) == int(best)
        ]

    def _worth(self, label: int, place: int, cues: set[str]) -> float:
        found, size = self.terms.labels[label], len(self.terms.label_rows[label])
        if self.terms.share[label] > UBIQUITOUS:
            return 0.0
        cued = self._is_cued(label, cues)
        capital = self.cased and place > 0 and self.tokens[place].text[:1].isupper()
        if found.kind != "category" and self.terms.is_ordinary(label) and not (cued or capital):
            return 0.0
        kind = {"category": 2.0, "brand": 1.0, "attribute": 0.0}[found.kind]
        return 1.0 + 4.0 * cued + kind + size / (size + 1.0) / 2

    def _is_cued(self, label: int, cues: set[str]) -> bool:
        found = self.terms.labels[label]
        if found.kind == "brand":
            return not _BY.isdisjoint(cues)
        near = _COLUMN_CUES.get(found.column.removesuffix("s"), frozenset({found.column}))
        return found.kind == "attribute" and not near.isdisjoint(cues)

    def _add_labels(self, labels: Sequence[int], place: int, end: int, *, negated: bool) -> None:
        self._use([*range(place, end)])
        into = self.avoided if negated else self.wanted
        if labels[0] in into or len(self.parts) >= MAX_PARTS:
            return
        into.extend(label for label in labels if label not in into)
        found = self.terms.labels[labels[0]]
        self._say(found.kind, found.name, avoided=negated)
        if not negated:
            self.content.append(found.name)

    def _add_word(self, place: int, *, negated: bool) -> None:
        token, was_free = self.tokens[place], self.free[place]
        self.free[place] = False
        word = token.folded
        if not was_free or word in SMALL or word in _NO or word in _BUT:
            return
        if len(word) < 2 or word.isdigit():
            return
        if not self.terms.tells(word):
            if self.terms.num_with(word) == 0 and len(self.unknown) < MAX_PARTS:
                self.unknown.append(token.text)
                if not negated:
                    self.content.append(token.text)
            return
        into = self.avoided_words if negated else self.words
        if word in into or len(self.parts) >= MAX_PARTS:
            return
        into.append(word)
        self._say("word", token.text, avoided=negated)
        if not negated:
            self.content.append(token.text)


def _number(text: str) -> float:
    return float(text.replace(",", "."))
