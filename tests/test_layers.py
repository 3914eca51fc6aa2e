"""The contract of ``[tool.importlinter]``: a file imports only from lower layers."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_imports_point_downwards() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_folder_has_a_layer() -> None:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = configured["contracts"][0]
    assert layers["exhaustive"], "a folder without a layer would escape the contract"
    assert layers["layers"].index("data") > layers["layers"].index("models")
