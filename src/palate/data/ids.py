"""What may be an id: one rule for files, the API and the store."""

import re

LONGEST_ID = 256
"""Longest id, in characters."""
LONGEST_ID_BYTES = 512
"""Longest id, in bytes of UTF-8: an index of the database has to hold three of them."""

_ALWAYS_FITS = LONGEST_ID_BYTES // 4
"""Characters that fit whatever they are: none takes more than four bytes."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def id_fault(text: str) -> str | None:
    r"""Return what keeps a text from being an id, in words; None where nothing does.

    >>> id_fault("lamp-7")
    >>> id_fault("")
    'is empty'
    >>> id_fault("lamp\n7")
    'holds a control character'
    >>> id_fault("x" * 300)
    'has 300 characters; an id has at most 256'
    """
    # The common case at the cost of one call.
    if text.isprintable() and 0 < len(text) <= _ALWAYS_FITS:
        return None
    if not text:
        return "is empty"
    if _CONTROL.search(text):
        return "holds a control character"
    if len(text) > LONGEST_ID:
        return f"has {len(text):,} characters; an id has at most {LONGEST_ID}"
    try:
        num_bytes = len(text.encode())
    except UnicodeEncodeError:
        return "holds half a surrogate pair"
    if num_bytes > LONGEST_ID_BYTES:
        return f"has {num_bytes:,} bytes; an id has at most {LONGEST_ID_BYTES} bytes of UTF-8"
    return None


def are_ids(texts: list[str]) -> bool:
    """Tell whether all texts are surely ids, at the cost of a few calls for a list of any length.

    False does not say that one is wrong: look at each with :func:`id_fault` then.
    """
    return (
        bool(texts)
        and all(texts)
        and "".join(texts).isprintable()
        and max(map(len, texts)) <= _ALWAYS_FITS
    )
