"""What tasks are made from: a dataset, and what is read of it once for all of them."""

from dataclasses import dataclass
from functools import cached_property

from palate.data.catalog import Catalog
from palate.data.dataset import Dataset
from palate.language.queries import QueryPool
from palate.language.text.facts import Facts
from palate.language.text.plain import one_line
from palate.language.text.reviews import Reviews

_MAX_TITLE = 120


@dataclass(frozen=True)
class Material:
    """What tasks are made from."""

    dataset: Dataset
    queries: QueryPool
    reviews: Reviews | None
    """Of training events alone."""
    levels: tuple[float, ...]
    """Ratings there are."""

    @cached_property
    def titles(self) -> list[str]:
        """Title of every item."""
        return plain_titles(self.dataset.catalog)

    @cached_property
    def facts(self) -> Facts:
        """Categories and brand of every item."""
        return Facts.of(self.dataset.catalog)


def plain_titles(catalog: Catalog) -> list[str]:
    """Return the title of each item as one short line; empty where it has none."""
    return [one_line(title or "", _MAX_TITLE) for title in catalog.table["title"].to_list()]
