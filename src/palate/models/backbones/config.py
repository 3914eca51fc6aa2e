"""Settings of a pre-trained backbone, and how it is loaded.

Models are read from disk only; a name is looked up among the models already downloaded.
"""

import inspect
import json
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from torch import nn

from palate.artifacts import hash_file, hash_text
from palate.errors import ConfigError, MissingExtraError
from palate.llm.folder.gguf_files import check_converted
from palate.models.backbones.causal import CausalBackbone
from palate.models.backbones.encoder_decoder import EncoderDecoderBackbone
from palate.models.backbones.pretrained import PretrainedBackbone, head_of
from palate.models.backbones.tuning import TuningConfig, tune
from palate.models.weights.bars import without_bars

if TYPE_CHECKING:
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSeq2SeqLM,
        PreTrainedConfig,
        PreTrainedModel,
    )

_CAUSAL_INPUTS = {"inputs_embeds", "position_ids", "past_key_values", "attention_mask"}
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

logger = logging.getLogger(__name__)


class BackboneConfig(BaseModel):
    """A pre-trained model and how it is tuned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """Folder of a causal or encoder-decoder model that ``transformers`` can read, or the name of
    one already on this machine."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Data type of the pre-trained weights; weights added for tuning are float32."""
    gradient_checkpointing: bool = False
    """Keep only the inputs of each layer, and recompute the rest in the backward pass."""
    tuning: TuningConfig = Field(default_factory=TuningConfig)


def load_backbone(config: BackboneConfig) -> PretrainedBackbone:
    """Load the pre-trained model and prepare it for its tuning.

    Raises:
        MissingExtraError: when ``transformers``, or ``peft`` for LoRA, is not installed.
        ConfigError: when there is no such model, it is damaged, or its kind is not supported.
    """
    _need_transformers()
    check_converted(config.path)
    from transformers import AutoConfig

    try:
        found = AutoConfig.from_pretrained(config.path, local_files_only=True)
        model = _open(found, config)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _cannot_open(config.path, error) from error
    return _prepared(model, config)


def check_backbone(backbone: PretrainedBackbone, *, vocabulary_size: int, copies: bool) -> None:
    """Check that a backbone fits its tokenizer and the requested copying.

    Args:
        backbone: the loaded backbone.
        vocabulary_size: size of the tokenizer's vocabulary.
        copies: whether answers copy words of the candidates.

    Raises:
        ConfigError: when the vocabulary is too small, or the backbone cannot copy.
    """
    if len(backbone.words) < vocabulary_size:
        raise ConfigError(
            f"The backbone has {len(backbone.words)} words, its tokenizer {vocabulary_size}.",
            hint="Resize the embeddings of the checkpoint, or take the tokenizer it came with.",
        )
    if copies and not backbone.reads_candidates_in_place:
        raise ConfigError(
            "model.copies needs a decoder, and the backbone has an encoder.",
            hint="Take a causal checkpoint, or leave out model.copies.",
        )


def empty_backbone(config: BackboneConfig, folder: Path) -> PretrainedBackbone:
    """Build the model that the ``config.json`` in ``folder`` describes, without its weights.

    Raises:
        MissingExtraError: when ``transformers``, or ``peft`` for LoRA, is not installed.
        ConfigError: when it cannot be read.
    """
    _need_transformers()
    from transformers import AutoConfig

    try:
        found = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise _cannot_open(str(folder), error) from error
    kind = _kind(found)
    built: PreTrainedModel = kind.from_config(  # type: ignore[no-untyped-call]
        found, dtype=_DTYPES[config.dtype]
    )
    return _prepared(built, config)


def content_of(path: str) -> str:
    """Return a hash of the settings and the weights of the model called ``path``.

    Raises:
        MissingExtraError: when ``transformers`` is not installed.
        ConfigError: when there is no such model.
    """
    _need_transformers()
    from transformers.utils.hub import cached_file

    try:
        found = cached_file(path, "config.json", local_files_only=True)
    except (OSError, ValueError) as error:
        raise _cannot_open(path, error) from error
    assert found is not None
    settings = Path(found)
    files = [settings, *sorted(settings.parent.glob("*.safetensors"))]
    return hash_text(json.dumps({file.name: hash_file(file) for file in files}))


def _need_transformers() -> None:
    if find_spec("transformers") is None:
        raise MissingExtraError("transformers", "hf")


def _kind(
    found: "PreTrainedConfig",
) -> "type[AutoModelForCausalLM] | type[AutoModelForSeq2SeqLM]":
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if found.is_encoder_decoder else AutoModelForCausalLM


def _prepared(model: "PreTrainedModel", config: BackboneConfig) -> PretrainedBackbone:
    if config.gradient_checkpointing:
        from palate.models.backbones.recompute import recompute_layers

        recompute_layers(model)
    is_encoder_decoder = model.config.is_encoder_decoder
    kind = EncoderDecoderBackbone if is_encoder_decoder else CausalBackbone
    backbone = kind(model)
    return tune(backbone, config.tuning, words=backbone.words / backbone.embedding_scale)


def _open(found: "PreTrainedConfig", config: BackboneConfig) -> "PreTrainedModel":
    with without_bars():
        opened: tuple[PreTrainedModel, dict[str, set[str]]] = _kind(found).from_pretrained(  # type: ignore[assignment]
            config.path,
            config=found,
            dtype=_DTYPES[config.dtype],
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    model, report = opened
    _check_complete(config.path, model, (report["missing_keys"]))
    inputs = set(inspect.signature(type(model.base_model).forward).parameters)
    if not found.is_encoder_decoder and not inputs >= _CAUSAL_INPUTS:
        raise ConfigError(
            f"The model {config.path!r} is of the kind {found.model_type!r}, which does not take "
            f"{', '.join(sorted(_CAUSAL_INPUTS - inputs))}.",
            hint="Take a causal model with rotary or learned positions, such as Llama or Qwen.",
        )
    return model


def _check_complete(path: str, model: "PreTrainedModel", missing: set[str]) -> None:
    """Check that no weight is missing; a head that was not saved becomes the word embeddings."""
    head = head_of(model)
    of_head = {name for name, layer in model.named_modules() if layer is head}
    if missing and missing <= {f"{name}.weight" for name in of_head}:
        logger.warning("%s has no language-model head: its word embeddings are used.", path)
        head.weight = cast(nn.Parameter, model.get_input_embeddings().weight)
    elif missing:
        raise ConfigError(
            f"The model {path!r} has no weights for {len(missing)} of its parts, "
            f"such as {min(missing)!r}.",
            hint="Save or download it again, whole.",
        )


def _cannot_open(path: str, error: Exception) -> ConfigError:
    first_line = str(error).strip().split("\n")[0]
    return ConfigError(
        f"The backbone {path!r} cannot be opened: {first_line}",
        hint="Give the folder of a model that transformers can read (config.json and "
        "model.safetensors); palate backbone list names some, palate backbone get fetches them.",
    )
