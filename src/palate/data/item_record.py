"""Items that were added, changed or deleted after training: plain values that check themselves."""

from dataclasses import dataclass, field

from palate.data.field_checks import (
    Attributes,
    check_attributes,
    check_id,
    check_number,
    check_size,
    check_text,
)


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """An item that was added or changed.

    Raises:
        DataError: when a field cannot be stored.
    """

    item_id: str
    title: str | None = None
    description: str | None = None
    brand: str | None = None
    categories: tuple[str, ...] = ()
    price: float | None = None
    in_stock: bool = True
    attributes: Attributes = field(default_factory=dict)
    updated: int = 0
    """Number of the change that made it so; counted over all items, given by the store."""

    def __post_init__(self) -> None:
        """Refuse what no database could keep."""
        check_id("item_id", self.item_id)
        for name in ("title", "description", "brand"):
            text = getattr(self, name)
            if text is not None:
                check_text(name, text)
        for category in self.categories:
            check_text("categories", category)
        check_size("categories", list(self.categories))
        if self.price is not None:
            check_number("price", self.price)
        check_attributes(self.attributes)


@dataclass(frozen=True, slots=True)
class DeletedItem:
    """An item that was deleted by the change ``updated``."""

    item_id: str
    updated: int
