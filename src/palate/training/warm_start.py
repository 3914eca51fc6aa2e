"""Warm start: initialise a model with the transferable weights of a trained one."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from palate.data.catalog import Catalog
from palate.items.codes.quantiser import Quantiser
from palate.models.language_model import RecommendationModel

_OF_ITEMS = (
    "fusion.id.",
    "fusion.modality.text.whitening.",
    "fusion.modality.image.whitening.",
)
"""Weights that belong to the items of one catalogue: IDs, and its whitening statistics."""

_OF_CODES = ("codes.", "fusion.code.")
"""Weights that belong to the codebooks of one index."""


def warm_start(
    model: RecommendationModel, weights: Mapping[str, Tensor], *, same_events: bool
) -> list[str]:
    """Copy the weights of another model that do not depend on its data into a fresh model.

    :func:`warm_start_rows` copies the weights of single items or codes.

    Args:
        model: the fresh model, of the same widths.
        weights: weights of the model to start from.
        same_events: whether both models have the same event types.

    Returns:
        The names of the copied weights.
    """
    own = model.state_dict()
    skipped = _OF_ITEMS + _OF_CODES + (() if same_events else ("events.",))
    kept = {
        name: weight
        for name, weight in weights.items()
        if name in own and own[name].shape == weight.shape and not name.startswith(skipped)
    }
    model.load_state_dict(kept, strict=False)
    return sorted(kept)


def known_items(catalog: Catalog, known: Catalog) -> Int[np.ndarray, " items"]:
    """Return for each item its row in ``known``, -1 where it is not known there.

    Two items are the same if id and title are equal. Without a title, ids only count if the two
    catalogues have all ids in common, since two shops may number their items in the same way.
    """
    ids, row_of = catalog.vocabulary.ids, {x: row for row, x in enumerate(known.vocabulary.ids)}
    rows = np.asarray([row_of.get(x, -1) for x in ids], dtype=np.int64)
    ours, theirs = np.asarray(catalog.titles(), object), np.asarray(known.titles(), object)
    all_known = len(ids) == len(row_of) and bool((rows >= 0).all())
    # An item without a title has its id as title.
    has_title = all_known | (ours != ids)
    return np.where((rows >= 0) & has_title & (ours == theirs[rows]), rows, -1)


@torch.no_grad()
def warm_start_rows(
    table: Float[Tensor, "rows width"],
    known: Float[Tensor, "known width"],
    rows: Int[np.ndarray, " rows"],
) -> None:
    """Copy rows of a known embedding table into ``table`` (in place).

    Items start as themselves (:func:`known_items`), codes as the known code of the most similar
    meaning (:func:`nearest_codes`; see VQ-Rec, section 3.3).

    Args:
        table: embeddings to fill.
        known: embeddings of the model to start from; if the width differs nothing is copied.
        rows: row in ``known`` of each of the first rows of ``table``, -1 to leave it fresh.
    """
    if table.shape[1] != known.shape[1]:
        return
    there = np.flatnonzero(rows >= 0)
    from_known = known[torch.from_numpy(rows[there]).to(known.device)]
    table[torch.from_numpy(there).to(table.device)] = from_known.to(table)


def nearest_codes(new: Quantiser, known: Quantiser) -> Int[np.ndarray, " codes"]:
    """Return for each code of ``new`` the code of ``known`` with the most similar meaning.

    Codes are numbered level after level. The meaning of a code is the vector that it adds, minus
    the mean of its level; so codebooks over the same kind of vectors can be compared, whatever
    their rotation.
    """
    ours, theirs = meanings(new), meanings(known)
    theirs /= np.maximum(np.linalg.norm(theirs, axis=1, keepdims=True), 1e-9)
    return np.asarray((ours @ theirs.T).argmax(axis=1))


def meanings(quantiser: Quantiser) -> Float[np.ndarray, "codes dim"]:
    """Return the vector that each code adds, minus the mean of its level."""
    sizes, found = quantiser.sizes, []
    for level, size in enumerate(sizes):
        codes = np.zeros((size, len(sizes)), dtype=np.int32)
        codes[:, level] = np.arange(size)
        vectors = quantiser.decode(codes)
        found.append(vectors - vectors.mean(axis=0))
    return np.concatenate(found).astype(np.float32)
