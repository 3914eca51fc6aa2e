"""A GGUF file becomes the folder that ``transformers`` would have saved."""

from pathlib import Path

import numpy as np
import pytest
import torch

from palate.errors import ArtifactError, ConfigError, MissingExtraError
from palate.models.backbones.config import BackboneConfig, load_backbone
from palate.models.backbones.tokenizer import backbone_tokenizer
from palate.models.weights import gguf as converting
from palate.models.weights.gguf import convert_gguf
from weights_at_hand import tensors, write_gguf

gguf = pytest.importorskip("gguf")
transformers = pytest.importorskip("transformers")


def test_the_weights_are_those_of_the_file(plain: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(plain)
    layer = model.model.layers[0]
    expected = tensors()
    found = {
        "token_embd": model.model.embed_tokens.weight,
        "blk.0.attn_v": layer.self_attn.v_proj.weight,
        "blk.0.attn_output": layer.self_attn.o_proj.weight,
        "blk.0.ffn_down": layer.mlp.down_proj.weight,
    }
    for name, weight in found.items():
        kind = gguf.GGMLQuantizationType.Q8_0
        known = gguf.quants.dequantize(gguf.quants.quantize(expected[name], kind), kind)
        assert np.array_equal(weight.detach().numpy(), known), name


def test_the_rotation_of_queries_is_undone(plain: Path) -> None:
    # llama.cpp turns pairs of neighbours, `transformers` halves of a head.
    model = transformers.AutoModelForCausalLM.from_pretrained(plain)
    kind = gguf.GGMLQuantizationType.Q8_0
    known = gguf.quants.dequantize(gguf.quants.quantize(tensors()["blk.0.attn_q"], kind), kind)
    halves = known.reshape(4, 4, 2, 32).swapaxes(1, 2).reshape(32, 32)
    found = model.model.layers[0].self_attn.q_proj.weight.detach().numpy()
    assert np.array_equal(found, halves)


def test_nothing_is_left_of_the_quantisation(plain: Path) -> None:
    settings = transformers.AutoConfig.from_pretrained(plain)
    assert not hasattr(settings, "quantization_config")
    assert settings.dtype == torch.float32


def test_tokenizer_and_chat_template_are_kept(plain: Path) -> None:
    tokenizer = backbone_tokenizer(str(plain))
    assert tokenizer.decode(tokenizer.encode("red shoe")) == "red shoe"
    assert len(tokenizer.encode("red")) == 1
    assert tokenizer.encode_opened("red", 9)[0] == 1


def test_the_folder_is_a_backbone(plain: Path) -> None:
    backbone = load_backbone(BackboneConfig(path=str(plain)))
    assert (backbone.width, backbone.num_layers) == (32, 1)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fake.gguf"
    path.write_bytes(b"PK\x03\x04 an archive")
    with pytest.raises(ArtifactError, match="not a GGUF file"):
        convert_gguf(path, tmp_path)


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "odd.gguf", architecture="oddity")
    with pytest.raises(ConfigError, match="oddity"):
        convert_gguf(path, tmp_path)


def test_a_missing_package_is_an_extra(
    gguf_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converting, "find_spec", lambda name: None if name == "gguf" else name)
    with pytest.raises(MissingExtraError, match=r"palate\[gguf\]"):
        convert_gguf(gguf_path, tmp_path)


@pytest.mark.parametrize("as_folder", [True, False])
def test_where_weights_are_wanted_a_gguf_file_is_told_how_it_is_converted(
    gguf_path: Path, *, as_folder: bool
) -> None:
    path = gguf_path.parent if as_folder else gguf_path
    command = f"palate backbone get {gguf_path} {gguf_path.with_suffix('')}"
    for read in (load_backbone, lambda config: backbone_tokenizer(config.path)):
        with pytest.raises(ConfigError) as caught:
            read(BackboneConfig(path=str(path)))
        assert command in caught.value.hint
