"""Prompt sensitivity: how answers change between paraphrases, objectives and unseen wordings.

A model that understands prompts answers two paraphrases alike, two objectives differently, and
reaches the best result for each objective with its own prompt (URM, arXiv 2502.03041, section on
prompt sensitivity).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from palate.data.dataset import Cases, Dataset
from palate.data.split import PartName
from palate.errors import DataError, NotTrainedError
from palate.evaluation.metrics import ndcg
from palate.inference.request import Request
from palate.language.tasks import prompt_families, usual_slots
from palate.language.tasks.next_title import NextTitle
from palate.language.tasks.objective import Objective
from palate.language.tasks.task import Wordings
from palate.recommender.recommender import Recommender

TOP = 10
"""Length of the compared lists, and cut-off of NDCG."""

_USERS = 512
"""Number of users whose lists are compared between wordings."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Spread:
    """NDCG@10 of one family under each of its wordings."""

    family: str
    seen: tuple[float, ...]
    unseen: tuple[float, ...]


@dataclass(frozen=True)
class Sensitivity:
    """Prompt sensitivity of one model on one part."""

    objectives: tuple[str, ...]
    cases: tuple[int, ...]
    """Number of users whose next event is of each objective."""
    matrix: Float[np.ndarray, "wanted requested"]
    """NDCG@10 of the users of one objective (row) for each prompt (column), mean over wordings."""
    paraphrase_overlap: float
    """Mean Jaccard index of the top 10 of two wordings of one objective."""
    objective_overlap: float
    """The same of two objectives in the same wording."""
    spreads: tuple[Spread, ...]

    @property
    def on_diagonal(self) -> int:
        """Number of objectives whose own prompt gives the best result."""
        best = self.matrix.argmax(axis=1) if self.matrix.size else np.zeros(0, dtype=np.int64)
        return int((best == np.arange(len(best))).sum())

    def to_json(self) -> dict[str, object]:
        """Return JSON values."""
        return {
            "objectives": list(self.objectives),
            "cases": list(self.cases),
            "ndcg@10": self.matrix.round(4).tolist(),
            "best_on_diagonal": self.on_diagonal,
            "paraphrase_overlap": round(self.paraphrase_overlap, 4),
            "objective_overlap": round(self.objective_overlap, 4),
            "spread": {s.family: {"seen": s.seen, "unseen": s.unseen} for s in self.spreads},
        }


def measure_sensitivity(
    recommender: Recommender, part: PartName = "test", *, progress: Progress | None = None
) -> Sensitivity:
    """Query the model for the same users with many wordings, and compare the answers.

    Raises:
        NotTrainedError: when the model reads no words, or recommends nothing.
        DataError: when the part holds nothing to predict.
    """
    if not recommender.engine.capabilities.reads_words:
        raise NotTrainedError(
            f"{recommender.name!r} reads no words: nothing can move its answers.",
            hint="Take a model that does: palate train DATASET MODEL --recipe urm",
        )
    cases = recommender.dataset.cases(part)
    if not len(cases):
        raise DataError(f"The {part} part holds no event.", hint="Take the other part.")
    families = plain_families(recommender)
    done = _Count(progress, _steps(recommender, families))
    objectives = _objectives(recommender, cases, done)
    spreads = tuple(_spread(recommender, family, cases, done) for family in families)
    return Sensitivity(*objectives, spreads=spreads)


def plain_families(recommender: Recommender) -> tuple[str, ...]:
    """Return the families with item answers whose prompts have no context.

    Raises:
        NotTrainedError: when there is none.
    """
    recommender.engine.capabilities.check_recommends()
    if recommender.form == "titles":
        return (NextTitle.name,)
    families = tuple(
        name
        for name, family in prompt_families().items()
        if name in recommender.tasks
        and family.answered_with == "items"
        and not family.reads_context
    )
    if not families:
        raise NotTrainedError(
            f"{recommender.name!r} answers {', '.join(recommender.tasks) or 'no words'}: "
            "no question whose wordings could be compared.",
            hint="Take a model that does: palate train DATASET MODEL --recipe urm",
        )
    return families


