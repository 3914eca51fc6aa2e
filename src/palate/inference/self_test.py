"""A short test that a loaded engine answers, before it gets requests of users."""

import numpy as np

from palate.errors import ArtifactError, UnknownItemError
from palate.inference.engine import Engine
from palate.inference.request import NOBODY, Request
from palate.types import History

_EVENTS = 50
"""Number of newest events of the known user."""


def self_test(engine: Engine) -> None:
    """Ask an engine for a known and for a new user.

    Raises:
        ArtifactError: when an answer is empty, or has a score that is not a number.
    """
    interactions = engine.dataset.interactions
    known = interactions.history(0).last(_EVENTS) if interactions.num_users else NOBODY
    histories = [NOBODY, known] if "next-item" in engine.tasks else []
    try:
        answers = engine.answer([Request(history, 5) for history in histories])
    except (RuntimeError, ValueError, IndexError, UnknownItemError) as error:
        raise _unusable(engine, str(error)) from error
    for answer in answers:
        if not len(answer.rows):
            raise _unusable(engine, "it recommends nothing")
        if not np.isfinite(answer.scores).all():
            raise _unusable(engine, "its scores are no numbers")
    for answer in answers[:1]:
        _test_texts(engine, known, int(answer.rows[0]))


def _test_texts(engine: Engine, known: History, item_row: int) -> None:
    """Test the text answers; what they compute once and keep is computed here."""
    try:
        if "rating" in engine.capabilities.in_words and not np.isfinite(
            engine.rate(known, item_row).value
        ):
            raise _unusable(engine, "its ratings are no numbers")
        if "explanation" in engine.capabilities.in_words:
            engine.explain(known, item_row)
    except (RuntimeError, ValueError, IndexError) as error:
        raise _unusable(engine, str(error)) from error


def _unusable(engine: Engine, why: str) -> ArtifactError:
    return ArtifactError(
        f"The model {engine.name!r} does not answer: {why}.",
        hint="Train it again with: palate train DATASET MODEL",
    )
