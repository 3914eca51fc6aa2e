"""Let a language model say the statements in its own words, and hold it to them.

A rewrite is kept only if it is fluent and says nothing else: every name, number, opinion and aspect
in it stands in the statements, every quotation is word for word, and the events are still named.
Otherwise the template stands, and the reason is told and counted.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Lock

from palate.inference.printed.choosing import Content
from palate.inference.printed.statements import Because, Statement, quotes_in
from palate.language.text.aspects import STOP, folded
from palate.language.text.plain import one_line, words
from palate.llm.reply import NoReplyError
from palate.llm.request import Message, SpeakerRequest
from palate.llm.speaker import Speaker
from palate.llm.untrusted import untrusted
from palate.trust.sentences import split_sentences

_MAX_TOKENS = 160
_LEAST_SAID = 0.7
"""Share of the words outside quotations, small ones apart, that a rewrite must keep."""
_SYSTEM = (
    "You write for a shop. Say exactly what the text says to the customer, in one to three plain "
    "and friendly sentences. Add nothing and leave out no name. Keep whatever stands between "
    "\u201c and \u201d word for word, with its quotation marks. Answer with the sentences alone."
)
_CONNECTIVE_WORDS = """
accord account add alongside although appreciate aspect attention based bring call catch consider
customer describe description directed enjoy explain fact feature fellow filed find fit gave
happen hear highlight include interest join know liked line match mention mind note notice offer
opinion pick point praise previous previously price rate rated rating recommend recommendation
remark report reviewer section sense share shared similar speak spoke star state suggest
suggestion suit taste therefore thought value voice word worth write written wrote likewise listed
buyer along category paid
"""
_CONNECTIVE = frozenset(_CONNECTIVE_WORDS.split())
"""What a sentence may add to connect statements."""
_QUOTED = re.compile(r"\u201c([^\u201c\u201d]*)\u201d")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NUMBER_WORDS_WORDS = """
one two three four five six seven eight nine ten eleven twelve dozen hundred thousand half both
all every none twice once
"""
_NUMBER_WORDS = frozenset(_NUMBER_WORDS_WORDS.split())
_DENIALS_WORDS = """
not no never none nobody nothing without hardly don't doesn't isn't
"""
_DENIALS = frozenset(_DENIALS_WORDS.split())


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What a model made of the statements."""

    text: str
    """What to show: the rewrite, or the template."""
    written: str
    """What the model wrote; empty where it gave no answer."""
    refused: str = ""
    """Why the template stands; empty where the rewrite was kept."""


@dataclass
class Rewriter:
    """A language model that may reword explanations."""

    speaker: Speaker
    counts: Counter[str] = field(default_factory=Counter)
    """How many rewrites were ``kept``, and how many refused, by reason."""
    _lock: Lock = field(default_factory=Lock, repr=False)

    def rewrite(self, content: Content, template: str) -> Rewrite:
        """Return the statements in the model's words, or the template."""
        request = SpeakerRequest(
            (Message("system", _SYSTEM), Message("user", untrusted(template))),
            max_tokens=_MAX_TOKENS,
        )
        try:
            written = _tidy(self.speaker.reply(request).text)
            refused = objection(written, content, template)
        except NoReplyError as error:
            written, refused = "", f"no answer: {error.message}"
        with self._lock:
            self.counts[refused.partition(":")[0] or "kept"] += 1
        return Rewrite(template if refused else written, written, refused)


def objection(text: str, content: Content, template: str) -> str:
    """Return why a rewrite may not be shown; empty where it may."""
    return (
        _not_fluent(text, template)
        or _misquotes(text, content.statements)
        or _says_else(text, content, template)
        or _leaves_out(text, content, template)
    )


def _not_fluent(text: str, template: str) -> str:
    """Return what is wrong with its form."""
    tokens = words(_QUOTED.sub(" ", text))
    pairs = Counter(zip(tokens, tokens[1:], tokens[2:], strict=False))
    if not text or not (text[0].isupper() or text[0] in '\u201c"') or text[0].islower():
        return "not fluent: it does not begin like a sentence"
    if not text.endswith((".", "!", "\u201d")):
        return "not fluent: it ends in the middle"
    if len(text.split()) > 1.5 * len(template.split()) + 8:
        return "not fluent: it is too long"
    if len(split_sentences(text)) > len(split_sentences(template)) + 1:
        return "not fluent: it has too many sentences"
    if any(count > 1 for count in pairs.values()) or _stutters(tokens):
        return "not fluent: it repeats itself"
    if text.count("\u201c") != text.count("\u201d"):
        return "not fluent: a quotation is left open"
    return ""


def _stutters(tokens: Sequence[str]) -> bool:
    return any(one == two for one, two in pairwise(tokens))


def _misquotes(text: str, statements: Sequence[Statement]) -> str:
    """Return the words that it puts into the mouth of others, or does not repeat."""
    wanted = [_bare(quote) for quote in quotes_in(statements)]
    found = [_bare(quote) for quote in _QUOTED.findall(text.replace('"', " "))]
    if invented := [quote for quote in found if quote not in wanted]:
        return f"misquotes: {one_line(invented[0], 80)}"
    if missing := [quote for quote in wanted if quote not in found]:
        return f"misquotes: {one_line(missing[0], 80)} is missing"
    return ""


def _bare(quote: str) -> str:
    return quote.strip(" .,!")


def _says_else(text: str, content: Content, template: str) -> str:
    """Return the first name, number or word that no statement holds."""
    given = " ".join((template, content.name.this, *(each.plain for each in content.statements)))
    allowed = {folded(word) for word in words(given)}
    free = _QUOTED.sub(" ", text)
    if extra := [n for n in _NUMBER.findall(free) if n not in _NUMBER.findall(given)]:
        return f"says else: {extra[0]}"
    told = (word for word in words(free) if not _may_be_said(word, allowed))
    extra_word = next(told, None)
    return "" if extra_word is None else f"says else: {one_line(extra_word, 40)}"


def _may_be_said(word: str, allowed: Collection[str]) -> bool:
    stem = folded(word)
    if stem in allowed:
        return True
    if word in _NUMBER_WORDS or word in _DENIALS:
        return False
    return word in STOP or any(form in _CONNECTIVE for form in (word, stem, *_stems(stem)))


def _stems(word: str) -> tuple[str, ...]:
    return (word.removesuffix("ing"), word.removesuffix("ed"), word.removesuffix("d"))


def _leaves_out(text: str, content: Content, template: str) -> str:
    """Return a name that it does not repeat, or that too little is left of what was to be said."""
    names = [
        name for each in content.statements if isinstance(each, Because) for name in each.names
    ]
    for name in (content.name.text, *names):
        if name in template and name not in text:
            return f"leaves out: {one_line(name, 80)}"
    wanted = set(map(folded, words(_QUOTED.sub(" ", template)))) - STOP - _CONNECTIVE
    found = set(map(folded, words(text)))
    if len(wanted & found) < _LEAST_SAID * len(wanted):
        return "leaves out: too much"
    return ""


def _tidy(text: str) -> str:
    """Return a reply as one line, curly quotation marks restored, without marks around it all."""
    line = one_line(text.replace("\u200b", ""), 1_000).strip()
    if len(line) > 1 and line[0] == line[-1] == '"' and line.count('"') == 2:
        line = line[1:-1].strip()
    line = line.replace('\\"', '"')
    return re.sub(r'"([^"]*)"', "\u201c\\1\u201d", line)
