"""Texts of the simulated shop: kinds of goods, titles, descriptions, brands and reviews.

The texts describe an item's style coarsely. They never describe its look, which only the picture
shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Kind:
    """One kind of goods; the next kind of the same category is its complement."""

    department: str
    category: str
    noun: str
    materials: tuple[str, ...]
    """Four materials, one for each combination of the signs of the first two styles."""
    base_price: float


_SHOP: dict[str, dict[str, tuple[float, str, str]]] = {
    "Home": {
        "Lighting": (
            60,
            "Reading Lamp, Lamp Shade, Light Bulb, Cable Reel",
            "Oak, Brass, Linen, Steel",
        ),
        "Kitchen": (
            35,
            "Frying Pan, Spatula, Pan Lid, Spice Rack",
            "Iron, Copper, Beech, Ceramic",
        ),
        "Bedding": (45, "Duvet, Duvet Cover, Pillow, Pillow Case", "Cotton, Linen, Silk, Wool"),
        "Office": (
            90,
            "Writing Desk, Desk Chair, Seat Cushion, Foot Rest",
            "Oak, Birch, Felt, Cork",
        ),
    },
    "Clothing": {
        "Shoes": (
            85,
            "Walking Shoe, Shoe Lace, Insole, Shoe Brush",
            "Leather, Canvas, Suede, Mesh",
        ),
        "Coats": (140, "Winter Coat, Scarf, Glove Set, Wool Hat", "Tweed, Down, Felt, Fleece"),
        "Bags": (
            75,
            "Travel Bag, Wash Bag, Luggage Tag, Packing Cube",
            "Leather, Nylon, Jute, Waxed Cotton",
        ),
        "Watches": (
            160,
            "Wrist Watch, Watch Strap, Watch Box, Watch Tool",
            "Steel, Gold, Resin, Wood",
        ),
    },
    "Outdoors": {
        "Camping": (
            120,
            "Two Person Tent, Sleeping Mat, Camp Stove, Gas Lantern",
            "Canvas, Nylon, Titanium, Mesh",
        ),
        "Cycling": (
            95,
            "Bicycle Saddle, Saddle Bag, Tyre Pump, Bell",
            "Leather, Alloy, Carbon, Gel",
        ),
        "Garden": (
            30,
            "Garden Fork, Hedge Trimmer, Plant Pot, Watering Can",
            "Ash, Steel, Clay, Zinc",
        ),
        "Fishing": (
            70,
            "Fishing Rod, Fly Reel, Landing Net, Tackle Box",
            "Bamboo, Carbon, Cork, Alloy",
        ),
    },
    "Sound": {
        "Headsets": (
            110,
            "Headset, Ear Pad, Headset Stand, Audio Cable",
            "Walnut, Alloy, Velour, Carbon",
        ),
        "Guitars": (
            220,
            "Guitar, Guitar Case, String Set, Capo",
            "Spruce, Maple, Rosewood, Carbon",
        ),
        "Records": (
            150,
            "Turntable, Stylus, Record Brush, Record Shelf",
            "Walnut, Acrylic, Pine, Steel",
        ),
        "Drums": (
            180,
            "Snare Drum, Drum Stick, Drum Key, Practice Pad",
            "Maple, Brass, Birch, Rubber",
        ),
    },
    "Play": {
        "Board Games": (
            40,
            "Strategy Game, Card Sleeve, Dice Set, Game Mat",
            "Wood, Card, Linen, Metal",
        ),
        "Puzzles": (25, "Jigsaw Puzzle, Puzzle Mat, Sorting Tray, Frame", "Wood, Card, Cork, Felt"),
        "Toys": (
            35,
            "Toy Train, Railway Track, Station House, Play Rug",
            "Beech, Tin, Cotton, Maple",
        ),
        "Models": (
            55,
            "Ship Model, Paint Set, Fine Brush, Display Case",
            "Balsa, Brass, Resin, Card",
        ),
    },
    "Table": {
        "Coffee": (
            80,
            "Coffee Grinder, Coffee Filter, Milk Jug, Espresso Cup",
            "Steel, Paper, Glass, Clay",
        ),
        "Tea": (40, "Tea Pot, Tea Strainer, Tea Cup, Tea Caddy", "Iron, Bamboo, Glass, Tin"),
        "Wine": (30, "Wine Glass, Decanter, Corkscrew, Wine Rack", "Crystal, Glass, Olive, Oak"),
        "Baking": (
            35,
            "Bread Tin, Proving Basket, Dough Scraper, Rolling Pin",
            "Steel, Rattan, Beech, Marble",
        ),
    },
}

# A pair of opposites for each of the last four styles; the material shows the first two.
_POLES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("Nordic", "Minimal", "Plain"), ("Ornate", "Baroque", "Florid")),
    (("Rugged", "Sturdy", "Stout"), ("Delicate", "Slender", "Fine")),
    (("Vintage", "Classic", "Heritage"), ("Modern", "Smart", "Urban")),
    (("Playful", "Cheerful", "Lively"), ("Sober", "Quiet", "Calm")),
)
_DEGREES = ("a little", "rather", "very")
_STARTS = ("Fjor", "Bram", "Cal", "Hol", "Lin", "Mar", "Nor", "Ost", "Pell", "Quin", "Ras", "Tor")
_ENDS = (
    "dale",
    "berg",
    "wick",
    "holm",
    "ley",
    "mere",
    "stad",
    "vale",
    "ton",
    "croft",
    "by",
    "more",
)
_BRANDS_PER_DEPARTMENT = 12

_OPENINGS = (
    ("Sent it back", "A let-down", "Not for me"),
    ("Expected more", "Rather weak", "Not quite right"),
    ("It will do", "Fair enough", "Neither good nor bad"),
    ("Good choice", "Pleased with it", "Well made"),
    ("Love it", "Just what I wanted", "Could not be better"),
)
_REMARKS = (
    (
        ("does not look the way I like", "looks wrong in my home", "has a look I tired of quickly"),
        ("looks lovely", "has just the colour and shape I like", "is a joy to look at"),
    ),
    (
        ("is not my style", "has too much of the wrong character", "does not suit what I own"),
        ("is just my style", "has real character", "suits everything I own"),
    ),
    (
        ("costs more than it gives", "is overpriced", "was too dear for me"),
        ("is worth its price", "is good value", "was a bargain for me"),
    ),
)


def kinds() -> tuple[Kind, ...]:
    """Return all kinds of goods, the four of a category together, departments alternating."""
    leaves = [
        (department, *leaf)
        for turn in zip(*(d.items() for d in _SHOP.values()), strict=True)
        for department, leaf in zip(_SHOP, turn, strict=True)
    ]
    # Complements cost less than the main item.
    return tuple(
        Kind(department, category, noun, tuple(materials.split(", ")), price / (1 + step))
        for department, category, (price, nouns, materials) in leaves
        for step, noun in enumerate(nouns.split(", "))
    )


def shelf_names(num_shelves: int) -> list[tuple[Kind, str]]:
    """Return the kind of each shelf, and its product line where a kind fills several."""
    all_kinds = kinds()
    lines = [start + end for end in _ENDS for start in _STARTS]
    names = []
    for shelf in range(num_shelves):
        turn, kind = divmod(shelf, len(all_kinds))
        number = "" if turn <= len(lines) else f" {turn // len(lines) + 1}"
        line = f"{lines[(turn - 1) % len(lines)]}{number}" if turn else ""
        names.append((all_kinds[kind], line))
    return names


def item_columns(
    shelf_of: Int[np.ndarray, " items"],
    style: Float[np.ndarray, "items styles"],
    expense: Float[np.ndarray, " items"],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return title, description, brand, categories and price of items, made from their styles."""
    names = shelf_names(int(shelf_of.max()) + 1)
    chosen = [names[shelf] for shelf in shelf_of]
    synonym = rng.integers(3, size=(len(style), len(_POLES)))
    described = [
        _describe(kind, line, style_row, synonyms)
        for (kind, line), style_row, synonyms in zip(chosen, style, synonym, strict=True)
    ]
    prices = np.array([kind.base_price for kind, _ in chosen]) * np.exp(0.4 * expense)
    return pl.DataFrame(
        {
            "title": [title for title, _ in described],
            "description": [description for _, description in described],
            "brand": _brands([kind for kind, _ in chosen], style, expense, rng),
            "categories": [[kind.department, kind.category] for kind, _ in chosen],
            "price": np.round(prices) + 0.95,
        }
    )


