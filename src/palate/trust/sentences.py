"""Sentence splitting; joining the sentences gives the text back.

A boundary is a line end, or closing marks (``.``, ``!``, ``?``) before a space and something that
may open a sentence. Abbreviations, initials and text between double quotation marks on one line do
not end a sentence. The time is linear in the length of any text.
"""

import re
from bisect import bisect_right

QUOTED = re.compile(r'(?<!\w)"[^"\n]*"|“[^“”\n]*”')
"""Text between double quotation marks; an inch mark (``6"``) does not open a quotation."""
_BOUNDARY = re.compile(r"(?<![.!?])[.!?]++[\"'\u201d\u2019)\]]*+(?=\s)|\n\s*+")
_LAST_WORD = re.compile(r"([^\W\d_]+(?:\.[^\W\d_]+)?)\.$")
_GOES_ON = frozenset("([,;:-\u2013\u2014%&0123456789")
_LONGEST_ABBREVIATION = 8
_ABBREVIATIONS = frozenset(
    ("mr", "mrs", "ms", "dr", "st", "jr", "sr", "vs", "vol", "no", "inc", "ltd", "co", "corp", "oz")
)


def split_sentences(text: str) -> list[str]:
    """Return the sentences, each with the space after it; ``"".join`` of them is ``text``.

    Example:
        >>> split_sentences('Dr. Who saw "Why? Me!" at home. It took 6.5 hrs. in all! Yes')
        ['Dr. Who saw "Why? Me!" at home. ', 'It took 6.5 hrs. in all! ', 'Yes']
    """
    quoted = [match.span() for match in QUOTED.finditer(text)]
    starts = [start for start, _ in quoted]
    pieces, begin = [], 0
    for mark in _BOUNDARY.finditer(text):
        end = _next_word(text, mark.end())
        span = bisect_right(starts, mark.start()) - 1
        inside = span >= 0 and mark.end() < quoted[span][1]
        if mark.group()[0] != "\n" and (inside or not _ends(text, mark, end)):
            continue
        if end > begin:
            pieces.append(text[begin:end])
            begin = end
    return [*pieces, text[begin:]] if begin < len(text) else pieces


def first_sentence(text: str) -> str:
    """Return the first sentence of a text, the usual baseline of a review summary.

    Example:
        >>> first_sentence("Great strings. They last for months.")
        'Great strings.'
    """
    sentences = (sentence.strip() for sentence in split_sentences(text))
    return next((sentence for sentence in sentences if sentence), "")


def _ends(text: str, mark: re.Match[str], next_start: int) -> bool:
    """Return whether closing marks end a sentence."""
    follows = text[next_start : next_start + 1]
    if follows and (follows.islower() or follows in _GOES_ON):
        return False
    if mark.group() != ".":
        return True
    before = _LAST_WORD.search(text, max(0, mark.start() - _LONGEST_ABBREVIATION), mark.end())
    if before is None:
        return True
    word = before[1].lower()
    return word not in _ABBREVIATIONS and (len(word) > 1 or word == "i")


def _next_word(text: str, start: int) -> int:
    """Return where the next word begins, after all the space at ``start``."""
    while start < len(text) and text[start].isspace():
        start += 1
    return start
