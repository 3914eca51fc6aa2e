"""Beams continued token by token equal their whole sequences."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from palate.models.backbone import Backbone
from palate.models.backbones.causal import CausalBeams
from palate.models.backbones.config import BackboneConfig, load_backbone
from palate.models.backbones.encoder_decoder import (
    AnswerBeams,
    EncoderDecoderBackbone,
    ScaledT5Beams,
)
from palate.models.backbones.tuning import TuningConfig
from palate.models.outputs import Prefix

U, T, D = 3, 5, 32
BEAMS = [1, 4, 3, 5]
HOW = {
    "llama": CausalBeams,
    "qwen2": CausalBeams,
    "qwen3": CausalBeams,
    "gpt2": CausalBeams,
    "t5": ScaledT5Beams,
    "mt5": ScaledT5Beams,
    "bart": AnswerBeams,
}


def _prefix(backbone: Backbone, x: Tensor, lengths: Tensor) -> Prefix:
    visible = torch.arange(T) < lengths[:, None]
    if isinstance(backbone, EncoderDecoderBackbone):
        states = backbone.encode(x, visible)
        return Prefix([], visible, torch.zeros_like(lengths), x[:, -1], states)
    past = backbone(x, torch.arange(T)[None])[1]
    return Prefix(past, visible, lengths, x[:, -1])


def _whole(backbone: Backbone, prompt: Tensor, said: Tensor) -> Tensor:
    """The last state of one prompt, without padding, and what was said after it."""
    if isinstance(backbone, EncoderDecoderBackbone):
        visible = torch.ones(1, len(prompt), dtype=torch.bool)
        hidden: Tensor = backbone(prompt[None], visible, said[None])
    else:
        x = torch.cat([prompt, said])[None]
        hidden = backbone(x, torch.arange(x.shape[1])[None])[0]
    return hidden[0, -1]


@torch.no_grad()
@pytest.mark.parametrize("tuning", [TuningConfig(), TuningConfig(kind="lora", rank=2)])
@pytest.mark.parametrize("kind", HOW)
def test_each_beam_is_what_it_would_be_alone(
    checkpoints: dict[str, Path], kind: str, tuning: TuningConfig
) -> None:
    torch.manual_seed(0)
    config = BackboneConfig(path=str(checkpoints[kind]), tuning=tuning)
    backbone = load_backbone(config).eval()
    for name, weight in backbone.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    x, lengths = torch.randn(U, T, D), torch.tensor([5, 2, 4])
    beams = backbone.continue_from(_prefix(backbone, x, lengths))
    assert isinstance(beams, HOW[kind])
    said, before = torch.zeros(U, 1, 0, D), 1
    for width in BEAMS:
        parents, following = torch.randint(before, (U, width)), torch.randn(U, width, D)
        found = beams.step(following, parents)
        said = said.gather(1, parents[..., None, None].expand(-1, -1, *said.shape[2:]))
        said, before = torch.cat([said, following[:, :, None]], dim=2), width
        for user in range(U):
            for beam in range(width):
                alone = _whole(backbone, x[user, : lengths[user]], said[user, beam])
                torch.testing.assert_close(found[user, beam], alone, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_half_precision_weights_are_restored_exactly(checkpoints: dict[str, Path]) -> None:
    for kind in ("llama", "t5"):
        config = BackboneConfig(path=str(checkpoints[kind]), dtype="bfloat16")
        backbone = load_backbone(config).eval()
        x = torch.randn(U, T, D)
        beams = backbone.continue_from(_prefix(backbone, x, torch.full((U,), T)))
        hidden = beams.step(torch.randn(U, 2, D), torch.zeros(U, 2, dtype=torch.long))
        assert hidden.dtype == torch.float32


@pytest.mark.parametrize("kind", HOW)
def test_word_embeddings_have_unit_scale_and_are_restored_exactly(
    checkpoints: dict[str, Path], kind: str
) -> None:
    backbone = load_backbone(BackboneConfig(path=str(checkpoints[kind])))
    words = backbone.embed(torch.arange(50))
    assert 2**-0.51 < words.square().mean().sqrt() < 2**0.51
    table = backbone.model.get_input_embeddings()(torch.arange(50))
    assert torch.equal(words * backbone.embedding_scale, table)
