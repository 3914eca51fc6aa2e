"""How fast a SASRec trains: ours, RecBole's and Cornac's, on the same data and machine in one run.

    .venv/bin/python bench/train_throughput.py [SOURCE] [--seconds 60] [--epochs 5]

SOURCE is anything ``palate prepare`` reads; by default Amazon Beauty from the folder of real data.
All have width 64, 2 layers, length 50 and train on the same events; each of ours has as many
negatives as the rival it stands beside. Each rival is installed once, in an environment of its own
under ``~/.cache/palate-bench``, and is skipped with a reason where that fails.

Interactions per second are training events over seconds per epoch. A rival's epoch is extrapolated
from the batches it finished in ``--seconds`` after warm-up; ours is run whole, from the first batch
to the last, with the one validation at the end counted against it.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from palate.data.dataset import Dataset
from palate.data.prepare import prepare
from palate.data.split import Part

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "palate-bench"
TORCH = "2.13.0"
LONGEST = 1800
"""Seconds after which a measurement is given up."""


@dataclass(frozen=True)
class Rival:
    """A library to compare with: how it is installed, and the script that runs inside it."""

    name: str
    requirements: tuple[str, ...]
    script: str
    objective: str
    negatives: int | None
    """Negatives of each prediction; None means all items of the catalogue."""


RIVALS = (
    Rival(
        name="RecBole 1.2.1",
        requirements=(
            "recbole==1.2.1",
            "setuptools<81",  # its ray still imports pkg_resources
            "numpy==1.26.4",  # it still says np.bool8
            "pandas==2.2.3",
            "scipy==1.13.1",
            "scikit-learn==1.5.2",
        ),
        script="recbole_sasrec.py",
        objective="full softmax",
        negatives=None,
    ),
    Rival(
        name="Cornac 3.0.1",
        requirements=("cornac==3.0.1", "transformers<5"),
        script="cornac_sasrec.py",
        objective="softmax, 256 shared + 511 of the batch",
        negatives=767,
    ),
)


@dataclass(frozen=True)
class Measured:
    """One line of the table."""

    name: str
    objective: str
    seconds_per_epoch: float
    peak_gb: float
    basis: str
    """How much of an epoch was timed."""


class Skipped(Exception):  # noqa: N818 -- a reason, not an error
    """A rival that cannot be measured here, and why."""


def main() -> None:
    arguments = read_arguments()
    console = Console(width=110)
    note_load(console)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = prepared(arguments.source, folder / "dataset")
        write_events(dataset, folder / "events.tsv")
        lines: list[Measured] = []
        pairs: list[tuple[Measured, Measured]] = []
        for rival in RIVALS:
            console.print(f"training our sasrec with the objective of {rival.name} ...")
            mine = ours(folder / "dataset", dataset, rival, epochs=arguments.epochs)
            lines.append(mine)
            console.print(f"training {rival.name} for {arguments.seconds:.0f} s ...")
            try:
                other = theirs(rival, folder, seconds=arguments.seconds)
            except Skipped as reason:
                console.print(f"{rival.name} is skipped: {reason}")
                continue
            lines.append(other)
            pairs.append((mine, other))
    console.print(as_table(lines, dataset.split.count(Part.TRAIN)))
    ratios = {other.name: other.seconds_per_epoch / mine.seconds_per_epoch for mine, other in pairs}
    for name, ratio in ratios.items():
        console.print(f"ours against {name}, with as many negatives: {ratio:.1f} times as fast")
    recbole = RIVALS[0].name
    print(f"train_throughput: {f'{ratios[recbole]:.1f}' if recbole in ratios else 'skipped'}")


def read_arguments() -> argparse.Namespace:
    beside = HERE.parents[1] / "shared" / "data"
    data = Path(os.environ.get("PALATE_SHARED_DATA", beside))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, nargs="?", default=data / "amazon14_beauty")
    parser.add_argument("--seconds", type=float, default=60.0, help="per rival, after warm-up")
    parser.add_argument("--epochs", type=int, default=5, help="of ours")
    return parser.parse_args()


def note_load(console: Console) -> None:
    """Say so when other work is going on: the figures are then worth little."""
    load = os.getloadavg()[0]
    if load > 0.5:
        console.print(f"[yellow]The load is {load:.1f}: something else runs here, and counts.")


def prepared(source: Path, folder: Path) -> Dataset:
    """Prepare the source; a folder that is a dataset already is taken as it is."""
    if (source / "manifest.json").is_file():
        shutil.copytree(source, folder)
        return Dataset.load(folder)
    return prepare(source, folder)


def write_events(dataset: Dataset, path: Path) -> None:
    """Write what the rivals read: user, item, place in the history, part."""
    events = dataset.interactions
    starts = events.offsets[events.user_rows]
    rows = zip(events.user_rows, events.item_rows, dataset.split.parts, starts, strict=True)
    lines = ["user\titem\tplace\tpart"]
    lines += [
        f"u{user}\ti{item}\t{place - start}\t{Part(part).name.lower()}"
        for place, (user, item, part, start) in enumerate(rows)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def ours(folder: Path, dataset: Dataset, rival: Rival, *, epochs: int) -> Measured:
    """Train our ``sasrec`` through its command, as a user would, and read its own log."""
    settings = {
        "model.decoder.width": 64,
        "model.decoder.layers": 2,
        "model.decoder.heads": 2,
        "tasks.max_history": 50,
        "training.num_negatives": rival.negatives or len(dataset.catalog),
        "training.epochs": epochs,
        "training.validate_every": epochs,
    }
    model = folder.parent / f"model-{rival.script}"
    palate = Path(sys.executable).with_name("palate")
    command = [str(palate), "train", str(folder), str(model), "--recipe", "sasrec", "--seed", "1"]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    peak_gb, _ = run(command, folder.parent)
    last = json.loads((model / "training.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    return Measured(
        name="Palate sasrec",
        objective=rival.objective if rival.negatives is None else f"softmax, {rival.negatives}",
        seconds_per_epoch=dataset.split.count(Part.TRAIN) / last["interactions_per_second"],
        peak_gb=peak_gb,
        basis=f"epochs: {epochs}",
    )


def theirs(rival: Rival, folder: Path, *, seconds: float) -> Measured:
    """Train a rival in its own environment and read its last line.

    Raises:
        Skipped: when it cannot be installed or does not run.
    """
    python = environment(rival)
    command = [str(python), str(HERE / "rivals" / rival.script), str(folder / "events.tsv")]
    try:
        peak_gb, output = run([*command, str(seconds)], folder)
        line = json.loads(output.splitlines()[-1])
    except (subprocess.CalledProcessError, ValueError, IndexError) as error:
        raise Skipped(reason_of(error)) from error
    timed, whole = line["timed_batches"], line["batches_per_epoch"]
    return Measured(
        name=rival.name,
        objective=rival.objective,
        seconds_per_epoch=line["seconds_per_epoch"],
        peak_gb=peak_gb,
        basis=f"{timed} of {whole} batches",
    )


def environment(rival: Rival) -> Path:
    """Return the Python of a rival's environment, which is made where it is missing.

    Raises:
        Skipped: when it cannot be installed.
    """
    folder = CACHE / rival.script.removesuffix(".py")
    python, made = folder / "bin" / "python", folder / "requirements.txt"
    wanted = "\n".join([f"torch=={TORCH}", *rival.requirements]) + "\n"
    if made.is_file() and made.read_text(encoding="utf-8") == wanted:
        return python
    try:
        run([sys.executable, "-m", "venv", "--clear", str(folder)], HERE)
        install = installer(python)
        # Torch first and alone: whatever comes after finds it there and fetches no CUDA build.
        run([*install, *torch_without_cuda()], HERE)
        run([*install, f"torch=={TORCH}", *rival.requirements], HERE)
    except subprocess.CalledProcessError as error:
        raise Skipped(f"it cannot be installed: {reason_of(error)}") from error
    made.write_text(wanted, encoding="utf-8")
    return python


def installer(python: Path) -> list[str]:
    """Return the start of an install command: uv's where this project has it, else pip's."""
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        return [str(python), "-m", "pip", "install", "--quiet"]
    links = [option for folder in pip_links() for option in ("--find-links", folder)]
    return [str(uv), "pip", "install", "--quiet", "--python", str(python), *links]


def torch_without_cuda() -> list[str]:
    """Return what to install for the CPU build: from pip's own links, or from PyTorch's index."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return [f"torch=={TORCH}"]
    if pip_links():
        return [f"torch=={TORCH}+cpu"]
    return [f"torch=={TORCH}+cpu", "--extra-index-url", "https://download.pytorch.org/whl/cpu"]


