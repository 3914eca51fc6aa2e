"""Conventional prompting: one text in, a summary or the relations that it states out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from palate.errors import ConfigError
from palate.inference.prompting.tally import Tally
from palate.inference.prompting.texts import filled
from palate.language.text.plain import one_line, without_markup
from palate.llm.reply import NoReplyError, Outcome, reply_of
from palate.llm.request import SpeakerRequest, ask
from palate.llm.speaker import Speaker
from palate.llm.untrusted import untrusted

RELATIONS = ("made of", "made by", "used for", "used with", "made for", "part of", "colour", "size")
"""What is looked for in a text unless other relations are named."""

_LONGEST_SUMMARY = 120
_LONGEST_VALUE = 80
_MOST_RELATIONS = 12
_SUMMARY_TOKENS = 32
_RELATION_TOKENS = 24


@dataclass(frozen=True)
class Relation:
    """One thing that a text states of an item, in the words of the text."""

    relation: str
    value: str


@dataclass(frozen=True)
class Conventional:
    """Asks a speaker about texts; what it says beyond them is left out and counted."""

    speaker: Speaker
    prompts: Mapping[str, str]
    tally: Tally

    def summarise(self, review: str) -> str:
        """Return one short line.

        Raises:
            NoReplyError: when there is no answer.
        """
        return self.summaries([review])[0]

    def summaries(self, reviews: Sequence[str]) -> list[str]:
        """Return one short line for each review.

        Raises:
            NoReplyError: when one has no answer.
        """
        prompts = [
            filled(self.prompts["summary"], review=untrusted(without_markup(review)))
            for review in reviews
        ]
        outcomes = self._asked(
            [SpeakerRequest(ask(text).messages, max_tokens=_SUMMARY_TOKENS) for text in prompts]
        )
        lines = [_first_line(reply_of(outcome).text) for outcome in outcomes]
        if not all(lines):
            self.tally.count("summaries that say nothing", lines.count(""))
            raise NoReplyError("The language model said nothing.", hint="Ask another.")
        return lines

    def relations(
        self, item: str, text: str, wanted: Sequence[str] = RELATIONS
    ) -> tuple[Relation, ...]:
        """Return which of the ``wanted`` relations a text states of an item.

        A value that does not stand in the text, in whatever case, is invented and left out.

        Raises:
            ConfigError: when no relation is wanted.
            NoReplyError: when there is no answer that fits.
        """
        if not wanted:
            raise ConfigError("No relation is wanted.", hint=f"Name some: {', '.join(RELATIONS)}.")
        plain = without_markup(text)
        prompt = filled(
            self.prompts["relations"],
            item=untrusted(item),
            relations=", ".join(map(untrusted, wanted)),
            text=untrusted(plain),
        )
        request = SpeakerRequest(
            ask(prompt).messages, schema=_schema(wanted), max_tokens=_RELATION_TOKENS
        )
        return self._stated(self._asked([request])[0], plain)

    def _stated(self, outcome: Outcome, text: str) -> tuple[Relation, ...]:
        value = reply_of(outcome).value
        if not isinstance(value, Mapping):
            self.tally.count("questions without an answer that fits")
            raise NoReplyError("The answer is not a list of relations.", hint="Ask a larger model.")
        said = [
            Relation(each["relation"], " ".join(each["value"].split()))
            for each in cast(Sequence[Mapping[str, str]], value["relations"])
        ]
        folded = text.casefold()
        kept = [each for each in said if each.value and each.value.casefold() in folded]
        self.tally.count("relations that the text does not state", len(said) - len(kept))
        return tuple(dict.fromkeys(kept))

    def _asked(self, requests: Sequence[SpeakerRequest]) -> list[Outcome]:
        outcomes = self.speaker.replies(requests)
        for outcome in outcomes:
            self.tally.book(outcome)
        return outcomes


def _schema(wanted: Sequence[str]) -> Mapping[str, object]:
    stated = {
        "type": "object",
        "properties": {
            "relation": {"enum": list(wanted)},
            "value": {"type": "string", "maxLength": _LONGEST_VALUE},
        },
    }
    listed = {"type": "array", "items": stated, "maxItems": _MOST_RELATIONS}
    return {"type": "object", "properties": {"relations": listed}}


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines()]
    return one_line(next(filter(None, lines), "").strip("\"'*# "), _LONGEST_SUMMARY)