def _describe(
    kind: Kind,
    line: str,
    style: Float[np.ndarray, " styles"],
    synonyms: Int[np.ndarray, " poles"],
) -> tuple[str, str]:
    material = kind.materials[int(style[0] > 0) + 2 * int(style[1] > 0)]
    words = [
        pair[int(value < 0)][synonym]
        for pair, value, synonym in zip(_POLES, style[2:], synonyms, strict=True)
    ]
    strongest = int(np.abs(style[2:]).argmax())
    degrees = [_DEGREES[min(int(abs(value) / 0.35), 2)] for value in style[2:]]
    phrases = [f"{d} {w.lower()}" for d, w in zip(degrees, words, strict=True)]
    title = " ".join(part for part in (line, words[strongest], material, kind.noun) if part)
    made = f"{kind.noun} in {material.lower()}" + (f" from the {line} line" if line else "")
    return title, f"{made}. In character {', '.join(phrases[:-1])} and {phrases[-1]}."


def _brands(
    of_kind: Sequence[Kind],
    style: Float[np.ndarray, "items styles"],
    expense: Float[np.ndarray, " items"],
    rng: np.random.Generator,
) -> list[str | None]:
    """Return brands that depend on price level and style; one item in twenty has none."""
    departments = {name: place for place, name in enumerate(_SHOP)}
    level = np.digitize(expense, [-0.5, 0.5])
    number = level * 4 + 2 * (style[:, 4] > 0) + (style[:, 2] > 0)
    loose = rng.random(len(style)) < 0.15
    number = np.where(loose, rng.integers(_BRANDS_PER_DEPARTMENT, size=len(style)), number)
    missing = rng.random(len(style)) < 0.05
    return [
        None if none else _STARTS[n] + _ENDS[(n + 2 * departments[kind.department]) % len(_ENDS)]
        for kind, n, none in zip(of_kind, number, missing, strict=True)
    ]


