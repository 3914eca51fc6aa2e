"""Check statements of explanations against the tables they were made from.

Nothing of the code that chose them is asked: every statement is looked up again in the raw tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from palate.data.dataset import Dataset
from palate.data.split import Part
from palate.inference.printed.statements import (
    Alike,
    Because,
    Described,
    Filed,
    Popular,
    Praised,
    Priced,
    Shared,
    Statement,
    Unspoken,
    WellRated,
)
from palate.language.text.aspects import folded, opinion
from palate.language.text.plain import without_markup, words
from palate.language.text.sentiment import sentiment
from palate.types import History

_NEAR = 0.2
_CENT = 0.006
_ROUNDED = 0.051


@dataclass(frozen=True, eq=False)
class Checks:
    """Looks statements up in the tables of a dataset."""

    dataset: Dataset

    def is_true(self, statement: Statement, history: History, item_row: int) -> bool:
        """Return whether a statement about an item, said to a user, holds in the data."""
        match statement:
            case Because():
                return self._because(statement, history)
            case Priced():
                return self._priced(statement, history, item_row)
            case Praised():
                return self._praised(statement, history, item_row)
            case Unspoken():
                return self._unspoken(statement, history, item_row)
            case WellRated(mean=mean, num_ratings=count):
                given = self.dataset.interactions.ratings
                assert given is not None
                own = given[self._about(item_row)]
                wanted = float(mean.split()[0])
                return len(own) == count and abs(float(own.mean()) - wanted) < _ROUNDED
            case Popular(times=times):
                return len(self._about(item_row)) == times
        return self._stands_in_catalogue(statement, item_row)

    def _stands_in_catalogue(self, statement: Statement, item_row: int) -> bool:
        match statement:
            case Shared(column=column, values=values, item_id=other):
                row = self.dataset.catalog.vocabulary.row(other)
                both = set(self._values(column, row)) & set(self._values(column, item_row))
                return set(values) <= both
            case Filed(column=column, values=values):
                return set(values) <= set(self._values(column, item_row))
            case Alike(words=said, item_id=other):
                row = self.dataset.catalog.vocabulary.row(other)
                return said in self._description(item_row) and said in self._description(row)
            case Described(text=text):
                return text in self._description(item_row)
        return True

    def complaints(self, statements: Sequence[Statement], history: History) -> list[str]:
        """Return the words of customers among statements that complain.

        A sentence complains where the review it stands in was not given a good rating, or where
        either of two lists of words finds more blame than praise in it.
        """
        found = []
        for statement in statements:
            match statement:
                case Praised(quote=quote) if quote is not None:
                    if self._displeased(quote.place) or _blames(quote.text):
                        found.append(quote.text)
                case Because(own_words=own) if own:
                    assert history.places is not None
                    place = int(history.places[statement.events[0]])
                    if self._displeased(place) or _blames(own):
                        found.append(own)
        return found

    def _because(self, because: Because, history: History) -> bool:
        ids = self.dataset.catalog.vocabulary.ids
        rows = [int(history.item_rows[event]) for event in because.events]
        named = tuple(str(ids[row]) for row in rows) == because.item_ids
        rated = True
        if because.act.startswith("gave") and history.ratings is not None:
            given = {float(history.ratings[event]) for event in because.events}
            rated = len(given) == 1 and min(given) >= self._pleased
        own = True
        if because.own_words:
            assert history.places is not None
            own = because.own_words in self._text(
                "review_title", int(history.places[because.events[0]])
            )
        return named and rated and own

    def _praised(self, praised: Praised, history: History, item_row: int) -> bool:
        about = self._reviews_of(item_row, history)
        quoted = True
        if praised.quote is not None:
            place = praised.quote.place
            quoted = place in about and praised.quote.text in self._text("review_text", place)
        if not praised.aspect:
            return quoted
        using = [
            place
            for place in about
            if folded(praised.aspect) in set(map(folded, words(self._text("review_text", place))))
            and not self._displeased(place)
        ]
        return quoted and praised.num_praising <= len(using) and praised.num_reviews == len(about)

    def _unspoken(self, unspoken: Unspoken, history: History, item_row: int) -> bool:
        about = self._reviews_of(item_row, history)
        wanted = {folded(word) for word in words(unspoken.aspect)}
        speaking = [
            place
            for place in about
            if wanted
            & set(
                map(
                    folded,
                    words(
                        " ".join(
                            (self._text("review_title", place), self._text("review_text", place))
                        )
                    ),
                )
            )
        ]
        return bool(speaking) or not unspoken.num_speaking

    def _priced(self, priced: Priced, history: History, item_row: int) -> bool:
        prices = self.dataset.catalog.table["price"]
        own = prices[item_row]
        if own is None or abs(own - priced.price) > _CENT:
            return False
        if priced.usual is None:
            return True
        rows = dict.fromkeys(history.item_rows.tolist())
        usual = float(np.median([prices[row] for row in rows if prices[row]]))
        about = abs(own - usual) <= _NEAR * usual
        standing = "about" if about else "less" if own < usual else "more"
        return abs(usual - priced.usual) <= _CENT and standing == priced.standing

    @cached_property
    def _pleased(self) -> float:
        ratings = self.dataset.interactions.ratings
        if ratings is None or np.isnan(ratings).all():
            return float("nan")
        return float(np.nanmin(ratings) + 3 * np.nanmax(ratings)) / 4

    def _displeased(self, place: int) -> bool:
        ratings = self.dataset.interactions.ratings
        return ratings is not None and bool(ratings[place] < self._pleased)

    def _values(self, column: str, row: int) -> Sequence[str]:
        table = self.dataset.catalog.table
        name = next(each for each in table.columns if each.lower() == column)
        value = table[name][row]
        if value is None:
            return ()
        if isinstance(value, str):
            return [value, *value.split(", ")]
        return [str(each) for each in value]

    def _description(self, row: int) -> str:
        return without_markup(self.dataset.catalog.table["description"][row] or "")

    def _about(self, item_row: int) -> list[int]:
        """Return the training events of an item."""
        events = self.dataset.interactions
        of_item = np.flatnonzero(events.item_rows == item_row)
        trained = self.dataset.split.parts[of_item] == Part.TRAIN
        return [int(place) for place in of_item[trained]]

    def _reviews_of(self, item_row: int, history: History) -> list[int]:
        """Return the training events of an item that others reviewed."""
        users = self.dataset.interactions.user_rows
        return [
            place
            for place in self._about(item_row)
            if int(users[place]) != history.user_row
            and (self._text("review_text", place) or self._text("review_title", place))
        ]

    def _text(self, column: str, place: int) -> str:
        extra = self.dataset.interactions.extra
        if extra is None or column not in extra.columns:
            return ""
        return without_markup(extra[column][place] or "")


def _blames(text: str) -> bool:
    return opinion(words(text)) < 0 or sentiment(text).is_blame
