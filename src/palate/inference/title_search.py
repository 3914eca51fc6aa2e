"""Title search: recommends by generating the title of the next item word by word."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from palate.evaluation.metrics import pad
from palate.inference.catalogue_state import CatalogueState
from palate.inference.code_search import CodeSearch
from palate.inference.grounded_answers import GroundedAnswers
from palate.inference.item_encoder import catalog_of
from palate.inference.item_view import ItemView
from palate.inference.text_answers import TextAnswers
from palate.items.codes.codes import Codes
from palate.items.codes.prefix_table import PrefixTable
from palate.items.codes.title_codes import title_codes
from palate.language.tasks.material import plain_titles
from palate.language.tasks.next_title import NextTitle
from palate.types import History, Ranking

TITLE_BEAMS = 20
"""Minimum beam width."""

_FOUND_NOTHING = Ranking(np.zeros(0, np.int64), np.zeros(0, np.float32))


@dataclass(frozen=True, eq=False)
class _Titles:
    """The titles of one catalogue state, as codes whose levels are words."""

    views: Sequence[ItemView]
    codes: Codes
    named: Int[np.ndarray, " named"]
    """Rows of the items that have a title."""


class TitleSearch:
    """Recommends items with a model that was trained to generate the next title.

    The score of an item is the log-probability of its title, including the end mark, found by beam
    search over the titles of the catalogue. Items with equal titles have equal scores; an item
    without a title cannot be found. (CALRec, Li et al. 2024, generates freely and then matches
    titles; the constrained search here needs no matching.)
    """

    def __init__(self, texts: GroundedAnswers) -> None:
        """Use the model of ``texts``."""
        self._texts = texts
        self._titles: _Titles | None = None
        self._table: tuple[CatalogueState, CodeSearch, PrefixTable] | None = None

    def find(
        self,
        state: CatalogueState,
        histories: Sequence[History],
        search: CodeSearch,
        left_out: Sequence[Int[np.ndarray, " rows"]],
        prompt: str | None = None,
    ) -> list[Ranking]:
        """Return the items with the most probable titles after each history.

        Args:
            state: the catalogue.
            histories: events that the model can read.
            search: the allowed items, and how many to find.
            left_out: excluded rows of each history.
            prompt: free text in place of the wording.

        Raises:
            NotTrainedError: when the model was not trained to generate titles.
        """
        answers = self._texts.over(state)
        task = answers.task(NextTitle)
        table = self._table_of(state, search, answers)
        if table is None:
            return [_FOUND_NOTHING] * len(histories)
        question = answers.question(task, [task.ask(history) for history in histories], prompt)
        seen = pad(left_out)
        seen[seen >= len(table.leaves)] = -1
        return answers.texts.search(question, table, search.most, beams=TITLE_BEAMS, seen=seen)

    def _table_of(
        self, state: CatalogueState, search: CodeSearch, answers: TextAnswers
    ) -> PrefixTable | None:
        """Return the prefix table of allowed titles, None if empty; the last table is cached."""
        last = self._table
        if last is not None and last[0] is state and last[1] == search:
            return last[2]
        titles = self._titles_of(state, answers)
        rows = titles.named[state.allowed(search.filter)[titles.named]]
        if search.candidates is not None:
            rows = np.intersect1d(rows, np.asarray(search.candidates, dtype=np.int64))
        if not len(rows):
            return None
        device = answers.system.model.queries.device
        table = PrefixTable.of(titles.codes, device=device, rows=rows)
        self._table = (state, search, table)
        return table

    def _titles_of(self, state: CatalogueState, answers: TextAnswers) -> _Titles:
        if self._titles is None or self._titles.views is not state.views:
            titles, texts = plain_titles(catalog_of(state.views)), answers.texts
            tokens = texts.batch_builder.tokenizer.encode_batch(titles)
            codes = title_codes(
                [texts.batch_builder.target(words) for words in tokens],
                end=texts.batch_builder.tokenizer.end,
                num_words=answers.system.model.num_words,
            )
            named = np.asarray([row for row, title in enumerate(titles) if title], np.int64)
            self._titles = _Titles(state.views, codes, named)
        return self._titles
