"""An encoder-decoder fed with embeddings is the same model, with the visibility of slots."""

from pathlib import Path

import pytest
import torch

from palate.models.attention_layout import Rows
from palate.models.backbones.config import BackboneConfig, load_backbone
from palate.models.backbones.encoder_decoder import EncoderDecoderBackbone

transformers = pytest.importorskip("transformers")

B, T, S = 3, 7, 4


@pytest.fixture(scope="module", params=["t5", "mt5", "bart"])
def folder(request: pytest.FixtureRequest, checkpoints: dict[str, Path]) -> Path:
    return checkpoints[request.param]


@pytest.fixture(scope="module")
def backbone(folder: Path) -> EncoderDecoderBackbone:
    return _load(folder)


def _load(folder: Path, *, recompute: bool = False) -> EncoderDecoderBackbone:
    config = BackboneConfig(path=str(folder), gradient_checkpointing=recompute)
    loaded = load_backbone(config)
    assert isinstance(loaded, EncoderDecoderBackbone)
    return loaded.eval()


def _drawn(length: int, seed: int) -> torch.Tensor:
    return torch.randint(3, 50, (B, length), generator=torch.Generator().manual_seed(seed))


def _visible() -> torch.Tensor:
    return torch.arange(T) < torch.tensor([[T], [3], [5]])


@torch.no_grad()
def test_logits_are_those_of_the_plain_model(
    backbone: EncoderDecoderBackbone, folder: Path
) -> None:
    plain = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    tokens, said = _drawn(T, 1), _drawn(S, 2)
    wanted = plain(input_ids=tokens, attention_mask=_visible().long(), decoder_input_ids=said)
    hidden = backbone(backbone.embed(tokens), _visible(), backbone.embed(said))
    torch.testing.assert_close(backbone.word_logits(hidden), wanted.logits, atol=1e-5, rtol=1e-4)
    assert backbone.width == hidden.shape[-1] == 32
    assert (backbone.num_layers, backbone.num_heads) == (2, 4)
    assert backbone.start_token == plain.config.decoder_start_token_id


@torch.no_grad()
def test_a_context_is_read_once_for_many_answers(backbone: EncoderDecoderBackbone) -> None:
    context, slots = backbone.embed(_drawn(T, 1)), backbone.embed(_drawn(S, 2))
    states = backbone.encode(context, _visible())
    whole = backbone(context, _visible(), slots)
    torch.testing.assert_close(backbone.answer(states, _visible(), slots), whole)
    torch.testing.assert_close(backbone.answer(states, _visible(), slots[:, :2]), whole[:, :2])


@torch.no_grad()
def test_hidden_positions_have_no_effect(backbone: EncoderDecoderBackbone) -> None:
    context, slots = backbone.embed(_drawn(T, 1)), backbone.embed(_drawn(S, 2))
    other = torch.where(_visible()[..., None], context, context.flip(0) + 1)
    before = backbone(context, _visible(), slots)
    torch.testing.assert_close(backbone(other, _visible(), slots), before)
    everything = torch.ones_like(_visible())
    assert not torch.allclose(backbone(other, everything, slots), before)


@torch.no_grad()
def test_slots_that_do_not_see_each_other_equal_single_rows(
    backbone: EncoderDecoderBackbone,
) -> None:
    context, slots = backbone.embed(_drawn(T, 1)), backbone.embed(_drawn(S, 2))
    alone = torch.eye(S, dtype=torch.bool)[None, None]
    together = backbone(context, _visible(), slots, alone)
    changed = slots.clone()
    changed[:, 0] += 1
    again = backbone(context, _visible(), changed, alone.expand(B, 1, S, S))
    torch.testing.assert_close(again[:, 1:], together[:, 1:])
    torch.testing.assert_close(
        together[:, :1], backbone(context, _visible(), slots[:, :1], alone[..., :1, :1])
    )


def test_recomputed_layers_give_the_same_gradients(folder: Path) -> None:
    gradients = []
    for recompute in (False, True):
        backbone = _load(folder, recompute=recompute).train()
        torch.manual_seed(0)
        hidden = backbone(backbone.embed(_drawn(T, 1)), _visible(), backbone.embed(_drawn(S, 2)))
        hidden.square().mean().backward()
        gradients.append([w.grad for w in backbone.parameters() if w.grad is not None])
    assert len(gradients[0]) > 20
    for kept, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, kept)


@torch.no_grad()
def test_the_last_token_is_read_within_its_own_prefix(backbone: EncoderDecoderBackbone) -> None:
    x, lengths = torch.randn(2, 5, backbone.width), torch.tensor([[2, 5], [3, -1]])
    found = backbone.read_last(Rows(x, lengths))
    for state, (row, length) in zip(found, [(0, 2), (0, 5), (1, 3)], strict=True):
        visible = torch.ones(1, length, dtype=torch.bool)
        alone = backbone.encode(x[row, :length][None], visible)[0, -1]
        torch.testing.assert_close(state[0], alone, atol=1e-5, rtol=1e-5)
