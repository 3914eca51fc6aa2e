"""The recommendation language model: rows of words and items in; item sets, codes or text out.

A *prediction* is a position in a row at which the model answers. It can answer in three forms:

- As a set (URM, arXiv 2502.03041): M learned query tokens give M user vectors. The score of an item
  is its largest inner product with any of them, so that one forward pass scores the catalogue.
- In codes (TIGER, arXiv 2305.05065): one slot per code of the target item; each reads the codes
  before it and predicts the next one.
- In text (P5, arXiv 2203.13366): the same with one slot per word, after the candidate items.

Shape suffixes: B rows, T tokens of a row, P predictions of a row, M query tokens of a prediction, L
codes of an item, A candidate tokens, R words of a target text, D width, N predictions of a batch.
"""

import copy
import math
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from palate.items.codes.codes import Codes
from palate.items.features import ItemFeatures
from palate.language.batch import Batch
from palate.language.entities import EntityTrie
from palate.models.attention_layout import (
    Instruction,
    Rows,
    SlotGroup,
    answer_start,
    last_tokens,
)
from palate.models.backbone import Backbone, WordTable
from palate.models.backbones.config import check_backbone, load_backbone
from palate.models.backbones.pretrained import PretrainedBackbone
from palate.models.backbones.tuning import TuningConfig, prefix
from palate.models.code_tokens import CodeTokens
from palate.models.decoder import Decoder
from palate.models.device import autocast
from palate.models.entity_positions import TwoPositions
from palate.models.fusion import Fusion
from palate.models.known_instructions import KnownInstructions
from palate.models.model_config import ModelConfig
from palate.models.outputs import Prefix, States
from palate.models.references import ItemTable, mentioned, references_of, whole_items
from palate.models.text_head import Copied, TextHead, TiedWords

BACKBONE = "decoder."
"""Prefix of the names of the backbone's weights."""


