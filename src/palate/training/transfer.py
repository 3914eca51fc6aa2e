"""A model of another catalogue as the start: what of it carries over, and what is learned anew."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from palate.items.codes.quantiser import Quantiser
from palate.models.language_model import RecommendationModel

_OF_ITEMS = (
    "fusion.id.",
    "fusion.modality.text.whitening.",
    "fusion.modality.image.whitening.",
)
"""Weights that belong to the items of one catalogue: IDs, and how its vectors are spread."""

_OF_CODES = ("codes.", "fusion.code.")
"""Weights that belong to the codebooks of one index."""


def carry_over(
    model: RecommendationModel, weights: Mapping[str, Tensor], *, same_events: bool
) -> list[str]:
    """Give a fresh model the weights of another that do not belong to that one's data.

    Args:
        model: the fresh one, of the same widths.
        weights: of the model to start from.
        same_events: whether both know the same event types.

    Returns:
        The names of the weights that were carried over.
    """
    own = model.state_dict()
    left = _OF_ITEMS + _OF_CODES + (() if same_events else ("events.",))
    kept = {
        name: weight
        for name, weight in weights.items()
        if name in own and own[name].shape == weight.shape and not name.startswith(left)
    }
    model.load_state_dict(kept, strict=False)
    return sorted(kept)


@torch.no_grad()
def carry_codes(
    table: Float[Tensor, "codes width"],
    known: Float[Tensor, "known width"],
    nearest: Int[np.ndarray, " codes"],
) -> None:
    """Start each code as the known code that means most nearly the same (see VQ-Rec, section 3.3).

    Args:
        table: embeddings to fill.
        known: embeddings of the model to start from.
        nearest: for each code the known one, from :func:`nearest_codes`.
    """
    table[: len(nearest)] = known[torch.from_numpy(nearest).to(known.device)]


def nearest_codes(new: Quantiser, known: Quantiser) -> Int[np.ndarray, " codes"]:
    """Return for each code of ``new`` the code of ``known`` that moves a vector most alike.

    Codes are numbered level after level. What a code means is the vector that it adds, less the
    mean of its level; two codebooks over the same kind of vectors can so be compared, whatever
    their rotation.
    """
    ours, theirs = meanings(new), meanings(known)
    theirs /= np.maximum(np.linalg.norm(theirs, axis=1, keepdims=True), 1e-9)
    return np.asarray((ours @ theirs.T).argmax(axis=1))


def meanings(quantiser: Quantiser) -> Float[np.ndarray, "codes dim"]:
    """Return the vector that each code adds, less the mean of its level."""
    sizes, found = quantiser.sizes, []
    for level, size in enumerate(sizes):
        codes = np.zeros((size, len(sizes)), dtype=np.int32)
        codes[:, level] = np.arange(size)
        vectors = quantiser.decode(codes)
        found.append(vectors - vectors.mean(axis=0))
    return np.concatenate(found).astype(np.float32)
