"""Say statements: well-made sentences, in several wordings, the same each time for item and user.

Words of customers and of descriptions stand between quotation marks, with whose they are. What is
said is in the statements and nowhere else, so that an explanation is as true as they are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from palate.inference.printed.choosing import Content
from palate.inference.printed.naming import Name
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
    listed,
    money,
    predicate,
)

_FEW = 0.2
"""Of fewer reviews than this share, it is not said of how many they are."""
_COUNTED = """
no one two three four five six seven eight nine ten eleven twelve
"""
_WORDS = tuple(_COUNTED.split())  # of small numbers


def say(content: Content, seed: str) -> str:
    """Return the sentences of an explanation.

    Args:
        content: what to say, in its order.
        seed: chooses among the wordings; the same seed gives the same words.
    """
    speech = _Speech(content.name, seed)
    statements = list(content.statements)
    said: list[str] = []
    while statements:
        statement = statements.pop(0)
        follower = statements[0] if statements else None
        if isinstance(statement, Because) and isinstance(follower, Shared | Alike):
            said.append(speech.because_shared(statement, follower))
            statements.pop(0)
        elif isinstance(statement, Filed) and isinstance(follower, Filed):
            said.append(speech.filed([statement, follower]))
            statements.pop(0)
        else:
            said.append(speech.sentence(statement))
        speech.is_named = speech.is_named or content.name.text in said[-1]
    return " ".join(said)


@dataclass
class _Speech:
    """Sentences about one item; after the first it is called by a pronoun."""

    name: Name
    seed: str
    is_named: bool = False

    def pick(self, kind: str, wordings: Sequence[str]) -> str:
        """Return one of several wordings."""
        digest = blake2b(f"{self.seed}\0{kind}".encode(), digest_size=4).digest()
        return wordings[int.from_bytes(digest) % len(wordings)]

    def sentence(self, statement: Statement) -> str:
        """Return one statement as a sentence."""
        said: Mapping[type, Callable[..., str]] = {
            Because: self.because,
            Praised: self.praised,
            Priced: self.priced,
            WellRated: self.well_rated,
            Described: self.described,
            Popular: self.popular,
            Unspoken: self.unspoken,
        }
        if isinstance(statement, Filed):
            return self.filed([statement])
        if isinstance(statement, Unlinked):
            return (
                f"There is nothing in the catalogue that links {self.name.this} to what you "
                "chose before."
            )
        say_it = said.get(type(statement))
        return statement.plain if say_it is None else say_it(statement)

    # --- The events

    def because(self, because: Because) -> str:
        """Return why the item is here, by events alone."""
        wordings = (
            "You {liked}, and that is why we are showing you {x}.",
            "You {liked}, so you might like {x} as well.",
            "You {liked}, which is why we suggest {x}.",
            "We thought you might like {x} because you {liked}.",
        )
        return self._filled(self.pick("because", wordings), liked=_liked(because))

    def because_shared(self, because: Because, shared: Shared | Alike) -> str:
        """Return why the item is here, and what it has in common with what was chosen."""
        if isinstance(shared, Alike):
            wordings: tuple[str, ...] = (
                "You {liked}; like {them}, {x} {is_} described with the words {words}.",
                "We suggest {x} because you {liked}: the descriptions of both say {words}.",
                "Like {names}, which you {given}, {x} {is_} described with the words {words}.",
            )
            extra = {"words": _quoted(shared.words)}
        else:
            wordings = (
                "You {liked}, and {x} {also}.",
                "Like {names}, which you {given}, {x} {fact}.",
                "We suggest {x} because you {liked}; {both} {facts}.",
                "You {liked}. {X} {also}.",
            )
            extra = self._relation(shared, len(because.names))
        # A remark in brackets does not fit into a relative clause.
        fit = [each for each in wordings if not (because.own_words and "{given}" in each)]
        return self._filled(
            self.pick("shared", fit),
            liked=_liked(because),
            names=listed(because.names),
            given=_given(because.act),
            them="it" if len(because.names) == 1 else "them",
            **extra,
        )

    def _relation(self, shared: Shared, num_names: int) -> dict[str, str]:
        """Return a shared fact as the predicates that wordings need."""
        column, values, plural = shared.column, shared.values, self.name.is_plural
        verb = self.pick("filed", ("filed under", "listed under"))
        parts = {
            "fact": predicate(column, values, is_plural=plural),
            "also": predicate(column, values, is_plural=plural, also=True),
            "facts": predicate(column, values, is_plural=True),
        }
        said = {key: text.replace("filed under", verb, 1) for key, text in parts.items()}
        return said | {"both": "both" if num_names == 1 else "all three"}

    # --- What others say

    def praised(self, praised: Praised) -> str:
        """Return what reviews praise, and the words of one of them."""
        if not praised.aspect:
            return self._quote(praised)
        aspect = praised.aspect
        rated = f" who gave {self._them} {praised.rating_words}" if praised.rating_words else ""
        quote = "" if praised.quote is None else _quoted(praised.quote.text)
        counted = self._counted(praised)
        if praised.num_praising < 2 and quote:
            opening = f"You mention {aspect} in your own reviews"
            wordings: tuple[str, ...] = (
                "{opening}; on that, a customer{rated} writes{of}: {quote}",
                "{opening}. Here is what a customer{rated} says{of}: {quote}",
            )
            if not praised.is_cared_for:
                wordings = ("On the {aspect}, a customer{rated} writes{of}: {quote}",)
            chosen = self.pick("praised", wordings)
            of = "" if self.is_named or rated else f" of {self.name.this}"
            return chosen.format(opening=opening, quote=quote, rated=rated, aspect=aspect, of=of)
        opening = f"{counted} the {aspect}"
        if praised.is_cared_for:
            opening = f"You mention {aspect} in your own reviews; here {counted} it"
        if not quote:
            return f"{_capital(opening)}."
        wordings = (
            "{opening}. One customer writes: {quote}",
            "{opening}; as one customer puts it: {quote}",
            "{opening}. In the words of a customer{rated}: {quote}",
        )
        return _capital(
            self.pick("praised", wordings).format(opening=opening, quote=quote, rated=rated)
        )

    def _quote(self, praised: Praised) -> str:
        assert praised.quote is not None
        rated = f" who gave {self._them} {praised.rating_words}" if praised.rating_words else ""
        wordings = (
            "A customer{rated} writes: {quote}",
            "In the words of a customer{rated}: {quote}",
            "As a customer{rated} put it: {quote}",
        )
        quote = _quoted(praised.quote.text)
        chosen = self.pick("quote", wordings)
        return chosen.format(rated=rated, quote=quote)

    def _counted(self, praised: Praised) -> str:
        """Return "three of its eight reviews praise"."""
        some, all_ = praised.num_praising, praised.num_reviews
        verb = "praises" if some == 1 else "praise"
        if some < _FEW * all_:
            owned = f"of {self.name.its} reviews" if self.is_named else f"of {self.name.this}"
            return f"{_number(some)} {owned if self.is_named else f'reviews {owned}'} {verb}"
        of = f"{self.name.its} {{}}" if self.is_named else f"the {{}} of {self.name.this}"
        if all_ == 1:
            return f"{of.format('only review')} praises"
        if some == all_:
            both = "both" if all_ == 2 else f"all {_number(all_)} of"
            return f"{both} {of.format('reviews')} praise"
        numbers = (_number(some), _number(all_)) if all_ < len(_WORDS) else (some, f"{all_:,}")
        return f"{numbers[0]} of {of.format(f'{numbers[1]} reviews')} {verb}"

    @property
    def _them(self) -> str:
        if not self.is_named:
            return self.name.this
        return "them" if self.name.is_plural else "it"

    def well_rated(self, rated: WellRated) -> str:
        """Return the mean rating."""
        x = self._them
        customers = f"{_number(rated.num_ratings)} customers"
        wordings = (
            f"{_capital(customers)} gave {x} an average rating of {rated.mean}.",
            f"On average, {customers} gave {x} {rated.mean}.",
        )
        return self.pick("rated", wordings)

    # --- What the catalogue says

    def priced(self, priced: Priced) -> str:
        """Return the price, beside what is usually paid."""
        x = self.name.it if self.is_named else self.name.this
        costs, at = self.name.verb("costs", "cost"), money(priced.price)
        if priced.usual is None or priced.standing is None:
            return f"{_capital(x)} {costs} {at}."
        usual = money(priced.usual)
        price = "The price" if self.is_named else f"The price of {self.name.this}"
        if priced.standing == "about":
            wordings: tuple[str, ...] = (
                f"At {at}, {x} {costs} about as much as what you usually choose.",
                f"{price}, {at}, is close to that of what you usually choose.",
            )
        elif priced.standing == "less":
            wordings = (
                f"At {at}, {x} {costs} less than what you usually choose ({usual}).",
                f"{price}, {at}, is below what you usually choose ({usual}).",
            )
        else:
            wordings = (
                f"{_capital(x)} {costs} {at}, more than what you usually choose ({usual}).",
            )
        return self.pick("priced", wordings)

    def described(self, described: Described) -> str:
        """Return a sentence of the description."""
        of = f"{self.name.its} description" if self.is_named else f"the description of {self._them}"
        wordings = (f"From {of}: ", f"{_capital(of)} says: ", f"As {of} has it: ")
        return self.pick("described", wordings) + _quoted(described.text)

    def filed(self, filed: Sequence[Filed]) -> str:
        """Return facts of the item alone."""
        x = self.name.it if self.is_named else self.name.this
        plural = self.name.is_plural
        said = listed([predicate(each.column, each.values, is_plural=plural) for each in filed])
        return f"{_capital(x)} {said}."

    def popular(self, popular: Popular) -> str:
        """Return how often it was chosen."""
        x = self.name.it if self.is_named else self.name.this
        return (
            f"{_capital(x)} {self.name.verb('has', 'have')} been chosen {popular.times:,} times "
            "so far."
        )

    def unspoken(self, unspoken: Unspoken) -> str:
        """Return, honestly, that nothing good is known of what was asked for."""
        reviews = f"the reviews of {self.name.this}"
        if not unspoken.num_reviews:
            return (
                f"There are no reviews of {self.name.this} that could speak of {unspoken.aspect}."
            )
        if not unspoken.num_speaking:
            return f"{_capital(reviews)} do not speak of {unspoken.aspect}."
        return (
            f"{_capital(reviews)} mention {unspoken.aspect}, but none praises it in words that "
            "could be quoted."
        )

    def _filled(self, wording: str, **parts: str) -> str:
        filled: Callable[..., str] = wording.format
        return _capital(
            filled(
                x=self.name.this,
                X=_capital(self.name.this),
                it=self.name.it,
                is_=self.name.verb("is", "are"),
                **parts,
            )
        )


def _given(act: str) -> str:
    """Return an act as it follows "which you": "gave five stars", "looked at"."""
    return act.removesuffix(" to {}" if act.startswith("gave ") else " {}").replace("{} ", "")


def _liked(because: Because) -> str:
    """Return "gave five stars to Heat (1995)"."""
    named = listed(because.names)
    if not because.own_words:
        return because.act.format(named)
    if named.startswith(("an item", "another item")):
        when = named.partition(" item")[2].replace(" from ", " in ")
        return f"wrote {_quoted(because.own_words)} in {_review_of(because.rating)}{when}"
    return f"{because.act.format(named)} ({_quoted(because.own_words)}, you wrote)"


def _review_of(rating: str) -> str:
    number, _, stars = rating.partition(" star")
    if not rating or not rating.endswith(("star", "stars")):
        return f"a review of {rating}" if rating else "a review"
    return f"{'an' if number.startswith(('eight', '8')) else 'a'} {number}-star review{stars[1:]}"


def _quoted(text: str) -> str:
    return f"\u201c{text}\u201d"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _number(count: int) -> str:
    return _WORDS[count] if count < len(_WORDS) else f"{count:,}"
