"""Tuning of a backbone: all weights, LoRA, bottleneck adapters, a soft prompt, or nothing.

Parameter-efficient tuning freezes the weights and trains few added ones: LoRA (Hu et al. 2021, by
``peft``), bottleneck adapters (Houlsby et al. 2019), a soft prompt (Lester et al. 2021).
:func:`palate.models.trainable_state.trainable_state` returns the trained weights.
"""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from palate.errors import ConfigError, MissingExtraError
from palate.models.backbone import Backbone

Tuned = TypeVar("Tuned", bound=Backbone)

_SUBLAYER_ENDS = frozenset(
    ("o_proj", "down_proj", "c_proj", "o", "wo", "out_proj", "fc2", "out", "down", "dense_4h_to_h")
)
"""Names of the last projection of a sublayer: Llama and Qwen, GPT-2, T5, BART, our decoder."""

_PROMPT = "soft_prompt"
_ADAPTER = "bottleneck"
_WORD_STD = 0.5


class TuningConfig(BaseModel):
    """Kind of tuning, and the size of the added weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["full", "lora", "adapter", "soft-prompt", "frozen"] = "full"
    """``frozen`` trains only weights outside the backbone: projectors, heads, item tokens."""
    rank: int = Field(default=16, ge=1)
    """Rank of a LoRA update."""
    alpha: int = Field(default=32, ge=1)
    """A LoRA update is multiplied by ``alpha / rank``."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout on the input of a LoRA update."""
    targets: tuple[str, ...] = ()
    """Last part of the names of the layers that get a LoRA update or an adapter. By default LoRA
    goes where ``peft`` puts it for this kind of model (into all linear layers of an unknown kind),
    and adapters go to the end of each sublayer."""
    bottleneck: int = Field(default=64, ge=1)
    """Inner width of an adapter."""
    num_tokens: int = Field(default=20, ge=1)
    """Learned tokens of a soft prompt."""


class Bottleneck(nn.Module):
    """An adapter: ``x + up(gelu(down(x)))``, the identity at first (Houlsby et al. 2019)."""

    def __init__(self, width: int, inner: int) -> None:
        """Start as the identity."""
        super().__init__()
        self.down = nn.Linear(width, inner)
        self.up = nn.Linear(inner, width)
        nn.init.normal_(self.down.weight, std=width**-0.5)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Float[Tensor, "*any width"]) -> Float[Tensor, "*any width"]:
        """Return ``x`` plus the learned correction."""
        added: Tensor = self.up(F.gelu(self.down(x.to(self.up.weight.dtype))))
        return x + added.to(x.dtype)


class SoftPrompt(nn.Module):
    """Learned vectors before everything else in the input (Lester et al. 2021)."""

    def __init__(
        self, num_tokens: int, width: int, words: Float[Tensor, "vocabulary width"] | None
    ) -> None:
        """Start as random rows of ``words``, or as random numbers without them."""
        super().__init__()
        if words is None:
            start = torch.randn(num_tokens, width) * _WORD_STD
        else:
            drawn = torch.randint(len(words), (num_tokens,), device=words.device)
            start = words.detach()[drawn].float()
        self.vectors = nn.Parameter(start)

    def forward(self, rows: int) -> Float[Tensor, "rows tokens width"]:
        """Return the vectors, once per row."""
        return self.vectors.expand(rows, -1, -1)


def tune(
    backbone: Tuned,
    config: TuningConfig,
    *,
    words: Float[Tensor, "vocabulary width"] | None = None,
) -> Tuned:
    """Prepare ``backbone`` (in place) for training, with torch's current random state.

    Args:
        backbone: a pre-trained backbone or the compact decoder.
        config: kind and size of the tuning.
        words: word embeddings that a soft prompt starts from.

    Raises:
        ConfigError: when the backbone was tuned before, or has no layer of a requested name.
        MissingExtraError: when LoRA is requested and ``peft`` is not installed.
    """
    if _is_tuned(backbone):
        raise ConfigError(
            "The backbone carries an adapter or a soft prompt already.",
            hint="Merge it first, or go on training it as it is.",
        )
    backbone.requires_grad_(config.kind == "full")
    match config.kind:
        case "lora":
            _add_lora(backbone, config)
        case "adapter":
            _add_bottlenecks(backbone, config)
        case "soft-prompt":
            prompt = SoftPrompt(config.num_tokens, backbone.width, words)
            backbone.add_module(_PROMPT, prompt)
        case "full" | "frozen":
            pass
    return backbone


