"""Sampling of the words of a generated text."""

import torch

from palate.inference.generation import SamplingParams, _chosen, _likeliest, _repeating


def test_words_are_drawn_with_their_probabilities() -> None:
    logits = torch.tensor([[0.1, 0.2, 0.6, 0.1]]).log().expand(2, -1)
    generator = torch.Generator().manual_seed(0)
    sampling = SamplingParams(temperature=1.0, top_p=0.85)
    drawn = torch.stack([_chosen(logits, sampling, generator) for _ in range(2_000)])
    assert bool((drawn[:, 0] == drawn[:, 1]).all()), "prompts of the same chances get the same word"
    shares = torch.bincount(drawn[:, 0], minlength=4) / len(drawn)
    # Beyond the likeliest that together have 0.85 there is nothing: 0.6, 0.2 and one of the rest.
    torch.testing.assert_close(shares[1:3], torch.tensor([2 / 9, 6 / 9]), atol=0.03, rtol=0)
    assert bool((shares == 0).any())


def test_the_nucleus_is_found_without_a_full_sort() -> None:
    generator = torch.Generator().manual_seed(0)
    sharp, flat = (torch.randn(3, 1_000, generator=generator) * scale for scale in (8, 0.5))
    for logits in (sharp, flat, torch.cat([sharp, flat])):
        of_all = logits.log_softmax(dim=1)
        logs, words = _likeliest(of_all, 0.9)
        assert bool((logs.exp().sum(dim=1) >= 0.9).all())
        torch.testing.assert_close(logs, of_all.gather(1, words))
        torch.testing.assert_close(logs, of_all.sort(dim=1, descending=True)[0][:, : len(logs[0])])
    assert _likeliest(sharp.log_softmax(dim=1), 0.9)[1].shape == (3, 64)


def test_no_run_of_words_is_generated_twice() -> None:
    marked = _repeating(torch.tensor([[5, 6, 7, 5, 6], [1, 2, 3, 4, 5]]), 9, 3)
    assert marked[0].nonzero().flatten().tolist() == [7]
    assert not marked[1].any()
    assert not _repeating(torch.tensor([[5, 6]]), 9, 3).any()
