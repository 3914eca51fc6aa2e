"""Settings of the architecture of the recommendation language model."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from palate.language.item_format import MAX_TITLE_WORDS, MAX_TITLE_WORDS_IN_TEXT, ItemPart
from palate.models.backbones.config import BackboneConfig
from palate.models.decoder import DecoderConfig
from palate.models.fusion import FusionConfig


class ModelConfig(BaseModel):
    """All settings of the architecture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decoder: DecoderConfig = Field(default_factory=DecoderConfig)
    """The compact backbone."""
    backbone: BackboneConfig | None = None
    """A pre-trained model that replaces the compact one."""
    fusion: FusionConfig = Field(default_factory=FusionConfig)
    num_queries: int = Field(default=1, ge=0)
    """Query tokens M per prediction, each of which gives a user vector. With 0 there are none: the
    user vector is the state of the last event itself, as in SASRec."""
    cosine: bool = True
    """Score by the cosine of user and item vector instead of their inner product."""
    temperature: float = 0.06
    """Divides the cosine; unused without ``cosine``."""
    prompts: Literal["stream", "text"] | None = None
    """How prompts are written: as a lean stream of words and items, or as text with separators, a
    question and a cue. None is text for a pre-trained model, else the stream."""
    read_words: bool = True
    """Whether the instruction is part of the input; without it the tasks look the same."""
    item_format: tuple[ItemPart, ...] = ("item",)
    """Tokens that represent an item of a history: its title, its codes, one fused token."""
    title_words: int | None = Field(default=None, ge=1)
    """Maximum number of words (tokens) of a title in the input; None is 12, and 40 in prompts in
    text, since a pre-trained tokenizer cuts a shop's titles into more."""
    bidirectional_rows: bool = False
    """Whether input tokens also attend to later ones (a prefix language model, like T5 and GLM);
    then there are predictions only at the end of a row."""
    entity_positions: bool = False
    """Whether each word also gets its position inside its entity (RecSysLLM)."""
    copies: bool = False
    """Whether text answers may copy words of the candidates; needs a decoder that reads titles, and
    prompts that are a stream: a pre-trained model copies by its own attention."""

    @property
    def max_title_words(self) -> int:
        """Maximum number of words of a title in the input."""
        if self.title_words is not None:
            return self.title_words
        return MAX_TITLE_WORDS_IN_TEXT if self.prompts_in_text else MAX_TITLE_WORDS

    @property
    def copies_words(self) -> bool:
        """Whether text answers copy words of the candidates."""
        return self.copies and not self.prompts_in_text

    @property
    def items_from_titles(self) -> bool:
        """Whether an item token starts as the mean of the words of its title."""
        fusion = self.fusion
        own = fusion.plain or fusion.title_reader is not None
        return self.backbone is not None and fusion.from_titles and not own

    @property
    def prompts_in_text(self) -> bool:
        """Whether prompts are written as text."""
        if self.prompts is None:
            return self.backbone is not None
        return self.prompts == "text"
