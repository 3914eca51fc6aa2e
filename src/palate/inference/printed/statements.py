"""Statements: what an explanation says, as data, each with its source.

An explanation is a list of these before it is a sentence. Whoever shows it can therefore check
each of them, count them, or say them in other words; and a rewriter can be held to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from palate.language.text.voices import Quote

Standing = Literal["about", "less", "more"]
"""Where a price stands beside what somebody usually chooses."""


@dataclass(frozen=True, slots=True)
class Because:
    """Events of the history without which the score of the item falls."""

    events: tuple[int, ...]
    """Places in the history, 0 is the oldest; the weightiest first."""
    item_ids: tuple[str, ...]
    names: tuple[str, ...]
    """What the items are called in print."""
    act: str
    """What was done with them: "gave five stars to {}", "bought {}"."""
    weight: float | None
    """How much the score falls without the first of them; None where the model cannot tell."""
    own_words: str = ""
    """Title of the user's own review of the first of them, if it praises."""
    rating: str = ""
    """The rating of the first of them in words: "five stars"."""

    @property
    def source(self) -> str:
        """Where it comes from."""
        told = "history" if self.weight is None else "why"
        return f"{told}: events {', '.join(map(str, self.events))}"

    @property
    def plain(self) -> str:
        """The statement as a plain sentence."""
        own = f' About it you wrote "{self.own_words}".' if self.own_words else ""
        return f"You {self.act.format(listed(self.names))}.{own}"


@dataclass(frozen=True, slots=True)
class Shared:
    """A fact of the catalogue that the item and an item of the history have in common."""

    column: str
    """Name of the column: brand, categories, director, ..."""
    values: tuple[str, ...]
    name: str
    """What the item of the history is called in print."""
    item_id: str

    @property
    def source(self) -> str:
        """Where it comes from."""
        return f"catalogue: {self.column}"

    @property
    def plain(self) -> str:
        """The statement as a plain sentence."""
        return f"Like {self.name}, it {predicate(self.column, self.values)}."


@dataclass(frozen=True, slots=True)
class Alike:
    """Words that stand in the descriptions of the item and of an item of the history."""

    words: str
    name: str
    item_id: str

    @property
    def source(self) -> str:
        """Where it comes from."""
        return "catalogue: description"

    @property
    def plain(self) -> str:
        """The statement as a plain sentence."""
        return f'Its description, like that of {self.name}, says "{self.words}".'


@dataclass(frozen=True, slots=True)
class Priced:
    """The price beside what the user usually chooses, the median over the history."""

    price: float
    usual: float | None
    standing: Standing | None

    @property
    def source(self) -> str:
        """Where it comes from."""
        return "catalogue: price"

    @property
    def plain(self) -> str:
        """The statement as a plain sentence."""
        if self.usual is None or self.standing is None:
            return f"It costs {money(self.price)}."
        beside = {
            "about": "about as much as what",
            "less": "less than what",
            "more": "more than what",
        }
        return (
            f"It costs {money(self.price)}, {beside[self.standing]} you usually choose "
            f"({money(self.usual)})."
        )


@dataclass(frozen=True, slots=True)
class Praised:
    """What reviews of the item praise, in the words of one of them where one is fit to print."""

    aspect: str
    """Empty where only a sentence is quoted that names none."""
    num_praising: int
    num_reviews: int
    quote: Quote | None
    rating_words: str = ""
    """The rating of the review that is quoted: "five stars"."""
    is_cared_for: bool = False
    """Whether the user's own reviews speak of this aspect."""
    is_asked_for: bool = False

    @property
    def source(self) -> str:
        """Where it comes from."""
        quoted = "" if self.quote is None else f", quoting event {self.quote.place}"
        return f"reviews: {self.num_praising} of {self.num_reviews}{quoted}"

    @property
    def plain(self) -> str:
        """The statement as a plain sentence."""
        said = ""
        if self.aspect:
            reviews = f"{self.num_praising} of its {self.num_reviews} reviews"
            praise = "praises" if self.num_praising == 1 else "praise"
            said = f"{reviews} {praise} the {self.aspect}."
            if self.is_cared_for:
                said += f" You have written about {self.aspect} yourself."
        if self.quote is None:
            return said
        return f'{said} A customer writes: "{self.quote.text}"'.strip()


@dataclass(frozen=True, slots=True)
class WellRated:
    """The mean rating of training, where customers are pleased."""

    mean: str
    """ "4.6 out of 5 stars"."""
    num_ratings: int

    @property
    def source(self) -> str:
        """Where it comes from."""
        return "training ratings"

    @property
    def plain(self) -> str:
        """The statement as a plain sentence."""
        return f"{self.num_ratings:,} customers gave it an average rating of {self.mean}."


