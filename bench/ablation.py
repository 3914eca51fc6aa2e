"""What each part of an item token is worth: ID, text, attributes, behaviour, picture.

    .venv/bin/python bench/ablation.py [--only beauty cold pictures] [--seeds 1] [--threads 2]

*beauty*: everything fused against parts of it. *cold*: a tenth of the items is held out of training
and asked for, in the running against the whole catalogue. *pictures*: the simulated shop, whose
pictures tell what its words do not. The last line is ``ablation: <NDCG@10 of all fused over that of
the best of the others>`` on Beauty, or of the last table asked for.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from measure import (
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
    real_data,
    seeded,
    world_data,
)

from palate.data.prepare import PrepareOptions
from palate.data.world import World

FUSED = "all fused"
ID_ONLY = ("items.modalities=[]",)
TEXT_ONLY = ('items.modalities=["text"]', "model.fusion.use_id=false")
CONTENT = ('items.modalities=["text", "image", "attributes"]', "model.fusion.use_id=false")

BEAUTY = {
    FUSED: (),
    "ID only": ID_ONLY,
    "text only": TEXT_ONLY,
    "ID and text": ('items.modalities=["text"]',),
    "ID and behaviour": ('items.modalities=["behaviour"]',),
    "without behaviour": ('items.modalities=["text", "image", "attributes"]',),
    "without ID and behaviour": CONTENT,
}
COLD = {FUSED: (), "ID only": ID_ONLY, "ID and text": BEAUTY["ID and text"], "text only": TEXT_ONLY}
PICTURES = {
    FUSED: (),
    "without pictures": ('items.modalities=["text", "attributes", "behaviour"]',),
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
    runs = measure(options, seeded(options, *jobs))
    console.print(accuracy_table(title, runs))
    return fused_over_best_other(runs)


def fused_over_best_other(runs: Sequence[Measured]) -> float:
    """Return NDCG@10 of all fused over that of the best other variant."""
    reached = {label: mean(group, "masked", "ndcg@10") for label, group in by_label(runs).items()}
    fused = reached.pop(FUSED)
    return fused / max(*reached.values(), 1e-9)


if __name__ == "__main__":
    main()
