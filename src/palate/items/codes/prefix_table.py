"""The prefix tree of a catalogue's codes as a few arrays; the next valid codes are look-ups.

Nodes are the prefixes of items: one root (no code yet), the first codes, the first two, and so on
down to the leaves, which are items. The nodes of a length are numbered in sorted order, so that the
children of a node are adjacent and two numbers give their range, as in a compressed sparse row
matrix (STATIC, arXiv 2602.22647). For the codes (0, 1), (1, 0), (1, 2)::

    root ---+-- 0 --- 1       starts[0] = [0, 2]       codes[0] = [0, 1]
            |
            +-- 1 -+- 0       starts[1] = [0, 1, 3]    codes[1] = [1, 0, 2]
                   +- 2

All arrays are int32, on the device where the search runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from palate.errors import DataError, UnknownItemError
from palate.items.codes.codes import Codes


@dataclass(frozen=True)
class Children:
    """The children of some nodes of one length, padded to the largest number of children."""

    codes: Int[Tensor, "*nodes branch"]
    nodes: Int[Tensor, "*nodes branch"]
    """Number of each child among the prefixes of its length."""
    valid: Bool[Tensor, "*nodes branch"]
    """False at padding, where code and node are those of some other node."""


@dataclass(frozen=True, eq=False)
class PrefixTable:
    """The prefixes of all items, or of those that may be recommended.

    Example:
        >>> from palate.items.codes.codes import Level
        >>> codes = Codes(np.array([[1, 0], [0, 1], [1, 2]]), (Level("code", 2), Level("code", 3)))
        >>> table = PrefixTable.of(codes)
        >>> table.allowed(torch.tensor([1])).tolist()
        [True, False, True]
        >>> table.rows_of(table.find(torch.tensor([[0, 1], [1, 2]]))).tolist()
        [1, 2]
    """

    sizes: tuple[int, ...]
    """Number of codes of each level."""
    starts: tuple[Int[Tensor, " _"], ...]
    """Per level: the first child of each prefix of that length, and then the number of children."""
    codes: tuple[Int[Tensor, " _"], ...]
    """Per level: the last code of each prefix that is one code longer."""
    branches: tuple[int, ...]
    """Per level: the largest number of children of a prefix of that length."""
    spans: tuple[Int[Tensor, " _"], ...]
    """Per level but the last: the first leaf of each prefix that is one code longer, and then the
    number of leaves."""
    rows: Int[Tensor, " leaves"]
    """Item row of each leaf."""
    leaves: Int[Tensor, " items"]
    """Leaf of each item row; -1 for items that may not be recommended."""

    @classmethod
    def of(
        cls,
        codes: Codes,
        *,
        device: torch.device | str = "cpu",
        rows: Int[np.ndarray, " candidates"] | None = None,
    ) -> "PrefixTable":
        """Build the table of all items, or only of ``rows`` (a category, the items in stock).

        Raises:
            DataError: when there are no levels, or a row is not in the catalogue.
        """
        if not codes.num_levels:
            raise DataError("Codes without levels tell no items apart.")
        order = codes.order
        if rows is not None:
            order = order[_chosen(rows, len(codes))[order]]
        ordered = codes.values[order]
        first = np.zeros(len(order), dtype=bool)
        first[:1] = True
        parents = np.zeros(1, dtype=np.int32)
        starts, longer, spans = [], [], []
        for column in ordered.T:
            # A row starts a node of this length if it differs from the row above in any code so
            # far; the nodes are these rows, and searching for the parents finds their first child.
            first[1:] |= column[1:] != column[:-1]
            nodes = np.flatnonzero(first).astype(np.int32)
            starts.append(np.append(np.searchsorted(nodes, parents), len(nodes)).astype(np.int32))
            longer.append(column[nodes].astype(np.int32))
            spans.append(np.append(nodes, np.int32(len(order))))
            parents = nodes
        leaves = np.full(len(codes), -1, dtype=np.int32)
        leaves[order] = np.arange(len(order), dtype=np.int32)
        return cls(
            sizes=codes.sizes,
            starts=_tensors(starts, device),
            codes=_tensors(longer, device),
            branches=tuple(int(np.diff(ends).max(initial=0)) for ends in starts),
            spans=_tensors(spans[:-1], device),
            rows=torch.from_numpy(order.astype(np.int32)).to(device),
            leaves=torch.from_numpy(leaves).to(device),
        )

    def __len__(self) -> int:
        """Return the number of items that may be recommended."""
        return len(self.rows)

    @property
    def num_levels(self) -> int:
        """Codes per item."""
        return len(self.sizes)

    @property
    def num_bytes(self) -> int:
        """Memory of the table in bytes."""
        arrays = (*self.starts, *self.codes, *self.spans, self.rows, self.leaves)
        return sum(array.numel() * array.element_size() for array in arrays)

    def children(self, level: int, nodes: Int[Tensor, "*nodes"]) -> Children:
        """Return the children of ``nodes``, which are prefixes of ``level`` codes."""
        starts, codes = self.starts[level], self.codes[level]
        first = starts[nodes]
        child = first[..., None] + torch.arange(
            self.branches[level], dtype=torch.int32, device=first.device
        )
        valid = child < starts[1:][nodes][..., None]
        child = child.clamp_(max=len(codes) - 1)
        # Five times as fast as codes[child]; this is the inner loop of every search.
        following = codes.index_select(0, child.flatten()).view(child.shape)
        return Children(following, child, valid)

    def find(self, prefixes: Int[Tensor, "*prefixes length"]) -> Int[Tensor, "*prefixes"]:
        """Return the node of each prefix.

        Raises:
            UnknownItemError: when no item has one of the prefixes.
        """
        if prefixes.shape[-1] > self.num_levels:
            raise UnknownItemError(
                f"A prefix of {prefixes.shape[-1]} codes, where items have {self.num_levels}."
            )
        nodes = torch.zeros(prefixes.shape[:-1], dtype=torch.int32, device=self.rows.device)
        known = torch.full_like(nodes, len(self) > 0, dtype=torch.bool)
        for level, wanted in enumerate(prefixes.unbind(-1) if len(self) else ()):
            nodes, found = self._child(level, nodes, wanted)
            known &= found
        if not bool(known.all()):
            unknown = tuple(prefixes[~known][0].tolist())
            raise UnknownItemError(
                f"No item that may be recommended has codes that begin with {unknown}.",
                hint="Were the codes made anew since the model was trained?",
            )
        return nodes

    def allowed(self, prefixes: Int[Tensor, "*prefixes length"]) -> Bool[Tensor, "*prefixes size"]:
        """Return which codes of the next level may follow each prefix (stateless).

        Raises:
            UnknownItemError: for a prefix that no item has, or that is already a whole item.
        """
        level = prefixes.shape[-1]
        if level == self.num_levels:
            raise UnknownItemError(f"Nothing follows {level} codes: they are a whole item.")
        following = self.children(level, self.find(prefixes))
        mask = torch.zeros(
            *prefixes.shape[:-1], self.sizes[level], dtype=torch.int8, device=self.rows.device
        )
        # Padding may point at a code of a real child: add up, so that no write overrides another.
        mask.scatter_add_(-1, following.codes.long(), following.valid.to(torch.int8))
        return mask > 0

    def _child(
        self, level: int, nodes: Int[Tensor, "*nodes"], codes: Int[Tensor, "*nodes"]
    ) -> tuple[Int[Tensor, "*nodes"], Bool[Tensor, "*nodes"]]:
        """Return each node's child of the given code, and whether there is one, by bisection."""
        own = self.codes[level]
        low, end = self.starts[level][nodes], self.starts[level][1:][nodes]
        high = end
        for _ in range(self.branches[level].bit_length()):
            middle = (low + high) // 2
            before = (own[middle.clamp(max=len(own) - 1)] < codes) & (middle < high)
            low, high = torch.where(before, middle + 1, low), torch.where(before, high, middle)
        child = low.clamp(max=len(own) - 1)
        return child, (low < end) & (own[child] == codes)

    def rows_of(self, leaves: Int[Tensor, "*leaves"]) -> Int[Tensor, "*leaves"]:
        """Return the item row of each leaf."""
        return self.rows[leaves]

    def exhausted(self, rows: Int[Tensor, "users rows"]) -> tuple[Int[Tensor, "users rows"], ...]:
        """Return, per level, the children all of whose items are among the user's ``rows``.

        Args:
            rows: item rows per user; -1 and items that may not be recommended are ignored.

        Returns:
            For each level the numbers of these children, sorted per user and padded with the number
            of children of that level, which is not a child.
        """
        leaves = self.leaves[rows.clamp(min=0)]
        leaves = torch.where((rows >= 0) & (leaves >= 0), leaves, len(self)).sort(dim=1).values
        again = leaves[:, 1:] == leaves[:, :-1]
        leaves[:, 1:] = leaves[:, 1:].masked_fill(again, len(self))
        leaves = leaves.sort(dim=1).values
        return (*(_whole(leaves, ends) for ends in self.spans), leaves)


