"""Yes or no on MovieLens-1M: do collaborative vectors help a model that reads titles?

    .venv/bin/python bench/collaborative.py [--seeds 3] [--threads 2]

CoLLM's own split by date (33,891 / 10,401 / 7,331 rows; a label is a rating above 3) is taken as
published, less the rows of films with fewer than five ratings. A prompt holds what the user did
before: of the part that is judged only what was liked, which is what CoLLM's prompts hold too.
The recipe ``collm`` stands beside what it is made of, and beside ``tallrec``, which learns the
titles from all users and yes or no from a few.
Published AUC / UAUC: MF 0.648 / 0.636, SASRec 0.708 / 0.688, TALLRec 0.710 / 0.682, CoLLM-DIN
0.735 / 0.692. The last line is ``collaborative: <best AUC>``.
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl
from measure import (
    ROOT,
    Found,
    Job,
    Options,
    console,
    measure,
    options_of,
    parser,
    real_data,
    seeded,
    with_spread,
)
from measure import by_label as grouped
from rich.table import Table

from palate.data.dataset import Dataset
from palate.data.interactions import Interactions
from palate.data.split import Part, PartName, Split
from palate.data.vocabulary import Vocabulary
from palate.errors import UnknownUserError
from palate.evaluation.answer_metrics import score_yes_no
from palate.evaluation.rating_baselines import fit_biases, ratings_of
from palate.language.tasks.yes_no import YesNo
from palate.recommender.recommender import Recommender

LIKED = 3.0
TASKS = "{ yes_no = 4, like_above = 3, max_history = %d }"
TRAINING = "{ epochs = %d, learning_rate = 1e-3, average = 0.99 }"
VARIANTS = {
    "titles alone": (
        "collm",
        f'stages=[{{ item_format = ["title"], tasks = {TASKS % 20}, training = {TRAINING % 4} }}]',
    ),
    "titles, then with collaborative vectors": ("collm",),
    "fused tokens of text and collaborative vectors": (
        "collm",
        'model.item_format=["item"]',
        'items.modalities=["text", "attributes", "behaviour"]',
        f"stages=[{{ tasks = {TASKS % 50}, training = {TRAINING % 3} }}]",
    ),
    "fused tokens of text alone": (
        "collm",
        'model.item_format=["item"]',
        'items.modalities=["text", "attributes"]',
        f"stages=[{{ tasks = {TASKS % 50}, training = {TRAINING % 3} }}]",
    ),
    "titles, LoRA from 256 users": ("tallrec",),
}
"""The recipe of each, and what is changed of it."""


def main() -> None:
    arguments = parser(__doc__, seeds=3)
    options = options_of("collaborative", arguments.parse_args())
    folder = published_split(options)
    jobs = [Job(label, folder, name, tuple(new)) for label, (name, *new) in VARIANTS.items()]
    runs = measure(options, seeded(options, *jobs), judge=judged)
    table = Table(title="Yes or no on CoLLM's split of MovieLens-1M")
    for heading in ("prompts", "part", "AUC", "UAUC", "log loss", "AUC alone", "training, s"):
        table.add_column(heading)
    best = 0.0
    for label, group in grouped(runs).items():
        for part in ("valid", "test"):
            cells = [
                with_spread([run.found[part][name] for run in group])
                for name in ("auc", "uauc", "log_loss", "auc without biases")
            ]
            table.add_row(label, part, *cells, " ".join(f"{run.seconds:.0f}" for run in group))
        best = max(best, float(np.mean([run.found["test"]["auc"] for run in group])))
    dataset = Dataset.load(folder)
    for part in ("valid", "test"):
        found = of_biases(dataset, part)
        cells = [f"{found[name]:.4f}" for name in ("auc", "uauc")]
        table.add_row("biases of users and items alone", part, *cells, "", "", "")
    console.print(table)
    print(f"collaborative: {best:.4f}")


def published_split(options: Options) -> Path:
    """Return the folder of the published rows as a dataset, made once."""
    films = Dataset.load(real_data(options, "ml-1m"))
    source = ROOT.parent / "shared" / "data" / "ml-1m" / "collm_splits.parquet"
    if not source.is_file():
        print(f"No published split in {source}.", file=sys.stderr)
        sys.exit(2)
    folder = options.runs / "data" / "ml-1m-collm"
    if options.fresh or not (folder / "manifest.json").is_file():
        of_rows(films, pl.read_parquet(source)).save(folder, made_by="bench collaborative")
    return folder


def of_rows(films: Dataset, rows: pl.DataFrame) -> Dataset:
    """Return the published rows with the catalogue of ``films``; a like is a 5, a dislike a 1."""
    known = films.catalog.vocabulary
    part_of = {"train": Part.TRAIN.value, "valid": Part.VALID.value, "test": Part.TEST.value}
    table = (
        rows.filter(pl.col("split") != "valid_small")
        .filter(pl.col("item_id").is_in(known.ids.tolist()))
        .with_columns(part=pl.col("split").replace_strict(part_of), row=pl.int_range(pl.len()))
        .sort("collm_uid", "part", "timestamp", "row")
    )
    users = table["collm_uid"].unique(maintain_order=True).to_list()
    user_row = {user: row for row, user in enumerate(users)}
    events = table.select(
        user_row=pl.col("collm_uid").replace_strict(user_row).cast(pl.Int32),
        item_row=pl.Series(known.rows(table["item_id"].to_list()), dtype=pl.Int32),
        event_type=pl.lit("rating"),
        rating=pl.when(pl.col("label") > 0).then(5.0).otherwise(1.0).cast(pl.Float32),
        timestamp=pl.col("timestamp"),
    )
    people = Vocabulary([f"user-{user}" for user in users], unknown=UnknownUserError)
    split = Split(table["part"].to_numpy().astype(np.int64), "CoLLM's, by date")
    return Dataset("ml-1m-collm", films.catalog, Interactions.from_frame(events, people), split)


def judged(model: Recommender) -> Found:
    """Return AUC, UAUC and log loss on both parts held out."""
    return {part: yes_or_no(model, part) for part in ("valid", "test")}


def of_biases(dataset: Dataset, part: PartName) -> dict[str, float]:
    """Return what regularised biases of the training rows reach, a user they lack having none."""
    shape = (dataset.interactions.num_users, len(dataset.catalog))
    biases = fit_biases(ratings_of(dataset, "train"), shape, penalty=5.0)
    asked = ratings_of(dataset, part)
    chances = (biases.predict(asked.user_rows, asked.item_rows) - 1) / 4
    return score_yes_no(np.clip(chances, 1e-6, 1 - 1e-6), asked.values > LIKED, asked.user_rows)


def yes_or_no(model: Recommender, part: PartName) -> dict[str, float]:
    """Ask of every row of a part whether the user likes the film."""
    dataset, events = model.dataset, model.dataset.interactions
    parts, wanted = dataset.split.parts, Part.named(part)
    assert events.ratings is not None
    stage = model.trained.recipe.resolved_stages[-1]
    task = YesNo(stage.tasks.max_history, len(dataset.catalog), LIKED)
    places, prompts = np.flatnonzero(parts == wanted), []
    for place in places.tolist():
        user = int(events.user_rows[place])
        before = np.arange(events.offsets[user], place)
        before = before[(parts[before] < wanted) | (events.ratings[before] > LIKED)]
        history = events.history(user, before)
        prompts.append(task.ask(history, events.item_rows[place : place + 1]))
    liked, users = events.ratings[places] > LIKED, events.user_rows[places]
    alone = score_yes_no(model.answers.like_probabilities(prompts).astype(np.float64), liked, users)
    mixed = score_yes_no(model.answers.calibrated_like_probabilities(prompts), liked, users)
    return mixed | {f"{name} without biases": value for name, value in alone.items()}


if __name__ == "__main__":
    main()
