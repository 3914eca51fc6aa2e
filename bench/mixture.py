"""One model for every task against one expert per task, in the simulated shop.

    .venv/bin/python bench/mixture.py [--users 1500] [--seeds 1] [--full-experts] [--threads 2]

An expert has the same recipe and as many passes over its one task as the mixture gives that task,
and stops early by its own task; with ``--full-experts`` it gets a full pass per epoch. All are
asked in words, in the wording of the task, about the test events: objective and scenario by the
event's own kind, category and search by words made from the item that follows, direct with the
history in any order, cold start with the last one or two events. The figure is NDCG@10 over the
whole catalogue, history masked; its standard error is that of the mixture's mean over the cases.
The last line is ``mixture: <smallest ratio of mixture to expert>``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from measure import (
    Found,
    Job,
    Measured,
    console,
    measure,
    options_of,
    parser,
    seeded,
    with_spread,
    world_data,
)
from rich.table import Table

from palate.data.dataset import Cases, Dataset
from palate.data.split import PartName
from palate.inference.item_encoder import ItemEncoder
from palate.inference.model_folder import TrainedModel
from palate.inference.prompt_runner import PromptRunner
from palate.inference.request import Request
from palate.language.queries import make_queries
from palate.models.language_model import RecommendationModel
from palate.recommender.recommender import Recommender
from palate.simulation.world import World
from palate.training.build import build_system
from palate.training.loop import Run, train
from palate.training.recipe import Recipe
from palate.training.system import LanguageModelSystem
from palate.types import History

TASKS = ("next-item", "objective", "scenario", "category", "search", "direct", "cold-start")
MIXTURE = "one mixture"
SEARCH_HISTORY = 10
VALIDATION_QUESTIONS = 300
"""More are not asked while an expert trains: each query in words is read by itself."""


@dataclass(frozen=True)
class Question:
    """Some users who are asked about in the same words."""

    ask: Request
    cases: Cases


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--users", type=int, default=1500, help="of the simulated shop")
    arguments.add_argument("--recipe", default="urm")
    arguments.add_argument("--full-experts", action="store_true")
    chosen = arguments.parse_args()
    options = options_of("mixture", chosen)
    world = world_data(options, World(num_users=chosen.users, num_items=chosen.users // 3))
    jobs = [Job(MIXTURE, world, chosen.recipe)]
    jobs += [
        Job(task, world, chosen.recipe, alone(task, full=chosen.full_experts)) for task in TASKS
    ]
    runs = measure(options, seeded(options, *jobs), judge=ask_all, train=train_by_own_task)
    table, ratios = against_experts(runs)
    console.print(table)
    print(f"mixture: {min(ratios):.3f}")


def alone(task: str, *, full: bool) -> tuple[str, ...]:
    """Return the overrides that leave a recipe one task."""
    others = [f"tasks.{other.replace('-', '_')}=0" for other in (*TASKS, "wish") if other != task]
    return (*others, f"tasks.{task.replace('-', '_')}=1.0") if full else tuple(others)


def train_by_own_task(dataset: Dataset, recipe: Recipe, seed: int) -> Recommender:
    """Train; a model of one task stops early by that task, any other by the next item."""
    parts, (mixture,) = build_system(dataset, recipe, seed=seed)
    task = parts.tasks[0] if len(parts.tasks) == 1 else "next-item"
    questions = task_cases(dataset, task, "valid")
    if task == "search":
        questions = questions[:VALIDATION_QUESTIONS]

    def validate(model: RecommendationModel) -> float:
        return float(gains(replace(parts, model=model), questions).mean())

    run = Run(batches=mixture, config=recipe.training, validate=validate, name="bench")
    log = train(parts.model, run)
    return Recommender(TrainedModel(recipe.title, recipe, dataset, parts, log, seed))


def ask_all(model: Recommender) -> Found:
    """Request the model for all it was trained on; objectives are also told apart."""
    parts = model.trained.system
    assert isinstance(parts, LanguageModelSystem)
    found = {}
    for task in parts.tasks:
        questions = task_cases(model.dataset, task, "test")
        values = gains(parts, questions)
        error = float(values.std(ddof=1) / np.sqrt(len(values)))
        found[task] = {"ndcg@10": float(values.mean()), "error": error, "cases": len(values)}
        if task == "objective":
            for question in questions:
                mean = float(gains(parts, [question]).mean())
                found[task][question.ask.slots["event"]] = mean
    return found


def gains(parts: LanguageModelSystem, questions: Sequence[Question]) -> Float[np.ndarray, " cases"]:
    """Return NDCG@10 of each case: ``1 / log2(place + 2)`` of its one item, the history masked."""
    parts.model.train(mode=False)
    catalogue, _ = ItemEncoder(parts).trained()  # once, not once per question
    return np.concatenate(
        [_gains(PromptRunner(parts, each.ask, catalogue), each.cases) for each in questions]
    )


def _gains(runner: PromptRunner, cases: Cases) -> Float[np.ndarray, " cases"]:
    found = []
    for start in range(0, len(cases), 512):
        histories = cases.histories[start : start + 512]
        wanted = np.asarray([rows[0] for rows in cases.targets[start : start + 512]])
        scores = runner.score(histories)
        own = scores[np.arange(len(wanted)), wanted].copy()
        for user, history in enumerate(histories):
            scores[user, history.item_rows] = -np.inf
        places = (scores > own[:, None]).sum(axis=1)
        found.append(np.where(places < 10, 1 / np.log2(places + 2), 0.0))
    return np.concatenate(found)


def task_cases(dataset: Dataset, task: str, part: PartName = "test") -> list[Question]:
    """Return what a task is asked about on a part: users in groups that share the words.

    Everything drawn (queries, categories, orders) is drawn from a fixed seed: all models are asked
    the same.
    """
    cases, rng = dataset.cases(part), np.random.default_rng([7, len(task)])
    events = dataset.interactions
    match task:
        case "objective":
            codes = events.event_codes[_places(dataset, cases)]
            asks = [
                Request(family="objective", slots={"event": name}) for name in events.event_types
            ]
            return _grouped(cases, codes, asks)
        case "scenario":
            assert events.scenario_codes is not None
            codes = events.scenario_codes[_places(dataset, cases)]
            asks = [
                Request(family="scenario", slots={"scenario": name}) for name in events.scenarios
            ]
            return _grouped(cases, codes, asks)
        case "category":
            return _by_category(dataset, cases, rng)
        case "search":
            return _by_query(dataset, cases, rng)
        case "direct":
            shuffled = [h.take(rng.permutation(len(h))) for h in cases.histories]
            return [Question(Request(family="direct"), Cases(shuffled, cases.targets))]
        case "cold-start":
            newest = [h.last(int(rng.integers(1, 3))) for h in cases.histories]
            return [Question(Request(family="cold-start"), Cases(newest, cases.targets))]
        case _:
            return [Question(Request(family=task), cases)]


def _by_category(dataset: Dataset, cases: Cases, rng: np.random.Generator) -> list[Question]:
    """Request for a category of the item that follows; items without one are not asked for."""
    categories = [list(names or []) for names in dataset.catalog.table["categories"].to_list()]
    offered = [categories[int(rows[0])] for rows in cases.targets]
    chosen = [names[rng.integers(len(names))] if names else "" for names in offered]
    names = sorted(set(chosen) - {""})
    codes = np.asarray([names.index(name) if name else -1 for name in chosen])
    return _grouped(cases, codes, [Request(family="category", context=name) for name in names])


def _by_query(dataset: Dataset, cases: Cases, rng: np.random.Generator) -> list[Question]:
    """Request for the item that follows by words made from it, after the last few events."""
    # Not the seed of any training: these queries are made anew.
    pool = make_queries(dataset.catalog, 3, seed=1_000_003)
    questions = []
    for history, targets in zip(cases.histories, cases.targets, strict=True):
        query = pool.choose(int(targets[0]), rng)
        if query is not None:
            asker: Sequence[History] = [history.last(SEARCH_HISTORY)]
            ask = Request(family="search", context=pool.texts[query])
            questions.append(Question(ask, Cases(asker, [targets])))
    return questions


def _places(dataset: Dataset, cases: Cases) -> Int[np.ndarray, " cases"]:
    """Return where in the flat arrays each case's first target stands: right after its history."""
    users = np.asarray([history.user_row for history in cases.histories])
    lengths = np.asarray([len(history) for history in cases.histories])
    return np.asarray(dataset.interactions.offsets[users] + lengths)


