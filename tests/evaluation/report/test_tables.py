"""Tables: their content, and that untrusted names stay text."""

import io

import numpy as np
from rich.console import Console
from rich.table import Table

from palate.evaluation.protocol import Evaluation
from palate.evaluation.report.tables import comparison_table, evaluation_tables


def text_of(*tables: Table) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    for table in tables:
        console.print(table)
    return console.export_text()


def test_the_tables_of_an_evaluation_are_complete(found: Evaluation) -> None:
    text = text_of(*evaluation_tables("my model", found))
    assert "How well my model finds what came next" in text
    assert f"{found.masked['recall@10']:.4f}" in text
    assert f"{found.unmasked['ndcg@50']:.4f}" in text
    assert "by the popularity of the item to find" in text
    assert "Leak probe" in text
    assert "share of the catalogue that at least one user is shown" in text


def test_the_better_model_is_marked(
    found: Evaluation, perfect: Evaluation, rng: np.random.Generator
) -> None:
    both = {"plain": found, "oracle": perfect}
    lines = text_of(comparison_table(both, ["recall@10", "ndcg@10"], rng)).splitlines()
    assert next(line for line in lines if "│ oracle" in line).count("▲") == 2
    assert "▲" not in next(line for line in lines if "│ plain" in line)


def test_a_name_is_no_markup(found: Evaluation, rng: np.random.Generator) -> None:
    text = text_of(
        *evaluation_tables("[red]x[/red]", found), comparison_table({"[b]y": found}, ["auc"], rng)
    )
    assert "[red]x[/red]" in text
    assert "[b]y" in text
