"""What items are called in print: a short title, or what their reviewers call them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from palate.inference.item_view import ItemView
from palate.language.text.plain import one_line, without_markup
from palate.language.text.voices import Calling

MAX_TITLE = 70
"""Characters of a title in a sentence; a longer one is cut where it lists sizes and parts."""
_LEAST_HEAD = 12
_MOVED_ARTICLE = re.compile(
    r"^(?P<name>[^()]+), (?P<article>The|A|An|Les|La|Le|L'|Il|Das|Der|Die|El)(?P<rest>(?: \(.*)?)$"
)
_BREAK = re.compile(r",\s|\s[-\u2013|/]\s|\s\(|\s\[|;\s|:\s")
_PARTS = re.compile(r"(?:\s*\((?:Volume|Vol\.?|Pack of|Set of) [^()]{1,20}\))+$|: A Novel$")
_SIZE = re.compile(r", [\d.]{1,8}[ -][A-Za-z][\w -]{0,30}$")
_SMALL = re.compile(r"(?<=\s)(?:Of|The|And|A|An|In|On|To|For|With)(?=\s)|(?<=')S\b")
_LOOSE_END = re.compile(r"\b(?:or|and|of|the|a|an|for|with|in|to)$", re.IGNORECASE)
_MARKS = str.maketrans(dict.fromkeys('"\u201c\u201d\u201e\u00ab\u00bb', "'"))
_MONTHS_WORDS = """
January February March April May June July August September October November December
"""
_MONTHS = tuple(_MONTHS_WORDS.split())


@dataclass(frozen=True, slots=True)
class Name:
    """A noun phrase for one item."""

    text: str
    """ "Heat (1995)", or "guitar strap" where it has no title."""
    is_title: bool
    is_plural: bool = False

    @property
    def this(self) -> str:
        """The item that is explained."""
        if self.is_title:
            return self.text
        return f"{'these' if self.is_plural else 'this'} {self.text}"

    @property
    def the(self) -> str:
        """Something that was chosen before."""
        return self.text if self.is_title else f"the {self.text}"

    @property
    def it(self) -> str:
        """The pronoun."""
        return "they" if self.is_plural else "it"

    @property
    def its(self) -> str:
        """The pronoun that owns."""
        return "their" if self.is_plural else "its"

    def verb(self, singular: str, plural: str) -> str:
        """Return the form of a verb."""
        return plural if self.is_plural else singular


_NAMELESS = Name("item", is_title=False)


def name_of(view: ItemView, calling: Calling | None) -> Name:
    """Return the name of an item: its title, else what reviewers call it, else "item"."""
    title = printed_title(view.title or "")
    if title:
        return Name(title, is_title=True)
    return _NAMELESS if calling is None else Name(calling.noun, False, calling.is_plural)


def printed_title(title: str) -> str:
    """Return a title as it stands in a sentence: article in front, without sizes and parts.

    Example:
        >>> printed_title("Usual Suspects, The (1995)")
        'The Usual Suspects (1995)'
        >>> printed_title("Cocoa Butter Formula Tummy Butter For Stretch Marks, 4.4-Ounce Units "
        ...               "(Pack of 3)")
        'Cocoa Butter Formula Tummy Butter For Stretch Marks'
    """
    line = one_line(without_markup(title)).translate(_MARKS).strip(" .,;-")
    moved = _MOVED_ARTICLE.match(line)
    if moved is not None:
        space = "" if moved["article"].endswith("'") else " "
        line = f"{moved['article']}{space}{moved['name']}{moved['rest']}"
    line = _SIZE.sub("", _PARTS.sub("", line)).rstrip(" ,")
    if line.isupper() and len(line.split()) > 1:
        line = _SMALL.sub(lambda word: word.group().lower(), line.title())
    if len(line) <= MAX_TITLE:
        return line
    heads = [line[: mark.start()].rstrip() for mark in _BREAK.finditer(line, _LEAST_HEAD)]
    fit = [head for head in heads if len(head) <= MAX_TITLE and not _LOOSE_END.search(head)]
    return fit[0] if fit else one_line(line, MAX_TITLE)


def month_of(timestamp: int) -> str:
    """Return month and year of a time in seconds.

    Example:
        >>> month_of(1_370_000_000)
        'May 2013'
    """
    when = datetime.fromtimestamp(timestamp, UTC)
    return f"{_MONTHS[when.month - 1]} {when.year}"
