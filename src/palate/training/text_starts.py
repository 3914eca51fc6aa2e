"""Tables of token vectors to start from: of the catalogue's own words, of a network's, or given."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import tokenizers
import torch

from palate.items.static_text import TokenTable, token_counts
from palate.items.text import TextEncoder, right_singular_vectors
from palate.language.tokenizer import Tokenizer
from palate.models.adaptor import Whitening

_RARE = 1e-3
"""The share of all tokens at which a token counts half (Arora et al., 2017)."""


def catalogue_table(texts: Sequence[str], *, dim: int, rng: np.random.Generator) -> TokenTable:
    """Return a table of the pieces of words of a catalogue, whose vectors are fitted on it too.

    Byte-level BPE, so that no text is unknown, and latent semantic analysis: a token has its row of
    the right singular vectors of the TF-IDF matrix of the texts, and counts by its ``idf``. Pieces
    that no text holds have no weight.
    """
    made = tokenizers.Tokenizer.from_str(Tokenizer.train(texts).json)
    size = made.get_vocab_size()
    empty = TokenTable(made, np.zeros((size, 1), np.float32), np.ones(size, np.float32))
    counts = token_counts(empty.tokens(texts), size)
    counts.sum_duplicates()
    held = np.bincount(counts.indices, minlength=size)
    idf = (1 + np.log((1 + len(texts)) / (1 + held))).astype(np.float32)
    weighted = counts.copy()
    weighted.data = (1 + np.log(counts.data)) * idf[counts.indices]
    lengths = np.sqrt(np.asarray(weighted.power(2).sum(axis=1))).ravel()
    weighted.data /= np.repeat(np.maximum(lengths, 1e-9), np.diff(weighted.indptr))
    vectors = right_singular_vectors(weighted.astype(np.float32), dim, rng)
    return TokenTable(made, vectors, np.where(held > 0, idf, 0).astype(np.float32))


def distilled_table(
    encoder: TextEncoder, tokenizer: tokenizers.Tokenizer, *, dim: int
) -> TokenTable:
    """Return a table whose vectors are what a network says of each token alone.

    Reduced to their ``dim`` main directions (as Model2Vec, 2024, distils an encoder).
    """
    size = tokenizer.get_vocab_size()
    found = encoder.encode([tokenizer.decode([token]) for token in range(size)])
    weights = found.present.astype(np.float32)
    known = found.values[found.present]
    _, _, axes = np.linalg.svd(np.cov(known, rowvar=False))
    return TokenTable(tokenizer, (found.values - known.mean(axis=0)) @ axes[:dim].T, weights)


def starts(table: TokenTable, texts: Sequence[str]) -> dict[str, TokenTable]:
    """Return the tables that are worth starting from, by name.

    The table itself; with tokens weighed by how rare they are in the catalogue,
    ``w_t = a / (a + p_t)`` (Arora et al., 2017); and both whitened over the catalogue.
    """
    counts = token_counts(table.tokens(texts), len(table.vectors))
    totals = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
    rarity = (_RARE / (_RARE + totals / max(1.0, totals.sum()))).astype(np.float32)
    rare = replace(table, weights=table.weights * rarity)
    found = {"plain": table, "rare tokens louder": rare}
    for name, one in list(found.items()):
        found[f"{name}, whitened"] = whitened_table(one, texts)
    return found


def whitened_table(table: TokenTable, texts: Sequence[str]) -> TokenTable:
    """Return the table whose texts are whitened: ``e_t`` becomes ``(e_t - m) C^(-1/2)``.

    ``m`` and ``C`` are mean and floored covariance of the texts' means (see
    :class:`palate.models.adaptor.Whitening`). A mean of tokens is linear in them, so that whitening
    texts and whitening tokens are the same.
    """
    counts = token_counts(table.tokens(texts), len(table.vectors))
    vectors = table.vectors.astype(np.float32)
    totals = counts @ table.weights
    known = totals > 0
    means = (counts @ (vectors * table.weights[:, None]))[known] / totals[known, None]
    made = Whitening(torch.from_numpy(np.asarray(means, dtype=np.float32)))
    return replace(table, vectors=made(torch.from_numpy(vectors)).numpy())


def unit_scale(table: TokenTable) -> TokenTable:
    """Return the table with vectors of length 1 in the mean, so that one learning rate fits all."""
    vectors = table.vectors.astype(np.float32)
    lengths = np.linalg.norm(vectors[table.weights > 0], axis=1)
    return replace(table, vectors=vectors / max(float(lengths.mean()), 1e-9))
