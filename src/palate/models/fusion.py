"""Fusion of ID, text, image, attributes and behaviour into one item vector.

``e_i = P . RMSNorm(sum over modalities m of present[i, m] * W_m(x[i, m]))`` (URM, arXiv
2502.03041); the output side has a projection of its own. A missing modality is masked, not
zero-filled: the bias of its layer is left out too.

With a pre-trained language model the sum also holds the mean of the title's word embeddings, and
every other part starts at zero: a fresh item token says what its title says, as loud as a word, and
training adds what words do not say. Random vectors would be noise in prompts that it can read.

Shape suffixes: I items, D width.
"""

from collections import OrderedDict
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from palate.items.features import ItemFeatures, attribute_matrix
from palate.items.vectors import ItemVectors
from palate.models.adaptor import Whitening, WhiteningExperts
from palate.models.decoder import NORM_EPSILON, DecoderConfig, RMSNorm
from palate.models.title_reader import TitleReader

MAX_ATTRIBUTES = 16
"""Maximum number of attributes of an item (brand, price band, categories); more are cut."""

_NEARLY = 1e-3
"""Factor of weights that start next to nothing."""


class FusionConfig(BaseModel):
    """Parts of an item token, and how they are fused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use_id: bool = True
    id_dropout: float = 0.1
    """Probability that an item loses its ID and behaviour in training, so that the model can also
    score items without them."""
    behaviour_dropout: float = 0.5
    """Probability that an item loses its behaviour vector in training. That vector was computed
    from the transitions to predict, so it explains them better than it will explain new ones."""
    id_scale: float = 0.05
    """Standard deviation of a fresh ID embedding."""
    whiten: bool = False
    """Whether text and image vectors are first whitened with the statistics of the catalogue."""
    vector_dropout: float = 0.0
    """Dropout on the coordinates of text and image vectors."""
    experts: int = 0
    """Number of whitening experts for text and image vectors (UniSRec); 0 is a plain projection."""
    use_codes: bool = False
    """Whether an item token contains the sum of the embeddings of its codes (VQ-Rec)."""
    title_reader: DecoderConfig | None = None
    """An item language model that reads titles, trained with the rest (HLLM)."""
    leaves_out: tuple[Literal["text", "image", "attributes", "behaviour"], ...] = ()
    """Modalities of the data that are not part of item tokens."""
    from_titles: bool = True
    """Whether an item token starts as the mean of its title's words, where these are the words of a
    pre-trained model."""
    plain: bool = False
    """Use ``sqrt(width)`` times the fused sum as input and output vector, as SASRec does with its
    one embedding matrix: no normalisation, no projection. Rarely seen items then have short vectors
    and low scores."""


class Fusion(nn.Module):
    """Computes item vectors from item features."""

    has_id: Tensor
    attributes: Tensor

    def __init__(
        self,
        features: ItemFeatures,
        width: int,
        config: FusionConfig,
        *,
        vocabulary_size: int = 0,
        word_rms: float | None = None,
    ) -> None:
        """Keep the frozen features as buffers that are not saved with the weights.

        Args:
            features: features of the catalogue.
            width: width of an item token.
            config: which features are used, and how.
            vocabulary_size: size of the tokenizer's vocabulary, for the title reader.
            word_rms: root mean square of the words of a pre-trained model, where items start from
                their titles; None where they do not.
        """
        super().__init__()
        self.config = config
        self.id = nn.Embedding(len(features), width) if config.use_id else None
        self.modality = nn.ModuleDict(
            {
                name: nn.Linear(block.values.shape[1], width)
                if name == "behaviour"
                else _reader(block, width, config)
                for name, block in features.vectors.items()
                if name not in config.leaves_out
            }
        )
        self.attribute = (
            nn.EmbeddingBag(
                features.num_attributes + 1, width, mode="mean", padding_idx=features.num_attributes
            )
            if features.attributes is not None and "attributes" not in config.leaves_out
            else None
        )
        self.code = nn.Embedding(features.num_codes, width) if features.codes is not None else None
        self.title = (
            TitleReader(config.title_reader, vocabulary_size, width)
            if config.title_reader is not None and features.words is not None
            else None
        )
        self.width = width
        self.norm = _Scale(width**0.5) if config.plain else RMSNorm(width)
        self.token = nn.Identity() if config.plain else _identity_projection(width)
        self.output = nn.Identity() if config.plain else _identity_projection(width)
        if self.id is not None:
            nn.init.normal_(self.id.weight, std=config.id_scale)
        if self.code is not None and features.codes is not None:
            nn.init.normal_(self.code.weight, std=features.codes.shape[1] ** -0.5)
        self.reads_titles = word_rms is not None and features.words is not None
        if word_rms is not None and features.words is not None:
            self._start_from_titles(word_rms)
        self.set_features(features)

    @torch.no_grad()
    def _start_from_titles(self, word_rms: float) -> None:
        """Let every learned part start at zero, and the whole be as loud as a word."""
        for part in (self.id, self.attribute, self.code, *self.modality.values()):
            if part is not None:
                _silence(part)
        assert isinstance(self.norm, RMSNorm)
        self.norm.weight.fill_(word_rms)

    def set_features(self, features: ItemFeatures) -> None:
        """Replace the frozen features: same modalities, possibly with new items without IDs."""
        self._keep("has_id", torch.from_numpy(features.has_id.copy()))
        for name in self.modality:
            block = features.vectors[name]
            self._keep(f"{name}_values", torch.from_numpy(block.values).float())
            self._keep(f"{name}_present", torch.from_numpy(block.present.copy()))
        if features.attributes is not None and self.attribute is not None:
            table = torch.from_numpy(attribute_matrix(features.attributes, MAX_ATTRIBUTES))
            self._keep("attributes", torch.where(table < 0, features.num_attributes, table))

        if features.codes is not None:
            self._keep("codes", torch.from_numpy(features.codes).long())
        if features.words is not None:
            self._keep("words", torch.from_numpy(features.words).long())

    def _keep(self, name: str, value: Tensor) -> None:
        # New items may be added when the weights are already on a GPU.
        self.register_buffer(name, value.to(next(self.parameters()).device), persistent=False)

    def forward(
        self,
        rows_I: Int[Tensor, " items"],
        without_id: Bool[Tensor, " items"] | None = None,
        described: Float[Tensor, "described text"] | None = None,
        words: Float[Tensor, "vocabulary width"] | None = None,
    ) -> Float[Tensor, "all width"]:
        """Return the fused, normalised vectors of the items in ``rows_I``, then of ``described``.

        Args:
            rows_I: catalogue rows.
            without_id: True for items to treat as if they had neither ID nor behaviour.
            described: text vectors of things that only have a text, such as a free-text query.
            words: word embeddings of a pre-trained model, for what is said by titles.
        """
        known = torch.ones_like(rows_I, dtype=torch.bool) if without_id is None else ~without_id
        fused = torch.zeros(len(rows_I), self.width, device=rows_I.device)
        if self.reads_titles and words is not None:
            fused = fused + mean_words(self.get_buffer("words")[rows_I], words)
        if self.id is not None:
            has_id = (known & self.has_id[rows_I])[:, None]
            fused = fused + has_id * self.id(rows_I.clamp(max=self.id.num_embeddings - 1))
        for name, layer in self.modality.items():
            present = self.get_buffer(f"{name}_present")[rows_I]
            if name == "behaviour":
                present = present & known & self._kept(rows_I)
            fused = fused + present[:, None] * layer(self.get_buffer(f"{name}_values")[rows_I])
        if self.attribute is not None:
            fused = fused + self.attribute(self.attributes[rows_I])
        if self.code is not None:
            fused = fused + self.code(self.get_buffer("codes")[rows_I]).sum(dim=1)
        if self.title is not None:
            fused = fused + self.title(self.get_buffer("words")[rows_I])
        if described is not None and "text" in self.modality:
            fused = torch.cat([fused, self.modality["text"](described)])
        normed: Tensor = self.norm(fused)
        return normed

    def _kept(self, rows_I: Int[Tensor, " items"]) -> Bool[Tensor, " items"]:
        """Draw which items keep their behaviour vector; outside training all do."""
        if not self.training or not self.config.behaviour_dropout:
            return torch.ones_like(rows_I, dtype=torch.bool)
        return torch.rand(len(rows_I), device=rows_I.device) >= self.config.behaviour_dropout


def mean_words(
    titles_IW: Int[Tensor, "items words"], words: Float[Tensor, "vocabulary width"]
) -> Float[Tensor, "items width"]:
    """Return the mean embedding of each title's words with a root mean square of 1; 0 of none.

    No gradient reaches the words: what is learned of an item is learned beside them.
    """
    there = titles_IW >= 0
    counts = there.sum(dim=1)
    mean = nn.functional.embedding_bag(
        titles_IW[there], words.detach(), counts.cumsum(dim=0) - counts, mode="mean"
    )
    return nn.functional.rms_norm(mean.float(), mean.shape[-1:], eps=NORM_EPSILON)


@torch.no_grad()
def _silence(part: nn.Module) -> None:
    """Let a learned part of an item token start at zero, or nearly where that would bind experts.

    Experts that all start at zero would learn the same for ever.
    """
    for module in part.modules():
        if isinstance(module, WhiteningExperts):
            module.turn.mul_(_NEARLY)
        elif isinstance(module, nn.Linear | nn.Embedding | nn.EmbeddingBag):
            for weight in module.parameters(recurse=False):
                weight.zero_()


def _reader(block: ItemVectors, width: int, config: FusionConfig) -> nn.Module:
    """Return the layers from the vectors of a frozen encoder to a part of the fused sum."""
    inputs = block.values.shape[1]
    made = (
        WhiteningExperts(inputs, width, config.experts)
        if config.experts
        else nn.Linear(inputs, width)
    )
    steps: dict[str, nn.Module] = {"projection": made}
    if config.vector_dropout:
        steps = {"dropout": nn.Dropout(config.vector_dropout), **steps}
    if config.whiten:
        known = torch.from_numpy(block.values[block.present]).float()
        steps = {"whitening": Whitening(known), **steps}
    return made if len(steps) == 1 else nn.Sequential(OrderedDict(steps))


class _Scale(nn.Module):
    """Multiplication of embeddings by a constant (Vaswani et al. 2017)."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Float[Tensor, "items width"]) -> Float[Tensor, "items width"]:
        return x * self.factor


def _identity_projection(width: int) -> nn.Linear:
    """Return a projection that starts as the identity: input and output vectors start equal."""
    projection = nn.Linear(width, width, bias=False)
    nn.init.eye_(projection.weight)
    return projection