def prefix(backbone: nn.Module, rows: int = 1) -> Float[Tensor, "rows tokens width"] | None:
    """Return the vectors of the soft prompt, or None where there is none."""
    prompt = getattr(backbone, _PROMPT, None)
    return prompt(rows) if isinstance(prompt, SoftPrompt) else None


def trainable_parameters(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that need gradients, shared ones once."""
    return [weight for _, weight in _trained(module)]


def merge(backbone: Tuned) -> Tuned:
    """Merge LoRA updates into the weights (in place); the outputs stay the same.

    Raises:
        ConfigError: when there is no LoRA update; an adapter or a soft prompt cannot be merged.
    """
    # Without `peft` there is no such layer.
    if find_spec("peft") is not None:
        from peft.tuners.tuners_utils import BaseTunerLayer

        found = [
            (name, layer)
            for name, layer in backbone.named_modules()
            if isinstance(layer, BaseTunerLayer)
        ]
        for name, layer in found:
            layer.merge(safe_merge=True)
            backbone.set_submodule(name, layer.get_base_layer(), strict=True)
        if found:
            for module in backbone.modules():
                vars(module).pop("peft_config", None)
            backbone.requires_grad_(True)
            return backbone
    raise ConfigError(
        "There is no LoRA update in the backbone to merge.",
        hint="Adapters of another kind are saved and opened beside the backbone.",
    )


def _trained(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, weight) for name, weight in module.named_parameters() if weight.requires_grad)


def _is_tuned(backbone: nn.Module) -> bool:
    return any(
        isinstance(module, Bottleneck | SoftPrompt) or hasattr(module, "lora_A")
        for module in backbone.modules()
    )


def _add_lora(backbone: Backbone, config: TuningConfig) -> None:
    if find_spec("peft") is None:
        raise MissingExtraError("peft", "hf")
    from peft import LoraConfig, inject_adapter_in_model
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as USUAL

    model = backbone.inner
    layers = _projections(model)
    kind = getattr(getattr(model, "config", None), "model_type", "")
    usual = USUAL.get(kind, sorted(_last_names(layers)))
    targets = _chosen(layers, config.targets) or usual
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        # GPT-2 keeps its weights transposed.
        fan_in_fan_out=not any(isinstance(layer, nn.Linear) for layer in layers.values()),
    )
    inject_adapter_in_model(lora, model)
    # A step of Adam is often smaller than the spacing of half-precision weights.
    for weight in trainable_parameters(model):
        weight.data = weight.data.float()


def _add_bottlenecks(backbone: Backbone, config: TuningConfig) -> None:
    layers = _projections(backbone.inner)
    names = _chosen(layers, config.targets)
    if not names:
        names = sorted(_SUBLAYER_ENDS & _last_names(layers))
    if not names:
        raise _no_such_layer("the end of a sublayer", layers)
    for name, layer in layers.items():
        if name.rpartition(".")[2] in names:
            weight = layer.get_parameter("weight")
            out = weight.shape[0] if isinstance(layer, nn.Linear) else weight.shape[1]
            layer.add_module(_ADAPTER, Bottleneck(out, config.bottleneck).to(weight.device))
            layer.register_forward_hook(_through_bottleneck)


def _through_bottleneck(layer: nn.Module, _: object, output: Tensor) -> Tensor:
    adapted: Tensor = layer.get_submodule(_ADAPTER)(output)
    return adapted


def _projections(model: nn.Module) -> dict[str, nn.Module]:
    """Return the linear layers (GPT-2's are ``Conv1D``) except the language-model head."""
    find_head = getattr(model, "get_output_embeddings", None)
    head = find_head() if callable(find_head) else None
    return {
        name: layer
        for name, layer in model.named_modules()
        if layer is not head and (isinstance(layer, nn.Linear) or type(layer).__name__ == "Conv1D")
    }


def _last_names(layers: Mapping[str, nn.Module]) -> set[str]:
    return {name.rpartition(".")[2] for name in layers}


def _chosen(layers: Mapping[str, nn.Module], targets: tuple[str, ...]) -> list[str]:
    """Return the requested layer names, each of which must exist."""
    known = _last_names(layers)
    for target in targets:
        if target not in known:
            raise _no_such_layer(repr(target), layers)
    return list(targets)


def _no_such_layer(wanted: str, layers: Mapping[str, nn.Module]) -> ConfigError:
    return ConfigError(
        f"The backbone has no linear layer called {wanted}.",
        hint=f"It has {', '.join(sorted(_last_names(layers))) or 'none at all'}.",
    )
