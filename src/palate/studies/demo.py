"""Demo: simulate a shop, train, and report; results lie between popularity and the oracle."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.table import Table

from palate.artifacts import check_folder_target
from palate.evaluation.protocol import evaluate
from palate.evaluation.report.page import write_report
from palate.evaluation.report.tables import HEADLINE, comparison_table
from palate.recommender.recommender import Recommender
from palate.simulation.world import World
from palate.storage import check_file_target
from palate.studies.report_entries import report_entry
from palate.training.loop import Report

_RECIPES = ("popularity", "itemknn", "urm-small")


def run_demo(
    folder: Path,
    *,
    num_users: int,
    seed: int,
    echo: Callable[[str], object],
    show: Callable[[object], object],
    training: Callable[[Report], None],
) -> None:
    """Simulate, train, evaluate, recommend, report; all results are kept in ``folder``.

    Raises:
        ArtifactError: when the folder holds other files, or cannot be written.
    """
    check_folder_target(folder / "dataset", "dataset")
    for recipe in _RECIPES:
        check_folder_target(folder / recipe, "model")
    check_file_target(folder / "report.html")
    world = World(num_users=num_users, num_items=max(60, num_users // 3), seed=seed)
    shop = world.dataset()
    echo(
        f"A simulated shop: {shop.interactions.num_users:,} users, {len(shop.catalog):,} items, "
        f"{len(shop.interactions):,} events ({', '.join(shop.interactions.event_types)})."
    )
    shop.save(folder / "dataset", made_by="demo")
    models = []
    for recipe in _RECIPES:
        echo(f"Training {recipe} ...")
        model = Recommender.train(shop, recipe, seed=seed, report=training)
        model.save(folder / recipe, made_by="demo")
        models.append(model)
    entries = [report_entry(model) for model in models]
    results = {entry.name: entry.evaluation for entry in entries}
    results["oracle"] = evaluate(world.oracle(), shop)
    show(comparison_table(results, HEADLINE, np.random.default_rng(seed)))
    _show_someone(models[-1], show)
    write_report(entries, folder / "report.html")
    echo(f"Models and dataset are in {folder}, the report is {folder / 'report.html'}.")
    echo(f'Try: palate search {folder / "urm-small"} "oak lamp"')


def _show_someone(model: Recommender, show: Callable[[object], object]) -> None:
    """Show one user's history and recommendations, each with its most important event."""
    user_id = str(model.dataset.interactions.users.ids[0])
    history = model.history(user_id)
    titles = model.dataset.catalog.titles()
    ranking = model.by_rows.recommend([history], 5)[0]
    recent = ", ".join(titles[row] for row in history.last(4).item_rows)
    table = Table("Recommended", "Because of", title=f"{user_id}, who last chose {recent}")
    for row in ranking.item_rows:
        found = model.engine.why(history, int(row), n=1)
        table.add_row(titles[row], ", ".join(titles[history.item_rows[r.event]] for r in found))
    show(table)
