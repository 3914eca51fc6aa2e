"""RQ-VAE learns, uses its codes, is reproducible, and its extra terms have their effect."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from palate.errors import ArtifactError, ConfigError
from palate.items.codes.rqvae import RqVae
from palate.items.codes.rqvae_config import RqVaeConfig
from palate.items.codes.rqvae_network import RqVaeNetwork, alignment_loss, diversity_loss
from palate.items.vectors import ItemVectors

Clouds = Callable[..., tuple[ItemVectors, np.ndarray]]

SMALL = RqVaeConfig(levels=2, size=8, hidden=(32,), latent=8, epochs=40, batch=64)


def _lost(vectors: np.ndarray, found: RqVae) -> float:
    error = np.square(vectors - found.decode(found.encode(vectors))).sum()
    return float(error / np.square(vectors - vectors.mean(axis=0)).sum())


def test_separate_clusters_get_separate_first_codes(
    clouds: Clouds, rng: np.random.Generator
) -> None:
    vectors, cloud = clouds(num_clouds=6, per_cloud=30)
    values = vectors.values / vectors.values.std()
    found = RqVae.fit(SMALL, values, rng=rng)
    codes = found.encode(values)
    assert _lost(values, found) < 0.3
    for number in range(6):
        of_cloud = np.unique(codes[cloud == number, 0])
        assert not set(of_cloud) & set(np.unique(codes[cloud != number, 0]))


def test_most_codes_are_used(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((400, 6)).astype(np.float32)
    codes = RqVae.fit(SMALL, vectors, rng=rng).encode(vectors)
    assert [len(np.unique(codes[:, level])) for level in range(2)] == [8, 8]


def test_the_same_generator_gives_the_same_bits_and_leaves_torch_alone() -> None:
    vectors = np.random.default_rng(3).standard_normal((100, 6)).astype(np.float32)
    short = SMALL.model_copy(update={"epochs": 3, "diversity": 0.1, "clusters": 2})
    before = torch.random.get_rng_state()
    first, second = (RqVae.fit(short, vectors, rng=np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    pairs = zip(first.network.parameters(), second.network.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_batch_is_coded_as_its_items_one_by_one(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((30, 6)).astype(np.float32)
    found = RqVae.fit(SMALL.model_copy(update={"epochs": 2}), vectors, rng=rng)
    codes = found.encode(vectors)
    single = [found.encode(vectors[i : i + 1])[0] for i in range(len(vectors))]
    np.testing.assert_array_equal(codes, np.stack(single))
    np.testing.assert_array_equal(found.last_costs(vectors, codes).argmin(axis=1), codes[:, -1])


def test_gradients_pass_straight_through_the_codes() -> None:
    network = RqVaeNetwork([4, 3], 2, 5)
    network.initialise(torch.Generator().manual_seed(0))
    with torch.no_grad():
        for codebook in network.codebooks:
            codebook.copy_(torch.arange(15.0).reshape(5, 3))
    latents = torch.ones(2, 3, requires_grad=True)
    quantised = network.quantise(latents, 0.25)
    quantised.latent.sum().backward()
    assert latents.grad is not None
    assert torch.equal(latents.grad, torch.ones(2, 3))
    chosen = (
        network.codebooks[0][quantised.codes[:, 0]] + network.codebooks[1][quantised.codes[:, 1]]
    )
    assert torch.allclose(quantised.latent, chosen)


def test_alignment_pulls_towards_behaviour() -> None:
    behaviour = torch.eye(4)
    present = torch.ones(4, dtype=torch.bool)
    own = alignment_loss(torch.eye(4), behaviour, present)
    other = alignment_loss(torch.eye(4).roll(1, 0), behaviour, present)
    assert own < 0.01 < other
    assert alignment_loss(torch.eye(4), behaviour, torch.zeros(4, dtype=torch.bool)) == 0


def test_alignment_makes_codes_follow_behaviour(rng: np.random.Generator) -> None:
    liked = np.arange(200) % 2
    vectors = rng.standard_normal((200, 6)).astype(np.float32)
    vectors[:, 0] = 0.3 * (2 * liked - 1)  # too faint a trait for the first code to care about
    behaviour = ItemVectors(np.eye(2, dtype=np.float32)[liked], np.ones(200, dtype=bool))
    purities = []
    for weight in (0.0, 2.0):
        config = SMALL.model_copy(update={"alignment": weight, "learning_rate": 0.01})
        found = RqVae.fit(config, vectors, rng=np.random.default_rng(1), behaviour=behaviour)
        counts = np.zeros((8, 2))
        np.add.at(counts, (found.encode(vectors)[:, 0], liked), 1)
        purities.append(counts.max(axis=1).sum() / 200)
    assert purities[1] > purities[0] + 0.1


def test_diversity_prefers_a_code_near_its_partner() -> None:
    partners = torch.tensor([1, 0, 3, 2])
    near = torch.tensor([[3.0, 0], [3, 0], [0, 3], [0, 3]])
    far = torch.tensor([[3.0, 0], [0, 3], [3, 0], [0, 3]])
    codes = torch.arange(4)
    assert diversity_loss(near, codes, partners) < diversity_loss(far, codes, partners)


def test_alignment_without_behaviour_is_an_error(rng: np.random.Generator) -> None:
    vectors = np.ones((4, 3), dtype=np.float32)
    with pytest.raises(ConfigError, match="behaviour"):
        RqVae.fit(RqVaeConfig(alignment=0.1), vectors, rng=rng)


def test_saved_and_loaded_it_codes_alike(tmp_path: Path, rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((50, 6)).astype(np.float32)
    found = RqVae.fit(SMALL.model_copy(update={"epochs": 2}), vectors, rng=rng)
    found.save(tmp_path)
    loaded = RqVae.load(tmp_path)
    assert (loaded.dim, loaded.sizes, loaded.config) == (6, (8, 8), found.config)
    np.testing.assert_array_equal(loaded.encode(vectors), found.encode(vectors))
    (tmp_path / "rqvae.json").unlink()
    with pytest.raises(ArtifactError, match="no RQ-VAE"):
        RqVae.load(tmp_path)
