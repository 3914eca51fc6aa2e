"""How good explanations are in print: true, about real reasons, without complaints as reasons.

Beside the paper protocol (:mod:`palate.studies.task_evaluation`), which rewards the words that
people happened to write, this asks what a shop asks before it prints a sentence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palate.data.split import PartName
from palate.errors import DataError
from palate.evaluation.task_result import Sample, TaskResult
from palate.evaluation.text_metrics import score_texts
from palate.inference.printed.statements import Because
from palate.inference.text_results import Explained
from palate.language.held_out import held_out_events
from palate.language.tasks.task import HeldOut
from palate.language.text.reviews import read_held_out, read_reviews
from palate.recommender.recommender import Recommender
from palate.studies.answer_sheet import SEED
from palate.studies.statement_checks import Checks

MOST_EVENTS = 1_000
"""Events of a part that the command line explains."""
_SAMPLES = 5
_WHY = 3
_ALL_REASONS = 50


@dataclass(frozen=True)
class Printed:
    """The explanation of one held-out event, and what was found when it was checked."""

    event: HeldOut
    explained: Explained
    num_true: int
    """Statements that hold in the data."""
    complaints: tuple[str, ...]
    """Words of customers in it that complain."""
    has_reason: bool
    """Whether ``why`` gives any reason."""
    names_reason: bool
    """Whether it names one of the three events that weigh most."""
    names_any: bool
    """Whether it names an event without which the score falls."""


def printed_explanations(
    recommender: Recommender, part: PartName = "test", most: int | None = None
) -> list[Printed]:
    """Explain held-out events and check what is said.

    Args:
        recommender: any model.
        part: whose events are explained, each to its own user from what came before.
        most: number of events, drawn with a fixed seed; None takes all.

    Raises:
        DataError: when the part holds no event with a history.
    """
    rng = np.random.default_rng(SEED)
    events = [
        event
        for event in held_out_events(recommender.dataset, part)
        if len(event.before) and recommender.engine.can_read(event.event.item_rows).all()
    ]
    if not events:
        raise DataError(
            f"The {part} part of {recommender.dataset.name!r} holds nothing to explain."
        )
    if most is not None:
        events = [events[place] for place in np.sort(rng.permutation(len(events))[:most])]
    checks = Checks(recommender.dataset)
    return [_printed(recommender, checks, event) for event in events]


def evaluate_printed(
    recommender: Recommender, part: PartName = "test", most: int | None = None
) -> TaskResult:
    """Return the figures of :func:`printed_explanations` as a result to show.

    Raises:
        DataError: when the part holds no event with a history.
    """
    found = printed_explanations(recommender, part, most)
    wanted = references(recommender, part, found)
    samples = [Sample(one.explained.text, text) for one, text in zip(found, wanted, strict=True)]
    return TaskResult(
        family="explanation",
        title="explains in print",
        dataset=recommender.dataset.name,
        part=part,
        num_answers=len(found),
        wording="printed: chosen from data, said by template",
        figures={"printed": printed_figures(found, wanted)},
        samples=samples[:_SAMPLES],
        fit=recommender.trained.fit,
    )


def printed_figures(found: Sequence[Printed], wanted: Sequence[str]) -> dict[str, float]:
    """Return the shares that a shop asks for, and the similarity to what users wrote.

    Args:
        found: the explanations.
        wanted: for each, what its user wrote; empty where nothing.
    """
    said = [len(one.explained.statements) for one in found]
    reasoned = [one for one in found if one.has_reason]
    texts = [one.explained.text for one in found]
    figures = {
        "complaints": float(sum(len(one.complaints) for one in found)),
        "statement_precision": sum(one.num_true for one in found) / max(sum(said), 1),
        "statements": float(np.mean(said)),
        "with_reasons": len(reasoned) / len(found),
        "reason_named": _share([one.names_reason for one in reasoned]),
        "any_reason_named": _share([one.names_any for one in reasoned]),
        "quoted": _share([one.explained.quoted for one in found]),
        "different": len(set(texts)) / len(texts),
        "mended": _share([one.explained.was_edited for one in found]),
    }
    there = [(text, reference) for text, reference in zip(texts, wanted, strict=True) if reference]
    if there:
        scores = score_texts(*map(list, zip(*there, strict=True)))
        figures |= {name: scores[name] for name in ("rouge_1", "rouge_l", "bleu_1", "bleu_4")}
    return figures


def references(recommender: Recommender, part: PartName, found: Sequence[Printed]) -> list[str]:
    """Return the sentence of each user's own review that explains best; empty without one."""
    known = read_reviews(recommender.dataset)
    reviews = None if known is None else read_held_out(recommender.dataset, part, known)
    if reviews is None:
        return [""] * len(found)
    remarks = [reviews.explanation_of(one.event.place) for one in found]
    return ["" if remark is None else remark.sentence for remark in remarks]


def _printed(recommender: Recommender, checks: Checks, event: HeldOut) -> Printed:
    engine, history, row = recommender.engine, event.before, event.item_row
    explained = engine.explain(history, row)
    reasons = [reason.event for reason in engine.why(history, row, _ALL_REASONS)]
    named = {
        place
        for statement in explained.statements
        if isinstance(statement, Because)
        and all(_is_named(name, statement.own_words, explained.text) for name in statement.names)
        for place in statement.events
    }
    return Printed(
        event=event,
        explained=explained,
        num_true=sum(checks.is_true(each, history, row) for each in explained.statements),
        complaints=tuple(checks.complaints(explained.statements, history)),
        has_reason=bool(reasons),
        names_reason=not named.isdisjoint(reasons[:_WHY]),
        names_any=not named.isdisjoint(reasons),
    )


def _is_named(name: str, own_words: str, text: str) -> bool:
    """Return whether a text names an event: by the item, or by what the user wrote of it."""
    return name in text or bool(own_words and own_words in text)


def _share(flags: Sequence[bool]) -> float:
    return float(np.mean(flags)) if flags else float("nan")
