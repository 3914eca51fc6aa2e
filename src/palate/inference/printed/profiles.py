"""Profiles: what a user likes, in sentences that only state what can be counted."""

import numpy as np

from palate.inference.printed.choosing import Chooser
from palate.inference.printed.statements import listed, money
from palate.types import History

_FEWEST_PRICES = 3
_MOST_FAVOURITES = 2


def profile(chooser: Chooser, history: History) -> str:
    """Return what a user likes; empty where nothing can be said.

    It says which categories and which brand stand out among the items, the median price, the items
    that the user rated highest (the newest first), and the aspects that the user's reviews mention.
    """
    rows = history.item_rows
    taste = chooser.facts.facts.taste(rows)
    said = []
    if taste.categories:
        often = f", often by {taste.brand}" if taste.brand else ""
        said.append(f"You like {listed(taste.categories)}{often}.")
    elif taste.brand:
        said.append(f"You often choose {taste.brand}.")
    distinct = dict.fromkeys(rows.tolist())
    prices = [price for row in distinct if (price := chooser.facts.price(row)) is not None]
    if len(prices) >= _FEWEST_PRICES:
        said.append(f"What you choose usually costs about {money(float(np.median(prices)))}.")
    if favourites := _favourites(chooser, history):
        said.append(f"You gave {listed(favourites)} your best ratings.")
    if cares := () if history.places is None else chooser.voices.cares(history.places.tolist()):
        said.append(f"In your reviews you often mention {listed(cares[:2])}.")
    return " ".join(said)


def _favourites(chooser: Chooser, history: History) -> list[str]:
    """Return the titles of the items that were rated highest, if somebody was pleased."""
    if history.ratings is None or not np.nanmax(history.ratings, initial=-np.inf) >= (
        chooser.scale.pleased
    ):
        return []
    best = np.flatnonzero(history.ratings == np.nanmax(history.ratings))[::-1]
    names = (chooser.name(int(history.item_rows[event])) for event in best)
    titled = dict.fromkeys(name.the for name in names if name.text != "item")
    return list(titled)[:_MOST_FAVOURITES]
