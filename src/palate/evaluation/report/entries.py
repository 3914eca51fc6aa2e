"""What a report is made from: models with their evaluations, curves and examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from palate.evaluation.result import Evaluation


@dataclass(frozen=True)
class CurvePoint:
    """Where training stood after ``step``; None for what was not measured there."""

    step: int
    seconds: float
    loss: float | None = None
    validation: float | None = None


@dataclass(frozen=True)
class Recommended:
    """One item shown to a user, and why."""

    title: str
    why: str = ""


@dataclass(frozen=True)
class Example:
    """One user's history and what the model makes of it, in titles."""

    history: Sequence[str]
    recommended: Sequence[Recommended]


@dataclass(frozen=True)
class ReportEntry:
    """One model of a report."""

    name: str
    evaluation: Evaluation
    curve: Sequence[CurvePoint] = ()
    examples: Sequence[Example] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    """Whatever else is to be known: recipe, seed, parameters, training time."""
