"""Recommending by titles: what comes next is generated word by word, and must be a title."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from palate.inference.catalogue_state import CatalogueState
from palate.inference.code_search import CodeSearch
from palate.inference.grounded_answers import GroundedAnswers
from palate.inference.item_encoder import catalog_of
from palate.inference.item_view import ItemView
from palate.inference.prompt_runner import padded
from palate.inference.text_answers import TextAnswers
from palate.items.codes.codes import Codes
from palate.items.codes.prefix_table import PrefixTable
from palate.items.codes.title_codes import title_codes
from palate.language.tasks.material import plain_titles
from palate.language.tasks.next_title import NextTitle
from palate.types import History, Ranking

TITLE_BEAMS = 20
"""Titles begun that go on after each word, at least."""

_FOUND_NOTHING = Ranking(np.zeros(0, np.int64), np.zeros(0, np.float32))


@dataclass(frozen=True, eq=False)
class _Titles:
    """The titles of one state of the catalogue, as codes of words."""

    views: Sequence[ItemView]
    codes: Codes
    named: Int[np.ndarray, " named"]
    """Rows of the items that have a title."""


class TitleSearch:
    """A model that was trained to generate the title of what comes next, asked for items.

    The score of an item is the log-probability of its title, the mark that ends it included, found
    by beam search over the titles of the catalogue. Items that share a title share its score; an
    item without one cannot be found. (CALRec writes freely and looks for titles like that, Li et
    al. 2024; with the search bound to what exists nothing is left to be matched.)
    """

    def __init__(self, texts: GroundedAnswers) -> None:
        """Ask the model of ``texts``."""
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
        """Return the items whose titles are the likeliest after each history.

        Args:
            state: the items there are.
            histories: of what the model can be told.
            search: which items may be found, and how many.
            left_out: rows not to find, for each history.
            prompt: free text read in place of the wording.

        Raises:
            NotTrainedError: when the model was not trained to generate titles.
        """
        answers = self._texts.over(state)
        task = answers.task(NextTitle)
        table = self._table_of(state, search, answers)
        if table is None:
            return [_FOUND_NOTHING] * len(histories)
        asked = answers.question(task, [task.ask(history) for history in histories], prompt)
        seen = padded(left_out)
        seen[seen >= len(table.leaves)] = -1
        return answers.texts.search(asked, table, search.most, beams=TITLE_BEAMS, seen=seen)

    def _table_of(
        self, state: CatalogueState, search: CodeSearch, answers: TextAnswers
    ) -> PrefixTable | None:
        """Return the titles that may be found, None without one; the last table is kept."""
        last = self._table
        if last is not None and last[0] is state and last[1] == search:
            return last[2]
        titles = self._titles_of(state, answers)
        rows = titles.named[state.allowed(search.filter)[titles.named]]
        if search.candidates is not None:
            rows = np.intersect1d(rows, np.asarray(search.candidates, dtype=np.int64))
        if not len(rows):
            return None
        device = answers.parts.model.queries.device
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
                num_words=answers.parts.model.num_words,
            )
            named = np.asarray([row for row, title in enumerate(titles) if title], np.int64)
            self._titles = _Titles(state.views, codes, named)
        return self._titles
