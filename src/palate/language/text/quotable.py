"""Sentences of reviews that can stand alone in print, as the words of a customer.

A sentence is quotable where it is whole (a subject, a verb, an end), speaks of the thing and not of
its buyer's affairs, the shop, the parcel or other things, and is written as people write. The
rules are strict: a catalogue has many sentences, and one is shown.
"""

import re
from collections.abc import Collection, Sequence
from itertools import pairwise

import polars as pl

from palate.language.text.plain import words

SHORTEST, LONGEST = 4, 22
"""Words of a quotable sentence."""
MAX_QUOTE = 160
"""Characters of a quotable sentence."""

_SUBJECT = re.compile(
    r"(?:The|This|These|They|It|Its|Their|All|Every|Each|Both)\b(?! is that\b)"
    r"|(?:It|They)(?:'s|'re)\b"
    r"|I (?:(?:really|highly|would|definitely|absolutely|strongly|truly|totally) ){0,2}"
    r"(?:love|like|recommend|enjoy"
    r"|am (?:very |so |extremely |really )?(?:happy|pleased|impressed))\b"
)
_VERBS_WORDS = """
is are was were has have does do do fits fit works work sounds sound looks look feels feel holds
hold stays stay makes make gives give gets get keeps keep plays play offers offer comes come
provides provide produces produce delivers deliver allows allow lasts last performs perform love
like recommend enjoy am sits sit goes go adds add lets let serves serve reads read tells tell
shows show responds respond handles handle picks covers cover protects protect smells smell tastes
taste stands stand attaches attach clips clip slides slide adjusts adjust grips grip runs run
helps help kept held made sounded worked fits glides glide remains remain captures capture it's
they're brings bring builds build features moves move cleans clean absorbs leaves
"""
_VERBS = frozenset(_VERBS_WORDS.split())
_BUYER = re.compile(
    r"\b(?:my (?:son|daughter|wife|husband|friends?|brother|sister|dad|father|mom|mother|kids?"
    r"|first|old|other|new|last|boyfriend|girlfriend|nephew|niece|grand\w+|opinion|review|order|local"
    r"|problem|hands?|fingers?|ears?|case|needs?)|we|we're|we've|our|us|he|she|his|her|him|hers"
    r"|bought|buy|buying|purchas\w+|order\w*|paid|pay|got|gift|present|birthday|christmas|ago"
    r"|years?|months?|weeks?|days?|yesterday|today|arriv\w+|ship\w*|deliver(?:y|ed)|seller|vendor|amazon"
    r"|store|review\w*|stars?|returned|replac\w+|picture|photo|described|description|advertised"
    r"|i've|i'm|i'd|i'll|i (?:had|was|got|use|have|own|play|put|tried|wanted|need|think|thought|can"
    r"|could|did|do|will|just|also|found|figured|received|only))\b"
)
_ELSEWHERE = re.compile(
    r"\b(?:than|compared?|other|others|another|also|too|as well|same|similar|said|above|below|here"
    r"|there|those|that's|which|who|whom|etc|former|latter|then|so|because|since|when|would|could"
    r"|should|will|did|had|been|one|ones|you'?(?:re|ll|ve|d)?|your|these days|back|again|most"
    r"|person|guy|people|everyone|supposed|better|nicer|thing|things|that|regard|haha|lol|book"
    r"|mine|expect\w*|hope|hopefully|price you|set ?up|until|myself|swear"
    r"|both|anyway|first|second|minutes?|seconds?|hours?)\b"
)
"""What points at something that is not in the sentence, or out of it."""
_ODD = re.compile(
    r"[\[\](){}<>|*_=~^#@/\\+:;\"\u201c\u201d&%]|\.\.|--|\s-\s|!!|https?|www|[a-z][A-Z]|\d{3}"
    r"|[^\s\w.,!?'\u2019$-]|,\S|\.\S|\s[,.!?]"
)
_SHOUT = re.compile(r"\b[A-Z]{2,}\b")
_INNER_CAPITAL = re.compile(r"(?<=\s)[A-Z][\w'-]*")


def is_quotable(
    sentence: str, known_names: Collection[str] = (), known_words: Collection[str] | None = None
) -> bool:
    """Return whether a sentence can be printed between quotation marks.

    Args:
        sentence: one sentence, as :func:`palate.trust.sentences.split_sentences` cuts it.
        known_names: words in lower case that it may write with a capital: title and brand.
        known_words: the words that others use; with one that nobody uses it is misspelled. None
            believes every word.

    Example:
        >>> is_quotable("The strap is very comfortable.")
        True
        >>> is_quotable("My son loves it."), is_quotable("Great sound, easy to")
        (False, False)
    """
    lowered = sentence.lower().replace("\u2019", "'")
    tokens = words(lowered)
    return (
        SHORTEST <= len(sentence.split()) <= LONGEST
        and len(sentence) <= MAX_QUOTE
        and sentence[-1:] in {".", "!"}
        and _SUBJECT.match(sentence) is not None
        and not _VERBS.isdisjoint(tokens)
        and _BUYER.search(lowered) is None
        and _ELSEWHERE.search(lowered) is None
        and _ODD.search(sentence) is None
        and _SHOUT.search(sentence) is None
        and all(
            name == "I" or name.lower() in known_names for name in _INNER_CAPITAL.findall(sentence)
        )
        and (known_words is None or all(word in known_words for word in tokens))
        and all(one != two for one, two in pairwise(tokens))
    )


def word_counts(texts: Sequence[str]) -> dict[str, int]:
    """Return in how many of the texts each word, in lower case, stands."""
    found = (
        pl.DataFrame({"text": pl.Series(list(texts), dtype=pl.String)})
        .with_row_index("number")
        .select(
            "number",
            word=pl.col("text")
            .str.to_lowercase()
            .str.replace_all("\u2019", "'")
            .str.extract_all(r"\p{L}[\p{L}\p{N}_'-]*"),
        )
        .explode("word")
        .drop_nulls("word")
        .unique()
        .group_by("word")
        .len()
    )
    return dict(found.iter_rows())
