"""Prompts as text, for a model that has read: the words before, between and after the items.

A pre-trained model continues text. Its prompts therefore have separators, the ratings and kinds of
events in words, a question, and a cue for the answer, inside the chat template of the model::

    <|im_start|>user                              instruction, shared by the rows of a batch
    Rate the item as this user would.
    The user's history, oldest first:             row
    - May 2014, purchase, rated 4 of 5: Oak Lamp [item]
    - view: Desk [item]
    Item: Chair [item]                            prediction
    Answer with a rating from 1 to 5.<|im_end|>
    <|im_start|>assistant
    4<|im_end|>                                   answer

The month is said by families that read dates, of the first event in it. Item tokens and codes stand
behind the title of their item. The same text, without them, is what
people are shown and what an endpoint is asked.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from palate.language.item_format import NOTHING, FormattedItems
from palate.language.tasks.task import MAX_CONTEXT_TOKENS, Example, Frame
from palate.language.text.plain import one_line, rating_words
from palate.language.tokenizer import Tokenizer
from palate.types import History

MAX_INSTRUCTION_TOKENS = 96
"""Of the wording alone; the chat template comes on top."""

_ASKING = frozenset(
    {"what", "which", "who", "how", "why", "where", "when", "is", "are", "does", "do", "did"}
    | {"will", "would", "should", "could", "can"}
)
"""First words of a question."""

_EARLIEST = int(datetime(1980, 1, 1, tzinfo=UTC).timestamp())
_LATEST = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp())
"""What is dated outside of this was not dated by a clock."""

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)

_HISTORY = "The user's history, oldest first:"
_NO_EVENTS = "The user has no history yet."
_LONGEST_LABEL = 40
_LONGEST_TITLE = 200
BETWEEN_TOKENS = 8
"""Approximate number of tokens before an item, for the cost of a row."""


@dataclass(frozen=True)
class PromptText:
    """Writes the text of prompts, and its tokens."""

    tokenizer: Tokenizer
    event_types: tuple[str, ...] = ()
    """Names of the kinds of events; named in prompts where there are several."""
    levels: tuple[float, ...] = ()
    """Rating levels of the data, ascending; empty where ratings are not shown."""

    # --- Text

    def sentence(self, wording: str) -> str:
        """Return a wording as a sentence: with a capital letter, and an end where it has none.

        Example:
            >>> from palate.language.tokenizer import Tokenizer
            >>> PromptText(Tokenizer.train(["a"])).sentence("rate the item")
            'Rate the item.'
        """
        text = wording.strip()
        if not text:
            return ""
        end = "?" if text.split(maxsplit=1)[0].lower() in _ASKING else "."
        return f"{text[0].upper()}{text[1:]}{'' if text[-1] in '.?!:' else end}"

    def head(self, example: Example, frame: Frame) -> str:
        """Return what stands before the events of a row: its context, and what is to come."""
        context = one_line(example.context, len(example.context))
        lines = [f"\n{frame.context}: {context}"] if context else []
        if frame.history:
            lines.append(f"\n{_HISTORY if len(example.history) else _NO_EVENTS}")
        return "".join(lines)

    def before_events(self, history: History, frame: Frame) -> list[str]:
        """Return what stands before the title of each event: its month, its kind, its rating.

        A month is said of the first event in it, where the frame wants dates and the time is known.
        """
        nothing, unknown = np.full(len(history), NOTHING), np.full(len(history), np.nan)
        types = nothing if history.event_types is None else history.event_types
        ratings = unknown if history.ratings is None else history.ratings
        times = nothing if history.timestamps is None or not frame.dates else history.timestamps
        months = [_month(time) for time in times.tolist()]
        return [
            self._before_event(month if month != before else "", int(kind), float(rating))
            for month, before, kind, rating in zip(
                months, ["", *months][: len(months)], types, ratings, strict=True
            )
        ]

    def _before_event(self, month: str, kind: int, rating: float) -> str:
        labels = [month] if month else []
        if len(self.event_types) > 1 and kind >= 0:
            labels.append(one_line(self.event_types[kind], _LONGEST_LABEL))
        if self.levels and not math.isnan(rating):
            labels.append(f"rated {rating_words(rating)} of {rating_words(self.levels[-1])}")
        return f"\n- {', '.join(labels)}:" if labels else "\n-"

    def before_candidates(self, count: int, frame: Frame) -> list[str]:
        """Return what stands before each of ``count`` candidate items of a prediction."""
        if count == 1:
            return [f"\n{frame.candidate}:"]
        return [f"\n{frame.candidates}:\n-", *["\n-"] * (count - 1)][:count]

    def message(
        self,
        wording: str,
        example: Example,
        frame: Frame,
        titles: Sequence[str],
        *,
        prediction: int = -1,
    ) -> str:
        """Return the whole prompt of one prediction, as a person or an endpoint reads it.

        Args:
            wording: the question, its slots filled in.
            example: the history, the context and the candidates.
            frame: labels and cue of the family.
            titles: title of every item of the catalogue.
            prediction: which prediction of the example, by default the last.
        """
        seen = example.history.take(slice(0, int(example.prefix_lengths[prediction])))
        asked = () if example.candidates is None else example.candidates[prediction]
        candidates = [titles[row] for row in asked if row >= 0]
        events = zip(self.before_events(seen, frame), seen.item_rows.tolist(), strict=True)
        return "".join(
            [
                self.sentence(wording),
                self.head(example, frame),
                *(f"{before} {one_line(titles[row], _LONGEST_TITLE)}" for before, row in events),
                *(
                    f"{before} {one_line(title, _LONGEST_TITLE)}"
                    for before, title in zip(
                        self.before_candidates(len(candidates), frame), candidates, strict=True
                    )
                ),
                f"\n{frame.cue}" if frame.cue else "",
            ]
        )

    # --- Tokens

    def instruction_tokens(self, wording: str) -> list[int]:
        """Return the tokens before every row: the opening of the chat template, and the wording."""
        return self.tokenizer.encode_opened(self.sentence(wording), MAX_INSTRUCTION_TOKENS)

    def head_tokens(self, examples: Sequence[Example], frame: Frame) -> list[list[int]]:
        """Return the tokens before the events of each row; a long context is cut."""
        whole = self.tokenizer.encode_after([self.head(example, frame) for example in examples])
        if not frame.history:
            return [tokens[:MAX_CONTEXT_TOKENS] for tokens in whole]
        # What announces the history stays where a context is cut.
        ends = self.tokenizer.encode_after(
            [self.head(replace(example, context=""), frame) for example in examples]
        )
        return [
            tokens
            if len(tokens) <= MAX_CONTEXT_TOKENS + len(end)
            else [*tokens[:MAX_CONTEXT_TOKENS], *end]
            for tokens, end in zip(whole, ends, strict=True)
        ]

    def cue_tokens(self, frame: Frame) -> list[int]:
        """Return the tokens that end every prompt: the cue, and the end of the chat template."""
        cue = f"\n{frame.cue}" if frame.cue else ""
        return [*self.tokenizer.encode_after([cue])[0], *self.tokenizer.closing]

    def with_text(self, formatted: FormattedItems, texts: Sequence[str]) -> FormattedItems:
        """Return formatted items with a text before each; items without tokens get none."""
        distinct = list(dict.fromkeys(texts))
        known = dict(zip(distinct, self.tokenizer.encode_after(distinct), strict=True))
        before = [
            known[text] if length else []
            for text, length in zip(texts, formatted.lengths.tolist(), strict=True)
        ]
        return _preceded(formatted, before)


def _month(time: int) -> str:
    """Return the month of a time in Unix seconds, as ``May 2014``; empty where it is no real time.

    Some data number their events instead of dating them; such numbers are no dates.
    """
    if not _EARLIEST <= time < _LATEST:
        return ""
    when = datetime.fromtimestamp(time, tz=UTC)
    return f"{_MONTHS[when.month - 1]} {when.year}"


def _preceded(formatted: FormattedItems, before: Sequence[Sequence[int]]) -> FormattedItems:
    """Return formatted items with words before each."""
    counts = np.asarray([len(words) for words in before], dtype=np.int64)
    # Each item's own tokens move on by all words before it.
    starts = np.cumsum(formatted.lengths + counts) - formatted.lengths
    own = np.repeat(starts - (np.cumsum(formatted.lengths) - formatted.lengths), formatted.lengths)
    place = own + np.arange(len(formatted.items))
    total = int(counts.sum()) + len(formatted.items)
    tokens, items, levels = (np.full(total, NOTHING) for _ in range(3))
    tokens[place], items[place] = formatted.token_ids, formatted.items
    levels[place] = formatted.levels
    free = np.ones(total, dtype=bool)
    free[place] = False
    tokens[free] = np.asarray([word for words in before for word in words], dtype=np.int64)
    return replace(
        formatted, token_ids=tokens, items=items, levels=levels, lengths=formatted.lengths + counts
    )
