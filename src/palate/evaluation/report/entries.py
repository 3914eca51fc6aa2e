"""Contents of a report: models with their evaluations, learning curves and examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from palate.evaluation.result import Evaluation


@dataclass(frozen=True)
class CurvePoint:
    """State of training after ``step``; None means not measured at this step."""

    step: int
    seconds: float
    loss: float | None = None
    validation: float | None = None


@dataclass(frozen=True)
class Recommended:
    """One recommended item, and the reason for it."""

    title: str
    why: str = ""


@dataclass(frozen=True)
class Example:
    """One user's history and the recommendations for it, as titles."""

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
    """Further facts: recipe, seed, parameters, training time."""
