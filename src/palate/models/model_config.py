"""What decides the shape of the recommendation language model."""

from pydantic import BaseModel, ConfigDict, Field

from palate.language.item_format import MAX_TITLE_WORDS, ItemPart
from palate.models.backbones.config import BackboneConfig
from palate.models.decoder import DecoderConfig
from palate.models.fusion import FusionConfig


class ModelConfig(BaseModel):
    """Everything that decides the shape of the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decoder: DecoderConfig = Field(default_factory=DecoderConfig)
    """The compact backbone."""
    backbone: BackboneConfig | None = None
    """A pre-trained model in place of the compact one."""
    fusion: FusionConfig = Field(default_factory=FusionConfig)
    num_queries: int = Field(default=1, ge=0)
    """Query tokens M per prediction, each of which gives a user vector. With 0 there are none: the
    user vector is the state of the last event itself, as in SASRec."""
    cosine: bool = True
    """Score by the cosine of user and item vector instead of their plain inner product."""
    temperature: float = 0.06
    """Divides the cosine; without ``cosine`` it is not used."""
    read_words: bool = True
    """Whether the instruction is read; without it every task would sound alike."""
    item_format: tuple[ItemPart, ...] = ("item",)
    """What stands for each item of a history: its title, its codes, one fused token."""
    title_words: int = Field(default=MAX_TITLE_WORDS, ge=1)
    """Words of a title that are read at most."""
    bidirectional_rows: bool = False
    """Whether what is read sees what comes after it too (a prefix language model, as T5 and GLM
    are); then each row is asked at its end alone."""
    entity_positions: bool = False
    """Whether each word is told its place inside its entity too (RecSysLLM)."""
    copies: bool = False
    """Whether answers may copy words of the items they are asked about; needs a decoder that reads
    titles."""
