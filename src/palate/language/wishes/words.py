"""Words of wishes: one form for singular and plural, and small words that say nothing of items."""

import re
import unicodedata
from dataclasses import dataclass

Phrase = tuple[str, ...]
"""Folded words, one after the other."""

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_BREAK = re.compile(r"[,;:.!?()\n]")
_SISS = ("sses", "shes", "ches", "xes", "zes")

_SMALL = """
a about above actually after again ago all along also am an and another any anybody anyone anything
are around as at away be because been before being below best bit but by can cannot cant come could
course day did didnt do does doesnt doing done dont down each else enough especially even ever
every everybody everyone everything far feel feeling few find first fit for from further get give
go goes going good got great had has hasnt have havent he help her here hers him his how however i
id idea if ill im in instead into is isnt it item its ive just keep kind know less let like
likely list little look looking lot love made make many may maybe me mean might mine mood more most
much must my myself name near need never new next nice no nobody none nor not nothing now of off
often ok on once one only or order other our out over own perhaps person pick place please point
possible prefer product purchase put quite rather really recommend right same say see seem several
shall she should show since so some somebody somehow someone something sometime sort still stuff
style such suggest take tell than thanks that thats the their them then there these they thing think
this those though through thus time to today together tonight too toward try two type under until
up upon us use used user usual usually very via want was way we well were what whatever when where
whether which while who whole whom whose why will wish with within without wont wonder work would
yes yet you your yourself surprise choose buy shop suitable along line section department category
genre brand maker directed director cost costing price priced dollar euro pound buck present gift
somewhere anywhere movie film watch time hear favourite favorite absolutely acceptable additionally
almost anyhow appreciate approximately apparently available basically besides certain certainly
clearly contain containing currently deal decent definitely desire direction eager entirely exactly
exclusively fairly feature featuring fond generally glad guess happen happy hello help
hope hopefully honestly ideally ideal imagine importantly include including interested involve
kindly lately mainly maybe mention mostly mustnt naturally necessarily notably obviously option opt
ought particular particularly personally pleased possibly potentially preferably preference present
previously primarily probably properly provide range rate reasonable regarding regardless related
require request seriously shopping simply slightly somewhat specially specific specifically spend
surely totally towards tried truly ultimately usual variety whether willing wise wishing wonderful
worth
"""


def fold(word: str) -> str:
    """Return one form for case, accents, possessives and plurals of a word.

    Example:
        >>> [fold(word) for word in ("Shampoos", "L'Oréal", "women's", "Brushes", "ponies", "gas")]
        ['shampoo', 'loreal', 'women', 'brush', 'pony', 'gas']
    """
    plain = unicodedata.normalize("NFKD", word.casefold().replace("\u2019", "'"))
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = plain.removesuffix("'s").replace("'", "")
    if len(plain) > 4 and plain.endswith("ies"):
        return plain[:-3] + "y"
    if plain.endswith(_SISS):
        return plain[:-2]
    if len(plain) > 3 and plain.endswith("s") and not plain.endswith(("ss", "us", "is")):
        return plain[:-1]
    return plain


SMALL = frozenset(fold(word) for word in _SMALL.split())
"""Folded words that name no items."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a text, and whether a mark or the end follows."""

    text: str
    folded: str
    start: int
    end: int
    ends_clause: bool


def tokens_of(text: str) -> list[Token]:
    """Return the words of a text in order."""
    found = list(_WORD.finditer(text))
    starts = [*(match.start() for match in found), len(text)][1 : len(found) + 1]
    return [
        Token(
            match.group(),
            fold(match.group()),
            *match.span(),
            _BREAK.search(text[match.end() : start]) is not None or start == len(text),
        )
        for match, start in zip(found, starts, strict=True)
    ]


def phrase_of(text: str) -> Phrase:
    """Return the folded words of a text.

    Example:
        >>> phrase_of("Creams & Moisturizers")
        ('cream', 'moisturizer')
    """
    return tuple(fold(word) for word in _WORD.findall(text))
