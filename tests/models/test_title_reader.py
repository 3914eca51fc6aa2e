"""Titles are read in order, and padding is not read."""

import torch

from palate.models.decoder import DecoderConfig
from palate.models.title_reader import TitleReader


def _reader() -> TitleReader:
    torch.manual_seed(0)
    reader = TitleReader(DecoderConfig(width=8, layers=1, heads=2, dropout=0.0), 20, 6)
    for weight in reader.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)
    return reader.eval()


def test_a_batch_of_titles_is_each_title_alone() -> None:
    reader = _reader()
    titles = torch.tensor([[3, 4, 5], [6, -1, -1], [-1, -1, -1]])
    vectors = reader(titles)
    assert vectors.shape == (3, 6)
    torch.testing.assert_close(vectors[0:1], reader(titles[0:1]))
    torch.testing.assert_close(vectors[1:2], reader(torch.tensor([[6]])))
    torch.testing.assert_close(vectors[2:3], reader(torch.zeros(1, 0, dtype=torch.long)))


def test_the_order_of_words_counts() -> None:
    reader = _reader()
    one, other = reader(torch.tensor([[3, 4, 5], [5, 4, 3]]))
    assert not torch.allclose(one, other, atol=1e-4)
