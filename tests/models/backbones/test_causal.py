"""A causal model fed with embeddings is the same model: whole, in two parts, under any mask."""

from pathlib import Path

import pytest
import torch

from palate.models.backbones.causal import CausalBackbone
from palate.models.backbones.config import BackboneConfig, load_backbone
from palate.models.decoder import Decoder, DecoderConfig
from palate.models.llama_export import export_llama

transformers = pytest.importorskip("transformers")

KINDS = ["llama", "qwen2", "qwen3", "gpt2"]
B, T = 3, 9


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, checkpoints: dict[str, Path]) -> Path:
    return checkpoints[request.param]


@pytest.fixture(scope="module")
def backbone(folder: Path) -> CausalBackbone:
    return _load(folder)


def _load(folder: Path, *, recompute: bool = False) -> CausalBackbone:
    config = BackboneConfig(path=str(folder), gradient_checkpointing=recompute)
    loaded = load_backbone(config)
    assert isinstance(loaded, CausalBackbone)
    return loaded.eval()


def _tokens() -> torch.Tensor:
    return torch.randint(3, 50, (B, T), generator=torch.Generator().manual_seed(1))


def _positions(start: int, stop: int) -> torch.Tensor:
    return torch.arange(start, stop)[None]


def _causal(queries: int, past: int) -> torch.Tensor:
    return torch.ones(queries, past + queries, dtype=torch.bool).tril(past)[None, None]


@torch.no_grad()
def test_logits_are_those_of_the_plain_model(backbone: CausalBackbone, folder: Path) -> None:
    plain = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokens = _tokens()
    hidden, keys_values = backbone(backbone.embed(tokens), _positions(0, T))
    torch.testing.assert_close(backbone.word_logits(hidden), plain(tokens).logits)
    states = plain.base_model(tokens).last_hidden_state
    torch.testing.assert_close(hidden, states)
    assert len(keys_values) == backbone.num_layers == 2
    assert backbone.width == hidden.shape[-1] == backbone.words.shape[1] == 32
    assert backbone.num_heads == 4


@torch.no_grad()
def test_an_explicit_causal_mask_changes_nothing(backbone: CausalBackbone) -> None:
    x = backbone.embed(_tokens())
    whole, _ = backbone(x, _positions(0, T))
    masked, _ = backbone(x, _positions(0, T), mask=_causal(T, 0))
    torch.testing.assert_close(masked, whole)


@torch.no_grad()
def test_a_cached_prefix_and_the_rest_equal_the_whole_sequence(backbone: CausalBackbone) -> None:
    x = backbone.embed(_tokens())
    whole, everything = backbone(x, _positions(0, T))
    first, past = backbone(x[:, :4], _positions(0, 4))
    rest, own = backbone(x[:, 4:], _positions(4, T), mask=_causal(T - 4, 4), past=past)
    torch.testing.assert_close(torch.cat([first, rest], dim=1), whole)
    for (all_keys, all_values), (keys, values) in zip(everything, own, strict=True):
        torch.testing.assert_close(keys, all_keys[:, :, 4:])
        torch.testing.assert_close(values, all_values[:, :, 4:])


@torch.no_grad()
def test_a_cached_prefix_of_one_row_is_shared_by_all_rows(backbone: CausalBackbone) -> None:
    x = backbone.embed(_tokens())
    shared = torch.cat([x[:1, :4].expand(B, -1, -1), x[:, 4:]], dim=1)
    whole, _ = backbone(shared, _positions(0, T))
    _, past = backbone(x[:1, :4], _positions(0, 4), answer_from=3)
    rest, own = backbone(
        x[:, 4:], _positions(4, T), mask=_causal(T - 4, 4), past=past, answer_from=2
    )
    torch.testing.assert_close(rest, whole[:, 6:])
    assert all(keys.shape[:1] == (B,) and keys.shape[2] == T - 4 for keys, _ in own)


