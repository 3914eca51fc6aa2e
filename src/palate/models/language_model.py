"""The recommendation language model: a stream of words and items in, a set or codes out.

Sequence in, set out (URM, arXiv 2502.03041): M learned query tokens stand at each cut point; each
gives a user vector; an item's score is the largest inner product with any of them, so that one
forward pass scores the whole catalogue. Codes out (TIGER, arXiv 2305.05065): at each cut point
stands a place per code of the answer, which reads the codes before it and gives the next one.

Shape suffixes: B rows, T tokens of a row, P probes of a row, M query tokens of a probe, L codes of
an item, S slots of a probe, D width, N probes of a batch.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name everyone uses
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from palate.items.codes.codes import Codes
from palate.items.features import ItemFeatures
from palate.language.spelling import Way
from palate.language.stream import Batch
from palate.models.code_tokens import CodeTokens
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
    reads: tuple[Way, ...] = ("item",)
    """How the items of a history are spelled."""


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


@dataclass(frozen=True)
class States:
    """What stands at the probes of a batch, row by row, padding left out."""

    users: Float[Tensor, "probes queries width"] | None
    """User vectors, where asked for."""
    codes: Float[Tensor, "probes levels width"] | None
    """State before each code of the items that are spelled, where there are such."""


@dataclass(frozen=True)
class Prefix:
    """Histories once read, to be answered in codes."""

    past: list[KeyValue]
    visible: Bool[Tensor, "batch time"]
    positions: Int[Tensor, " batch"]
    """Rotary position of the first place of the answer."""
    carried: Float[Tensor, "batch width"]
    """What each history ended with."""


class RecommendationModel(nn.Module):
    """Fusion, decoder, query tokens and codes."""

    def __init__(
        self,
        config: ModelConfig,
        features: ItemFeatures,
        *,
        vocabulary_size: int,
        num_event_types: int,
        codes: Codes | None = None,
    ) -> None:
        """Build with fresh weights from torch's current random state.

        Args:
            config: the shape.
            features: of the catalogue.
            vocabulary_size: of the tokenizer.
            num_event_types: of the data.
            codes: of the catalogue, where items are read or answered as codes.
        """
        super().__init__()
        width = config.decoder.width
        self.config = config
        self.num_items = len(features)
        self.words = nn.Embedding(vocabulary_size, width)
        self.events = nn.Embedding(num_event_types, width)
        self.fusion = Fusion(features, width, config.fusion, vocabulary_size=vocabulary_size)
        self.decoder = Decoder(config.decoder)
        self.queries = nn.Parameter(torch.randn(config.num_queries, width) * 0.1)
        self.user = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(config.decoder.dropout)
        self.codes = None if codes is None else CodeTokens(codes, width)
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
        users = self.states(batch, table).users
        assert users is not None
        return users

    def states(
        self,
        batch: Batch,
        table: ItemTable,
        *,
        users: bool = True,
        spelled: Int[Tensor, "batch probes"] | None = None,
    ) -> States:
        """Read the batch once and return what is asked for at its probes.

        Args:
            batch: prompts.
            table: vectors of the items in it.
            users: whether user vectors are wanted.
            spelled: rows of the items whose codes are to be said at the probes; anything where
                there is no probe.
        """
        x_BTD = self._embed(batch, table)
        instruction = self._instruction(batch) if self.config.read_words else None
        if not self.config.num_queries and spelled is None:
            hidden = self._read_in_place(x_BTD, batch, instruction)
            return States(self._unit(self.user(hidden)), None)
        carried = self._carried(x_BTD, batch.cuts)
        slots = [carried[:, :, None] + self.queries] if users else []
        if spelled is not None:
            slots.append(self._code_slots(carried, spelled))
        hidden = self._read(x_BTD, batch, instruction, slots)
        num_queries = self.config.num_queries if users else 0
        return States(
            self._unit(self.user(hidden[:, :num_queries])) if users else None,
            None if spelled is None else hidden[:, num_queries:],
        )

    def prefix(self, batch: Batch, table: ItemTable) -> Prefix:
        """Read rows of one probe each, so that their answers can be said code by code."""
        x_BTD = self._embed(batch, table)
        B, T, _ = x_BTD.shape
        instruction = self._instruction(batch) if self.config.read_words else None
        past = instruction[0][0].shape[2] if instruction else 0
        positions = torch.arange(T, device=x_BTD.device)[None] + past
        mask = _causal(T, past, x_BTD.device) if past else None
        _, own = self.decoder(
            x_BTD, positions, mask=mask, past=instruction, answer_from=max(T - 1, 0)
        )
        cuts = batch.cuts[:, 0]
        seen = torch.arange(T, device=cuts.device) < cuts[:, None]
        return Prefix(
            past=[_joined(before, after, B) for before, after in zip(instruction, own, strict=True)]
            if instruction
            else own,
            visible=F.pad(seen, (past, 0), value=True),
            positions=cuts + past,
            carried=self._carried(x_BTD, batch.cuts)[:, 0],
        )

    @torch.no_grad()
    def settle_codes(self) -> None:
        """Let fresh codes start where the fresh item tokens are."""
        if self.codes is not None:
            was_training = self.training
            self.train(mode=False)
            rows = torch.arange(self.num_items, device=self.queries.device)
            parts = [self.items(part).tokens for part in rows.split(65_536)]
            self.codes.settle(torch.cat(parts))
            self.train(mode=was_training)

    def _unit(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return F.normalize(x, dim=-1) if self.config.cosine else x

    def _embed(self, batch: Batch, table: ItemTable) -> Float[Tensor, "batch time width"]:
        """Put words, items and described things in their places."""
        references = references_of(batch.whole, batch.without_id[:, None], self.num_items)
        place = table.place[references.clamp(min=0)]
        if batch.descriptions is not None:
            known = len(table.tokens) - len(batch.descriptions)
            place = torch.where(batch.described >= 0, known + batch.described, place)
        is_item = ((references >= 0) | (batch.described >= 0))[..., None]
        # Somebody without events may come with no item at all: an empty table has one blank row.
        tokens = (
            table.tokens if len(table.tokens) else table.tokens.new_zeros(1, table.tokens.shape[1])
        )
        x = tokens[place.clamp(min=0)] * is_item
        x = x + self.events(batch.events.clamp(min=0)) * (batch.events >= 0)[..., None]
        if self.codes is not None and "codes" in self.config.reads:
            spelled = self.codes.read(batch.items.clamp(min=0), batch.levels.clamp(min=0))
            x = x + spelled * (batch.levels >= 0)[..., None]
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
        slots: Sequence[Float[Tensor, "batch probes _ width"]],
    ) -> Float[Tensor, "answered slots width"]:
        """Append the slots of all probes to their rows and read them off at the end.

        Each entry of ``slots`` is a group of its own: groups of one probe do not see each other.
        """
        B, T, D = x_BTD.shape
        P, sizes = batch.cuts.shape[1], [group.shape[2] for group in slots]
        past = instruction[0][0].shape[2] if instruction else 0
        x = torch.cat([x_BTD, torch.cat(list(slots), dim=2).view(B, -1, D)], dim=1)
        steps = torch.cat([torch.arange(size, device=x.device) for size in sizes])
        probe_positions = (batch.cuts.clamp(min=0)[:, :, None] + steps).reshape(B, -1)
        positions = (
            torch.cat([torch.arange(T, device=x.device).expand(B, T), probe_positions], dim=1)
            + past
        )
        mask = stream_mask(batch.cuts, T, sizes, past)
        hidden: Tensor = self.decoder(x, positions, mask=mask, past=instruction, answer_from=T)[0]
        return hidden.view(B, P, -1, D)[batch.cuts >= 0]

    def _carried(
        self,
        x_BTD: Float[Tensor, "batch time width"],  # noqa: N803
        cuts_BP: Int[Tensor, "batch probes"],  # noqa: N803
    ) -> Float[Tensor, "batch probes width"]:
        """Return the token that each probe follows; of an item in codes alone, all its codes.

        Every slot stands on top of it. Without that head start a slot would first have to learn
        where the last event is.
        """
        in_codes = self.codes is not None and set(self.config.reads) & {"codes", "item"} == {
            "codes"
        }
        span = self.codes.num_levels if self.codes is not None and in_codes else 1
        carried = x_BTD.new_zeros(*cuts_BP.shape, x_BTD.shape[2])
        for back in range(1, span + 1):
            place = (cuts_BP - back).clamp(min=0)[..., None].expand(-1, -1, x_BTD.shape[2])
            carried = carried + x_BTD.gather(1, place) * (cuts_BP >= back)[..., None]
        return carried

    def _code_slots(
        self,
        carried_BPD: Float[Tensor, "batch probes width"],  # noqa: N803
        spelled_BP: Int[Tensor, "batch probes"],  # noqa: N803
    ) -> Float[Tensor, "batch probes levels width"]:
        assert self.codes is not None
        slots = self.codes.slots(carried_BPD.flatten(0, 1), spelled_BP.clamp(min=0).flatten())
        return slots.view(*spelled_BP.shape, *slots.shape[1:])

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
            mask = _causal(T, past, x_BTD.device)
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
    group_sizes: Sequence[int],
    past: int,
) -> Bool[Tensor, "batch 1 query key"]:
    """Say who sees whom.

    Tokens see earlier tokens; a slot sees its probe's prefix and the earlier slots of its group.
    Rows of the result are the tokens of the stream and then the slots; columns are the instruction,
    the tokens of the stream, the slots.
    """
    B, P = cuts_BP.shape
    T, S, device = num_tokens, sum(group_sizes), cuts_BP.device
    mask = torch.zeros(B, 1, T + P * S, past + T + P * S, dtype=torch.bool, device=device)
    mask[..., :past] = True
    mask[:, :, :T, past : past + T] = torch.ones(T, T, dtype=torch.bool, device=device).tril()
    prefix = torch.arange(T, device=device) < cuts_BP[:, :, None]
    mask[:, 0, T:, past : past + T] = prefix.repeat_interleave(S, dim=1)
    groups = [
        torch.ones(size, size, dtype=torch.bool, device=device).tril() for size in group_sizes
    ]
    mask[:, 0, T:, past + T :] = torch.block_diag(*groups * P)
    return mask


def _causal(num_tokens: int, past: int, device: torch.device) -> Bool[Tensor, "1 1 query key"]:
    """Tokens see all that is past and the tokens before them."""
    seen = torch.ones(num_tokens, past + num_tokens, dtype=torch.bool, device=device)
    return seen.tril(past)[None, None]


def _joined(before: KeyValue, after: KeyValue, rows: int) -> KeyValue:
    """Return keys and values of the instruction, which all rows share, and of each row."""
    keys, values = (
        torch.cat([shared.expand(rows, -1, -1, -1), own], dim=2)
        for shared, own in zip(before, after, strict=True)
    )
    return keys, values
