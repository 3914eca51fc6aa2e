"""What stands beside every figure of a prompted model: its base, and chance.

Chance puts the candidates that the model is asked about in random order. A model that does not beat
it has read nothing out of them; one that does not beat the base would better not be asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from rich.markup import escape
from rich.table import Table

from palate.data.split import PartName
from palate.errors import ConfigError
from palate.evaluation.protocol import evaluate
from palate.evaluation.result import Evaluation
from palate.recommender.recommender import Recommender
from palate.types import History, Ranking, SupportsRecommend

_DRAWS = 5
_FIRST = 10


@dataclass(frozen=True)
class Beside:
    """Metrics of a prompted model's base and of chance, and what became of its questions."""

    base: Mapping[str, float]
    chance: Mapping[str, float]
    """Mean of several random orders."""
    record: Mapping[str, object]
    """Counts, reasons and costs (:class:`palate.inference.prompting.tally.Tally`)."""

    def to_json(self) -> dict[str, object]:
        """Return everything as JSON values."""
        return {"base": dict(self.base), "chance": dict(self.chance), "record": dict(self.record)}


@dataclass(frozen=True)
class ShuffledHead:
    """A recommender whose first ``head`` items are put in random order."""

    below: SupportsRecommend
    head: int | None
    """None shuffles whole lists."""
    rng: np.random.Generator

    def recommend(
        self,
        histories: Sequence[History],
        n: int,
        *,
        candidates: Int[np.ndarray, " candidates"] | None = None,
        exclude_seen: bool = True,
    ) -> list[Ranking]:
        """Return the lists below, their heads shuffled; scores are the places from the end."""
        most = max(n, self.head or n)
        lists = self.below.recommend(
            histories, most, candidates=candidates, exclude_seen=exclude_seen
        )
        return [self._shuffled(each, n) for each in lists]

    def _shuffled(self, ranking: Ranking, n: int) -> Ranking:
        head = min(self.head or len(ranking), len(ranking))
        order = np.append(self.rng.permutation(head), np.arange(head, len(ranking)))[:n]
        rows = ranking.item_rows[order]
        return Ranking(rows, np.arange(len(rows), 0, -1, dtype=np.float32))


def beside(model: Recommender, part: PartName = "test", *, users: int | None = None) -> Beside:
    """Judge the base of a prompted model, and chance, by the users the model was judged by.

    Raises:
        ConfigError: when the model is not prompted.
    """
    prompted, prompting = model.trained.prompted, model.engine.prompting
    if prompted is None or prompting is None:
        raise ConfigError(
            f"{model.name!r} asks no language model.", hint="Give a recipe without training."
        )
    base = Recommender(model.trained.base).by_rows
    settings = prompted.settings
    head = None if settings.form == "say" else settings.candidates
    drawn = [
        _judged(ShuffledHead(base, head, np.random.default_rng(seed)), model, part, users).masked
        for seed in range(_DRAWS)
    ]
    return Beside(
        base=dict(_judged(base, model, part, users).masked),
        chance={name: float(np.mean([one[name] for one in drawn])) for name in drawn[0]},
        record=prompting.tally.as_dict(),
    )


def beside_tables(name: str, evaluation: Evaluation, found: Beside) -> list[Table]:
    """Return the figures with base and chance beside them, and what became of the questions."""
    table = Table(
        title=f"{escape(name)} beside its base and chance",
        caption="history left out; chance puts the same candidates in random order",
    )
    for heading in ("metric", "the model", "its base", "chance"):
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for metric in (f"{each}@{k}" for each in ("recall", "ndcg") for k in evaluation.cutoffs):
        values = (evaluation.masked[metric], found.base[metric], found.chance[metric])
        table.add_row(metric, *(f"{value:.4f}" for value in values))
    return [table, record_table(found.record)]


def record_table(record: Mapping[str, object]) -> Table:
    """Return what became of the questions: answers, gaps, fallbacks, their reasons, and costs."""
    table = Table(title="What became of the questions")
    table.add_column("what")
    table.add_column("times", justify="right")
    for part in ("counts", "reasons"):
        counts = record[part]
        assert isinstance(counts, Mapping)
        for words, times in list(counts.items())[: 3 * _FIRST]:
            table.add_row(escape(str(words)), f"{times:,}")
        table.add_section()
    about = "at most " if record["is_estimate"] else ""
    for what in ("calls", "tokens_in", "tokens_out"):
        table.add_row(what.replace("_", " "), f"{about}{record[what]:,}")
    table.add_row("seconds", f"{record['seconds']:.1f}")
    return table


def _judged(
    recommender: SupportsRecommend, model: Recommender, part: PartName, users: int | None
) -> Evaluation:
    return evaluate(recommender, model.dataset, part, users=users)
