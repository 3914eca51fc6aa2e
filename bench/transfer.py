"""Transfer: pre-trained on other shops, tuned on Beauty with a tenth of its users, judged on all.

    .venv/bin/python bench/transfer.py [--recipes unisrec vq-rec] [--sources amazon14_sports]
        [--share 0.1] [--seeds 1]

Three models of each recipe are compared: from nothing, tuned from the pre-trained one by text alone
(*inductive*), and tuned with an ID per item beside (*transductive*, UniSRec alone). A model from
nothing reads the items by an encoder of their own texts, a tuned one by that of the pre-training:
only an encoder that knows more than one catalogue carries over (``--set items.text.kind=minilm``;
the published systems have BERT). Valid events are those of the few users too. The last line is
``transfer: <smallest ratio of tuned to from nothing, NDCG@10>``.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from measure import (
    Found,
    Job,
    Measured,
    Options,
    accuracy_table,
    by_label,
    console,
    mean,
    measure,
    options_of,
    parser,
    plainly,
    real_data,
    seeded,
)

from palate.artifacts import hash_text
from palate.data.dataset import Dataset
from palate.data.joining import joined
from palate.data.split import Part
from palate.recommender.fit import fingerprint
from palate.recommender.recommender import Recommender
from palate.training.recipe import Recipe, load_recipe

WITH_IDS = "model.fusion.use_id=true"
PRETRAINING = ("training.negatives=in-batch", "training.learning_rate=1e-3")
"""What is popular in one shop says nothing of another: targets of the batch do not teach it."""


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--recipes", nargs="+", default=["unisrec", "vq-rec"])
    arguments.add_argument("--sources", nargs="+", default=["amazon14_sports"])
    arguments.add_argument("--share", type=float, default=0.1, help="of Beauty's users")
    arguments.add_argument("--pretraining-epochs", type=int, default=3)
    chosen = arguments.parse_args()
    options = options_of("transfer", chosen)
    target = real_data(options, "amazon14_beauty")
    source = together([Dataset.load(real_data(options, name)) for name in chosen.sources])
    runs: list[Measured] = []
    for recipe in chosen.recipes:
        start = pretrained(options, source, recipe, chosen.pretraining_epochs)
        jobs: list[tuple[str, tuple[str, ...], bool]] = [
            (f"{recipe}, from nothing", (), False),
            (f"{recipe}, inductive from {source.name}", (), True),
        ]
        if recipe == "unisrec":
            jobs += [
                (f"{recipe}, from nothing, with IDs", (WITH_IDS,), False),
                (f"{recipe}, transductive from {source.name}", (WITH_IDS,), True),
            ]
        for label, overrides, tuned in jobs:
            runs += measure(
                options,
                seeded(options, Job(label, target, recipe, overrides)),
                judge=on_all_users,
                train=partial(few_users, start=start, tuned=tuned, share=chosen.share),
            )
    title = f"{chosen.share:.0%} of Beauty's users, pre-trained on {source.name}"
    console.print(accuracy_table(title, runs))
    groups = by_label(runs)
    ratios = [
        mean(groups[f"{recipe}, inductive from {source.name}"], "masked", "ndcg@10")
        / max(mean(groups[f"{recipe}, from nothing"], "masked", "ndcg@10"), 1e-9)
        for recipe in chosen.recipes
    ]
    print(f"transfer: {min(ratios):.2f}")


def together(shops: list[Dataset]) -> Dataset:
    """Return the one shop, or all as one."""
    return shops[0] if len(shops) == 1 else joined(shops)


def pretrained(options: Options, source: Dataset, recipe: str, epochs: int) -> Path:
    """Return the folder of the pre-trained model, trained once."""
    overrides = (*options.overrides, *PRETRAINING, f"training.epochs={epochs}")
    chosen = load_recipe(recipe, overrides)
    said = chosen.model_dump_json(exclude={"measured"}, exclude_unset=True)
    folder = options.runs / f"pretrained-{recipe}-{hash_text(fingerprint(source) + said)[:12]}"
    if options.fresh or not (folder / "manifest.json").is_file():
        console.print(f"pre-training {recipe} on {source.name} ...")
        plainly(source, chosen, 1).save(folder, made_by="bench transfer")
    return folder


def few_users(
    dataset: Dataset, recipe: Recipe, seed: int, *, start: Path, tuned: bool, share: float
) -> Recommender:
    """Train on some users' events, from the pre-trained weights or from fresh ones."""
    few = with_users(dataset, share, seed)
    known = Recommender.load(start) if tuned else None
    return Recommender.train(few, recipe, seed=seed, start=known)


def with_users(dataset: Dataset, share: float, seed: int) -> Dataset:
    """Return the dataset with the training and valid events of a share of its users alone."""
    users = dataset.interactions.user_rows
    drawn = np.random.default_rng(seed).random(int(users.max()) + 1) < share
    left_out = ~drawn[users] & (dataset.split.parts != Part.TEST)
    parts = np.where(left_out, Part.CONTEXT, dataset.split.parts).astype(dataset.split.parts.dtype)
    return replace(dataset, split=replace(dataset.split, parts=parts))


def on_all_users(model: Recommender) -> Found:
    """Judge by full ranking on the test events of all users."""
    test = model.evaluate("test")
    return {"masked": dict(test.masked), "unmasked": dict(test.unmasked)}


if __name__ == "__main__":
    main()
