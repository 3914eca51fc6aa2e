"""Report entries: the evaluation of a trained model with example recommendations."""

from collections.abc import Callable, Mapping

from palate.data.split import PartName, refit_mark
from palate.evaluation.report.page import CurvePoint, Example, Recommended, ReportEntry
from palate.recommender.recommender import Recommender
from palate.studies.prompted_evaluation import beside

_NUM_EXAMPLES = 4
_EVENTS_SHOWN = 6


def report_entry(
    model: Recommender,
    part: PartName = "test",
    *,
    progress: Callable[[int, int], None] | None = None,
) -> ReportEntry:
    """Evaluate a model and return its entry in the report."""
    log = model.trained.log
    return ReportEntry(
        name=model.name + refit_mark(model.trained.fit),
        evaluation=model.evaluate(part, progress=progress),
        curve=[
            CurvePoint(
                step=int(str(entry["step"])),
                seconds=float(str(entry["seconds"])),
                loss=float(str(entry["loss"])),
                validation=float(str(entry["validation"])),
            )
            for entry in log
        ],
        examples=_examples(model, part),
        facts=_facts(model) | _prompting_facts(model, part),
    )


def _facts(model: Recommender) -> dict[str, str]:
    dataset, recipe = model.dataset, model.trained.recipe
    return {
        "Recipe": recipe.title,
        "Paper": recipe.paper,
        "Data": f"{dataset.interactions.num_users:,} users, {len(dataset.catalog):,} items, "
        f"{len(dataset.interactions):,} events",
        "Split": dataset.split.description,
        "Seed": str(model.trained.seed),
        **_chosen(model),
    }


def _chosen(model: Recommender) -> dict[str, str]:
    """Return what the validation part chose before training, and the figures it chose by."""
    chosen = model.trained.choices.get("items.text")
    if not isinstance(chosen, Mapping):
        return {}
    figures = ", ".join(f"{name} {value:.4f}" for name, value in chosen["tried"].items())
    return {
        "Item texts": f"{chosen['chosen']}, by validation NDCG@10 of what is nearest: {figures}"
    }


def _prompting_facts(model: Recommender, part: PartName) -> dict[str, str]:
    """Return who is asked by a prompted model, and the figures of its base and of chance."""
    prompted = model.trained.prompted
    if prompted is None:
        return {}
    found = beside(model, part)

    def figures(of: Mapping[str, float]) -> str:
        return ", ".join(f"{name} {of[name]:.4f}" for name in ("recall@10", "ndcg@10"))

    return {
        "Asked": f"{prompted.place.model} {prompted.place.where}".strip(),
        f"Its base, {prompted.base_name}": figures(found.base),
        "Chance": figures(found.chance),
    }


def _examples(model: Recommender, part: PartName) -> list[Example]:
    """Return example recommendations for a few users, spread evenly over the part."""
    cases = model.dataset.cases(part)
    titles = model.dataset.catalog.titles()
    chosen = range(0, len(cases), max(1, len(cases) // _NUM_EXAMPLES))[:_NUM_EXAMPLES]
    examples = []
    for case in chosen:
        history = cases.histories[case]
        ranking = model.by_rows.recommend([history], 5)[0]
        reasons = [model.engine.why(history, int(row), n=2) for row in ranking.item_rows]
        examples.append(
            Example(
                history=[titles[row] for row in history.item_rows[-_EVENTS_SHOWN:]],
                recommended=[
                    Recommended(
                        titles[row], ", ".join(titles[history.item_rows[r.event]] for r in found)
                    )
                    for row, found in zip(ranking.item_rows, reasons, strict=True)
                ],
            )
        )
    return examples
