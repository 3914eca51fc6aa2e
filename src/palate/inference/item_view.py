"""What a person sees of an item."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ItemView:
    """One item of a live catalogue, as the model folder or the store last described it."""

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
        """What a model may read of it: as long as this is equal, its vectors are."""
        return self.title, self.brand, self.categories, self.price, self.description
