"""Recommending by titles: what comes next is said in words, of which only titles are allowed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from palate.inference.answers import Answers
from palate.inference.engine import padded_rows
from palate.items.codes.codes import Codes
from palate.items.codes.prefix_table import PrefixTable
from palate.items.codes.title_codes import title_codes
from palate.language.text_tasks import NextTitle
from palate.types import History, Ranking

_BEAMS = 20


@dataclass(frozen=True)
class TitleSearch:
    """A model that was trained to say the title of what comes next, asked for items.

    The score of an item is the log-probability of its title, the mark that ends it included, found
    by beam search over the titles of the catalogue. Items that share a title share its score; an
    item without one cannot be found. (CALRec writes freely and looks for titles like that, Li et
    al. 2024; with the search bound to what exists nothing is left to be matched.)
    """

    answers: Answers
    prompt: str | None = None
    """Free text read in place of the wording."""

    @cached_property
    def task(self) -> NextTitle:
        """What the model was trained to say.

        Raises:
            NotTrainedError: when it was not.
        """
        return self.answers.task(NextTitle, "say the title of what comes next")

    def recommend(
        self,
        histories: Sequence[History],
        n: int,
        *,
        candidates: Int[np.ndarray, " candidates"] | None = None,
        exclude_seen: bool = True,
    ) -> list[Ranking]:
        """Return the best ``n`` items for each history."""
        table = self._table(candidates)
        if not len(table):
            return [Ranking(np.zeros(0, np.int64), np.zeros(0, np.float32))] * len(histories)
        question = self.answers.question(
            self.task, [self.task.ask(history) for history in histories], self.prompt
        )
        seen = padded_rows(histories) if exclude_seen else None
        return self.answers.texts.search(question, table, n, beams=_BEAMS, seen=seen)

    def score_item(
        self, histories: Sequence[History], item_row: int
    ) -> Float[np.ndarray, " users"]:
        """Return the log-probability of an item's title after each history; -inf without one."""
        alone = self.recommend(histories, 1, candidates=np.asarray([item_row]), exclude_seen=False)
        scores = [float(found.scores[0]) if len(found) else -np.inf for found in alone]
        return np.asarray(scores, dtype=np.float32)

    @cached_property
    def _codes(self) -> Codes:
        texts = self.answers.texts
        tokens = texts.batch_builder.tokenizer.encode_batch(list(self.task.titles))
        return title_codes(
            [texts.batch_builder.target(words) for words in tokens],
            end=texts.batch_builder.tokenizer.end,
            num_words=self.answers.parts.model.num_words,
        )

    @cached_property
    def _named(self) -> Int[np.ndarray, " named"]:
        """Rows of the items that have a title."""
        return np.asarray([row for row, title in enumerate(self.task.titles) if title], np.int64)

    def _table(self, candidates: Int[np.ndarray, " candidates"] | None) -> PrefixTable:
        return self._whole if candidates is None else self._table_of(candidates)

    @cached_property
    def _whole(self) -> PrefixTable:
        return self._table_of(self._named)

    def _table_of(self, rows: Int[np.ndarray, " rows"]) -> PrefixTable:
        device = self.answers.parts.model.queries.device
        return PrefixTable.of(self._codes, device=device, rows=np.intersect1d(rows, self._named))