class _Count:
    """Counts queries for the progress display; mutable."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def one_more(self) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(min(self.done, self.total), self.total)


def _steps(recommender: Recommender, families: Sequence[str]) -> int:
    wordings = {family: len(_all(recommender.prompts[family])) for family in families}
    several = len(recommender.dataset.interactions.event_types)
    return sum(wordings.values()) + wordings.get(Objective.name, 0) * several


def _objectives(
    recommender: Recommender, cases: Cases, done: _Count
) -> tuple[tuple[str, ...], tuple[int, ...], Float[np.ndarray, "wanted requested"], float, float]:
    """Return the objectives, their user counts, the matrix and both overlaps."""
    if Objective.name not in recommender.tasks:
        return (), (), np.zeros((0, 0)), float("nan"), float("nan")
    events = recommender.dataset.interactions
    codes = events.event_codes[_places_of_targets(recommender.dataset, cases)]
    wanted = [code for code in range(len(events.event_types)) if (codes == code).any()]
    names = tuple(events.event_types[code] for code in wanted)
    wordings = _all(recommender.prompts[Objective.name])
    gains = np.zeros((len(wordings), len(names), len(cases)))
    lists = np.zeros((len(wordings), len(names), min(len(cases), _USERS), TOP), dtype=np.int64)
    for number, wording in enumerate(wordings):
        for requested, name in enumerate(names):
            ask = Request(
                family=Objective.name,
                prompt=wording.format(event=name),
                slots={"event": name},
                steer=False,
            )
            gains[number, requested], rows = answer_gains(recommender.asking(ask), cases)
            lists[number, requested] = rows[:_USERS]
            done.one_more()
    by_prompt = gains.mean(axis=0)
    matrix = np.stack([by_prompt[:, codes == code].mean(axis=1) for code in wanted])
    paraphrases = [
        _overlap(lists[a, requested], lists[b, requested])
        for requested in range(len(names))
        for a, b in combinations(range(len(wordings)), 2)
    ]
    between = [
        _overlap(lists[number, a], lists[number, b])
        for number in range(len(wordings))
        for a, b in combinations(range(len(names)), 2)
    ]
    counts = tuple(int((codes == code).sum()) for code in wanted)
    return names, counts, matrix, _mean(paraphrases), _mean(between)


def _spread(recommender: Recommender, family: str, cases: Cases, done: _Count) -> Spread:
    wordings = recommender.prompts[family]
    given = usual_slots(family, recommender.dataset)

    def gain(wording: str) -> float:
        ask = Request(family=family, prompt=wording.format(**given), slots=given, steer=False)
        value = float(answer_gains(recommender.asking(ask), cases)[0].mean())
        done.one_more()
        return round(value, 5)

    return Spread(family, tuple(map(gain, wordings.seen)), tuple(map(gain, wordings.unseen)))


def answer_gains(
    recommender: Recommender, cases: Cases
) -> tuple[Float[np.ndarray, " cases"], Int[np.ndarray, "cases top"]]:
    """Return NDCG@10 of each case, history masked, and its list, padded with -1."""
    rows = np.full((len(cases), TOP), -1, dtype=np.int64)
    for start in range(0, len(cases), _USERS):
        found = recommender.by_rows.recommend(cases.histories[start : start + _USERS], TOP)
        for case, ranking in enumerate(found, start):
            rows[case, : len(ranking)] = ranking.item_rows
    wanted = np.asarray([targets[0] for targets in cases.targets])
    return ndcg(rows == wanted[:, None], np.ones(len(cases), dtype=np.int64), TOP), rows


def _overlap(one: Int[np.ndarray, "users top"], two: Int[np.ndarray, "users top"]) -> float:
    """Return the mean Jaccard index of two lists per user."""
    both = ((one[:, :, None] == two[:, None]) & (one >= 0)[:, :, None]).any(axis=2).sum(axis=1)
    either = (one >= 0).sum(axis=1) + (two >= 0).sum(axis=1) - both
    return float((both / np.maximum(either, 1)).mean())


def _all(wordings: Wordings) -> tuple[str, ...]:
    return wordings.seen + wordings.unseen


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _places_of_targets(dataset: Dataset, cases: Cases) -> Int[np.ndarray, " cases"]:
    """Return the index of each case's first target in the flat arrays, right after its history."""
    users = np.asarray([history.user_row for history in cases.histories])
    lengths = np.asarray([len(history) for history in cases.histories])
    return np.asarray(dataset.interactions.offsets[users] + lengths)
