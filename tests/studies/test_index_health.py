"""The report of an index: of a dataset or a model, as tables, a page and a folder."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from palate.data.dataset import Dataset
from palate.errors import ConfigError
from palate.items.codes.index import ItemIndex
from palate.recommender.recommender import Recommender
from palate.simulation.world import World
from palate.studies.index_health import health_tables, index_config, index_report


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return World(num_users=40, num_items=50, seed=6).dataset()


def test_settings_are_checked_by_name() -> None:
    chosen = index_config("residual-kmeans", ["levels=2", "unique='sinkhorn'"])
    assert (chosen.kind, chosen.unique) == ("residual-kmeans", "sinkhorn")
    with pytest.raises(ConfigError, match="residual-kmeans"):
        index_config("residual-kmean")
    with pytest.raises(ConfigError, match="level: there is no such setting"):
        index_config("residual-kmeans", ["level=2"])


def test_a_dataset_is_indexed_reported_and_kept(shop: Dataset, tmp_path: Path) -> None:
    report = index_report(shop, index_config("residual-kmeans", ["size=6"]), seed=1)
    console = Console(width=120, record=True)
    console.print(*report.tables)
    assert "near neighbours" in console.export_text()
    report.save(tmp_path / "codes")
    loaded = ItemIndex.load(tmp_path / "codes")
    assert loaded.codes.version == report.index.codes.version
    assert report.index.codes.version in (tmp_path / "codes" / "health.html").read_text()
    assert json.loads((tmp_path / "codes" / "health.json").read_text())["items"] == 50
    again = index_report(shop, index_config("residual-kmeans", ["size=6"]), seed=1)
    assert again.index.codes.version == report.index.codes.version
    assert again.health == report.health


def test_names_are_not_trusted(shop: Dataset) -> None:
    report = index_report(shop.renamed("<b>[red]x"), index_config("random"))
    assert "&lt;b&gt;" in report.page()
    assert "<b>" not in report.page()
    console = Console(width=120, record=True)
    console.print(report.tables[0])
    assert "<b>[red]x" in console.export_text()


def test_a_model_is_indexed_by_its_own_dataset(shop: Dataset) -> None:
    model = Recommender.train(shop, "popularity")
    config = index_config("collaborative", ["leaf=10", "clusters=4"])
    of_model, of_dataset = index_report(model, config), index_report(shop, config)
    np.testing.assert_array_equal(of_model.index.codes.values, of_dataset.index.codes.values)


def test_behaviour_may_be_quantised(shop: Dataset) -> None:
    report = index_report(
        shop, index_config("product", ["levels=2", "size=4"]), modality="behaviour"
    )
    assert report.health.reconstruction_error is not None


def test_several_indexes_stand_side_by_side(shop: Dataset) -> None:
    judged = {kind: index_report(shop, index_config(kind)).health for kind in ("random", "title")}
    assert health_tables(judged)[0].row_count == 2
