"""Material of tasks: a dataset, and what is computed from it once for all tasks."""

from dataclasses import dataclass
from functools import cached_property

from palate.data.catalog import Catalog
from palate.data.dataset import Dataset
from palate.language.queries import QueryPool
from palate.language.text.facts import Facts
from palate.language.text.plain import one_line
from palate.language.text.reviews import Reviews
from palate.language.wishes.making import WishPool, make_wishes
from palate.language.wishes.terms import Terms

_MAX_TITLE = 120
_WISHES_PER_ITEM = 4


@dataclass(frozen=True)
class Material:
    """A dataset with queries, reviews, rating levels and facts, shared by all tasks."""

    dataset: Dataset
    queries: QueryPool
    reviews: Reviews | None
    """Reviews of training events only."""
    levels: tuple[float, ...]
    """Rating levels, ascending."""

    @cached_property
    def titles(self) -> list[str]:
        """Title of every item."""
        return plain_titles(self.dataset.catalog)

    @cached_property
    def facts(self) -> Facts:
        """Categories and brand of every item."""
        return Facts.of(self.dataset.catalog)

    @cached_property
    def wishes(self) -> WishPool:
        """Wishes that each item meets."""
        return make_wishes(Terms.of_catalog(self.dataset.catalog), _WISHES_PER_ITEM, seed=0)


def plain_titles(catalog: Catalog) -> list[str]:
    """Return the title of each item as one short line; empty where it has none."""
    return [one_line(title or "", _MAX_TITLE) for title in catalog.table["title"].to_list()]