def _grouped(
    cases: Cases, codes: Int[np.ndarray, " cases"], asks: Sequence[Request]
) -> list[Question]:
    """Return one question per code that occurs; cases of code -1 are left out."""
    return [
        Question(
            ask,
            Cases(
                [cases.histories[int(i)] for i in np.flatnonzero(codes == code)],
                [cases.targets[int(i)] for i in np.flatnonzero(codes == code)],
            ),
        )
        for code, ask in enumerate(asks)
        if (codes == code).any()
    ]


def against_experts(runs: Sequence[Measured]) -> tuple[Table, list[float]]:
    """Return the table of mixture and experts, and the ratio of each task."""
    table = Table(title="NDCG@10 of one model for all tasks against an expert for each")
    for heading in ("task", "cases", "mixture", "expert", "ratio", "standard error"):
        table.add_column(heading, justify="left" if heading == "task" else "right")
    mixture = [run for run in runs if run.label == MIXTURE]
    ratios = []
    for task in mixture[0].found:
        expert = [run for run in runs if run.label == task]
        figures = [name for name in mixture[0].found[task] if name not in {"cases", "error"}]
        for name in figures:
            one, other = ([run.found[task][name] for run in group] for group in (mixture, expert))
            ratio = float(np.mean(one)) / max(float(np.mean(other)), 1e-9)
            whole = name == "ndcg@10"
            ratios += [ratio] if whole else []
            table.add_row(
                task if whole else f"  {name}",
                f"{mixture[0].found[task]['cases']:,.0f}" if whole else "",
                with_spread(one),
                with_spread(other),
                f"{ratio:.3f}",
                f"{mixture[0].found[task]['error']:.4f}" if whole else "",
            )
    spent = [np.mean([r.seconds for r in runs if r.label == label]) for label in (MIXTURE, *TASKS)]
    table.caption = f"training: mixture {spent[0]:.0f} s, all experts {sum(spent[1:]):.0f} s"
    return table, ratios


if __name__ == "__main__":
    main()
