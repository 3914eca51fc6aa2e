"""The names of a catalogue, and where a text mentions them.

A name is a sequence of words, without case and punctuation. Not every match of the words is a
mention of the name: "great strings" means neither the brand Great nor the category Strings. That
is decided by example texts (:func:`strengths`), and then by case and neighbouring words in the text
itself (:meth:`Names.find`).
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import Literal

from palate.data.catalog import Catalog

NameKind = Literal["title", "brand", "category"]
Phrase = tuple[str, ...]

MAX_WORDS = 24
"""Longer names are cut to their first words, which bounds the time per word of a text."""
MAX_TEXTS = 20_000
"""Maximum number of example texts, sampled evenly from the given ones."""
MIN_TEXTS = 5
"""A single word or a category in fewer example texts counts as a name only with capitals."""
COMMON_SHARE = 0.001

_WORD = re.compile(r"[^\W_]+")
_YEAR = re.compile(r"\s*\((?:19|20)\d\d\)\s*$")
_MOVED_ARTICLE = re.compile(r"^([^(]*\S), (the|an?)\b", re.IGNORECASE)
_CUES: dict[NameKind, tuple[frozenset[str], frozenset[str]]] = {
    "title": (frozenset({"watched", "titled", "called", "film", "movie", "book"}), frozenset()),
    "brand": (frozenset({"by", "from", "brand"}), frozenset({"brand"})),
    "category": (
        frozenset({"in", "category", "genre"}),
        frozenset({"category", "categories", "section", "department", "genre"}),
    ),
}
"""Words before and after a name that mark it as one."""


class Strength(IntEnum):
    """How much evidence a match of a name's words needs to count as a mention."""

    COMMON = 0
    """Ordinary words: they need capitals and a cue word ("by Great", "in Strings")."""
    RARE = 1
    """A rarely used single word or category: it needs capitals."""
    TELLING = 2
    """A distinctive name: it always counts."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text, with its place there."""

    text: str
    start: int
    end: int

    @property
    def folded(self) -> str:
        """The word without case."""
        return self.text.casefold()


def words_of(text: str) -> list[Word]:
    """Return the runs of letters and digits."""
    return [Word(match.group(), *match.span()) for match in _WORD.finditer(text)]


def phrase_of(text: str) -> Phrase:
    """Return the words of ``text`` in the form in which names are looked up."""
    return tuple(word.casefold() for word in _WORD.findall(text))


def is_cased(text: str) -> bool:
    """Return whether ``text`` mixes lower and upper case, so that its case is informative."""
    return not (text.islower() or text.isupper())


@dataclass(frozen=True, slots=True)
class Found:
    """A name found in a text: its kind, its first and last word, and the items that have it."""

    kind: NameKind
    first: int
    last: int
    rows: frozenset[int]


@dataclass(frozen=True)
class Names:
    """All titles, brands and categories of a catalogue, by their words.

    Names are looked up by hash, for each length that a name with the same first word has. This
    finds the longest match like a trie of words, with a fraction of the memory.
    """

    rows: Mapping[Phrase, Mapping[NameKind, frozenset[int]]]
    """Rows of the items with a name, by kind."""
    lengths: Mapping[str, tuple[int, ...]]
    """For each first word, the lengths in words of the names that start with it, longest first."""
    strengths: Mapping[Phrase, Strength]

    @classmethod
    def of(cls, catalog: Catalog, texts: Iterable[str], *, common_share: float) -> "Names":
        """Collect the names of ``catalog``; ``texts`` are examples of ordinary writing."""
        rows: dict[Phrase, dict[NameKind, set[int]]] = {}
        for row, (kind, name) in _named(catalog):
            phrase = phrase_of(name)[:MAX_WORDS]
            if phrase:
                rows.setdefault(phrase, {}).setdefault(kind, set()).add(row)
        lengths = _lengths(rows)
        return cls(
            rows={x: {k: frozenset(v) for k, v in kinds.items()} for x, kinds in rows.items()},
            lengths=lengths,
            strengths=strengths(lengths, rows, texts, common_share=common_share),
        )

    def of_phrase(self, phrase: Phrase) -> tuple[NameKind, frozenset[int]] | None:
        """Return the first kind of a name and the rows of all its kinds; None if it is unknown."""
        kinds = self.rows.get(phrase[:MAX_WORDS])
        return None if kinds is None else (next(iter(kinds)), frozenset().union(*kinds.values()))

    def is_telling(self, phrase: Phrase) -> bool:
        """Return whether a name is distinctive, whatever its case."""
        return self.strengths.get(phrase[:MAX_WORDS]) == Strength.TELLING

    def find(self, words: Sequence[Word], *, cased: bool) -> Iterator[Found]:
        """Yield the names in ``words`` from left to right, the longest at each place.

        Args:
            words: the words of one sentence.
            cased: whether the case of the sentence is informative.
        """
        folded = [word.folded for word in words]
        place = 0
        while place < len(words):
            found = self._longest(words, folded, place, cased=cased)
            if found is not None:
                yield found
            place = place + 1 if found is None else found.last + 1

    def _longest(
        self, words: Sequence[Word], folded: Sequence[str], first: int, *, cased: bool
    ) -> Found | None:
        for phrase in _phrases_at(self.lengths, self.rows, folded, first):
            last = first + len(phrase) - 1
            for kind in self.rows[phrase]:
                if self._counts(phrase, kind, words, first, cased=cased):
                    _, rows = self.of_phrase(phrase) or (kind, frozenset())
                    return Found(kind, first, last, rows)
        return None

    def _counts(
        self, phrase: Phrase, kind: NameKind, words: Sequence[Word], first: int, *, cased: bool
    ) -> bool:
        """Return whether the words at ``first`` count as a mention of the name."""
        strength = self.strengths[phrase]
        if strength == Strength.TELLING:
            return True
        last = first + len(phrase) - 1
        if not cased or words[first].text[0].islower() or words[last].text[0].islower():
            return False
        if strength == Strength.RARE:
            return True
        before, after = _CUES[kind]
        return (first > 0 and words[first - 1].folded in before) or (
            first > 0 and last + 1 < len(words) and words[last + 1].folded in after
        )


