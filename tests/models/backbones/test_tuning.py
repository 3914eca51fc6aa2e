"""Tuning changes only the tuned weights, which can be saved alone and merged."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from palate.errors import ConfigError, MissingExtraError
from palate.models.backbone import Backbone
from palate.models.backbones.config import BackboneConfig, load_backbone
from palate.models.backbones.encoder_decoder import EncoderDecoderBackbone
from palate.models.backbones.tuning import (
    Bottleneck,
    TuningConfig,
    merge,
    prefix,
    trainable_parameters,
    tune,
)
from palate.models.decoder import Decoder, DecoderConfig

KINDS = ["decoder", "llama", "qwen3", "gpt2", "t5", "bart"]
EFFICIENT = [
    TuningConfig(kind="lora", rank=2, dropout=0.0),
    TuningConfig(kind="adapter", bottleneck=4),
]


@pytest.fixture(scope="module", params=KINDS)
def fresh(request: pytest.FixtureRequest, checkpoints: dict[str, Path]) -> Backbone:
    if request.param == "decoder":
        torch.manual_seed(0)
        return Decoder(DecoderConfig(width=32, layers=2, heads=4)).eval()
    return load_backbone(BackboneConfig(path=str(checkpoints[request.param]))).eval()


def _read(backbone: Backbone) -> torch.Tensor:
    x = torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(4))
    if isinstance(backbone, EncoderDecoderBackbone):
        hidden: torch.Tensor = backbone(x, torch.ones(2, 6, dtype=torch.bool), x[:, :3])
    else:
        hidden = backbone(x, torch.arange(6)[None])[0]
    return hidden


def _trained(fresh: Backbone, config: TuningConfig) -> Backbone:
    """A copy after a few large steps."""
    torch.manual_seed(1)
    backbone = tune(copy.deepcopy(fresh), config)
    optimizer = torch.optim.SGD(trainable_parameters(backbone), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        (_read(backbone) - 1).square().mean().backward()
        optimizer.step()
    return backbone


def _state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in module.named_parameters() if weight.requires_grad}


def _share(backbone: nn.Module) -> float:
    trained = sum(weight.numel() for weight in trainable_parameters(backbone))
    return trained / sum(weight.numel() for weight in backbone.parameters())


@pytest.mark.parametrize("config", EFFICIENT, ids=lambda config: config.kind)
def test_few_weights_are_trained_and_they_start_without_effect(
    fresh: Backbone, config: TuningConfig
) -> None:
    tuned = tune(copy.deepcopy(fresh), config)
    assert 0 < _share(tuned) < 0.3
    with torch.no_grad():
        torch.testing.assert_close(_read(tuned), _read(fresh))


@pytest.mark.parametrize("config", EFFICIENT, ids=lambda config: config.kind)
def test_only_trained_weights_are_saved(fresh: Backbone, config: TuningConfig) -> None:
    trained = _trained(fresh, config)
    state = _state(trained)
    assert set(state).isdisjoint(dict(fresh.named_parameters()))
    before = dict(fresh.named_parameters())
    for name, weight in trained.named_parameters():
        if name in before:
            assert torch.equal(weight, before[name])
    again = tune(copy.deepcopy(fresh), config)
    again.load_state_dict(state, strict=False)
    with torch.no_grad():
        assert not torch.allclose(_read(trained), _read(fresh))
        torch.testing.assert_close(_read(again), _read(trained))


def test_a_merged_module_is_plain_and_answers_the_same(fresh: Backbone) -> None:
    trained = _trained(fresh, EFFICIENT[0])
    with torch.no_grad():
        wanted = _read(trained)
        merged = merge(trained)
        torch.testing.assert_close(_read(merged), wanted, atol=1e-5, rtol=1e-5)
    assert set(merged.state_dict()) == set(fresh.state_dict())
    assert [type(one) for one in merged.modules()] == [type(one) for one in fresh.modules()]
    assert len(trainable_parameters(merged)) == len(list(merged.parameters()))
    again = tune(merged, EFFICIENT[0])
    assert 0 < _share(again) < 0.3


def test_full_trains_everything_and_frozen_nothing(fresh: Backbone) -> None:
    assert _share(tune(copy.deepcopy(fresh), TuningConfig())) == 1
    frozen = tune(copy.deepcopy(fresh), TuningConfig(kind="frozen"))
    assert trainable_parameters(frozen) == []
    assert _state(frozen) == {}
    projector = nn.Linear(32, 32)
    assert set(_state(nn.ModuleList([frozen, projector]))) == {"1.weight", "1.bias"}


def test_a_soft_prompt_starts_as_words_and_is_trained_alone(fresh: Backbone) -> None:
    words = torch.randn(9, 32)
    config = TuningConfig(kind="soft-prompt", num_tokens=5)
    assert prefix(fresh) is None
    tuned = tune(copy.deepcopy(fresh), config, words=words)
    read = prefix(tuned, rows=3)
    assert read is not None
    assert read.shape == (3, 5, 32)
    assert all(bool((words == one).all(dim=1).any()) for one in read[0].detach())
    assert [weight.shape for weight in trainable_parameters(tuned)] == [(5, 32)]
    read.sum().backward()
    assert list(_state(tuned)) == ["soft_prompt.vectors"]
    without_words = prefix(tune(copy.deepcopy(fresh), config))
    assert without_words is not None
    assert without_words.std() > 0.1


def test_targets_can_be_named(checkpoints: dict[str, Path]) -> None:
    backbone = load_backbone(
        BackboneConfig(
            path=str(checkpoints["llama"]),
            tuning=TuningConfig(kind="lora", targets=("k_proj", "up_proj")),
        )
    )
    assert {name.split(".")[-4] for name in _state(backbone)} == {"k_proj", "up_proj"}
    narrow = load_backbone(
        BackboneConfig(
            path=str(checkpoints["llama"]),
            tuning=TuningConfig(kind="adapter", targets=("down_proj",)),
        )
    )
    assert sum(isinstance(module, Bottleneck) for module in narrow.modules()) == 2


@pytest.mark.parametrize("kind", ["lora", "adapter"])
def test_a_target_that_is_not_there_is_named(fresh: Backbone, kind: str) -> None:
    config = TuningConfig.model_validate({"kind": kind, "targets": ("q_prj",)})
    with pytest.raises(ConfigError, match="no linear layer called 'q_prj'"):
        tune(copy.deepcopy(fresh), config)


def test_adapters_stand_at_the_end_of_each_sublayer(fresh: Backbone) -> None:
    tuned = tune(copy.deepcopy(fresh), TuningConfig(kind="adapter"))
    found = sum(isinstance(module, Bottleneck) for module in tuned.modules())
    # Two layers of two sublayers; an encoder-decoder has two and two, of two and three.
    assert found == (10 if isinstance(tuned, EncoderDecoderBackbone) else 4)


def test_tuning_twice_and_merging_without_tuning_are_errors(fresh: Backbone) -> None:
    tuned = tune(copy.deepcopy(fresh), EFFICIENT[0])
    with pytest.raises(ConfigError, match="already"):
        tune(tuned, EFFICIENT[0])
    with pytest.raises(ConfigError, match="no LoRA update"):
        merge(copy.deepcopy(fresh))


def test_lora_without_peft_names_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palate.models.backbones.tuning.find_spec", lambda name: None)
    decoder = Decoder(DecoderConfig(width=32, layers=1, heads=4))
    with pytest.raises(MissingExtraError, match=r"palate\[hf\]"):
        tune(decoder, TuningConfig(kind="lora"))
    with pytest.raises(ConfigError, match="no LoRA update"):
        merge(decoder)
