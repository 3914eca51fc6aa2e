"""What a better prompt is worth: words found by search, and tokens that are learned.

    .venv/bin/python bench/prompts.py [--recipe urm-small] [--users 1500] [--seeds 3]

On a simulated shop. *Hard*: the first wording of a family is edited and each edit judged on the
valid part (GrIPS, Prasad et al. 2023). *Soft*: all weights stay, and learned tokens are read before
everything else (Lester et al. 2021); they learn one task from the training part, which the model
learned among others.
NDCG@10 before and after; the test part had no say. The last line is ``prompts: <mean gain of hard
prompts on test>, soft <that of soft prompts>``.
"""

from collections.abc import Sequence
from typing import Literal

from measure import (
    Found,
    Job,
    Measured,
    console,
    mean,
    measure,
    options_of,
    parser,
    seeded,
    with_spread,
    world_data,
)
from rich.table import Table

from palate.inference.request import Request
from palate.models.backbones.tuning import TuningConfig
from palate.recommender.recommender import Recommender
from palate.simulation.world import World
from palate.studies.prompt_search import search_prompt
from palate.studies.sensitivity import answer_gains
from palate.training.config import TasksConfig
from palate.training.recipe import Recipe

TaskShare = Literal["next_item", "objective"]

ASKED = {
    "next item": Request(),
    "the next purchase": Request(family="objective", slots={"event": "purchase"}),
    "the next click": Request(family="objective", slots={"event": "click"}),
}
TASK_OF: dict[str, TaskShare] = {"next-item": "next_item", "objective": "objective"}
"""The share of a recipe by which a question is trained."""

HARD, SOFT = "hard", "soft"
EDITS = 60
SOFT_PROMPT = TuningConfig(kind="soft-prompt", num_tokens=20)


def main() -> None:
    arguments = parser(__doc__, seeds=3)
    arguments.add_argument("--recipe", default="urm-small")
    arguments.add_argument("--users", type=int, default=1_500)
    chosen = arguments.parse_args()
    options = options_of("prompts", chosen)
    folder = world_data(options, World(num_users=chosen.users, num_items=500, seed=0))
    job = Job(chosen.recipe, folder, chosen.recipe)
    runs = measure(options, seeded(options, job), judge=better_prompts)
    console.print(gains_table(runs))
    gains = [mean_gain(runs, kind) for kind in (HARD, SOFT)]
    print(f"prompts: {gains[0]:+.4f}, soft {gains[1]:+.4f}")


def better_prompts(model: Recommender) -> Found:
    """Return NDCG@10 on both parts, before and after, of each way to a better prompt."""
    soft = {task: with_soft_prompt(model, share) for task, share in TASK_OF.items()}
    found: dict[str, dict[str, float]] = {}
    for name, ask in ASKED.items():
        hard = search_prompt(model, ask, steps=EDITS)
        for part, (before, after) in (("valid", hard.valid), ("test", hard.test)):
            found[f"{HARD}, {name}, {part}"] = {"before": before, "after": after}
        for part in ("valid", "test"):
            before, after = (worth(each, ask, part) for each in (model, soft[ask.family]))
            found[f"{SOFT}, {name}, {part}"] = {"before": before, "after": after}
    return found


def with_soft_prompt(model: Recommender, share: TaskShare) -> Recommender:
    """Return the model with tokens learned for a task before all it reads, all else as it was."""
    recipe = model.trained.recipe
    alone = TasksConfig.model_validate({share: 1.0, "max_history": recipe.tasks.max_history})
    training = recipe.training.model_copy(
        update={"tuning": SOFT_PROMPT, "trained": ("decoder.soft_prompt",), "learning_rate": 1e-2}
    )
    tuned: Recipe = recipe.model_copy(update={"training": training, "tasks": alone})
    return Recommender.train(model.dataset, tuned, seed=model.trained.seed, start=model)


def worth(model: Recommender, ask: Request, part: str) -> float:
    """Return NDCG@10 of a part under a question in its first wording."""
    cases = model.dataset.cases("valid" if part == "valid" else "test")
    return float(answer_gains(model.asking(ask), cases)[0].mean())


def mean_gain(runs: Sequence[Measured], kind: str) -> float:
    """Return the mean gain on test over questions and runs."""
    groups = [f"{kind}, {name}, test" for name in ASKED]
    gains = [mean(runs, group, "after") - mean(runs, group, "before") for group in groups]
    return sum(gains) / len(gains)


def gains_table(runs: Sequence[Measured]) -> Table:
    """Return a line per way, question and part."""
    table = Table("prompt", "question", "part", "before", "after", "gain", title="Better prompts")
    for group in runs[0].found:
        before, after = ([run.found[group][when] for run in runs] for when in ("before", "after"))
        gain = mean(runs, group, "after") - mean(runs, group, "before")
        table.add_row(*group.split(", "), with_spread(before), with_spread(after), f"{gain:+.4f}")
    return table


if __name__ == "__main__":
    main()
