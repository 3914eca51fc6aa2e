"""A baseline that learns by gradient is one file, one entry and one recipe."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import palate

PROGRAM = """
from pathlib import Path
from palate import Recommender, World
shop = World(num_users=60, num_items=30, events_per_user=8, seed=2, pictures=False).dataset()
told = []
model = Recommender.train(
    shop, "lightgcn-skeleton", folder="work", fit="valid", device="cpu", report=told.append
)
assert any(at.validation is not None and at.measure == "NDCG@10" for at in told)
assert any(at.refit for at in told)
assert Path("work/checkpoint.safetensors").exists()
model.save("model")
again = Recommender.load("model")
history = model.history("u1")
assert (again.by_rows.score([history]) == model.by_rows.score([history])).all()
print(model.evaluate("test").masked["recall@10"])
"""


def test_a_baseline_needs_one_file_one_entry_and_one_recipe(tmp_path: Path) -> None:
    package = tmp_path / "palate"
    shutil.copytree(Path(palate.__file__).parent, package, ignore=shutil.ignore_patterns("__py*"))
    baselines = package / "models" / "baselines"
    shutil.copy(Path(__file__).with_name("new_baseline.py"), baselines / "lightgcn_skeleton.py")
    entries = baselines / "__init__.py"
    text = entries.read_text(encoding="utf-8")
    entry = "BASELINES: tuple[type[Baseline], ...] = ("
    assert entry in text
    imported = "from palate.models.baselines.lightgcn_skeleton import LightGcn\n"
    text = text.replace(entry, f"{imported}\n{entry}LightGcn, ")
    entries.write_text(text, encoding="utf-8")
    (package / "recipes" / "lightgcn-skeleton.toml").write_text(
        'title = "LightGCN"\n[baseline]\nkind = "lightgcn-skeleton"\n', encoding="utf-8"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0
