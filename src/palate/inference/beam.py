"""Beam search over the codes of items: only what exists is ever looked at.

A beam is a node of the prefix table. At each level the scorer says how likely each next code of
each beam is, the table says which codes there are, and the best beams go on: look-ups and one
``topk`` per level, for all users at once.
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
    """Log-probabilities of the next code of every beam; keeps its own cache between calls."""

    def first(self) -> Float[Tensor, "users codes"]:
        """Return those of the first level, from the history alone."""
        ...

    def next(
        self, parents: Int[Tensor, "users beams"], codes: Int[Tensor, "users beams"]
    ) -> Float[Tensor, "users beams codes"]:
        """Return those of the next level.

        Beam ``k`` of user ``u`` extends beam ``parents[u, k]`` of the call before by the code
        ``codes[u, k]`` of its level; before the first such call there is one beam, the history.
        """
        ...


@dataclass(frozen=True)
class _Beams:
    """Where the search stands."""

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

    The log-probability of an item is the sum of those of its codes. Equals are ordered by item row,
    lower first (see :func:`palate.ranking.top_rows`). With at least as many beams as items this is
    the exhaustive ranking. Where there are fewer than ``n`` items the list ends with row -1 and
    -inf; an item of probability zero is not listed.

    Args:
        scorer: one language model, its histories read.
        table: the items to choose from.
        beams: prefixes that go on after each level.
        n: items per user.
        seen: item rows to leave out, padded with -1. A prefix all of whose items are to be left out
            takes no place among the beams.

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
    """Return the total of every child of every beam."""
    added = log_probabilities.float().gather(2, children.codes) + at.totals[..., None]
    return torch.where(children.valid, added, -torch.inf)


def _leave_out(
    grown: Float[Tensor, "users beams branch"],
    at: _Beams,
    starts: Int[Tensor, " nodes_and_end"],
    gone: Int[Tensor, "users gone"],
) -> None:
    """Set the children that are ``gone`` to -inf where their parent is among the beams."""
    # What is no child has the parent beyond the last, and a dead beam stands beyond even that.
    parent = torch.searchsorted(starts, gone, right=True, out_int32=True) - 1
    nodes, beam = at.nodes.masked_fill(at.totals == -torch.inf, len(starts)).sort(dim=1)
    place = torch.searchsorted(nodes, parent).clamp(max=nodes.shape[1] - 1)
    hit = nodes.gather(1, place) == parent
    slot = beam.gather(1, place) * grown.shape[2] + (gone - starts[parent])
    # Whatever is no hit adds nothing to some child: no need to pick out the hits.
    minus = torch.zeros_like(slot, dtype=grown.dtype).masked_fill(hit, -torch.inf)
    grown.view(len(grown), -1).scatter_add_(1, slot.masked_fill(~hit, 0), minus)


def _best(
    grown: Float[Tensor, "users beams branch"], children: Children, beams: int
) -> tuple[Int[Tensor, "users kept"], Int[Tensor, "users kept"], _Beams]:
    """Return the parent and the last code of the beams that go on, and these."""
    flat = grown.flatten(1)
    totals, chosen = flat.topk(min(beams, flat.shape[1]))
    nodes = children.nodes.flatten(1).gather(1, chosen)
    codes = children.codes.flatten(1).gather(1, chosen)
    return chosen // grown.shape[2], codes, _Beams(nodes, totals)


def _best_rows(
    totals: Float[Tensor, "users leaves"], rows: Int[Tensor, "users leaves"], n: int
) -> tuple[Int[Tensor, "users n"], Float[Tensor, "users n"]]:
    """Return the best rows in exact order: by total, and where equal by row.

    Both make one whole number. The bits of a float order as whole numbers do once the bits below
    the sign of the negative ones are turned; below them stands the row, the lower the larger.
    """
    bits = (totals + 0.0).view(torch.int32)
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    keys = (ordered.long() << 32) | (0x7FFFFFFF - rows.long())
    chosen = keys.topk(min(n, keys.shape[1])).indices
    return _padded(rows.gather(1, chosen), totals.gather(1, chosen), n)


def _padded(
    rows: Int[Tensor, "users found"], totals: Float[Tensor, "users found"], n: int
) -> tuple[Int[Tensor, "users n"], Float[Tensor, "users n"]]:
    """Return lists of ``n``: no row where the total is -inf."""
    missing = n - rows.shape[1]
    rows = torch.nn.functional.pad(rows.long(), (0, missing), value=-1)
    totals = torch.nn.functional.pad(totals, (0, missing), value=-torch.inf)
    return rows.masked_fill(totals == -torch.inf, -1), totals
