"""Groundedness: every item, brand, category and price that a text names must be a fact.

A generated explanation may name things that do not exist, or that belong to another item.
:meth:`Grounds.check` finds the claims of a text and compares them with the catalogue rows of the
item and of the user's history; :func:`drop_invented` removes the sentences with invented claims;
:func:`factual_sentence` is the fallback when no sentence remains.

Claims are quoted titles, titles, brands and categories of the catalogue, amounts of money, and
brands after "made by". An unquoted name outside the catalogue cannot be distinguished from
ordinary words: it is not a claim. Item texts and generated texts are untrusted: they are never used
as a pattern, and the time is linear in their length.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

import polars as pl

from palate.data.catalog import Catalog
from palate.errors import DataError
from palate.trust.names import COMMON_SHARE, MAX_TEXTS, Names, is_cased, phrase_of, words_of
from palate.trust.sentences import split_sentences

ClaimKind = Literal["title", "brand", "category", "price"]

CENT = 0.01
MAX_NAME_LENGTH = 120
"""Maximum number of characters of a name in a factual sentence; it is cut at a space."""
MIN_QUOTED_LENGTH = 3
"""A shorter quoted word that is not in the catalogue is a letter or a grade ('F'), not a title."""

# The mark of an inch (6") opens no quotation.
_QUOTED = re.compile(r'(?<!\w)"[^"\n]*"|“[^“”\n]*”')
_SINGLE_QUOTED = re.compile(
    r"(?<!\w)['\u2018](?=[^\W\d_a-z])"
    r"(?:[^'\u2019\"\n]|(?<=\w)['\u2019](?=\w)){1,120}['\u2019](?!\w)"
)
_NUMBER = r"([0-9][0-9,]{0,15}(?:\.[0-9]{1,4})?)"
_MONEY = re.compile(
    rf"[$£€]\s?{_NUMBER}|(?<![0-9.,]){_NUMBER}\s?(?:dollars|bucks|euros|usd|eur)\b", re.IGNORECASE
)
_MAKER = re.compile(
    r"\b(?:made|manufactured|sold) by (?:the )?([A-Z][\w'&-]{0,40}(?: [A-Z][\w'&-]{0,40}){0,3})"
)
_CHOSEN = "which you chose"
_QUOTATION_MARKS = str.maketrans(dict.fromkeys('"“„«»', "”"))
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Claim:
    """A name or a price in a text."""

    kind: ClaimKind
    text: str
    """The words of the claim, as in the text."""
    start: int
    end: int
    sentence: int = 0
    """Number of the sentence that contains it, from 0."""
    rows: frozenset[int] = frozenset()
    """Rows of the items with this name; empty for an unknown name and for a price."""
    amount: float | None = None
    """The number of a price."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The claims of a text, and the invented ones among them."""

    claims: tuple[Claim, ...]
    invented: tuple[Claim, ...]

    @property
    def is_grounded(self) -> bool:
        """Whether nothing is invented."""
        return not self.invented


@dataclass(frozen=True, slots=True)
class Groundedness:
    """Groundedness of many texts."""

    num_texts: int
    num_grounded: int
    """Number of texts without an invented claim, including those without any claim."""
    num_claims: int
    num_invented: int

    @property
    def rate(self) -> float:
        """Share of texts without an invented claim; 1 without texts."""
        return self.num_grounded / self.num_texts if self.num_texts else 1.0


