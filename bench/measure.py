"""What the benchmarks share: data prepared once, a process for each training, one line per run.

A run is measured in a fresh process, so that its peak memory is its own, and leaves one JSON line
in ``runs/results.jsonl``. A benchmark that was interrupted goes on where it stopped: a run whose
settings (data, recipe, seed, threads) were measured before is read from there, unless ``--fresh``.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from palate import __version__
from palate.data.dataset import Dataset
from palate.data.prepare import PrepareOptions, prepare
from palate.evaluation.report.tables import HEADLINE
from palate.inference.model_folder import TrainedModel
from palate.recommender.fit import TrainingRun, fingerprint
from palate.recommender.recommender import Recommender
from palate.simulation.world import World
from palate.training.loop import Report
from palate.training.recipe import Recipe, load_recipe

ROOT = Path(__file__).resolve().parents[1]
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")

console = Console() if sys.stdout.isatty() else Console(width=150)

Found = Mapping[str, Mapping[str, float]]
"""Figures by name, in named groups: ``{"masked": {"recall@10": 0.1}}``."""
Train = Callable[[Dataset, Recipe, int], Recommender]
Judge = Callable[[Recommender], Found]


@dataclass(frozen=True)
class Options:
    """What the command line of every benchmark says."""

    name: str
    seeds: int = 1
    threads: int = 1
    workers: int = 1
    """Runs side by side, each in a process of its own; 0 runs them here, one after another."""
    overrides: tuple[str, ...] = ()
    runs: Path = ROOT / "runs"
    fresh: bool = False


@dataclass(frozen=True)
class Job:
    """One training."""

    label: str
    """What the table calls it; runs that differ in the seed alone share it."""
    folder: Path
    """The prepared dataset."""
    recipe: str
    overrides: tuple[str, ...] = ()
    seed: int = 1


@dataclass(frozen=True)
class Measured:
    """What a run left behind: one line of ``results.jsonl``."""

    benchmark: str
    label: str
    dataset: str
    recipe: str
    overrides: Sequence[str]
    seed: int
    threads: int
    settings: str
    """Hash of all that decides the run."""
    seconds: float
    """Training, from the dataset in memory to the model: encoders and validations included."""
    cpu_seconds: float
    """Processor time of the same, all threads together: tells where others held the machine up."""
    peak_gb: float
    """Most memory the process ever held, evaluation included."""
    epochs: int
    found: Found
    command: str
    machine: str
    date: str
    commit: str


def parser(description: str | None, *, seeds: int = 1) -> argparse.ArgumentParser:
    """Return the options every benchmark has; it may add its own."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--seeds", type=int, default=seeds, help="runs of each system")
    made.add_argument("--threads", type=int, default=CORES, help="per run")
    made.add_argument("--workers", type=int, default=1, help="runs side by side")
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    made.add_argument("--runs", type=Path, default=ROOT / "runs", help="cache and results")
    made.add_argument("--fresh", action="store_true", help="measure again what is known")
    return made


def options_of(name: str, arguments: argparse.Namespace) -> Options:
    """Return what ``arguments`` say, and note what disturbs the measurement."""
    load = os.getloadavg()[0]
    if load > 0.5:
        console.print(f"[yellow]The load is {load:.1f}: something else runs here, and counts.")
    return Options(
        name=name,
        seeds=arguments.seeds,
        threads=arguments.threads,
        workers=arguments.workers,
        overrides=tuple(arguments.overrides),
        runs=arguments.runs,
        fresh=arguments.fresh,
    )


def real_data(options: Options, name: str, how: PrepareOptions | None = None) -> Path:
    """Return the folder of a real data set, prepared once for each way to prepare it.

    Exits with 2 where the data is not there.
    """
    beside = ROOT.parent / "shared" / "data"
    source = Path(os.environ.get("PALATE_SHARED_DATA", beside)) / name
    if not source.is_dir():
        print(f"No data in {source}: set PALATE_SHARED_DATA to its parent folder.", file=sys.stderr)
        sys.exit(2)
    how = how or PrepareOptions()
    files = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in sorted(source.iterdir())]
    key = _hash([str(source.resolve()), files, how.model_dump(mode="json"), __version__])
    folder = options.runs / "data" / f"{name}-{key}"
    if options.fresh or not (folder / "manifest.json").is_file():
        console.print(f"preparing {name} ...")
        prepare(source, folder, how)
    return folder


def world_data(options: Options, world: World) -> Path:
    """Return the folder of a simulated shop, drawn once."""
    key = _hash([asdict(world), __version__])
    folder = options.runs / "data" / f"world-{world.num_users}-{key}"
    if options.fresh or not (folder / "manifest.json").is_file():
        world.dataset().save(folder, made_by=f"bench {options.name}")
    return folder


def seeded(options: Options, *jobs: Job) -> list[Job]:
    """Return each job once per seed, with the overrides of the command line added to its own."""
    return [
        Job(job.label, job.folder, job.recipe, (*job.overrides, *options.overrides), seed)
        for job in jobs
        for seed in range(1, options.seeds + 1)
    ]