class RecommendationModel(nn.Module):
    """Item fusion, backbone, query tokens, code tokens and text head."""

    def __init__(  # noqa: PLR0913 - everything that one model is built from
        self,
        config: ModelConfig,
        features: ItemFeatures,
        *,
        vocabulary_size: int,
        num_event_types: int,
        num_ratings: int = 0,
        codes: Codes | None = None,
        answers: Collection[str] = ("set", "codes"),
        generates_text: bool = False,
        entities: EntityTrie | None = None,
        backbone: PretrainedBackbone | None = None,
    ) -> None:
        """Build with fresh weights from torch's current random state.

        Args:
            config: settings of the architecture.
            features: features of the catalogue.
            vocabulary_size: size of the tokenizer's vocabulary.
            num_event_types: number of event types of the data.
            num_ratings: number of rating levels of events; 0 leaves ratings out of the input.
            codes: codes of the catalogue, where items are read or predicted as codes.
            answers: the ways in which it learns to answer with items: as a ``set`` of vectors, and
                in ``codes`` where there are some.
            generates_text: whether the model also answers in text.
            entities: the words of the items, with ``config.entity_positions``.
            backbone: the backbone that ``config.backbone`` describes, if it is already loaded.

        Raises:
            ConfigError: when the backbone cannot be loaded, or does not fit the tokenizer.
        """
        super().__init__()
        self.config = config
        self.answers = frozenset(answers)
        self.num_items = len(features)
        pretrained = backbone
        if pretrained is None and config.backbone is not None:
            pretrained = load_backbone(config.backbone)
        if pretrained is not None:
            check_backbone(pretrained, vocabulary_size=vocabulary_size, copies=config.copies_words)
        self.width = width = config.decoder.width if pretrained is None else pretrained.width
        self.words = nn.Embedding(vocabulary_size, width) if pretrained is None else None
        self.events = nn.Embedding(num_event_types, width)
        self.fusion = Fusion(
            features,
            width,
            config.fusion,
            vocabulary_size=vocabulary_size,
            word_rms=pretrained.word_rms if pretrained and config.items_from_titles else None,
        )
        self.decoder: Backbone = pretrained or Decoder(config.decoder)
        self.queries = nn.Parameter(torch.randn(config.num_queries, width) * 0.1)
        self.user = nn.Linear(width, width, bias=False)
        # A pre-trained model was trained without dropout on its inputs.
        self.dropout = nn.Dropout(config.decoder.dropout if pretrained is None else 0.0)
        self.codes = None if codes is None else CodeTokens(codes, width)
        self.text = TextHead(width, copies=config.copies_words) if generates_text else None
        self.ratings = nn.Embedding(num_ratings, width) if num_ratings else None
        if self.ratings is not None:
            nn.init.zeros_(self.ratings.weight)
        self.entity_positions = None if entities is None else TwoPositions(entities, width)
        if self.words is not None:
            nn.init.normal_(self.words.weight, std=0.5)
        nn.init.zeros_(self.events.weight)
        # With the identity here and in the projections of items, and a decoder that adds little, a
        # fresh model recommends items similar to the last one, and learns from there.
        nn.init.eye_(self.user.weight)
        self.tuning = TuningConfig() if config.backbone is None else config.backbone.tuning
        self.borrowed = pretrained is not None and backbone is None
        """Whether the backbone's own weights are still those of its checkpoint (added weights
        aside); training resets it."""
        self.answers_in_bfloat16 = False
        """Whether inference multiplies in bfloat16; set with the device."""
        self.known_instructions = KnownInstructions()
        self.trainable = self.free_weights()
        """Names of the weights that may change in training."""

    def forward(
        self,
        batch: Batch,
        *,
        needed: Int[Tensor, " references"] | None = None,
        users: bool = True,
        target_rows: Int[Tensor, "batch predictions"] | None = None,
        target_ids: Int[Tensor, "batch predictions words"] | None = None,
        keep_rows: bool = False,
    ) -> tuple[States, ItemTable]:
        """Read a batch once: return the states at its predictions and the vectors of its items.

        Args:
            batch: prompts.
            needed: further items to compute vectors of: targets and negatives.
            users: whether to return user vectors.
            target_rows: as for :meth:`states`.
            target_ids: as for :meth:`states`.
            keep_rows: whether to return the states of the rows themselves.
        """
        shown = mentioned(batch, self.num_items)
        references = shown if needed is None else torch.cat([shown, needed])
        table = self.items(references, batch.descriptions)
        states = self.states(
            batch,
            table,
            users=users,
            target_rows=target_rows,
            target_ids=target_ids,
            keep_rows=keep_rows,
        )
        return states, table

    def computing(self) -> AbstractContextManager[object]:
        """Return the context in which prompts are read; in bfloat16 if answers are to be.

        What follows is small, and stays in float32: vectors, scores, and one word after another. In
        training the step decides (see :mod:`palate.training.step`).
        """
        return autocast(self.queries.device, enabled=self.answers_in_bfloat16 and not self.training)

    @property
    def scale(self) -> float:
        """Factor from an inner product to a logit."""
        return 1 / self.config.temperature if self.config.cosine else 1 / math.sqrt(self.width)

    def items(
        self, references: Int[Tensor, " any"], descriptions: Tensor | None = None
    ) -> ItemTable:
        """Return the vectors of the distinct references (see :mod:`palate.models.references`)."""
        needed = references.unique()
        place = torch.full((2 * self.num_items,), -1, device=references.device)
        place[needed] = torch.arange(len(needed), device=references.device)
        without_id = needed >= self.num_items
        if self.training and self.config.fusion.id_dropout:
            without_id = without_id | (
                torch.rand(len(needed), device=needed.device) < self.config.fusion.id_dropout
            )
        known = self.decoder.words if isinstance(self.decoder, PretrainedBackbone) else None
        fused = self.fusion(needed % self.num_items, without_id, descriptions, known)
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
        """Return the same model over other items; weights are shared, this model is unchanged.

        Args:
            features: features of the other items, in the same modalities.
            id_rows: row of each item in the trained ID embedding; used only where
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
        """Return the input embeddings of things that only have a text, such as a query."""
        nothing = torch.zeros(0, dtype=torch.long, device=descriptions.device)
        tokens: Tensor = self.fusion.token(self.fusion(nothing, None, descriptions))
        return tokens

    def user_vectors(
        self, batch: Batch, table: ItemTable
    ) -> Float[Tensor, "predictions queries width"]:
        """Return the user vectors of all predictions, row by row, without padding."""
        users = self.states(batch, table).users
        assert users is not None
        return users

    def states(
        self,
        batch: Batch,
        table: ItemTable,
        *,
        users: bool = True,
        target_rows: Int[Tensor, "batch predictions"] | None = None,
        target_ids: Int[Tensor, "batch predictions words"] | None = None,
        keep_rows: bool = False,
    ) -> States:
        """Read the batch once and return the requested states at its predictions.

        Args:
            batch: prompts.
            table: vectors of the items in it.
            users: whether to return user vectors.
            target_rows: rows of the items whose codes are to be predicted; any value at padding.
            target_ids: token ids of the texts to be predicted after ``batch.candidates``, padded
                with NOTHING on the right.
            keep_rows: whether to return the states of the rows themselves.
        """
        prompts = self._rows(batch, table)
        if not self.config.num_queries and target_rows is None and target_ids is None:
            with self.computing():
                hidden = self.decoder.read_last(prompts)
            return States(self._unit(self.user(hidden)))
        last_event = self._last_event(prompts)
        # One group of slots per form of answer; all start from the embedding of the last event.
        groups = [SlotGroup(last_event[:, :, None] + self.queries)] if users else []
        if target_rows is not None:
            groups.append(SlotGroup(self._code_slots(last_event, target_rows)))
        if target_ids is not None:
            groups.append(self._word_slots(batch, table, last_event, target_ids))
        with self.computing():
            hidden = self.decoder.read_slots(prompts, groups)
        parts = iter(hidden.split([group.size for group in groups], dim=1))
        of_users = self._unit(self.user(next(parts))) if users else None
        of_codes = None if target_rows is None else next(parts)
        rows = self.decoder.read_rows(prompts.x, prompts.instruction) if keep_rows else None
        if target_ids is None:
            return States(of_users, of_codes, rows=rows)
        candidates, words = next(parts).tensor_split([-target_ids.shape[2]], dim=1)
        return States(of_users, of_codes, words, rows, self._copied(batch, candidates))

    def read_alone(self, words: Int[Tensor, "texts words"]) -> Float[Tensor, "texts words width"]:
        """Return the states of texts without a prompt before them."""
        return self.decoder.read_rows(self.dropout(self.embed_words(words.clamp(min=0))), None)

    @property
    def word_table(self) -> WordTable:
        """The words it reads and says: those of a pre-trained backbone, else its own."""
        pretrained = self.decoder.word_table
        if pretrained is not None:
            return pretrained
        assert self.words is not None
        return TiedWords(self.words, self.text)

    def embed_words(self, words: Int[Tensor, "*any"]) -> Float[Tensor, "*any width"]:
        """Return the input embeddings of words."""
        return self.word_table.embed(words)

    def word_logits(self, states: Float[Tensor, "*any width"]) -> Float[Tensor, "*any vocabulary"]:
        """Return the logit of every word after each state."""
        return self.word_table.word_logits(states)

    def prefix(self, batch: Batch, table: ItemTable) -> Prefix:
        """Read rows of one prediction each, ready to generate codes or words step by step."""
        rows = self._rows(batch, table)
        end, start = self._prompt_end(batch, table, self._last_event(rows))
        with self.computing():
            prefix = self.decoder.read_prefix(rows, end, start[:, 0])
        if prefix.candidates is None:
            return prefix
        return replace(prefix, copied=self._copied(batch, prefix.candidates))

    @property
    def num_words(self) -> int:
        """Size of the vocabulary."""
        return self.word_table.num_words

    def free_weights(self) -> frozenset[str]:
        """Return the names of the weights that learn; the tuning decides those of the backbone."""
        return frozenset(
            name
            for name, weight in self.named_parameters()
            if weight.requires_grad or not name.startswith(BACKBONE)
        )

    def _unit(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return F.normalize(x, dim=-1) if self.config.cosine else x

    def _rows(self, batch: Batch, table: ItemTable) -> Rows:
        """Return the rows of a batch, embedded, after the instruction."""
        x, instruction = self._embed(batch, table), self._instruction(batch)
        return Rows(x, batch.prefix_lengths, instruction, self.config.bidirectional_rows)

    def _embed(self, batch: Batch, table: ItemTable) -> Float[Tensor, "batch time width"]:
        """Return the input embeddings: per token, the sum of all parts that it has."""
        x = self._embed_parts(
            batch.token_ids, batch.items, batch.levels, batch.without_id[:, None], table
        )
        if batch.descriptions is not None:
            known = len(table.tokens) - len(batch.descriptions)
            of_described = table.tokens[known + batch.described.clamp(min=0)]
            x = x + of_described * (batch.described >= 0)[..., None]
        x = x + self.events(batch.events.clamp(min=0)) * (batch.events >= 0)[..., None]
        if self.ratings is not None and batch.ratings is not None:
            x = x + self.ratings(batch.ratings.clamp(min=0)) * (batch.ratings >= 0)[..., None]
        if self.entity_positions is not None and batch.inner is not None:
            x = x + self.entity_positions.of(batch.inner)
        embedded: Tensor = self.dropout(x)
        return embedded

    def _embed_parts(
        self,
        words: Int[Tensor, "*any"],
        items: Int[Tensor, "*any"],
        levels: Int[Tensor, "*any"],
        without_id: Bool[Tensor, "*broad"],
        table: ItemTable,
    ) -> Float[Tensor, "*any width"]:
        """Return the input embeddings of words, items and codes; -1 means there is none."""
        x = table.read(references_of(whole_items(items, levels), without_id, self.num_items))
        if self.codes is not None and "codes" in self.config.item_format:
            of_codes = self.codes.read(items.clamp(min=0), levels.clamp(min=0))
            x = x + of_codes * (levels >= 0)[..., None]
        if bool((words >= 0).any()):
            x = x + self.embed_words(words.clamp(min=0)) * (words >= 0)[..., None]
        return x

    def _prompt_end(
        self,
        batch: Batch,
        table: ItemTable,
        last_event_BPD: Float[Tensor, "batch predictions width"],
    ) -> tuple[SlotGroup, Float[Tensor, "batch predictions width"]]:
        """Return what each prediction reads after its prefix, and what its answer starts from.

        In the stream these are the candidates, and the only candidate or else the last event. A
        prompt in text ends with a cue, whose last token predicts the first word of the answer; the
        answers of an encoder-decoder start from a token of their own instead.
        """
        B, P = batch.prefix_lengths.shape
        candidates = SlotGroup(last_event_BPD.new_zeros(B, P, 0, self.width))
        if batch.candidates is not None:
            candidates = self._candidate_slots(batch, table)
        if batch.cue is None:
            return candidates, answer_start(batch.candidates, candidates, last_event_BPD)
        cue = self.embed_words(batch.cue).expand(B, P, -1, -1)
        if self.decoder.start_token is None:
            cue, start = cue[:, :, :-1], cue[:, :, -1]
        else:
            start = self.embed_words(batch.cue.new_tensor(self.decoder.start_token))
            start = start.expand(B, P, -1)
        return candidates.followed_by(cue), start

    def _candidate_slots(self, batch: Batch, table: ItemTable) -> SlotGroup:
        """Return the input embeddings of the candidates of all predictions."""
        candidates = batch.candidates
        assert candidates is not None
        assert self.text is not None
        without_id = batch.without_id[:, None, None]
        x = self._embed_parts(
            candidates.token_ids, candidates.items, candidates.levels, without_id, table
        )
        if self.entity_positions is not None and candidates.inner is not None:
            x = x + self.entity_positions.of(candidates.inner)
        marked: Tensor = self.dropout(x + self.text.candidates)
        return SlotGroup(marked, candidates.there, candidates=marked.shape[2])

    def _copied(
        self, batch: Batch, candidates: Float[Tensor, "predictions candidates width"]
    ) -> Copied | None:
        """Return the words of the candidates that may be copied, given their states."""
        if batch.candidates is None or self.text is None or not self.config.copies_words:
            return None
        there, read = batch.prefix_lengths >= 0, batch.candidates
        return self.text.copied(
            read.token_ids[there], read.begins[there], read.ends[there], candidates
        )

    def _word_slots(
        self,
        batch: Batch,
        table: ItemTable,
        last_event_BPD: Float[Tensor, "batch predictions width"],
        target_ids_BPR: Int[Tensor, "batch predictions words"],
    ) -> SlotGroup:
        """Return the end of each prompt, then one slot per word of the target text."""
        assert self.text is not None
        # Teacher forcing: slot r reads word r - 1 and predicts word r; the last word is not read.
        known = target_ids_BPR[:, :, :-1]
        words = self.dropout(self.embed_words(known.clamp(min=0)))
        visible = F.pad(known >= 0, (1, 0), value=True)
        end, start = self._prompt_end(batch, table, last_event_BPD)
        places = self.text.places(start, words)
        if self.entity_positions is not None:
            places = places + self.entity_positions.of_answer(known)
        if not end.size:
            return SlotGroup(places, visible, self._in_blanks(batch, known))
        there = visible.new_ones(end.x.shape[:3]) if end.visible is None else end.visible
        return SlotGroup(
            torch.cat([end.x, places], dim=2),
            torch.cat([there, visible], dim=2),
            candidates=end.size,
        )

    def _in_blanks(
        self, batch: Batch, known: Int[Tensor, "batch predictions words"]
    ) -> Int[Tensor, "batch predictions places"] | None:
        """Return the position of each word's blank relative to the end of its row."""
        if self.entity_positions is None or batch.masks is None:
            return None
        return self.entity_positions.of_blanks(known, batch.masks) - batch.prefix_lengths[..., None]

    def _instruction(self, batch: Batch) -> Instruction | None:
        """Return the instruction, which is read once for all batches where nothing is learned."""
        if self.training or torch.is_grad_enabled():
            return self._read_instruction(batch.instruction)
        return self.known_instructions.get(
            batch.instruction,
            [*self.decoder.parameters(), *(() if self.words is None else self.words.parameters())],
            self.answers_in_bfloat16,
            lambda: self._read_instruction(batch.instruction),
        )

    def _read_instruction(self, words: Int[Tensor, " words"]) -> Instruction | None:
        """Read the soft prompt, if any, and the instruction; both are shared by all rows."""
        learned = prefix(self.decoder)
        read = [] if learned is None else [learned]
        if self.config.read_words:
            read.append(self.dropout(self.embed_words(words))[None])
        return self.decoder.read_instruction(torch.cat(read, dim=1)) if read else None

    def _last_event(self, rows: Rows) -> Float[Tensor, "batch predictions width"]:
        """Return the embedding of the last event of each prediction's prefix.

        It is the last token, or the sum of the last L tokens where items are only codes. It is
        added to every slot: otherwise a slot would first have to learn where the last event is.
        """
        in_codes = self.codes is not None and set(self.config.item_format) & {"codes", "item"} == {
            "codes"
        }
        span = self.codes.num_levels if self.codes is not None and in_codes else 1
        return last_tokens(rows.x, rows.prefix_lengths, span)

    def _code_slots(
        self,
        last_event_BPD: Float[Tensor, "batch predictions width"],
        target_rows_BP: Int[Tensor, "batch predictions"],
    ) -> Float[Tensor, "batch predictions levels width"]:
        assert self.codes is not None
        rows = target_rows_BP.clamp(min=0).flatten()
        slots = self.codes.slots(last_event_BPD.flatten(0, 1), rows)
        return slots.view(*target_rows_BP.shape, *slots.shape[1:])