@torch.no_grad()
def test_masked_positions_have_no_effect(backbone: CausalBackbone) -> None:
    x = backbone.embed(_tokens())
    mask = _causal(T, 0).expand(B, 1, T, T).clone()
    mask[1, 0, 5:, 3] = False
    before, _ = backbone(x, _positions(0, T), mask=mask)
    x = x.clone()
    x[:, 3] += torch.randn(32, generator=torch.Generator().manual_seed(2))
    after, _ = backbone(x, _positions(0, T), mask=mask)
    # Row 1 hides token 3 from tokens 5 on, but token 4 looks at it, and later layers at token 4.
    assert not torch.allclose(after[0, 5:], before[0, 5:])
    mask[1, 0, 4, 3] = False
    hidden_now = [
        backbone(one, _positions(0, T), mask=mask)[0] for one in (x, backbone.embed(_tokens()))
    ]
    torch.testing.assert_close(hidden_now[0][1, 4:], hidden_now[1][1, 4:])


@torch.no_grad()
def test_positions_may_repeat_without_being_taken_for_packed_rows(backbone: CausalBackbone) -> None:
    x = backbone.embed(_tokens())
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 0, 1]])
    implied, _ = backbone(x, positions)
    explicit, _ = backbone(x, positions, mask=_causal(T, 0))
    torch.testing.assert_close(implied, explicit)


def test_recomputed_layers_give_the_same_gradients_through_a_past(folder: Path) -> None:
    gradients = []
    for recompute in (False, True):
        backbone = _load(folder, recompute=recompute).train()
        x = backbone.embed(_tokens())
        start = x[:1, :4].detach().requires_grad_()
        _, past = backbone(start, _positions(0, 4))
        rest, _ = backbone(x[:, 4:], _positions(4, T), mask=_causal(T - 4, 4), past=past)
        rest.square().mean().backward()
        assert start.grad is not None
        weights = [weight.grad for weight in backbone.parameters() if weight.grad is not None]
        gradients.append([start.grad, *weights])
    assert gradients[0][0].abs().sum() > 0
    for kept, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, kept)


def test_recomputed_layers_keep_less(checkpoints: dict[str, Path]) -> None:
    kept = []
    for recompute in (False, True):
        backbone = _load(checkpoints["llama"], recompute=recompute).train()
        sizes: list[int] = []

        def note(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.nbytes)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            backbone(backbone.embed(_tokens()), _positions(0, T))
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 3


def test_half_precision_weights_take_and_give_single_precision(
    checkpoints: dict[str, Path],
) -> None:
    config = BackboneConfig(path=str(checkpoints["qwen3"]), dtype="bfloat16")
    half = load_backbone(config).eval()
    assert half.words.dtype == torch.bfloat16
    whole = _load(checkpoints["qwen3"])
    x = whole.embed(_tokens())
    with torch.no_grad():
        rounded, past = half(x, _positions(0, T))
        exact, _ = whole(x, _positions(0, T))
    assert rounded.dtype == torch.float32
    assert past[0][0].dtype == torch.bfloat16
    torch.testing.assert_close(rounded, exact, atol=0.15, rtol=0.05)


@torch.no_grad()
def test_an_exported_decoder_comes_back_the_same(tmp_path: Path) -> None:
    torch.manual_seed(3)
    decoder = Decoder(DecoderConfig(width=32, layers=2, heads=4)).eval()
    export_llama(tmp_path, decoder, torch.randn(50, 32))
    again = _load(tmp_path)
    x = torch.randn(B, T, 32)
    mask = _causal(T, 0).expand(B, 1, T, T).clone()
    mask[0, 0, 4:, 1] = False
    ours, ours_own = decoder(x, _positions(2, 2 + T), mask=mask, answer_from=5)
    theirs, theirs_own = again(x, _positions(2, 2 + T), mask=mask, answer_from=5)
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-4)
    for one, other in zip(ours_own, theirs_own, strict=True):
        torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-4)
