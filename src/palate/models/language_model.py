"""The recommendation language model: from a stream of words and items to a set of user vectors.

Sequence in, set out (URM, arXiv 2502.03041): M learned query tokens stand at each cut point; each
gives a user vector; an item's score is the largest inner product with any of them, so that one
forward pass scores the whole catalogue.

Shape suffixes: B rows, T tokens of a row, P probes of a row, M query tokens of a probe, D width, N
probes of a batch.
"""

import copy
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name everyone uses
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from palate.items.features import ItemFeatures
from palate.language.stream import Batch
from palate.models.decoder import Decoder, DecoderConfig, KeyValue
from palate.models.fusion import Fusion, FusionConfig


class ModelConfig(BaseModel):
    """Everything that decides the shape of the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decoder: DecoderConfig = Field(default_factory=DecoderConfig)
    fusion: FusionConfig = Field(default_factory=FusionConfig)
    num_queries: int = Field(default=1, ge=0)
    """Query tokens M per probe; 0 reads the user vector at the last event itself, as SASRec
    does."""
    cosine: bool = True
    """Score by the cosine of user and item vector instead of their plain inner product."""
    temperature: float = 0.06
    """Divides the cosine; without ``cosine`` it is not used."""
    read_words: bool = True
    """Whether the instruction is read; without it every task would sound alike."""


@dataclass(frozen=True)
class ItemTable:
    """Vectors of the items that a batch (or the catalogue) needs, and where to find each."""

    tokens: Float[Tensor, "shown width"]
    """What the decoder reads: the items, then the queries in words, which are shown and never
    ranked."""
    outputs: Float[Tensor, "needed width"]
    """What user vectors are compared with."""
    place: Int[Tensor, " references"]
    """Place of each item reference among the needed ones; a reference is a row, plus the
    catalogue's size for *without ID*."""


