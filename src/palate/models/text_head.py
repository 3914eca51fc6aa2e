"""Answers in words: what is read before the first one, and how likely each next one is.

Shape suffixes: B rows, P predictions of a row, R words of a reply, D width, V vocabulary, N
predictions there are, A places of the items asked about.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name everyone uses
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

_TINY = 1e-30
_LEAST = -1e4
_SELDOM = -2.0
"""Logit of copying at the start: one word in eight."""
_GOES_ON = 4.0
"""What speaks for going on, at the start."""


@dataclass(frozen=True)
class Copied:
    """Words that answers may copy: those of the items that each prediction asks about.

    ``p(w) = (1 - g) p_V(w) + g sum of q_a`` over the places ``a`` where ``w`` stands, with ``p_V =
    softmax(logits)`` and ``q = softmax over places of (logit of the word there + <h, k_a> / sqrt(D)
    + f if the words before the place, in its item, are those said so far)``. So what was learned of
    titles where none were given counts among given ones at once; a key knows the history and its
    whole item, so that the first word of a title is drawn by what the last one means; and a title
    that was begun is said on. (A pointer-generator network, See et al. 2017, whose pointer starts
    from the vocabulary's opinion.)
    """

    words: Int[Tensor, "predictions places"]
    """Below 0 where no word stands."""
    begins: Bool[Tensor, "predictions places"]
    """Where an item begins."""
    keys: Float[Tensor, "predictions places width"]
    """What draws an answer to each place."""
    gate: nn.Linear
    """Tells from the state ``h`` the logit of ``g``."""
    follows: Float[Tensor, ""]
    """What speaks for going on, ``f``."""

    @property
    def first(self) -> Bool[Tensor, "predictions 1 places"]:
        """Where answers may go on before anything was said: at the beginnings."""
        return self.begins[:, None]

    def goes_on(
        self,
        next_NSA: Bool[Tensor, "predictions _ places"],  # noqa: N803
        words_NS: Int[Tensor, "predictions said"],  # noqa: N803
    ) -> Bool[Tensor, "predictions said places"]:
        """Return where answers go on in the items that begin with them, after one more word.

        Args:
            next_NSA: where they could go on before that word.
            words_NS: the word.
        """
        said = next_NSA & (self.words[:, None] == words_NS[..., None])
        return F.pad(said, (1, -1), value=False) & ~self.begins[:, None]

    def along(
        self,
        target_ids_NR: Int[Tensor, "predictions words"],  # noqa: N803
    ) -> Bool[Tensor, "predictions words places"]:
        """Return for each word of some replies where they could go on before it."""
        found = [self.first]
        for words in target_ids_NR.T[:-1]:
            found.append(self.goes_on(found[-1], words[:, None]))
        return torch.cat(found, dim=1)

    def draw(
        self,
        logits: Float[Tensor, "*any vocabulary"],
        hidden: Float[Tensor, "predictions said width"],
        next_NSA: Bool[Tensor, "predictions said places"],  # noqa: N803
        where: Bool[Tensor, "predictions said"] | None = None,
    ) -> Float[Tensor, "*any vocabulary"]:
        """Return the log-probabilities after the states ``hidden``, copying included.

        Args:
            logits: of the vocabulary alone, at the states or at those of ``where``.
            hidden: states before words of the answers.
            next_NSA: where each goes on with what was said (see :meth:`goes_on`).
            where: which of them are wanted; None wants all.
        """
        scores = (hidden @ self.keys.transpose(1, 2)).float() / hidden.shape[-1] ** 0.5
        scores = scores + self.follows * next_NSA
        words = self.words[:, None].expand_as(scores)
        gate: Tensor = self.gate(hidden).float()
        if where is not None:
            scores, words, gate = scores[where], words[where], gate[where]
        there = words >= 0
        logs, words = logits.float().log_softmax(dim=-1), words.clamp(min=0)
        scores = (scores + logs.gather(-1, words)).masked_fill(~there, _LEAST)
        shares = scores.softmax(dim=-1) * there
        pointed = torch.zeros_like(logs).scatter_add(-1, words, shares)
        g = gate.sigmoid() * there.any(dim=-1, keepdim=True)
        drawn: Tensor = ((1 - g) * logs.exp() + g * pointed).clamp(min=_TINY).log()
        return drawn


class TextHead(nn.Module):
    """The language-model head: words are read and said by one table of embeddings.

    The place before the first word reads what the prompt ended with; the logit of word ``w`` after
    state ``h`` is ``v <W h, E_w> / sqrt(D)`` (tied embeddings: Press & Wolf 2017).
    """

    def __init__(self, width: int, *, copies: bool = False) -> None:
        """Start as an echo: ``W`` the identity, ``v`` one."""
        super().__init__()
        self.candidates = nn.Parameter(torch.zeros(width))
        """Added to items asked about, so that they differ from those of the history."""
        self.start = nn.Parameter(torch.zeros(width))
        self.output = nn.Linear(width, width, bias=False)
        self.volume = nn.Parameter(torch.ones(()))
        nn.init.eye_(self.output.weight)
        self.keys = nn.Linear(width, width, bias=False) if copies else None
        self.whole = nn.Linear(width, width, bias=False) if copies else None
        self.gate = nn.Linear(width, 1) if copies else None
        self.follows = nn.Parameter(torch.tensor(_GOES_ON)) if copies else None
        if self.keys is not None and self.whole is not None and self.gate is not None:
            nn.init.zeros_(self.keys.weight)
            # It starts by drawing to what resembles the last event, as a fresh model recommends.
            nn.init.eye_(self.whole.weight)
            nn.init.zeros_(self.gate.weight)
            nn.init.constant_(self.gate.bias, _SELDOM)

    def copied(
        self,
        words_NA: Int[Tensor, "predictions places"],  # noqa: N803
        begins_NA: Bool[Tensor, "predictions places"],  # noqa: N803
        ends_NA: Int[Tensor, "predictions places"],  # noqa: N803
        asked_NAD: Float[Tensor, "predictions places width"],  # noqa: N803
    ) -> Copied | None:
        """Return what may be copied of words with the states ``asked_NAD``; None copies none.

        Args:
            words_NA: words of the items asked about.
            begins_NA: where an item begins.
            ends_NA: where the item of each place ends.
            asked_NAD: the states of the places.
        """
        if self.keys is None or self.whole is None or self.gate is None or self.follows is None:
            return None
        of_items = asked_NAD.gather(1, ends_NA[..., None].expand_as(asked_NAD))
        keys = self.keys(asked_NAD) + self.whole(of_items)
        return Copied(words_NA, begins_NA, keys, self.gate, self.follows)

    def places(
        self,
        carried_BPD: Float[Tensor, "batch predictions width"],  # noqa: N803 - shape suffix
        said_BPRD: Float[Tensor, "batch predictions said width"],  # noqa: N803
    ) -> Float[Tensor, "batch predictions places width"]:
        """Return what is read at the place of each word: the words before it, never the word."""
        first = (carried_BPD + self.start)[:, :, None]
        return torch.cat([first, said_BPRD], dim=2)

    def logits(
        self,
        hidden: Float[Tensor, "*any width"],
        words_VD: Float[Tensor, "vocabulary width"],  # noqa: N803
    ) -> Float[Tensor, "*any vocabulary"]:
        """Return the logit of every word."""
        logits: Tensor = (self.volume / hidden.shape[-1] ** 0.5) * (
            self.output(hidden) @ words_VD.T
        )
        return logits