def strengths(
    lengths: Mapping[str, tuple[int, ...]],
    names: Mapping[Phrase, Collection[NameKind]],
    texts: Iterable[str],
    *,
    common_share: float,
) -> dict[Phrase, Strength]:
    """Decide the strength of each name by document frequency.

    Args:
        lengths: for each first word, the lengths of the names that start with it, longest first.
        names: the names, with their kinds.
        texts: examples of ordinary writing.
        common_share: see below.

    A number or a single letter is *common*. A name that is in lower case in most of the texts that
    contain it is *common* if these are more than ``common_share`` of all texts, else *rare*. A
    single word or a name that is only a category is *rare* if fewer than :data:`MIN_TEXTS` texts
    contain it. All other names are *telling*. Texts without lower case or without capitals are
    left out.
    """
    held, small, num_texts = Counter[Phrase](), Counter[Phrase](), 0
    for text in islice(filter(is_cased, texts), MAX_TEXTS):
        num_texts += 1
        words = words_of(text)
        folded = [word.folded for word in words]
        seen: dict[Phrase, bool] = {}
        for first in range(len(words)):
            for phrase in _phrases_at(lengths, names, folded, first):
                is_small = all(word.text.islower() for word in words[first : first + len(phrase)])
                seen[phrase] = seen.get(phrase, False) or is_small
        held.update(seen.keys())
        small.update(phrase for phrase, is_small in seen.items() if is_small)
    least = common_share * num_texts

    def strength(phrase: Phrase) -> Strength:
        if len(phrase) == 1 and (len(phrase[0]) == 1 or phrase[0].isdigit()):
            return Strength.COMMON
        if 2 * small[phrase] > held[phrase]:
            return Strength.COMMON if small[phrase] > least else Strength.RARE
        ordinary = len(phrase) == 1 or set(names[phrase]) == {"category"}
        unseen = held[phrase] < MIN_TEXTS
        return Strength.RARE if ordinary and unseen else Strength.TELLING

    return {phrase: strength(phrase) for phrase in names}


def _phrases_at(
    lengths: Mapping[str, tuple[int, ...]],
    phrases: Collection[Phrase],
    folded: Sequence[str],
    first: int,
) -> Iterator[Phrase]:
    """Yield the names that match the words from ``first`` on, longest first."""
    for length in lengths.get(folded[first], ()):
        phrase = tuple(folded[first : first + length])
        if phrase in phrases:
            yield phrase


def _lengths(phrases: Iterable[Phrase]) -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = {}
    for phrase in phrases:
        found.setdefault(phrase[0], set()).add(len(phrase))
    return {word: tuple(sorted(lengths, reverse=True)) for word, lengths in found.items()}


def _named(catalog: Catalog) -> Iterator[tuple[int, tuple[NameKind, str]]]:
    """Yield each item's row with the kind and the wording of each of its names."""
    for row, title in enumerate(catalog.titles()):
        for wording in _wordings(title):
            yield row, ("title", wording)
    for row, brand in enumerate(catalog.table["brand"]):
        if brand:
            yield row, ("brand", brand)
    for row, categories in enumerate(catalog.table["categories"].to_list()):
        for category in categories or ():
            yield row, ("category", category)


def _wordings(title: str) -> Iterator[str]:
    """Yield the wordings of a title: "Matrix, The (1999)" is also "The Matrix"."""
    for wording in (title, _MOVED_ARTICLE.sub(r"\2 \1", title)):
        yield wording
        yield _YEAR.sub("", wording)