def reviews(
    nouns: pl.Series,
    ratings: Int[np.ndarray, " reviews"],
    aspects: Float[np.ndarray, "reviews 3"],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return review_title and review_text: an opening by rating, a remark on one aspect.

    Args:
        nouns: noun of the item of each review.
        ratings: ratings from 1 to 5.
        aspects: how much the user liked look, style and price; negative is disliked.
        rng: chooses among wordings.
    """
    # Positive reviews mention the most liked aspect, negative ones the most disliked.
    mood = np.sign(ratings - 3)
    strength = np.where(mood[:, None] == 0, np.abs(aspects), aspects * mood[:, None])
    strongest = strength.argmax(axis=1)
    liked = np.where(mood == 0, aspects[np.arange(len(aspects)), strongest] > 0, mood > 0)
    wording = rng.integers(3, size=(2, len(ratings)))
    openings = pl.Series([text for texts in _OPENINGS for text in texts])
    remarks = pl.Series([text for aspect in _REMARKS for sign in aspect for text in sign])
    table = pl.DataFrame(
        {
            "review_title": openings.gather((ratings - 1) * 3 + wording[0]),
            "noun": nouns.str.to_lowercase(),
            "remark": remarks.gather(strongest * 6 + liked * 3 + wording[1]),
        }
    )
    text = pl.format("{}. The {} {}.", "review_title", "noun", "remark")
    return table.select("review_title", review_text=text)