def pip_links() -> list[str]:
    """Return the folders and pages that pip is configured to look for packages in."""
    _, listed = run([sys.executable, "-m", "pip", "config", "list"], HERE)
    found = re.findall(r"find-links=(['\"])(.*)\1", listed)
    return sorted({link for _, links in found for link in links.split()})


def run(command: Sequence[str], folder: Path) -> tuple[float, str]:
    """Run a command to its end and return its peak memory in GB and its output.

    Raises:
        CalledProcessError: when it fails or takes too long.
    """
    # The rivals' old checkpoints hold more than weights, which torch now refuses unless told.
    settings = os.environ | {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    settings["OMP_NUM_THREADS"] = str(len(os.sched_getaffinity(0)))
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=settings, stdout=output, stderr=errors, text=True
        )
        timer = threading.Timer(LONGEST, process.kill)
        timer.start()
        # wait4 alone tells the peak memory of this one child.
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise subprocess.CalledProcessError(
                process.returncode, command, output.read(), errors.read()
            )
        return usage.ru_maxrss / 2**20, output.read()


def reason_of(error: Exception) -> str:
    """Return the last thing a failed command said."""
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    lines = [line.strip() for line in (said or "").splitlines() if line.strip()]
    return lines[-1] if lines else str(error)


def as_table(lines: Sequence[Measured], num_events: int) -> Table:
    """Return the table to print."""
    threads = len(os.sched_getaffinity(0))
    table = Table(title=f"SASRec in training: {num_events:,} training events, {threads} threads")
    for heading in ("library", "loss", "events / s", "s / epoch", "peak GB", "timed"):
        table.add_column(heading, justify="right" if heading[-1] in "shB" else "left")
    for line in lines:
        table.add_row(
            line.name,
            line.objective,
            f"{num_events / line.seconds_per_epoch:,.0f}",
            f"{line.seconds_per_epoch:.1f}",
            f"{line.peak_gb:.2f}",
            line.basis,
        )
    return table


if __name__ == "__main__":
    main()
