"""The README is true: its map is the tree, its Python runs, its commands and files exist."""

import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from palate.simulation.world import World

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PACKAGE = ROOT / "src" / "palate"


def test_map_is_the_tree() -> None:
    assert set(_mapped()) == _tree()


def test_the_map_describes_every_place() -> None:
    assert all(_mapped().values())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_python_runs(tmp_path: Path, frames: str) -> None:
    program = "\n".join(_blocks("python"))
    assert len([line for line in program.splitlines() if line]) == 5
    if frames == "polars":
        program = program.replace("import pandas as pd", "import polars as pd")
    orders, products = World(num_users=60, num_items=40, seed=0, pictures=False).frames()
    orders.write_csv(tmp_path / "orders.csv")
    labels = pl.col("categories").list.join("|")
    plain = products.with_columns(labels).select(pl.exclude(pl.Binary, pl.List(pl.String)))
    plain.write_csv(tmp_path / "products.csv")
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "item_id" in done.stdout
    assert "u42" in done.stdout


@pytest.mark.slow
def test_the_example_runs() -> None:
    command = [sys.executable, ROOT / "examples" / "quickstart.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "because of" in done.stdout


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", README):
        path = "".join(target)
        assert "://" in path or (ROOT / path).exists(), path


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", "".join(_blocks("sh")))) <= targets


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def _mapped() -> dict[str, str]:
    """Return the map of the README: path -> what it says about it."""
    (block,) = (text for text in _blocks("text") if "src/palate/" in text)
    pairs = (line.split(maxsplit=1) for line in block.splitlines() if line.strip())
    return {pair[0]: "".join(pair[1:]) for pair in pairs}


def _tree() -> set[str]:
    """Return the folders of the project, and what lies directly in the package."""
    ignored = {line.strip("/\n") for line in (ROOT / ".gitignore").read_text().splitlines()}
    folders = {f"{path.name}/" for path in _visible(ROOT) if path.is_dir()}
    inside = {
        f"src/palate/{path.name}" + "/" * path.is_dir()
        for path in _visible(PACKAGE)
        if path.is_dir() or path.suffix == ".py"
    }
    return {name for name in folders if name.strip("/") not in ignored | {"src"}} | inside


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith((".", "_"))]
