"""T5 read by beams gives the numbers of T5 read as a whole."""

from types import ModuleType

import pytest
import torch

from palate.models.t5_decoding import T5Scorer

FIRSTS, SIZES = (5, 15, 25), (10, 10, 12)


@pytest.fixture(scope="module")
def transformers() -> ModuleType:
    return pytest.importorskip("transformers", reason="needs the extra 'hf'")


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_each_beam_is_scored_as_its_whole_sequence_is(
    transformers: ModuleType, gated: bool, tied: bool
) -> None:
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
        tie_word_embeddings=tied,
        decoder_start_token_id=3,
        initializer_factor=3.0,
    )
    model = transformers.T5ForConditionalGeneration(config).eval()
    tokens = torch.randint(40, (2, 6))
    visible = torch.ones(2, 6, dtype=torch.bool)
    visible[1, 4:] = False
    with torch.inference_mode():
        scorer = T5Scorer(model, FIRSTS, SIZES, tokens, visible)
        found = [scorer.first()[:, None]]
        sequences = torch.full((2, 1, 1), 3)
        for level, beams in enumerate([4, 3]):
            parents = torch.randint(sequences.shape[1], (2, beams))
            codes = torch.randint(SIZES[level], (2, beams))
            found.append(scorer.next(parents, codes))
            before = sequences.gather(1, parents[..., None].expand(-1, -1, level + 1))
            sequences = torch.cat([before, (FIRSTS[level] + codes)[..., None]], dim=-1)
            for beam in range(beams):
                logits = model(
                    input_ids=tokens,
                    attention_mask=visible.long(),
                    decoder_input_ids=sequences[:, beam],
                ).logits[:, -1]
                first, size = FIRSTS[level + 1], SIZES[level + 1]
                expected = logits.log_softmax(-1)[:, first : first + size]
                torch.testing.assert_close(found[-1][:, beam], expected, atol=1e-4, rtol=1e-4)
        expected = (
            model(
                input_ids=tokens,
                attention_mask=visible.long(),
                decoder_input_ids=torch.full((2, 1), 3),
            )
            .logits[:, -1]
            .log_softmax(-1)[:, 5:15]
        )
        torch.testing.assert_close(found[0][:, 0], expected, atol=1e-4, rtol=1e-4)
