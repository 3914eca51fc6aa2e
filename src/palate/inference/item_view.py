"""Item view: the description of an item that is shown to people."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ItemView:
    """Latest description of one item, from the model folder or the store."""

    item_id: str
    title: str | None
    brand: str | None
    categories: tuple[str, ...]
    price: float | None
    description: str | None
    in_stock: bool = True
    has_image: bool = False

    @property
    def content(self) -> tuple[object, ...]:
        """The fields that a model reads; equal content means equal vectors."""
        return self.title, self.brand, self.categories, self.price, self.description