def plainly(dataset: Dataset, recipe: Recipe, seed: int) -> Recommender:
    """Train as everybody does, and say so at the beginning and at every validation."""
    return Recommender.train(dataset, recipe, seed=seed, report=_teller(dataset, recipe, seed))


def _teller(dataset: Dataset, recipe: Recipe, seed: int) -> Callable[[Report], None]:
    def tell(at: Report) -> None:
        if at.estimate is not None:
            console.print(
                f"{dataset.name}, {recipe.title}, seed {seed}: {at.estimate}", style="dim"
            )
        if at.validation is not None:
            console.print(
                f"{dataset.name}, {recipe.title}, seed {seed}: epoch {at.epoch} of {at.epochs}, "
                f"loss {at.loss:.3f}, validation {at.validation:.4f}, "
                f"{at.interactions_per_second:,.0f} events/s, {at.seconds_left:.0f} s left",
                style="dim",
                highlight=False,
            )

    return tell


class Refit(Recommender):
    """A model that learned from train and valid, with the one that its epochs were found with."""

    def __init__(self, trained: TrainedModel, before: Recommender, seconds: float) -> None:
        """Keep both; ``seconds`` were spent before the refit."""
        super().__init__(trained)
        self.before = before
        self.seconds = seconds


def refitted(dataset: Dataset, recipe: Recipe, seed: int) -> Recommender:
    """Train as with ``--fit valid``, and keep the model before the refit too."""
    started = time.perf_counter()
    run = TrainingRun(
        dataset, recipe, recipe.title, seed=seed, report=_teller(dataset, recipe, seed), fit="valid"
    )
    found = run.found()
    seconds = time.perf_counter() - started
    return Refit(run.refitted(found), Recommender(found.trained), seconds)


def refitted_accuracy(model: Recommender) -> Found:
    """Judge a :class:`Refit` on test, and the model before it as :func:`accuracy` does."""
    assert isinstance(model, Refit)
    test, before = model.evaluate("test"), accuracy(model.before)
    return {
        "masked": dict(test.masked),
        "unmasked": dict(test.unmasked),
        "beyond": dict(test.beyond_accuracy),
        "valid": before["valid"],
        "cost": {"seconds before": model.seconds, "epochs": sum(model.trained.epochs)},
        **{f"before, {kind}": before[kind] for kind in ("masked", "unmasked", "beyond")},
    }


def both_fits(runs: Sequence[Measured]) -> list[Measured]:
    """Return each run of :func:`refitted` as two: as if without the refit, and the refit."""
    before = [
        replace(
            run,
            seconds=run.found["cost"]["seconds before"],
            found={kind: run.found[f"before, {kind}"] for kind in ("masked", "unmasked", "beyond")},
        )
        for run in runs
    ]
    after = [
        replace(run, label=f"{run.label} (refit)", epochs=int(run.found["cost"]["epochs"]))
        for run in runs
    ]
    return [*before, *after]


def accuracy(model: Recommender) -> Found:
    """Judge by full ranking on test, and on valid for whoever wants to choose."""
    test = model.evaluate("test")
    return {
        "masked": dict(test.masked),
        "unmasked": dict(test.unmasked),
        "beyond": dict(test.beyond_accuracy),
        "valid": dict(model.evaluate("valid").masked),
    }


def measure(
    options: Options, jobs: Sequence[Job], *, judge: Judge = accuracy, train: Train = plainly
) -> list[Measured]:
    """Run each job that was not run before and return all, in the order of ``jobs``."""
    keys = [_settings(options, job, judge) for job in jobs]
    known = {} if options.fresh else {one.settings: one for one in results(options.runs)}
    wanted = [(job, key) for job, key in zip(jobs, keys, strict=True) if key not in known]
    for one in _run_all(options, wanted, judge, train):
        known[one.settings] = one
        console.print(
            f"{one.label}, seed {one.seed}: {one.seconds:.1f} s, {one.peak_gb:.2f} GB", style="dim"
        )
    return [known[key] for key in keys]


def _run_all(
    options: Options, wanted: Sequence[tuple[Job, str]], judge: Judge, train: Train
) -> Iterator[Measured]:
    if options.workers == 0:
        for job, key in wanted:
            yield run_one(options, job, key, judge, train)
        return
    _command()
    # Read by each process when it starts, before any library looks for its number of threads.
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(options.threads)))
    with ProcessPoolExecutor(
        options.workers, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1
    ) as pool:
        runs = [pool.submit(run_one, options, job, key, judge, train) for job, key in wanted]
        for run in as_completed(runs):
            yield run.result()


