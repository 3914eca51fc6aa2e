"""Which of twenty comes next: titles, behaviour tokens, or both in one prompt.

    .venv/bin/python bench/candidates.py [--data ml-100k] [--seeds 3] [--threads 2]

LLaRA's protocol: the last ten items are the history, the one that followed stands among nineteen
that the user never had, and the answer is its title. RSLLM's recipe is trained as it is (titles,
then titles with behaviour tokens), with titles alone, with behaviour tokens alone, and in one
stage; LLaRA's is trained as it is. Answers are written freely and matched with the candidates
(*valid* is the share that names one), and chosen among the candidates' titles by their likelihood,
which is always valid; beside them stand the scores by which the same model recommends. SASRec,
whose item vectors the behaviour tokens are, picks among the same candidates after the same ten
items. Published on MovieLens, HitRatio@1: SASRec 0.344, TALLRec 0.390, LLaRA 0.442 to 0.474, valid
0.968. The last line is ``candidates: <HitRatio@1 of both stages>``.
"""

import numpy as np
from measure import (
    Found,
    Job,
    by_label,
    console,
    mean,
    measure,
    options_of,
    parser,
    real_data,
    seeded,
    with_spread,
)
from rich.table import Table

from palate.evaluation.answer_metrics import score_choices
from palate.language.held_out import held_out_events, held_out_examples
from palate.language.tasks.choice import Choice
from palate.language.tasks.material import plain_titles
from palate.recommender.recommender import Recommender
from palate.studies.answer_sheet import SEED
from palate.studies.task_evaluation import evaluate_task

TASKS = "{ next_item = 4, choice = 3, next_title = 3, title = 1, max_history = 10 }"
CONTRASTS = "target_contrast = 0.125, user_contrast = 0.025"
BOTH = "two stages: titles, then both"
WRITTEN, CHOSEN = "model, in free words", "model, one of them"
SCORED = "the model's item scores"


def main() -> None:
    arguments = parser(__doc__, seeds=3)
    arguments.add_argument("--data", default="ml-100k")
    arguments.add_argument("--epochs", type=int, default=2, help="per stage")
    chosen = arguments.parse_args()
    options = options_of("candidates", chosen)
    folder = real_data(options, chosen.data)
    variants = {
        BOTH: stages(chosen.epochs, ("title",), ("title", "item")),
        "one stage: both": stages(2 * chosen.epochs, ("title", "item")),
        "titles alone": stages(2 * chosen.epochs, ("title",)),
        "behaviour tokens alone": stages(2 * chosen.epochs, ("item",)),
    }
    jobs = [Job(label, folder, "rsllm", (made,)) for label, made in variants.items()]
    jobs.append(Job("easy to hard (LLaRA)", folder, "llara"))
    runs = measure(options, seeded(options, *jobs), judge=chosen_rightly)
    runs += measure(options, seeded(options, Job("SASRec", folder, "sasrec")), judge=picked)
    table = Table(title=f"One of twenty on {chosen.data}, test: HitRatio@1")
    for heading in ("prompts", "valid", "written", "chosen", "by item scores", "training, s"):
        table.add_column(heading)
    groups = by_label(runs)
    for label, group in groups.items():
        cells = [
            with_spread([run.found[way][name] for run in group]) if way in group[0].found else "-"
            for way, name in (
                (WRITTEN, "valid_ratio"),
                (WRITTEN, "accuracy"),
                (CHOSEN, "accuracy"),
                (SCORED, "accuracy"),
            )
        ]
        table.add_row(label, *cells, " ".join(f"{run.seconds:.0f}" for run in group))
    console.print(table)
    print(f"candidates: {mean(groups[BOTH], CHOSEN, 'accuracy'):.4f}")


def stages(epochs: int, *reads: tuple[str, ...]) -> str:
    """Return the stages, one per item format, as an override of the recipe."""
    training = f"{{ epochs = {epochs}, {CONTRASTS} }}"
    written = [
        f"{{ item_format = {list(ways)}, tasks = {TASKS}, training = {training} }}"
        for ways in reads
    ]
    return f"stages=[{', '.join(written)}]".replace("'", '"')


def chosen_rightly(model: Recommender) -> Found:
    """Judge both ways of answering on test."""
    figures = evaluate_task(model, "choice", "test").figures
    return {name: dict(values) for name, values in figures.items()}


def picked(model: Recommender) -> Found:
    """Judge the best of the same candidates by the scores of a model without a text head."""
    task = Choice(plain_titles(model.dataset.catalog))
    events = held_out_events(model.dataset, "test")
    pairs = list(held_out_examples(task, events, None, np.random.default_rng(SEED)))
    scores = model.by_rows.score([event.before.last(task.max_history) for event, _ in pairs])
    found, candidates, wanted = [], [], []
    for (_, example), of_user in zip(pairs, scores, strict=True):
        assert example.candidates is not None
        rows = example.candidates[0][example.candidates[0] >= 0]
        found.append(task.titles[rows[of_user[rows].argmax()]])
        candidates.append([task.titles[row] for row in rows])
        wanted.append(example.target_texts[0])
    return {CHOSEN: score_choices(found, candidates, wanted)}


if __name__ == "__main__":
    main()
