"""What each part of an item token is worth: ID, text, picture.

    .venv/bin/python bench/ablation.py [--only beauty cold pictures] [--seeds 1] [--threads 2]

*beauty*: everything fused against parts of it. *cold*: a tenth of the items is held out of training
and asked for, in the running against the whole catalogue. *pictures*: the simulated shop, whose
pictures tell what its words do not. Every model is judged without the prior of its recipe, which
knows items by their IDs, and again with it. The last line is ``ablation: <NDCG@10 of all fused over
that of the best of the others>`` on Beauty, or of the last table asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from measure import (
    Found,
    Job,
    Measured,
    Options,
    accuracy,
    accuracy_table,
    by_label,
    console,
    mean,
    measure,
    options_of,
    parser,
    real_data,
    seeded,
    world_data,
)

from palate.data.prepare import PrepareOptions
from palate.recommender.recommender import Recommender
from palate.simulation.world import World
from palate.training.system import LanguageModelSystem

FUSED = "all fused"
ID_ONLY = ("items.modalities=[]",)
NO_ID = ("model.fusion.use_id=false",)
TEXT_ONLY = ('items.modalities=["text"]', *NO_ID)
NO_PICTURES = ('items.modalities=["text", "attributes"]',)

BEAUTY = {FUSED: (), "ID only": ID_ONLY, "text only": TEXT_ONLY}
COLD = BEAUTY
PICTURES = {
    FUSED: (),
    "without pictures": NO_PICTURES,
    "without IDs": NO_ID,
    "without IDs and pictures": (*NO_PICTURES, *NO_ID),
}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--only", nargs="+", choices=("beauty", "cold", "pictures"))
    arguments.add_argument("--users", type=int, default=1500, help="of the simulated shop")
    chosen = arguments.parse_args()
    options = options_of("ablation", chosen)
    asked = chosen.only or ["pictures", "cold", "beauty"]
    ratio = 0.0
    if "pictures" in asked:
        world = world_data(options, World(num_users=chosen.users, num_items=chosen.users // 3))
        ratio = compared(options, world, PICTURES, "The simulated shop, with and without pictures")
    if "cold" in asked:
        held_out = PrepareOptions(split="cold-items")
        cold = real_data(options, "amazon14_beauty", held_out)
        ratio = compared(options, cold, COLD, "Amazon Beauty: items held out of training")
    if "beauty" in asked:
        beauty = real_data(options, "amazon14_beauty")
        ratio = compared(options, beauty, BEAUTY, "Amazon Beauty: what an item is made of")
    print(f"ablation: {ratio:.3f}")


def compared(
    options: Options, folder: Path, variants: Mapping[str, Sequence[str]], title: str
) -> float:
    """Measure variants of ``urm``, print the table, and return all fused over the best other."""
    jobs = [Job(label, folder, "urm", tuple(how)) for label, how in variants.items()]
    runs = measure(options, seeded(options, *jobs), judge=with_and_without_prior)
    console.print(accuracy_table(title, runs))
    with_prior = [replace(run, found=behind(run.found, "with_prior_")) for run in runs]
    console.print(accuracy_table(f"{title}; with the prior", with_prior))
    return fused_over_best_other(runs)


def with_and_without_prior(model: Recommender) -> Found:
    """Judge what the vectors know alone, then the whole recipe under names that say so."""
    parts = model.trained.system
    assert isinstance(parts, LanguageModelSystem)
    bare = Recommender(replace(model.trained, system=replace(parts, prior=None)))
    whole = {f"with_prior_{group}": figures for group, figures in accuracy(model).items()}
    return {**accuracy(bare), **whole}


def behind(found: Found, prefix: str) -> Found:
    """Return the groups whose names begin with ``prefix``, without it."""
    return {k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)}


def fused_over_best_other(runs: Sequence[Measured]) -> float:
    """Return NDCG@10 of all fused over that of the best other variant."""
    reached = {label: mean(group, "masked", "ndcg@10") for label, group in by_label(runs).items()}
    fused = reached.pop(FUSED)
    return fused / max(*reached.values(), 1e-9)


if __name__ == "__main__":
    main()
