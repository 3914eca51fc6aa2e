"""What every test shares: few threads, no network, shapes checked while it runs, real data.

The shapes and types at every function edge of the package are checked while the tests run; set
``PALATE_TYPECHECK=0`` to leave that out, as when timing something.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from palate import Dataset
    from palate.inference.engine import Engine
    from palate.types import History

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"

if os.environ.get("PALATE_TYPECHECK", "1") != "0":
    import runtime_checks

    runtime_checks.install("palate")

# Only now may anything be imported that could import the package or start threads.
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

pytest_plugins = ["tiny_models"]

# Doctests are looked for in the package; a conftest found twice by one name would be an error.
collect_ignore_glob = ["*conftest.py"]

settings.register_profile("palate", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("palate")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: at the end all processes should finish together."""
    _leave_out_gpu([item for item in items if item.get_closest_marker("gpu")])
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def _leave_out_gpu(items: list[pytest.Item]) -> None:
    """Skip tests that need a GPU where there is none."""
    if not items:
        return
    import torch

    if not torch.cuda.is_available():
        for item in items:
            item.add_marker(pytest.mark.skip(reason="not run: no GPU"))


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that starts alike in every test."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the project; without it the test is skipped."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("PALATE_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no real data here: set PALATE_SHARED_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of small random checkpoints with one tokenizer, saved as ``transformers`` does."""
    pytest.importorskip("transformers", reason="needs the extra 'hf'")
    pytest.importorskip("peft", reason="needs the extra 'hf'")
    from small_checkpoints import save_checkpoints

    return save_checkpoints(tmp_path_factory.mktemp("pretrained"))


@pytest.fixture
def nobody() -> "History":
    """The history of somebody of whom nothing is known."""
    from palate.types import History

    return History(item_rows=np.zeros(0, dtype=np.int64))


@pytest.fixture(scope="session")
def live_shop() -> "Dataset":
    """A simulated shop that is learned in a few seconds."""
    from palate.simulation.world import World

    return World(num_users=80, num_items=40, events_per_user=8, seed=4, pictures=False).dataset()


@pytest.fixture(scope="session")
def model_folders(live_shop: "Dataset", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``urm`` (a language model with a prior), ``itemknn`` and ``popularity``."""
    from palate import Recommender
    from palate.training.recipe import load_recipe

    settings = (
        *("items.text.dim=32", "model.decoder.width=32", "model.decoder.layers=1"),
        *("tasks.search=2.0", "tasks.max_history=10", "training.epochs=8"),
        *("training.learning_rate=5e-3", "training.tokens_per_batch=2048"),
        'prior.baseline={kind="itemknn", decay=0.5}',
    )
    folder = tmp_path_factory.mktemp("models")
    Recommender.train(live_shop, load_recipe("urm-small", settings), seed=1).save(folder / "urm")
    for name in ("itemknn", "popularity"):
        Recommender.train(live_shop, name).save(folder / name)
    return folder


@pytest.fixture
def engine(model_folders: Path) -> "Engine":
    """The language model of ``model_folders``, freshly loaded."""
    from palate.inference.engine import Engine

    return Engine.load(model_folders / "urm")
