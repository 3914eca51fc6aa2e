"""With a pre-trained model an item starts as what its title says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from palate.data.dataset import Dataset
from palate.items.features import ItemFeatures
from palate.models.fusion import Fusion, FusionConfig, mean_words
from palate.training.build import build_system
from palate.training.recipe import load_recipe
from palate.training.system import LanguageModelSystem
from small_checkpoints import save_checkpoints

pytest.importorskip("transformers", reason="needs the extra 'hf'")

SMALL = ("items.text.dim=8", "tasks.max_history=4")
WHOLE = "model.title_words=60"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_checkpoints(tmp_path_factory.mktemp("titles"))


def _system(shop: Dataset, folder: Path | None, *more: str) -> LanguageModelSystem:
    backbone = [] if folder is None else [f"model.backbone.path={folder}"]
    system, _ = build_system(shop, load_recipe("urm", [*backbone, *SMALL, *more]), seed=0)
    system.model.train(mode=False)
    return system


def _means(system: LanguageModelSystem, shop: Dataset) -> Tensor:
    """Return the mean of the words of each title, as the model reads them, worked out by hand."""
    model, titles = system.model, shop.catalog.titles()
    encoded = system.tokenizer.encode_after([f" {title}" for title in titles])
    return torch.stack([model.embed_words(torch.tensor(ids)).mean(dim=0) for ids in encoded])


def _rms(x: Tensor) -> Tensor:
    return x.square().mean(dim=-1, keepdim=True).sqrt()


@pytest.mark.parametrize("kind", ["llama", "qwen2", "t5"])
def test_a_fresh_item_token_is_the_mean_of_its_title_as_loud_as_a_word(
    folders: dict[str, Path], tiny_shop: Dataset, kind: str
) -> None:
    system = _system(tiny_shop, folders[kind], WHOLE)
    model = system.model
    rows = torch.arange(model.num_items)
    with torch.inference_mode():
        table = model.items(torch.cat([rows, rows + model.num_items]))
        means = _means(system, tiny_shop)
        words = model.embed_words(torch.arange(model.num_words))
    expected = (means / _rms(means) * words.square().mean().sqrt()).repeat(2, 1)
    # With its ID and without: an ID says nothing yet.
    for part in (table.tokens, table.outputs * _rms(expected) * model.width**0.5):
        torch.testing.assert_close(part, expected, atol=1e-4, rtol=1e-3)


def test_every_part_learns_from_the_first_step(
    folders: dict[str, Path], tiny_shop: Dataset
) -> None:
    model = _system(tiny_shop, folders["llama"]).model
    model.train()
    tokens = model.items(torch.arange(model.num_items)).tokens
    (tokens * torch.randn(model.width)).sum().backward()
    silent = {
        name
        for name, weight in model.fusion.named_parameters()
        if weight.grad is None or not weight.grad.any()
    }
    assert silent == {"output.weight"}
    words = model.decoder.words if hasattr(model.decoder, "words") else None
    assert words is not None
    assert words.grad is None


def test_what_is_learned_is_added(folders: dict[str, Path], tiny_shop: Dataset) -> None:
    model = _system(tiny_shop, folders["llama"]).model
    assert model.fusion.id is not None
    before = model.catalogue()
    with torch.no_grad():
        model.fusion.id.weight[3, 0] = 5.0
    after = model.catalogue()
    assert not torch.allclose(before[3], after[3])
    torch.testing.assert_close(before[:3], after[:3])


def test_it_can_be_left_out_and_the_compact_model_has_none(
    folders: dict[str, Path], tiny_shop: Dataset
) -> None:
    assert not _system(
        tiny_shop, folders["llama"], "model.fusion.from_titles=false"
    ).model.fusion.reads_titles
    compact = _system(tiny_shop, None)
    assert not compact.model.fusion.reads_titles
    assert compact.features.words is None


def test_the_words_of_a_title_are_averaged_and_padding_is_not() -> None:
    words = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 3.0]])
    titles = torch.tensor([[0, 1, -1], [2, -1, -1], [-1, -1, -1]])
    expected = torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    torch.testing.assert_close(mean_words(titles, words), expected)


def test_an_item_without_a_title_is_silent_at_first() -> None:
    features = ItemFeatures(
        has_id=np.array([True, True]), vectors={}, words=np.array([[0, 1], [-1, -1]])
    )
    fusion = Fusion(features, 4, FusionConfig(), word_rms=0.5)
    made = fusion(torch.arange(2), words=torch.randn(2, 4))
    assert not made[1].any()
    torch.testing.assert_close(_rms(made[0]), torch.tensor([0.5]))


def test_new_items_start_from_their_titles(folders: dict[str, Path], tiny_shop: Dataset) -> None:
    from palate.inference.item_encoder import ItemEncoder, trained_views

    system = _system(tiny_shop, folders["llama"])
    views = trained_views(tiny_shop.catalog)[:4]
    new = [replace(view, item_id=f"new{number}") for number, view in enumerate(views)]
    rows = np.arange(4) + len(system.features)
    found, readable = ItemEncoder(system).encode(rows, new)
    trained, _ = ItemEncoder(system).trained()
    assert readable.all()
    torch.testing.assert_close(found.tokens, trained.tokens[:4])
