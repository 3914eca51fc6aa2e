"""What every test shares: few threads, no network, shapes checked while it runs, real data.

The shapes and types at every function edge of the package are checked while the tests run; set
``PALATE_TYPECHECK=0`` to leave that out, as when timing something.
"""

import os
from pathlib import Path

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
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


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
