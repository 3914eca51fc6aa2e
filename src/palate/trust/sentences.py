"""Sentence splitting by the library sentencex; joining the sentences gives the text back."""

import re

import sentencex

_INCH = re.compile(r'(?<=\d)"')
_TITLE = re.compile(r"\b(?:(?:Dr|Mr|Mrs|Ms|St)\.(?=\s[^\W\d_])|(?:[Vv]ol|[Nn]o)\.(?=\s\d))")


def split_sentences(text: str) -> list[str]:
    """Return the sentences with the space after each: ``"".join`` of them is ``text``.

    A line end is a boundary, and so is a mark after which people forgot the space. Abbreviations,
    initials and whatever stands between quotation marks end no sentence. Time is linear in the
    length of the text, whatever the text.

    Example:
        >>> split_sentences('Dr. Who saw "Why? Me!" at home.It took 6.5 in. of rain. Yes')
        ['Dr. Who saw "Why? Me!" at home.', 'It took 6.5 in. of rain. ', 'Yes']
    """
    pieces: list[str] = []
    start = 0
    for line in text.splitlines(keepends=True):
        # What the library takes for the end of a sentence or for a quotation mark is hidden from
        # it, by signs of the same length.
        hidden = _TITLE.sub(lambda mark: f"{mark.group()[:-1]}_", _INCH.sub("_", line))
        for piece in sentencex.segment("en", hidden):
            cut, start = text[start : start + len(piece)], start + len(piece)
            if pieces and (cut.isspace() or pieces[-1].isspace()):
                pieces[-1] += cut
            else:
                pieces.append(cut)
    return pieces


def first_sentence(text: str) -> str:
    """Return the first sentence of a text, the classical baseline of a review summary.

    Example:
        >>> first_sentence("Great strings. They last for months.")
        'Great strings.'
    """
    sentences = (sentence.strip() for sentence in split_sentences(text))
    return next((sentence for sentence in sentences if sentence), "")