def _tensors(
    arrays: Sequence[Int[np.ndarray, " _"]], device: torch.device | str
) -> tuple[Int[Tensor, " _"], ...]:
    return tuple(torch.from_numpy(array).to(device) for array in arrays)


def _chosen(rows: Int[np.ndarray, " candidates"], num_items: int) -> Bool[np.ndarray, " items"]:
    if len(rows) and not 0 <= rows.min() <= rows.max() < num_items:
        raise DataError(
            f"Candidates from row {rows.min()} to {rows.max()}, where {num_items} items have codes."
        )
    chosen = np.zeros(num_items, dtype=bool)
    chosen[rows] = True
    return chosen


def _whole(
    leaves: Int[Tensor, "users leaves"], ends: Int[Tensor, " nodes_and_end"]
) -> Int[Tensor, "users leaves"]:
    """Return the nodes all of whose leaves are given, sorted and padded with the number of nodes.

    The leaves are sorted and distinct. A node is complete if its first leaf is there, and the entry
    (its size - 1) places later is its last leaf.
    """
    num_nodes, num_leaves = len(ends) - 1, leaves.shape[1]
    nodes = torch.searchsorted(ends[:-1], leaves, right=True, out_int32=True) - 1
    first, after = ends[nodes], ends[nodes + 1]
    last_place = torch.arange(num_leaves, device=leaves.device) + (after - first) - 1
    last = leaves.gather(1, last_place.clamp(0, num_leaves - 1))
    whole = (leaves == first) & (last_place < num_leaves) & (last == after - 1)
    return torch.where(whole, nodes, num_nodes).sort(dim=1).values
