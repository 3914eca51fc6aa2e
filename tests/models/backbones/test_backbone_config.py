"""A checkpoint is opened by path; a missing, damaged or foreign one is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from palate.errors import ConfigError, MissingExtraError
from palate.models.backbones.causal import CausalBackbone
from palate.models.backbones.config import BackboneConfig, load_backbone
from palate.models.backbones.encoder_decoder import EncoderDecoderBackbone
from palate.models.backbones.tuning import TuningConfig, prefix, trainable_parameters

transformers = pytest.importorskip("transformers")


@pytest.fixture
def copied(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoints["llama"], tmp_path / "copy"))


def _load(folder: Path) -> CausalBackbone | EncoderDecoderBackbone:
    return load_backbone(BackboneConfig(path=str(folder)))


def test_the_checkpoint_says_which_kind_it_is(checkpoints: dict[str, Path]) -> None:
    found = {kind: type(_load(folder)) for kind, folder in checkpoints.items()}
    two = {"t5", "mt5", "bart"}
    assert found == {
        kind: EncoderDecoderBackbone if kind in two else CausalBackbone for kind in checkpoints
    }


def test_the_tuning_is_part_of_the_settings(checkpoints: dict[str, Path]) -> None:
    tuning = TuningConfig(kind="soft-prompt", num_tokens=3)
    backbone = load_backbone(BackboneConfig(path=str(checkpoints["t5"]), tuning=tuning))
    (learned,) = trainable_parameters(backbone)
    read = prefix(backbone)
    assert read is not None
    assert learned.shape == (3, 32)
    assert all(bool((backbone.words == one).all(dim=1).any()) for one in read[0])


def test_lora_beside_half_precision_is_single_precision(checkpoints: dict[str, Path]) -> None:
    tuning = TuningConfig(kind="lora", rank=2)
    config = BackboneConfig(path=str(checkpoints["llama"]), dtype="bfloat16", tuning=tuning)
    assert {weight.dtype for weight in trainable_parameters(load_backbone(config))} == {
        torch.float32
    }


def test_a_model_without_an_output_head_uses_its_word_embeddings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = transformers.Qwen3Config(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=8,
        tie_word_embeddings=False,
    )
    transformers.Qwen3Model(config).save_pretrained(tmp_path)
    backbone = _load(tmp_path)
    assert "no language-model head" in caplog.text
    hidden = torch.randn(2, 32)
    torch.testing.assert_close(backbone.word_logits(hidden), hidden @ backbone.words.T)


def test_a_misspelt_setting_is_an_error() -> None:
    with pytest.raises(ValidationError, match="tunning"):
        BackboneConfig.model_validate({"path": "x", "tunning": {}})


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.*cannot be opened"):
        _load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_damaged_folder_is_named(copied: Path, name: str) -> None:
    whole = (copied / name).read_bytes()
    for damaged in (whole[: len(whole) // 2], b""):
        (copied / name).write_bytes(damaged)
        with pytest.raises(ConfigError, match="cannot be opened"):
            _load(copied)
    (copied / name).unlink()
    with pytest.raises(ConfigError, match="cannot be opened"):
        _load(copied)


def test_a_missing_weight_is_an_error(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"no weights for 1 of its parts.*up_proj"):
        _load(copied)


def test_weights_of_another_size_are_refused(copied: Path) -> None:
    settings = json.loads((copied / "config.json").read_text())
    settings["intermediate_size"] = 64
    (copied / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match="cannot be opened"):
        _load(copied)


def test_a_model_of_another_kind_is_refused(copied: Path) -> None:
    (copied / "config.json").write_text(json.dumps({"model_type": "no-such-kind"}))
    with pytest.raises(ConfigError, match="cannot be opened"):
        _load(copied)
    vision = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    transformers.ViTModel(vision).save_pretrained(copied)
    with pytest.raises(ConfigError, match="cannot be opened"):
        _load(copied)


def test_without_transformers_the_pip_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palate.models.backbones.config.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"palate\[hf\]"):
        load_backbone(BackboneConfig(path="anywhere"))