@dataclass(frozen=True, slots=True)
class Described:
    """A sentence of the item's description in the catalogue."""

    text: str

    @property
    def source(self) -> str:
        """Where it comes from."""
        return "catalogue: description"

    @property
    def plain(self) -> str:
        """The statement as a plain sentence."""
        return f'Its description says: "{self.text}"'


@dataclass(frozen=True, slots=True)
class Filed:
    """A fact of the item alone."""

    column: str
    values: tuple[str, ...]

    @property
    def source(self) -> str:
        """Where it comes from."""
        return f"catalogue: {self.column}"

    @property
    def plain(self) -> str:
        """The statement as a plain sentence."""
        return f"It {predicate(self.column, self.values)}."


@dataclass(frozen=True, slots=True)
class Popular:
    """How often the item was chosen in training, where no event of the user speaks for it."""

    times: int

    @property
    def source(self) -> str:
        """Where it comes from."""
        return "training events"

    @property
    def plain(self) -> str:
        """The statement as a plain sentence."""
        return f"It was chosen {self.times:,} times."


@dataclass(frozen=True, slots=True)
class Unspoken:
    """An aspect that was asked for and of which nothing good can be said."""

    aspect: str
    num_reviews: int
    num_speaking: int
    """Reviews that use the word, though none in a sentence of praise."""

    @property
    def source(self) -> str:
        """Where it comes from."""
        return f"reviews: {self.num_speaking} of {self.num_reviews}"

    @property
    def plain(self) -> str:
        """The statement as a plain sentence."""
        if not self.num_reviews:
            return f"There are no reviews of it that could speak of {self.aspect}."
        if not self.num_speaking:
            return f"Its reviews do not speak of {self.aspect}."
        return f"Its reviews mention {self.aspect}, but none praises it plainly."


@dataclass(frozen=True, slots=True)
class Unlinked:
    """Nothing is known that links the item to what the user chose."""

    @property
    def source(self) -> str:
        """Where it comes from."""
        return "nothing"

    @property
    def plain(self) -> str:
        """The statement as a plain sentence."""
        return "There is nothing in the catalogue that links it to what you chose before."


Statement = (
    Because
    | Shared
    | Alike
    | Priced
    | Praised
    | WellRated
    | Described
    | Filed
    | Popular
    | Unspoken
    | Unlinked
)


def as_json(statement: Statement) -> dict[str, object]:
    """Return a statement as values of JSON: what it says, and where that comes from."""
    return {
        "kind": type(statement).__name__.lower(),
        "text": statement.plain,
        "source": statement.source,
    }


def quotes_in(statements: Sequence[Statement]) -> list[str]:
    """Return the words of others that stand in statements."""
    found = []
    for statement in statements:
        match statement:
            case Because(own_words=own) if own:
                found.append(own)
            case Praised(quote=Quote() as quote):
                found.append(quote.text)
            case Described(text=text):
                found.append(text)
            case Alike(words=words):
                found.append(words)
    return found


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence.

    Example:
        >>> listed(["a", "b", "c"])
        'a, b and c'
    """
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def money(amount: float) -> str:
    """Return an amount; the catalogue knows no currency."""
    return f"{amount:,.2f}"


@dataclass(frozen=True, slots=True)
class _Predicate:
    """How a fact is said of one thing and of several."""

    singular: str
    plural: str
    rest: str

    def of(self, values: Sequence[str], *, is_plural: bool, also: bool) -> str:
        verb = self.plural if is_plural else self.singular
        between = ("also " + verb if not self.rest else verb + " also") if also else verb
        return " ".join(part for part in (between, self.rest, listed(values)) if part)


_PREDICATES = {
    "brand": _Predicate("is", "are", "by"),
    "author": _Predicate("is", "are", "by"),
    "artist": _Predicate("is", "are", "by"),
    "director": _Predicate("was", "were", "directed by"),
    "actors": _Predicate("features", "feature", ""),
    "developer": _Predicate("was", "were", "developed by"),
    "publisher": _Predicate("was", "were", "published by"),
    "designer": _Predicate("was", "were", "designed by"),
    "categories": _Predicate("is", "are", "filed under"),
}
RELATIONS = tuple(name for name in _PREDICATES if name not in {"brand", "categories"})
"""Other columns that are said where the catalogue has them."""


def predicate(
    column: str, values: Sequence[str], *, is_plural: bool = False, also: bool = False
) -> str:
    """Return a fact as a predicate.

    Example:
        >>> predicate("categories", ["Crime", "Thriller"], also=True)
        'is also filed under Crime and Thriller'
        >>> predicate("actors", ["Bill Murray"], is_plural=True)
        'feature Bill Murray'
    """
    return _PREDICATES[column].of(values, is_plural=is_plural, also=also)
