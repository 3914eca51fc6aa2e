"""T5 read by beams gives the numbers of T5 read as a whole."""

from types import ModuleType

import pytest
import torch

from palate.models.t5_decoding import T5Beams


@pytest.fixture(scope="module")
def transformers() -> ModuleType:
    return pytest.importorskip("transformers", reason="needs the extra 'hf'")


@pytest.mark.parametrize("gated", [True, False])
def test_each_beam_is_read_as_its_whole_sequence_is(transformers: ModuleType, gated: bool) -> None:
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=40,
        d_model=16,
        d_kv=6,
        num_heads=3,
        d_ff=32,
        num_layers=2,
        num_decoder_layers=3,
        relative_attention_num_buckets=4,
        feed_forward_proj="gated-gelu" if gated else "relu",
        decoder_start_token_id=3,
        initializer_factor=3.0,
    )
    model = transformers.T5ForConditionalGeneration(config).eval()
    read = torch.randn(2, 6, 16)
    visible = torch.ones(2, 6, dtype=torch.bool)
    visible[1, 4:] = False
    with torch.inference_mode():
        states = model.encoder(inputs_embeds=read, attention_mask=visible).last_hidden_state
        beams = T5Beams(model.decoder, states, visible)
        said, before = torch.zeros(2, 1, 0, 16), 1
        for width in (1, 4, 3):
            parents, x = torch.randint(before, (2, width)), torch.randn(2, width, 16)
            found = beams.step(x, parents)
            wanted = parents[..., None, None].expand(-1, -1, *said.shape[2:])
            said, before = torch.cat([said.gather(1, wanted), x[:, :, None]], dim=2), width
            for beam in range(width):
                whole = model.decoder(
                    inputs_embeds=said[:, beam],
                    encoder_hidden_states=states,
                    encoder_attention_mask=visible,
                ).last_hidden_state
                torch.testing.assert_close(found[:, beam], whole[:, -1], atol=1e-4, rtol=1e-4)
