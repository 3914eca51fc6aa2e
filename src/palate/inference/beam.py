"""Beam search over item codes, restricted to prefixes of existing items.

A beam is a node of the prefix table. At each level the scorer gives the probability of each next
code of each beam, the table gives the codes that exist, and the best beams are kept: look-ups and
one ``topk`` per level, for all users at once. With 2 beams and codes of 3 levels::

    level 0        level 1             level 2
    root -- 3 ----- 3,1 ----------- 3,1,0 = item i7   -0.9
       |       |       `----------- 3,1,5 = item i2   -1.6
       |       `--- 3,4 (dropped)
       `--- 5 ----- 5,2 ----------- 5,2,6 = item i9   -1.2
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from palate.errors import ConfigError
from palate.items.codes.prefix_table import Children, PrefixTable


@runtime_checkable
class CodeScorer(Protocol):
    """Gives log-probabilities of the next code of every beam; keeps a cache between calls."""

    def first(self) -> Float[Tensor, "users codes"]:
        """Return the log-probabilities of the first level, given the history."""
        ...

    def next(
        self, parents: Int[Tensor, "users beams"], codes: Int[Tensor, "users beams"]
    ) -> Float[Tensor, "users beams codes"]:
        """Return the log-probabilities of the next level.

        Beam ``k`` of user ``u`` extends beam ``parents[u, k]`` of the previous call by the code
        ``codes[u, k]``; before the first call there is a single beam, the history.
        """
        ...


@dataclass(frozen=True)
class _Beams:
    """The beams after a level."""

    nodes: Int[Tensor, "users beams"]
    totals: Float[Tensor, "users beams"]
    """Sum of log-probabilities; -inf for a beam that does not exist."""


def beam_search(
    scorer: CodeScorer,
    table: PrefixTable,
    *,
    beams: int,
    n: int,
    seen: Int[Tensor, "users seen"] | None = None,
) -> tuple[Int[Tensor, "users n"], Float[Tensor, "users n"]]:
    """Return the best ``n`` item rows of each user and their log-probabilities, best first.

    The log-probability of an item is the sum over its codes. Ties are ordered by item row, lower
    first (see :func:`palate.ranking.top_rows`). With at least as many beams as items the ranking is
    exhaustive. A list with fewer than ``n`` items is padded with row -1 and -inf; an item of
    probability zero is not listed.

    Args:
        scorer: a language model that has encoded the histories.
        table: the items to choose from.
        beams: beam width, the prefixes kept after each level.
        n: items per user.
        seen: item rows to exclude, padded with -1. A prefix whose items are all excluded is
            dropped from the beams.

    Raises:
        ConfigError: when ``beams`` or ``n`` is not positive.
    """
    if beams < 1 or n < 1:
        raise ConfigError(f"{beams} beams and {n} items per list: both must be at least 1.")
    log_probabilities = scorer.first()[:, None]
    users, device = len(log_probabilities), log_probabilities.device
    at = _Beams(
        torch.zeros(users, 1, dtype=torch.int32, device=device),
        torch.zeros(users, 1, device=device),
    )
    if not len(table):
        return _padded(at.nodes[:, :0], at.totals[:, :0], n)
    gone = table.exhausted(seen) if seen is not None and seen.shape[1] else None
    for level in range(table.num_levels):
        children = table.children(level, at.nodes)
        grown = _grown(at, children, log_probabilities)
        if gone is not None:
            _leave_out(grown, at, table.starts[level], gone[level])
        if level + 1 < table.num_levels:
            parents, codes, at = _best(grown, children, beams)
            log_probabilities = scorer.next(parents, codes)
    return _best_rows(grown.flatten(1), table.rows_of(children.nodes).flatten(1), n)


def _grown(
    at: _Beams, children: Children, log_probabilities: Float[Tensor, "users beams codes"]
) -> Float[Tensor, "users beams branch"]:
    """Return the total log-probability of every child of every beam."""
    added = log_probabilities.float().gather(2, children.codes) + at.totals[..., None]
    return torch.where(children.valid, added, -torch.inf)


def _leave_out(
    grown: Float[Tensor, "users beams branch"],
    at: _Beams,
    starts: Int[Tensor, " nodes_and_end"],
    gone: Int[Tensor, "users gone"],
) -> None:
    """Set the children that are ``gone`` to -inf where their parent is among the beams."""
    # The children of node p are the nodes starts[p] to starts[p + 1] - 1, so that searchsorted
    # finds the parent of an excluded node. Padding gets a parent past the last node, and a dead
    # beam an even larger number, so that neither matches.
    parent = torch.searchsorted(starts, gone, right=True, out_int32=True) - 1
    nodes, beam = at.nodes.masked_fill(at.totals == -torch.inf, len(starts)).sort(dim=1)
    place = torch.searchsorted(nodes, parent).clamp(max=nodes.shape[1] - 1)
    hit = nodes.gather(1, place) == parent
    slot = beam.gather(1, place) * grown.shape[2] + (gone - starts[parent])
    # Entries without a hit add 0 to child 0, which saves selecting the hits.
    minus = torch.zeros_like(slot, dtype=grown.dtype).masked_fill(hit, -torch.inf)
    grown.view(len(grown), -1).scatter_add_(1, slot.masked_fill(~hit, 0), minus)


def _best(
    grown: Float[Tensor, "users beams branch"], children: Children, beams: int
) -> tuple[Int[Tensor, "users kept"], Int[Tensor, "users kept"], _Beams]:
    """Return the parents and last codes of the best beams, and the beams themselves."""
    flat = grown.flatten(1)
    totals, chosen = flat.topk(min(beams, flat.shape[1]))
    nodes = children.nodes.flatten(1).gather(1, chosen)
    codes = children.codes.flatten(1).gather(1, chosen)
    return chosen // grown.shape[2], codes, _Beams(nodes, totals)


def _best_rows(
    totals: Float[Tensor, "users leaves"], rows: Int[Tensor, "users leaves"], n: int
) -> tuple[Int[Tensor, "users n"], Float[Tensor, "users n"]]:
    """Return the best rows in exact order: by total, ties by lower row.

    Both are packed into one 64-bit integer key. The bits of a float32 order like an integer once
    the bits below the sign are flipped for negative numbers; they form the upper half of the key.
    The lower half is the row, negated so that a lower row gives a larger key.
    """
    bits = (totals + 0.0).view(torch.int32)
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    keys = (ordered.long() << 32) | (0x7FFFFFFF - rows.long())
    chosen = keys.topk(min(n, keys.shape[1])).indices
    return _padded(rows.gather(1, chosen), totals.gather(1, chosen), n)


def _padded(
    rows: Int[Tensor, "users found"], totals: Float[Tensor, "users found"], n: int
) -> tuple[Int[Tensor, "users n"], Float[Tensor, "users n"]]:
    """Return lists padded to length ``n``; row -1 where the total is -inf."""
    missing = n - rows.shape[1]
    rows = torch.nn.functional.pad(rows.long(), (0, missing), value=-1)
    totals = torch.nn.functional.pad(totals, (0, missing), value=-torch.inf)
    return rows.masked_fill(totals == -torch.inf, -1), totals
