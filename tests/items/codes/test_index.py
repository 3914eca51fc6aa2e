"""Every kind of index: unique, repeatable, saved and loaded; settings and folders are checked."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from palate.data.dataset import Dataset
from palate.errors import ArtifactError, ConfigError
from palate.items.behaviour import BehaviourConfig, behaviour_vectors
from palate.items.codes.health import index_health, summary
from palate.items.codes.index import About, IndexConfig, IndexMaterial, ItemIndex, fit_index
from palate.items.codes.residual_kmeans import ResidualKMeansConfig
from palate.items.vectors import ItemVectors
from palate.simulation.world import World

ADAPTER: TypeAdapter[IndexConfig] = TypeAdapter(IndexConfig)
LEARNED: list[dict[str, object]] = [
    {"kind": "residual-kmeans", "levels": 2, "size": 6},
    {"kind": "residual-kmeans", "levels": 2, "size": 12, "unique": "sinkhorn"},
    {"kind": "rqvae", "size": 6, "hidden": [16], "latent": 4, "epochs": 3, "alignment": 0.1},
    {"kind": "product", "levels": 2, "size": 6, "rounds": 2, "unique": "own-token"},
]
GIVEN: list[dict[str, object]] = [
    {"kind": "random"},
    {"kind": "sequential", "unique": "own-token"},
    {"kind": "collaborative", "clusters": 3, "leaf": 10},
    {"kind": "collaborative", "clusters": 3, "leaf": 10, "unique": "own-token"},
    {"kind": "semantic"},
    {"kind": "title"},
    {"kind": "item-token"},
]


@pytest.fixture(scope="module")
def material() -> IndexMaterial:
    shop: Dataset = World(num_users=50, num_items=60, seed=4).dataset()
    count = len(shop.catalog)
    values = np.random.default_rng(0).standard_normal((count, 8)).astype(np.float32)
    behaviour = behaviour_vectors(shop.sequences, count, BehaviourConfig(dim=4), seed=0)
    vectors = ItemVectors.normalised(values, np.arange(count) % 10 > 0)
    return IndexMaterial(shop.catalog, shop.sequences, vectors, behaviour)


@pytest.mark.parametrize("settings", LEARNED + GIVEN, ids=lambda s: "-".join(map(str, s.values())))
def test_every_kind_is_unique_repeatable_and_kept(
    settings: dict[str, object], material: IndexMaterial, tmp_path: Path
) -> None:
    config = ADAPTER.validate_python(settings)
    first, second = (fit_index(config, material, rng=np.random.default_rng(3)) for _ in range(2))
    assert len(np.unique(first.codes.values, axis=0)) == len(material.catalog)
    assert first.codes.version == second.codes.version
    first.save(tmp_path / "codes", About("shop", seed=3, reports={"health.txt": "fine"}))
    loaded = ItemIndex.load(tmp_path / "codes")
    assert (loaded.config, loaded.codes.levels) == (first.config, first.codes.levels)
    assert loaded.codes.version == first.codes.version
    assert (loaded.quantiser is None) == (first.quantiser is None)
    health = index_health(loaded, material, rng=np.random.default_rng(0))
    assert len(health.prefixes) == first.codes.num_levels
    assert health.prefixes[-1].prefixes == len(material.catalog)


def test_only_another_seed_gives_another_index(material: IndexMaterial) -> None:
    config = ResidualKMeansConfig(levels=2, size=6)
    versions = {
        fit_index(config, material, rng=np.random.default_rng(seed)).codes.version
        for seed in (0, 1, 2)
    }
    assert len(versions) > 1


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "residual-kmeans", "level": 2},
        {"kind": "nothing"},
        {"kind": "random", "unique": "sinkhorn"},
        {"kind": "rqvae", "size": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(settings)


def test_learned_codes_need_vectors(material: IndexMaterial) -> None:
    config = ResidualKMeansConfig()
    with pytest.raises(ConfigError, match="none were given"):
        fit_index(config, IndexMaterial(material.catalog), rng=np.random.default_rng(0))
    nothing = ItemVectors(np.zeros((60, 2), np.float32), np.zeros(60, dtype=bool))
    with pytest.raises(ConfigError, match="no item has one"):
        fit_index(
            config, IndexMaterial(material.catalog, vectors=nothing), rng=np.random.default_rng(0)
        )


def test_the_folder_says_what_it_is(material: IndexMaterial, tmp_path: Path) -> None:
    index = fit_index(ResidualKMeansConfig(size=4), material, rng=np.random.default_rng(0))
    index.save(tmp_path / "codes", About("shop", inputs={"dataset": "abc"}))
    manifest = json.loads((tmp_path / "codes" / "manifest.json").read_text())
    assert manifest["kind"] == "codes"
    assert manifest["inputs"] == {"dataset": "abc"}
    assert manifest["settings"]["version"] == index.codes.version
    assert index.codes.version in summary(index.codes)


def test_a_damaged_folder_is_refused(material: IndexMaterial, tmp_path: Path) -> None:
    fit_index(ResidualKMeansConfig(size=4), material, rng=np.random.default_rng(0)).save(
        tmp_path / "codes", About("shop")
    )
    (tmp_path / "codes" / "codes.json").write_text("{}")
    with pytest.raises(ArtifactError, match="does not match"):
        ItemIndex.load(tmp_path / "codes")
    with pytest.raises(ArtifactError, match="No codes"):
        ItemIndex.load(tmp_path / "nowhere")