def run_one(options: Options, job: Job, key: str, judge: Judge, train: Train) -> Measured:
    """Train, judge, and leave the line."""
    torch.set_num_threads(options.threads)
    dataset = Dataset.load(job.folder)
    recipe = load_recipe(job.recipe, job.overrides)
    started, busy = time.perf_counter(), time.process_time()
    model = train(dataset, recipe, job.seed)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - busy
    found = judge(model)
    log = model.trained.log
    measured = Measured(
        benchmark=options.name,
        label=job.label,
        dataset=dataset.name,
        recipe=job.recipe,
        overrides=list(job.overrides),
        seed=job.seed,
        threads=options.threads,
        settings=key,
        seconds=round(seconds, 3),
        cpu_seconds=round(cpu_seconds, 3),
        peak_gb=round(peak_gb(), 3),
        epochs=int(str(log[-1]["epoch"])) if log else 0,
        found=found,
        command=_command(),
        machine=machine(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=_commit(),
    )
    options.runs.mkdir(parents=True, exist_ok=True)
    # One write per line: two processes that append at once do not mix their lines.
    with (options.runs / "results.jsonl").open("ab", buffering=0) as file:
        file.write((json.dumps(asdict(measured)) + "\n").encode())
    return measured


def results(runs: Path) -> list[Measured]:
    """Return all runs measured so far, oldest first; a line cut short by a kill is passed over."""
    path = runs / "results.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    return [Measured(**json.loads(line)) for line in lines if line.endswith("}\n")]


def peak_gb() -> float:
    """Return the most memory this process ever held."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count what the parent held when it started us
        line = next(
            x for x in status.read_text(encoding="utf-8").splitlines() if x.startswith("VmHWM")
        )
        return int(line.split()[1]) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def machine() -> str:
    """Return processor, cores and memory in words."""
    info = Path("/proc/cpuinfo")
    names = (
        [x for x in info.read_text(encoding="utf-8").splitlines() if "model name" in x]
        if info.exists()
        else []
    )
    name = names[0].split(":")[1].strip() if names else platform.processor() or platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{name}, {CORES} cores, {memory:.0f} GB"


def mean(runs: Sequence[Measured], group: str, metric: str) -> float:
    """Return the mean of a figure over runs."""
    return float(np.mean([run.found[group][metric] for run in runs]))


def by_label(runs: Sequence[Measured]) -> dict[str, list[Measured]]:
    """Group runs that differ in the seed alone, in the order they came."""
    groups: dict[str, list[Measured]] = {}
    for run in runs:
        groups.setdefault(run.label, []).append(run)
    return groups


def with_spread(values: Sequence[float], digits: int = 4) -> str:
    """Return the mean, and the standard deviation where there are several values."""
    shown = f"{np.mean(values):.{digits}f}"
    return shown if len(values) < 2 else f"{shown} ± {np.std(values, ddof=1):.{digits}f}"


def accuracy_table(
    title: str, runs: Sequence[Measured], metrics: Sequence[str] = HEADLINE
) -> Table:
    """Return the table of systems: history masked and unmasked, training time, memory."""
    threads = sorted({run.threads for run in runs})
    table = Table(title=f"{title}, {' and '.join(map(str, threads))} thread(s) per run")
    table.add_column("system")
    table.add_column("history")
    for heading in (*metrics, "training, s", "epochs", "peak GB"):
        table.add_column(heading, justify="right")
    for label, group in by_label(runs).items():
        for kind in ("masked", "unmasked"):
            values = [with_spread([run.found[kind][m] for run in group]) for m in metrics]
            cost = ("", "", "")
            if kind == "masked":
                cost = (
                    " ".join(f"{run.seconds:.{1 if run.seconds < 10 else 0}f}" for run in group),
                    " ".join(str(run.epochs) for run in group if run.epochs),
                    f"{max(run.peak_gb for run in group):.2f}",
                )
            table.add_row(label if kind == "masked" else "", kind, *values, *cost)
    return table


def _settings(options: Options, job: Job, judge: Judge) -> str:
    # What a recipe reached decides nothing: it may be written down when it is known. Nor does a new
    # setting that the recipe does not name.
    chosen = load_recipe(job.recipe, job.overrides)
    recipe = chosen.model_dump(mode="json", exclude_unset=True) | {"measured": ""}
    data = _data_hash(job.folder)
    what = [options.name, job.label, judge.__name__, data, recipe, job.seed, options.threads]
    return _hash([*what, __version__])


def _data_hash(folder: Path) -> str:
    """Return what identifies the content of a prepared dataset; kept in a file beside it."""
    kept, made = folder.with_suffix(".hash"), (folder / "manifest.json").stat().st_mtime
    if not kept.is_file() or kept.stat().st_mtime < made:
        kept.write_text(fingerprint(Dataset.load(folder)), encoding="utf-8")
    return kept.read_text(encoding="utf-8")


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def _command() -> str:
    """Return the benchmark's command line; a child process knows it from its parent."""
    return os.environ.setdefault("PALATE_BENCH", " ".join(["python", *sys.argv]))


def _commit() -> str:
    """Return the commit of the package, with a + where files differ from it; empty without git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
