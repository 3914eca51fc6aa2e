"""Text answers: the inputs before each word, its logits, and copying words of the candidates.

Shape suffixes: B rows, P predictions of a row, R words of a target text, D width, V vocabulary, N
predictions without padding, A tokens of the candidates.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

_TINY = 1e-30
_LEAST = -1e4
_INITIAL_COPY_LOGIT = -2.0
"""Logit of copying at the start of training: one word in eight."""
_INITIAL_CONTINUATION = 4.0
"""Logit bonus for continuing a copied title, at the start of training."""


@dataclass(frozen=True)
class Copied:
    """The words of the candidates of each prediction, which its answer may copy.

    ``p(w) = (1 - g) p_V(w) + g sum of q_a`` over the places ``a`` where ``w`` stands, with ``p_V =
    softmax(logits)`` and ``q = softmax over places of (logit of the word there + <h, k_a> / sqrt(D)
    + f if the words before the place, in its item, are the words generated so far)``. The
    vocabulary logits carry over what was learned about titles without candidates. A key ``k_a``
    depends on the history and on the whole candidate, so that the meaning of a title attracts its
    first word. The bonus ``f`` continues a title once it is begun. (A pointer-generator network,
    See et al. 2017, whose pointer starts from the vocabulary logits.)
    """

    words: Int[Tensor, "predictions places"]
    """Token id of the word at each place; below 0 where there is no word."""
    begins: Bool[Tensor, "predictions places"]
    """True at the first place of each candidate."""
    keys: Float[Tensor, "predictions places width"]
    """Keys ``k_a`` of the places."""
    gate: nn.Linear
    """Maps the state ``h`` to the logit of ``g``."""
    follows: Float[Tensor, ""]
    """Logit bonus for continuing a copied title, ``f``."""

    @property
    def first(self) -> Bool[Tensor, "predictions 1 places"]:
        """Where an answer may continue before its first word: at the beginning of a candidate."""
        return self.begins[:, None]

    def goes_on(
        self,
        next_NSA: Bool[Tensor, "predictions _ places"],
        words_NS: Int[Tensor, "predictions steps"],
    ) -> Bool[Tensor, "predictions steps places"]:
        """Return the places where a candidate that starts with the answer continues it.

        Args:
            next_NSA: these places before the answer's last word.
            words_NS: the last word.
        """
        # Places whose word was generated, moved one place on, but not into the next candidate.
        matched = next_NSA & (self.words[:, None] == words_NS[..., None])
        return F.pad(matched, (1, -1), value=False) & ~self.begins[:, None]

    def along(
        self,
        target_ids_NR: Int[Tensor, "predictions words"],
    ) -> Bool[Tensor, "predictions words places"]:
        """Return for each word of the target texts where it could continue a candidate."""
        found = [self.first]
        for words in target_ids_NR.T[:-1]:
            found.append(self.goes_on(found[-1], words[:, None]))
        return torch.cat(found, dim=1)

    def draw(
        self,
        logits: Float[Tensor, "*any vocabulary"],
        hidden: Float[Tensor, "predictions steps width"],
        next_NSA: Bool[Tensor, "predictions steps places"],
        where: Bool[Tensor, "predictions steps"] | None = None,
    ) -> Float[Tensor, "*any vocabulary"]:
        """Return the log-probabilities after the states ``hidden``, copying included.

        Args:
            logits: logits of the vocabulary, at all states or at those marked in ``where``.
            hidden: states before words of the answers.
            next_NSA: places that continue each answer (see :meth:`goes_on`).
            where: True for the requested states; None means all.
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
    """The language-model head, with tied word embeddings (Press & Wolf 2017).

    The place before the first word of an answer reads the embedding that the prompt ended with;
    the logit of word ``w`` after state ``h`` is ``v <W h, E_w> / sqrt(D)``.
    """

    def __init__(self, width: int, *, copies: bool = False) -> None:
        """Start with ``W`` the identity and ``v`` one."""
        super().__init__()
        self.candidates = nn.Parameter(torch.zeros(width))
        """Added to candidates, which tells them from the items of the history."""
        self.start = nn.Parameter(torch.zeros(width))
        self.output = nn.Linear(width, width, bias=False)
        self.logit_scale = nn.Parameter(torch.ones(()))
        nn.init.eye_(self.output.weight)
        self.keys = nn.Linear(width, width, bias=False) if copies else None
        self.whole = nn.Linear(width, width, bias=False) if copies else None
        self.gate = nn.Linear(width, 1) if copies else None
        self.follows = nn.Parameter(torch.tensor(_INITIAL_CONTINUATION)) if copies else None
        if self.keys is not None and self.whole is not None and self.gate is not None:
            nn.init.zeros_(self.keys.weight)
            # At first copying prefers candidates similar to the last event, like a fresh model.
            nn.init.eye_(self.whole.weight)
            nn.init.zeros_(self.gate.weight)
            nn.init.constant_(self.gate.bias, _INITIAL_COPY_LOGIT)

    def copied(
        self,
        words_NA: Int[Tensor, "predictions places"],
        begins_NA: Bool[Tensor, "predictions places"],
        ends_NA: Int[Tensor, "predictions places"],
        states_NAD: Float[Tensor, "predictions places width"],
    ) -> Copied | None:
        """Return the words that answers may copy; None in a model that does not copy.

        Args:
            words_NA: words of the candidates.
            begins_NA: True at the first place of each candidate.
            ends_NA: for each place, the last place of its candidate.
            states_NAD: the hidden states of the places.
        """
        if self.keys is None or self.whole is None or self.gate is None or self.follows is None:
            return None
        # Causal states know only the words before them; the last one knows the whole candidate.
        of_items = states_NAD.gather(1, ends_NA[..., None].expand_as(states_NAD))
        keys = self.keys(states_NAD) + self.whole(of_items)
        return Copied(words_NA, begins_NA, keys, self.gate, self.follows)

    def places(
        self,
        start_BPD: Float[Tensor, "batch predictions width"],
        words_BPRD: Float[Tensor, "batch predictions words width"],
    ) -> Float[Tensor, "batch predictions places width"]:
        """Return the inputs that predict each word: the start, then all words but the last."""
        first = (start_BPD + self.start)[:, :, None]
        return torch.cat([first, words_BPRD], dim=2)

    def logits(
        self,
        hidden: Float[Tensor, "*any width"],
        words_VD: Float[Tensor, "vocabulary width"],
    ) -> Float[Tensor, "*any vocabulary"]:
        """Return the logit of every word."""
        logits: Tensor = (self.logit_scale / hidden.shape[-1] ** 0.5) * (
            self.output(hidden) @ words_VD.T
        )
        return logits


@dataclass(frozen=True)
class TiedWords:
    """The words of a model that learns them itself: input embeddings, tied with the text head."""

    words: nn.Embedding
    head: TextHead | None
    """None in a model that reads words and says none."""

    @property
    def num_words(self) -> int:
        """Size of the vocabulary."""
        return self.words.num_embeddings

    def embed(self, tokens: Int[Tensor, "*any"]) -> Float[Tensor, "*any width"]:
        """Return the input embeddings of words."""
        embedded: Tensor = self.words(tokens)
        return embedded

    def word_logits(self, hidden: Float[Tensor, "*any width"]) -> Float[Tensor, "*any vocabulary"]:
        """Return the logit of every word after each state."""
        assert self.head is not None, "the model says no words"
        return self.head.logits(hidden, self.words.weight)
