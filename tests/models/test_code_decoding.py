"""Many beams over one history equal the whole sequence of each beam."""

import pytest
import torch
from torch import Tensor

from palate.models.decoder import BeamCache, Decoder, DecoderConfig

CONFIG = DecoderConfig(width=32, layers=3, heads=4, rope_theta=500.0)
USERS, TIME = 3, 7


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    torch.manual_seed(0)
    made = Decoder(CONFIG).eval()
    for name, weight in made.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(weight, std=0.2)
    return made


@pytest.fixture(scope="module")
def words() -> Tensor:
    return torch.randn(60, CONFIG.width, generator=torch.Generator().manual_seed(1))


def _tokens(seed: int, *shape: int) -> Tensor:
    return torch.randint(60, shape, generator=torch.Generator().manual_seed(seed))


def _alone(decoder: Decoder, words: Tensor, tokens: list[int]) -> Tensor:
    with torch.inference_mode():
        return decoder(words[torch.tensor([tokens])], torch.arange(len(tokens))[None])[0][0, -1]


@pytest.mark.parametrize("lengths", [[7, 7, 7], [7, 3, 1]])
@pytest.mark.parametrize("padded", ["left", "right"])
def test_beams_are_read_as_whole_sequences_are(
    decoder: Decoder, words: Tensor, lengths: list[int], padded: str
) -> None:
    history = _tokens(2, USERS, TIME)
    place = torch.arange(TIME)
    length = torch.tensor(lengths)[:, None]
    visible = place >= TIME - length if padded == "left" else place < length
    positions = (visible.cumsum(1) - 1).clamp(min=0)
    mask = torch.ones(TIME, TIME, dtype=torch.bool).tril() & visible[:, None, None]
    mask |= torch.eye(TIME, dtype=torch.bool)
    with torch.inference_mode():
        _, past = decoder(words[history], positions, mask=mask)
        cache = BeamCache(decoder, past, visible, length[:, 0])
        sequences = [[history[u][visible[u]].tolist()] for u in range(USERS)]
        for step, beams in enumerate([5, 2, 6, 1]):
            parents = _tokens(step, USERS, beams) % len(sequences[0])
            codes = _tokens(10 + step, USERS, beams)
            hidden = cache.step(words[codes], parents)
            sequences = [
                [[*sequences[u][parents[u, k]], int(codes[u, k])] for k in range(beams)]
                for u in range(USERS)
            ]
            expected = torch.stack(
                [torch.stack([_alone(decoder, words, beam) for beam in row]) for row in sequences]
            )
            torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=1e-5)


def test_the_history_is_not_copied_by_a_step(decoder: Decoder, words: Tensor) -> None:
    with torch.inference_mode():
        _, past = decoder(words[_tokens(2, USERS, TIME)], torch.arange(TIME)[None])
        cache = BeamCache(
            decoder, past, torch.ones(USERS, TIME, dtype=torch.bool), torch.full((USERS,), TIME)
        )
        before = [keys.data_ptr() for keys, _ in cache.shared]
        cache.step(words[_tokens(3, USERS, 50)], torch.zeros(USERS, 50, dtype=torch.long))
        assert [keys.data_ptr() for keys, _ in cache.shared] == before
        assert all(len(keys) == USERS for keys, _ in cache.shared)