class RecommendationModel(nn.Module):
    """Fusion, decoder and query tokens."""

    def __init__(
        self,
        config: ModelConfig,
        features: ItemFeatures,
        *,
        vocabulary_size: int,
        num_event_types: int,
    ) -> None:
        """Build with fresh weights from torch's current random state."""
        super().__init__()
        width = config.decoder.width
        self.config = config
        self.num_items = len(features)
        self.words = nn.Embedding(vocabulary_size, width)
        self.events = nn.Embedding(num_event_types, width)
        self.fusion = Fusion(features, width, config.fusion)
        self.decoder = Decoder(config.decoder)
        self.queries = nn.Parameter(torch.randn(config.num_queries, width) * 0.1)
        self.user = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(config.decoder.dropout)
        nn.init.normal_(self.words.weight, std=0.5)
        nn.init.zeros_(self.events.weight)
        # With the identity here, in the projections of items, and a decoder that adds little, the
        # model starts by recommending what resembles the last item, and learns the rest.
        nn.init.eye_(self.user.weight)

    @property
    def scale(self) -> float:
        """What turns a product of vectors into a logit."""
        return (
            1 / self.config.temperature
            if self.config.cosine
            else 1 / math.sqrt(self.config.decoder.width)
        )

    def items(
        self, references: Int[Tensor, " any"], descriptions: Tensor | None = None
    ) -> ItemTable:
        """Return vectors of the distinct ``references`` (see :attr:`ItemTable.place`)."""
        needed = references.unique()
        place = torch.full((2 * self.num_items,), -1, device=references.device)
        place[needed] = torch.arange(len(needed), device=references.device)
        without_id = needed >= self.num_items
        if self.training and self.config.fusion.id_dropout:
            without_id = without_id | (
                torch.rand(len(needed), device=needed.device) < self.config.fusion.id_dropout
            )
        fused = self.fusion(needed % self.num_items, without_id, descriptions)
        return ItemTable(
            self.fusion.token(fused), self._unit(self.fusion.output(fused[: len(needed)])), place
        )

    def catalogue(self) -> Float[Tensor, "items width"]:
        """Return the output vectors of the whole catalogue."""
        rows = torch.arange(self.num_items, device=self.queries.device)
        return torch.cat([self.items(part).outputs for part in rows.split(65_536)])

    def with_features(
        self, features: ItemFeatures, id_rows: Int[Tensor, " items"]
    ) -> "RecommendationModel":
        """Return the same model over other items, its weights shared: this one is left as it is.

        Args:
            features: of the other items, in the same modalities.
            id_rows: the trained row whose ID embedding each of them has; read only where
                ``features.has_id``.
        """
        shared = {id(tensor): tensor for tensor in (*self.parameters(), *self.buffers())}
        other = copy.deepcopy(self, shared)
        other.num_items = len(features)
        other.fusion.set_features(features)
        if self.fusion.id is not None:
            of_items = self.fusion.id.weight.detach()[id_rows.clamp(min=0)]
            other.fusion.id = nn.Embedding.from_pretrained(of_items)
        return other

    def described(
        self, descriptions: Float[Tensor, "described text"]
    ) -> Float[Tensor, "described width"]:
        """Return what the decoder reads for things that are text alone, such as a query."""
        nothing = torch.zeros(0, dtype=torch.long, device=descriptions.device)
        tokens: Tensor = self.fusion.token(self.fusion(nothing, None, descriptions))
        return tokens

    def user_vectors(self, batch: Batch, table: ItemTable) -> Float[Tensor, "probes queries width"]:
        """Return the user vectors of every probe of the batch, row by row, padding left out."""
        x_BTD = self._embed(batch, table)
        instruction = self._instruction(batch) if self.config.read_words else None
        hidden = (
            self._read(x_BTD, batch, instruction)
            if self.config.num_queries
            else self._read_in_place(x_BTD, batch, instruction)
        )
        return self._unit(self.user(hidden))

    def _unit(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return F.normalize(x, dim=-1) if self.config.cosine else x

    def _embed(self, batch: Batch, table: ItemTable) -> Float[Tensor, "batch time width"]:
        """Put words, items and described things in their places."""
        references = references_of(batch.items, batch.without_id[:, None], self.num_items)
        place = table.place[references.clamp(min=0)]
        if batch.descriptions is not None:
            known = len(table.tokens) - len(batch.descriptions)
            place = torch.where(batch.described >= 0, known + batch.described, place)
        is_item = ((batch.items >= 0) | (batch.described >= 0))[..., None]
        # Somebody without events may come with no item at all: an empty table has one blank row.
        tokens = (
            table.tokens if len(table.tokens) else table.tokens.new_zeros(1, table.tokens.shape[1])
        )
        x = tokens[place.clamp(min=0)] * is_item
        x = x + self.events(batch.events.clamp(min=0)) * (batch.events >= 0)[..., None]
        if bool((batch.words >= 0).any()):
            x = x + self.words(batch.words.clamp(min=0)) * (batch.words >= 0)[..., None]
        embedded: Tensor = self.dropout(x)
        return embedded

    def _instruction(self, batch: Batch) -> list[KeyValue]:
        """Read the instruction once, for all rows: its keys and values are their common past."""
        x = self.dropout(self.words(batch.instruction))[None]
        positions = torch.arange(x.shape[1], device=x.device)[None]
        keys_values: list[KeyValue] = self.decoder(x, positions, answer_from=x.shape[1] - 1)[1]
        return keys_values

    def _read(
        self,
        x_BTD: Float[Tensor, "batch time width"],  # noqa: N803 - shape suffix
        batch: Batch,
        instruction: list[KeyValue] | None,
    ) -> Float[Tensor, "probes queries width"]:
        """Append the query tokens of all probes to their rows and read them off at the end."""
        B, T, D = x_BTD.shape
        M, P = self.config.num_queries, batch.cuts.shape[1]
        past = instruction[0][0].shape[2] if instruction else 0
        x = torch.cat([x_BTD, self._probes(x_BTD, batch.cuts)], dim=1)
        slots = torch.arange(M, device=x.device)
        probe_positions = (batch.cuts.clamp(min=0)[:, :, None] + slots).reshape(B, P * M)
        positions = (
            torch.cat([torch.arange(T, device=x.device).expand(B, T), probe_positions], dim=1)
            + past
        )
        mask = stream_mask(batch.cuts, T, M, past)
        hidden: Tensor = self.decoder(x, positions, mask=mask, past=instruction, answer_from=T)[0]
        return hidden.view(B, P, M, D)[batch.cuts >= 0]

    def _probes(
        self,
        x_BTD: Float[Tensor, "batch time width"],  # noqa: N803
        cuts_BP: Int[Tensor, "batch probes"],  # noqa: N803
    ) -> Float[Tensor, "batch slots width"]:
        """Return the query tokens of all probes, each on top of the token its probe follows.

        Without that head start a query token would first have to learn where the last event is.
        """
        B, _, D = x_BTD.shape
        last = (cuts_BP - 1).clamp(min=0)[..., None].expand(-1, -1, D)
        carried = x_BTD.gather(1, last) * (cuts_BP > 0)[..., None]
        return (carried[:, :, None] + self.queries).reshape(B, -1, D)

    def _read_in_place(
        self,
        x_BTD: Float[Tensor, "batch time width"],  # noqa: N803
        batch: Batch,
        instruction: list[KeyValue] | None,
    ) -> Float[Tensor, "probes 1 width"]:
        """Without query tokens, the state of the last token a probe sees is the user vector."""
        T = x_BTD.shape[1]
        positions = torch.arange(T, device=x_BTD.device)[None]
        mask, past = None, 0
        if instruction:
            past = instruction[0][0].shape[2]
            mask = torch.ones(T, past + T, dtype=torch.bool, device=x_BTD.device).tril(past)[
                None, None
            ]
        hidden: Tensor = self.decoder(x_BTD, positions + past, mask=mask, past=instruction)[0]
        rows, probes = (batch.cuts >= 0).nonzero(as_tuple=True)
        return hidden[rows, (batch.cuts[rows, probes] - 1).clamp(min=0)][:, None]


def references_of(
    rows: Int[Tensor, "*any"], without_id: Bool[Tensor, "*any2"], num_items: int
) -> Int[Tensor, "*any"]:
    """Return item references: rows, plus ``num_items`` to mean *without its ID*; -1 stays."""
    return torch.where(rows >= 0, rows + without_id * num_items, rows)


def stream_mask(
    cuts_BP: Int[Tensor, "batch probes"],  # noqa: N803
    num_tokens: int,
    num_queries: int,
    past: int,
) -> Bool[Tensor, "batch 1 query key"]:
    """Say who sees whom.

    Tokens see earlier tokens; query tokens see their prefix and their own probe's earlier ones.
    Rows of the result are the tokens of the stream and then the query tokens; columns are the
    instruction, the tokens of the stream, the query tokens.
    """
    B, P = cuts_BP.shape
    T, M, device = num_tokens, num_queries, cuts_BP.device
    mask = torch.zeros(B, 1, T + P * M, past + T + P * M, dtype=torch.bool, device=device)
    mask[..., :past] = True
    mask[:, :, :T, past : past + T] = torch.ones(T, T, dtype=torch.bool, device=device).tril()
    prefix = torch.arange(T, device=device) < cuts_BP[:, :, None]
    mask[:, 0, T:, past : past + T] = prefix.repeat_interleave(M, dim=1)
    own = torch.block_diag(*[torch.ones(M, M, dtype=torch.bool, device=device).tril()] * P)
    mask[:, 0, T:, past + T :] = own
    return mask