@dataclass(frozen=True)
class Grounds:
    """The facts that texts are checked against.

    Example:
        >>> from palate.simulation.world import World
        >>> catalog = World(num_users=20, num_items=30, seed=1).dataset().catalog
        >>> grounds = Grounds.of(catalog)
        >>> grounds.check(f'"{catalog.titles()[0]}" is new.', 0, []).is_grounded
        True
        >>> [claim.text for claim in grounds.check('Try "No Such Thing".', 0, []).invented]
        ['"No Such Thing"']
    """

    names: Names
    prices: tuple[float | None, ...]
    """Price by row."""
    texts: tuple[str, ...]
    """Text of each item in the catalogue, by row."""

    @classmethod
    def of(
        cls,
        catalog: Catalog,
        *,
        texts: Sequence[str] | None = None,
        common_share: float = COMMON_SHARE,
    ) -> "Grounds":
        """Collect the facts of ``catalog``.

        Args:
            catalog: the items.
            texts: examples of ordinary writing, ideally reviews of the training split; they
                distinguish names from ordinary words (:func:`palate.trust.names.strengths`). None
                means the descriptions of the catalogue.
            common_share: a name needs capitals and a cue word next to it if more than this share of
                the texts contains it in lower case, and most texts with the name do.
        """
        # Titles are not suitable here: their capitals do not show how people write.
        descriptions = catalog.table["description"].drop_nulls().to_list()
        examples = descriptions if texts is None else texts
        sampled = examples[:: -(-len(examples) // MAX_TEXTS) or 1]
        return cls(
            names=Names.of(catalog, sampled, common_share=common_share),
            prices=tuple(catalog.table["price"].to_list()),
            texts=tuple(catalog.texts()),
        )

    def claims(self, text: str) -> list[Claim]:
        """Return the claims of ``text``, sentence by sentence."""
        found: list[Claim] = []
        offset = 0
        for number, sentence in enumerate(split_sentences(text)):
            inside = sorted(self._claims_of(sentence), key=lambda claim: claim.start)
            found += [
                replace(x, start=x.start + offset, end=x.end + offset, sentence=number)
                for x in inside
            ]
            offset += len(sentence)
        return found

    def check(self, text: str, item_row: int, history_rows: Iterable[int]) -> Verdict:
        """Return the claims of ``text`` and the invented ones among them.

        A name is grounded if it belongs to the item or to an item of the history, or if the
        catalogue text of one of them contains it (a shortened title, "for Fender guitars"). A price
        is grounded if it is within a cent of the price of the item, or of a history item that the
        same sentence names by its title.

        Raises:
            DataError: when a row is not in the catalogue.
        """
        history = {int(row) for row in history_rows}
        allowed = history | {int(item_row)}
        if outside := [row for row in allowed if not 0 <= row < len(self.prices)]:
            raise DataError(
                f"The catalogue has rows 0 to {len(self.prices) - 1}, got {outside[0]}.",
                hint="Check a text against the catalogue that its items come from.",
            )
        claims = self.claims(text)
        invented = self._invented_names(claims, allowed)
        invented |= self._invented_prices(claims, int(item_row), history)
        return Verdict(claims=tuple(claims), invented=tuple(x for x in claims if x in invented))

    def without_invented(self, text: str, item_row: int, history_rows: Iterable[int]) -> str:
        """Return ``text`` without the sentences with an invented claim; possibly empty."""
        return drop_invented(text, self.check(text, item_row, history_rows))

    def groundedness(
        self,
        texts: Sequence[str],
        item_rows: Sequence[int],
        histories: Sequence[Iterable[int]],
    ) -> Groundedness:
        """Return the groundedness of ``texts``, each for its item and its user's history."""
        verdicts = [
            self.check(text, item_row, history)
            for text, item_row, history in zip(texts, item_rows, histories, strict=True)
        ]
        return Groundedness(
            num_texts=len(verdicts),
            num_grounded=sum(verdict.is_grounded for verdict in verdicts),
            num_claims=sum(len(verdict.claims) for verdict in verdicts),
            num_invented=sum(len(verdict.invented) for verdict in verdicts),
        )

    def _invented_names(self, claims: Sequence[Claim], allowed: set[int]) -> set[Claim]:
        doubtful = [x for x in claims if x.kind != "price" and x.rows.isdisjoint(allowed)]
        own_texts = [_spaced(self.texts[row]) for row in allowed] if doubtful else []
        return {
            claim for claim in doubtful if not any(_spaced(claim.text) in own for own in own_texts)
        }

    def _invented_prices(
        self, claims: Sequence[Claim], item_row: int, history: set[int]
    ) -> set[Claim]:
        priced: dict[int, set[int]] = {}
        for claim in claims:
            rows = priced.setdefault(claim.sentence, {item_row})
            if claim.kind == "title":
                rows |= claim.rows & history
        return {
            claim
            for claim in claims
            if claim.amount is not None
            and not any(
                _same_price(claim.amount, self.prices[row]) for row in priced[claim.sentence]
            )
        }

    def _claims_of(self, sentence: str) -> Iterator[Claim]:
        """Yield the claims of one sentence; of two that overlap, the first one found counts."""
        taken = bytearray(len(sentence))
        for find in (self._quoted, self._named, _amounts, _makers):
            for claim in find(sentence, bytes(taken)):
                if not any(taken[claim.start : claim.end]):
                    taken[claim.start : claim.end] = b"\1" * (claim.end - claim.start)
                    yield claim

    def _quoted(self, sentence: str, _: bytes) -> Iterator[Claim]:
        """Yield quoted phrases that are known names or look like titles."""
        cased = is_cased(sentence)
        for pattern in (_QUOTED, _SINGLE_QUOTED):
            for match in pattern.finditer(sentence):
                phrase = phrase_of(match.group())
                known = self.names.of_phrase(phrase)
                named = known is not None and self.names.is_telling(phrase)
                if phrase and (named or _looks_like_title(match.group(), known is not None, cased)):
                    kind, rows = known or ("title", frozenset[int]())
                    yield Claim(kind, match.group(), *match.span(), rows=rows)

    def _named(self, sentence: str, taken: bytes) -> Iterator[Claim]:
        """Yield the names of the catalogue outside the characters that are already taken."""
        cased = is_cased(sentence)
        words = words_of(sentence)
        for is_taken, run in groupby(words, key=lambda word: taken[word.start]):
            if is_taken:
                continue
            free = list(run)
            for name in self.names.find(free, cased=cased):
                start, end = free[name.first].start, free[name.last].end
                yield Claim(name.kind, sentence[start:end], start, end, rows=name.rows)


def drop_invented(text: str, verdict: Verdict) -> str:
    """Return ``text`` without the sentences that contain an invented claim; possibly empty.

    Only whole sentences are removed. If joining the rest would merge two sentences (an open
    quotation mark, a lower-case letter after the gap), each gets a line of its own.
    """
    lost = {(claim.start, claim.end) for claim in verdict.invented}
    if not lost:
        return text
    starts = sorted(start for start, _ in lost)
    kept, begin = [], 0
    for sentence in split_sentences(text):
        end = begin + len(sentence)
        if bisect_left(starts, begin) == bisect_left(starts, end):
            kept.append(sentence)
        begin = end
    joined = "".join(kept).strip()
    alone = [sentence.strip() for sentence in kept if sentence.strip()]
    parted = [sentence.strip() for sentence in split_sentences(joined)]
    return joined if parted == alone else "\n".join(alone)


def factual_sentence(catalog: Catalog, item_row: int, history_rows: Iterable[int]) -> str:
    """Return a plain explanation that only states facts.

    It names the newest history item of the same brand, else the newest one that shares the
    narrowest possible category, else the item's own brand or category. Names are cut to
    :data:`MAX_NAME_LENGTH` characters.

    Args:
        catalog: the items.
        item_row: the item to explain.
        history_rows: the user's items, oldest first.

    Example:
        >>> from palate.simulation.world import World
        >>> catalog = World(num_users=20, num_items=30, seed=1).dataset().catalog
        >>> factual_sentence(catalog, 0, []).count('"')
        2
    """
    brands, categories = catalog.table["brand"], catalog.table["categories"]
    newest_first = [int(row) for row in history_rows if int(row) != int(item_row)][::-1]
    title, brand = _quoted_title(catalog, item_row), _clean(brands[int(item_row)] or "")
    own = _of_list(categories, item_row)
    if brand:
        for row in newest_first:
            if brands[row] == brands[int(item_row)]:
                return f"{title} is by {brand}, as is {_quoted_title(catalog, row)}, {_CHOSEN}."
    # Categories are listed from the broadest to the narrowest; the last is the most informative.
    for category in reversed(own):
        for row in newest_first:
            if category in _of_list(categories, row):
                other = _quoted_title(catalog, row)
                return f"{title} is in {_clean(category)}, as is {other}, {_CHOSEN}."
    if brand:
        return f"{title} is by {brand}."
    if own:
        return f"{title} is in {_clean(own[-1])}."
    return f"Nothing in the catalogue links {title} to what you chose before."


def _of_list(column: pl.Series, row: int) -> list[str]:
    values = column[int(row)]
    return [] if values is None else list(values)


def _looks_like_title(quoted: str, known: bool, cased: bool) -> bool:
    """Return whether quoted words look like a title rather than a phrase or a mentioned word."""
    words = [word.text for word in words_of(quoted)]
    if not cased:
        return known or len(words) > 1
    if not known and len(words) == 1 and len(words[0]) < MIN_QUOTED_LENGTH:
        return False
    return not words[0][0].islower() and 2 * sum(not x[0].islower() for x in words) >= len(words)


def _amounts(sentence: str, _: bytes) -> Iterator[Claim]:
    """Yield the amounts of money."""
    for match in _MONEY.finditer(sentence):
        amount = float((match[1] or match[2]).replace(",", ""))
        yield Claim("price", match.group(), *match.span(), amount=amount)


def _makers(sentence: str, _: bytes) -> Iterator[Claim]:
    """Yield unknown makers ("made by ..."); names of the catalogue are found earlier."""
    for match in _MAKER.finditer(sentence):
        yield Claim("brand", match[1], *match.span(1))


def _same_price(amount: float, price: float | None) -> bool:
    """Return whether two prices are within a cent; one may be stored in single precision."""
    return price is not None and abs(price - amount) <= CENT + 1e-6 * max(1.0, abs(price))


def _spaced(text: str) -> str:
    """Return the words of ``text`` between single spaces, one at each end."""
    return f" {' '.join(phrase_of(text))} "


def _clean(name: str) -> str:
    """Return a name on one line, cut, with its quotation marks replaced."""
    line = _SPACE.sub(" ", name.translate(_QUOTATION_MARKS)).strip()
    if len(line) <= MAX_NAME_LENGTH:
        return line
    return line[: MAX_NAME_LENGTH + 1].rsplit(" ", 1)[0][:MAX_NAME_LENGTH]


def _quoted_title(catalog: Catalog, row: int) -> str:
    title = catalog.table["title"][int(row)] or catalog.table["item_id"][int(row)]
    return f'"{_clean(title)}"'
