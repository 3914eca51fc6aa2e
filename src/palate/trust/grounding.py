"""Groundedness: every item, brand, category and price that a text names must be a fact.

A generated explanation may name things that do not exist, or that belong to some other item.
:meth:`Grounds.check` finds what a text claims and holds it against the catalogue rows of the asked
item and of the user's history; :func:`mend` drops the sentences that claim something invented;
:func:`factual_sentence` is what is left to say where nothing remains.

Claims are quoted titles, titles, brands and categories of the catalogue, amounts of money, and
brands after "made by". An unquoted name that no catalogue holds cannot be told from ordinary
words: it is no claim. Item texts and generated texts are untrusted: nothing in them is run as a
pattern, and the time is linear in their length.
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
from palate.trust.sentences import QUOTED, split_sentences

ClaimKind = Literal["title", "brand", "category", "price"]

CENT = 0.01
MAX_NAME_LENGTH = 120
"""Names in a sentence made from facts are cut, at a space, to so many characters."""
MIN_QUOTED_LENGTH = 3
"""A shorter quoted word that no item bears is a letter or a mark (a key of 'F'), no title."""

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
    """Something that a text says is there: a name or a price."""

    kind: ClaimKind
    text: str
    """As it stands in the text."""
    start: int
    end: int
    sentence: int = 0
    """Which sentence of the text holds it, from 0."""
    rows: frozenset[int] = frozenset()
    """Rows of the items that bear the name; empty for a name of no item and for a price."""
    amount: float | None = None
    """The number of a price."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a text claims, and which of it is invented."""

    claims: tuple[Claim, ...]
    invented: tuple[Claim, ...]

    @property
    def is_grounded(self) -> bool:
        """Whether nothing is invented."""
        return not self.invented


@dataclass(frozen=True, slots=True)
class Groundedness:
    """How grounded many texts are."""

    num_texts: int
    num_grounded: int
    """Texts without an invented claim; a text that claims nothing is one of them."""
    num_claims: int
    num_invented: int

    @property
    def rate(self) -> float:
        """Share of texts without an invented claim, 1 where there is no text."""
        return self.num_grounded / self.num_texts if self.num_texts else 1.0

    @property
    def claim_rate(self) -> float:
        """Share of claims that are not invented, 1 where nothing is claimed."""
        return 1 - self.num_invented / self.num_claims if self.num_claims else 1.0


@dataclass(frozen=True)
class Grounds:
    """The facts that texts are held against.

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
    """What the catalogue says of each item, by row."""

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
            texts: how people write, best reviews of training; they tell names from ordinary words
                (:func:`palate.trust.names.strengths`). None means the catalogue's descriptions.
            common_share: a name that more than this share of the texts holds in small letters, and
                most that hold it, needs capitals and a neighbour to count as a name.
        """
        # Titles would not do as texts: their capitals say nothing of how people write.
        descriptions = catalog.table["description"].drop_nulls().to_list()
        written = descriptions if texts is None else texts
        spread = written[:: -(-len(written) // MAX_TEXTS) or 1]
        return cls(
            names=Names.of(catalog, spread, common_share=common_share),
            prices=tuple(catalog.table["price"].to_list()),
            texts=tuple(catalog.texts()),
        )

    def claims(self, text: str) -> list[Claim]:
        """Return what ``text`` claims, sentence by sentence."""
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
        """Return the claims of ``text`` and which are invented.

        A name is grounded where the asked item or an item of the history bears it, or where the
        catalogue's own text of one of them holds it (a shortened title, "for Fender guitars"). A
        price is grounded within a cent of the asked item's, or of an item's of the history that the
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

    def mended(self, text: str, item_row: int, history_rows: Iterable[int]) -> str:
        """Return ``text`` without the sentences that claim something invented; possibly empty."""
        return mend(text, self.check(text, item_row, history_rows))

    def groundedness(
        self,
        texts: Sequence[str],
        item_rows: Sequence[int],
        histories: Sequence[Iterable[int]],
    ) -> Groundedness:
        """Return how grounded ``texts`` are, each for its item and its user's history."""
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
        """Yield the claims of one sentence; of two that overlap the first found counts."""
        taken = bytearray(len(sentence))
        for find in (self._quoted, self._named, _amounts, _makers):
            for claim in find(sentence, bytes(taken)):
                if not any(taken[claim.start : claim.end]):
                    taken[claim.start : claim.end] = b"\1" * (claim.end - claim.start)
                    yield claim

    def _quoted(self, sentence: str, _: bytes) -> Iterator[Claim]:
        """Yield what stands in quotation marks and is a known name, or is written like a title."""
        cased = is_cased(sentence)
        for pattern in (QUOTED, _SINGLE_QUOTED):
            for match in pattern.finditer(sentence):
                phrase = phrase_of(match.group())
                known = self.names.of_phrase(phrase)
                named = known is not None and self.names.is_telling(phrase)
                if phrase and (named or _looks_like_title(match.group(), known is not None, cased)):
                    kind, rows = known or ("title", frozenset[int]())
                    yield Claim(kind, match.group(), *match.span(), rows=rows)

    def _named(self, sentence: str, taken: bytes) -> Iterator[Claim]:
        """Yield the names of the catalogue outside what is taken."""
        cased = is_cased(sentence)
        words = words_of(sentence)
        for is_taken, run in groupby(words, key=lambda word: taken[word.start]):
            if is_taken:
                continue
            free = list(run)
            for name in self.names.find(free, cased=cased):
                start, end = free[name.first].start, free[name.last].end
                yield Claim(name.kind, sentence[start:end], start, end, rows=name.rows)


def mend(text: str, verdict: Verdict) -> str:
    """Return ``text`` without the sentences that hold an invented claim; empty where none is left.

    Whole sentences go, never parts of one. Where two that are left would run together (an open
    quotation mark, a small letter after the gap) all stand on lines of their own.
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
    """Return a plain explanation made from facts alone.

    It names the newest item of the history that has the brand in common with the asked item, else
    the newest that has the narrowest category in common, else the item's own brand or category.
    Names are cut to :data:`MAX_NAME_LENGTH` characters.

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
    # Categories are listed from the broadest to the narrowest: the last says most.
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
    """Tell whether quoted words are a title rather than a saying or a word under discussion."""
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
    """Yield who is said to have made something; names of the catalogue are found before."""
    for match in _MAKER.finditer(sentence):
        yield Claim("brand", match[1], *match.span(1))


def _same_price(amount: float, price: float | None) -> bool:
    """Tell whether two prices are within a cent; one may have been kept in single precision."""
    return price is not None and abs(price - amount) <= CENT + 1e-6 * max(1.0, abs(price))


def _spaced(text: str) -> str:
    """Return the words of ``text`` between single spaces, one at each end."""
    return f" {' '.join(phrase_of(text))} "


def _clean(name: str) -> str:
    """Return a name on one line, cut, without marks that open or close a quotation."""
    line = _SPACE.sub(" ", name.translate(_QUOTATION_MARKS)).strip()
    if len(line) <= MAX_NAME_LENGTH:
        return line
    return line[: MAX_NAME_LENGTH + 1].rsplit(" ", 1)[0][:MAX_NAME_LENGTH]


def _quoted_title(catalog: Catalog, row: int) -> str:
    title = catalog.table["title"][int(row)] or catalog.table["item_id"][int(row)]
    return f'"{_clean(title)}"'
