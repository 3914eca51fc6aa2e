"""Plain text from untrusted text: one line, printable, without markup, of bounded length."""

import html
import re

from palate.trust.sentences import split_sentences

MAX_TEXT = 4_000
"""Maximum number of characters read of a text; some reviews are pages long."""

_MARKUP = re.compile(r"<[^<>]{0,300}>|\[\[[^\[\]]{0,100}\]\]")
_CLAUSE = re.compile(r"[,;:(]|\s-+\s|\s(?=(?:and|but|because|which|so)\s)")
_WORD = re.compile(r"[^\W\d_][\w'-]*")


def one_line(text: str, max_length: int = MAX_TEXT) -> str:
    r"""Return ``text`` as one printable line of at most ``max_length`` characters.

    Control and direction characters become spaces, runs of spaces become one; a longer text is cut
    at a word and ends in an ellipsis.

    Example:
        >>> one_line("Oak\nDesk \x1b[31m of   Fjordale", max_length=18)
        'Oak Desk [31m of…'
    """
    printable = "".join(c if c.isprintable() else " " for c in text[: 2 * max_length + 80])
    line = " ".join(printable.split())
    if len(line) <= max_length:
        return line
    kept = line[: max_length - 1]
    at_word = kept if line[max_length - 1] == " " else kept.rpartition(" ")[0]
    return (at_word or kept).rstrip() + "…"


def without_markup(text: str, max_length: int = MAX_TEXT) -> str:
    """Return ``text`` as one line, HTML entities read and tags removed.

    Example:
        >>> without_markup("A &#34;bright&#34; sound.<br />Good")
        'A "bright" sound. Good'
    """
    # Entities are often escaped twice; tags are visible only after unescaping.
    read = html.unescape(html.unescape(text[: 2 * max_length]))
    return one_line(_MARKUP.sub(" ", read), max_length)


def openings(text: str) -> list[str]:
    """Return the beginnings of the first sentence, cut before each clause, and the whole sentence.

    Example:
        >>> openings("Warm tone, easy to play and cheap. It came on time.")
        ['Warm tone', 'Warm tone, easy to play', 'Warm tone, easy to play and cheap.']
    """
    first = next(iter(split_sentences(text)), "").strip()
    ends = [mark.start() for mark in _CLAUSE.finditer(first)]
    before = [first[:end].strip() for end in ends]
    return [opening for opening in (*before, first) if words(opening)]


def words(text: str) -> list[str]:
    """Return the words of ``text`` in lower case, without numbers and punctuation.

    Example:
        >>> words("It's a 6-string, well-made guitar.")
        ["it's", 'a', 'string', 'well-made', 'guitar']
    """
    return [word.lower() for word in _WORD.findall(text)]


def rating_words(value: float) -> str:
    """Return a rating as text with as few digits as possible.

    Example:
        >>> rating_words(4.0), rating_words(4.5)
        ('4', '4.5')
    """
    # Adding zero makes the negative zero an ordinary one.
    return f"{round(value, 2) + 0.0:g}"
