"""Validation: early stopping, and blend weights and calibration tuned on the validation split."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from palate.data.dataset import Cases, Dataset
from palate.evaluation.calibration import fit_calibration, fit_levels
from palate.evaluation.metrics import ndcg, pad
from palate.evaluation.rating_baselines import fit_item_biases
from palate.inference.engine import Engine
from palate.inference.model_folder import TrainedModel
from palate.inference.prompt_runner import PromptRunner
from palate.inference.request import Request
from palate.inference.text_answers import TextAnswers, above_mean, no_and_yes
from palate.inference.texts import Question, TextEngine
from palate.language.held_out import held_out_events, held_out_examples
from palate.language.tasks import answered_with_items, usual_slots
from palate.language.tasks.next_behaviours import NextBehaviours
from palate.language.tasks.next_item import NextItem
from palate.language.tasks.rating import Rating
from palate.language.tasks.task import HeldOut
from palate.language.tasks.yes_no import YES, YesNo
from palate.language.text.reviews import read_held_out, read_reviews
from palate.models.baselines import Fitting, fit_baseline
from palate.models.baselines.trainer import Score
from palate.models.language_model import RecommendationModel
from palate.ranking import mask_scores, top_rows
from palate.training.batches import Mixture
from palate.training.loop import Validate as AnyValidate
from palate.training.recipe import StagePlan
from palate.training.system import Blend, LanguageModelSystem, Prior, RatingPrior
from palate.types import History, Ranking

Validate = AnyValidate[RecommendationModel]

_logger = logging.getLogger(__name__)

_VALIDATION_USERS = 20_000
"""Maximum number of users, sampled, for validation during training; evaluations use all."""

_SEARCHED_USERS = 2_000
"""The same where each user needs a beam search."""

_BLENDED_USERS = 5_000
"""The same for blend weights of hybrid answers, whose results differ by little."""

_TARGET_TEXTS = 1_000
"""Maximum number of events for the validation of text tasks."""

_USERS_WEIGHED = 500
"""Number of users whose lists are used to fit the boost of new items."""

_LARGEST_BOOST = 32.0
_BOOST_STEP = 1 / 64
"""Maximum boost and precision of the boost of new items, in logits."""

_CUTOFF = 10

MEASURE = f"NDCG@{_CUTOFF}"
"""Validation metric of models that answer with items."""


def no_status(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Validation:
    """Validation objective of a stage: the geometric mean of the metrics of its tasks."""

    by_items: Validate | None
    """NDCG@10 of the next item, history masked, if the stage has a task with item answers."""
    in_words: Sequence[Validate]
    """For each text task, the mean probability of a word of the target text."""
    tokens: int = 0
    """Approximate number of tokens that it reads."""
    status: Callable[[str], None] = no_status
    """Called before it begins."""

    @property
    def measure(self) -> str:
        """Name of the metric; empty if there is nothing to measure."""
        items = [MEASURE] if self.by_items is not None else []
        return ", ".join([*items, *(["chance of a true word"] if self.in_words else [])])

    def __call__(self, model: RecommendationModel) -> float:
        """Return the metric of the model."""
        self.status("Validating")
        judges = [*([self.by_items] if self.by_items is not None else []), *self.in_words]
        values = np.asarray([judge(model) for judge in judges])
        return (
            float(np.exp(np.log(np.maximum(values, 1e-9)).mean()))
            if len(values) > 1
            else float(values.sum())
        )


def validation(
    dataset: Dataset, system: LanguageModelSystem, stage: StagePlan, mixture: Mixture, seed: int
) -> Validation:
    """Return the validation of a stage during training."""
    names = tuple(task.wording_family for task in mixture.tasks)
    system = replace(
        system,
        recipe=system.recipe.alone(stage),
        tasks=names,
        item_format=mixture.batch_builder.item_format,
    )
    most = stage.training.validate_on
    by_items, of_items = _by_items(dataset, system, seed, most) if stage.by_items else (None, 0)
    in_words, of_words = _in_words(dataset, system, mixture, seed)
    return Validation(by_items, in_words, of_items + of_words)


def next_item_validation(dataset: Dataset, seed: int) -> Callable[[Score], float]:
    """Return the validation of next-item scorers: NDCG@10, history masked."""
    cases = dataset.cases("valid").sample(_VALIDATION_USERS, np.random.default_rng(seed))
    return lambda score: ndcg_of([score], [1.0], cases)[0]


def _by_items(
    dataset: Dataset, system: LanguageModelSystem, seed: int, at_most: int
) -> tuple[Validate, int]:
    """Return the validation of answers with items, and the tokens that it reads."""
    searched = system.forms[0] == "codes"
    most = _at_most(_SEARCHED_USERS if searched else _VALIDATION_USERS, at_most)
    cases = dataset.cases("valid").sample(most, np.random.default_rng(seed))
    request = _main_request(system, dataset)
    events = sum(min(len(history), system.recipe.max_history) for history in cases.histories)

    def validate(model: RecommendationModel) -> float:
        runner = PromptRunner(replace(system, model=model), request)
        if searched:
            return ndcg_of_lists(runner.find_by_codes(cases.histories, _CUTOFF), cases)
        return ndcg_of([runner.score], [1.0], cases)[0]

    return validate, events * system.item_format.places


def _at_most(usual: int, most: int) -> int:
    """Return how many users or events are looked at; ``most`` of 0 is as usual."""
    return min(usual, most) if most else usual


def _in_words(
    dataset: Dataset, system: LanguageModelSystem, mixture: Mixture, seed: int
) -> tuple[list[Validate], int]:
    """Return the validation of each text task with targets in the validation split, and its tokens.

    The tokens are those that all of them read together.
    """
    if not system.recipe.tasks.in_words:
        return [], 0
    rng = np.random.default_rng(seed)
    events = held_out_events(dataset, "valid")
    most = _at_most(_TARGET_TEXTS, system.recipe.training.validate_on)
    order = rng.permutation(len(events))[:most]
    chosen = [events[place] for place in order]
    known = read_reviews(dataset)
    reviews = None if known is None else read_held_out(dataset, "valid", known)
    judges, tokens = list[Validate](), 0
    engine = TextEngine(PromptRunner(system))
    for task in mixture.tasks:
        examples = [e for _, e in held_out_examples(task, chosen, reviews, rng)]
        if examples:
            wording = system.prompts[task.wording_family].seen[0]
            question = Question(wording, examples, task.frame)
            judges.append(_chance_of_words(system, question))
            tokens += engine.num_tokens(question)
    return judges, tokens


def _chance_of_words(system: LanguageModelSystem, question: Question) -> Validate:
    def validate(model: RecommendationModel) -> float:
        engine = TextEngine(PromptRunner(replace(system, model=model)))
        return float(np.exp(engine.log_likelihood(question)))

    return validate


def _main_request(system: LanguageModelSystem, dataset: Dataset) -> Request:
    """Return the request for validation: the next item if the model was trained on it."""
    answered = [name for name in system.tasks if answered_with_items(name)]
    usual = [name for name in (NextItem.name, NextBehaviours.name) if name in answered]
    family = [*usual, *answered][0]
    return Request(family=family, slots=usual_slots(family, dataset))


def calibration_tokens(system: LanguageModelSystem, dataset: Dataset) -> int:
    """Return approximately how many tokens :func:`with_calibration` reads."""
    asked = {YesNo.name, Rating.name}.intersection(system.tasks)
    events = min(len(held_out_events(dataset, "valid")), _calibrated(system)) if asked else 0
    longest = (system.recipe.max_history + 1) * system.item_format.places
    return len(asked) * events * longest


def _calibrated(system: LanguageModelSystem) -> int:
    """Return the number of events that a calibration is fitted on."""
    last = system.recipe.resolved_stages[-1].training
    return _at_most(_VALIDATION_USERS, last.validate_on)


def with_prior(system: LanguageModelSystem, dataset: Dataset, seed: int) -> LanguageModelSystem:
    """Fit the recipe's prior, with the weight that is best on the validation split."""
    config = system.recipe.prior
    cases = dataset.cases("valid").sample(_calibrated(system), np.random.default_rng(seed))
    if config is None or NextItem.name not in system.tasks or not len(cases):
        return system
    baseline = fit_baseline(config.baseline, dataset.sequences, len(dataset.catalog), Fitting(seed))
    values = ndcg_of([PromptRunner(system).score, baseline.score], config.weights, cases)
    best = int(np.argmax(values))
    _logger.info("prior weight %g: validation NDCG@10 %.4f", config.weights[best], values[best])
    return replace(system, prior=Prior(baseline, config.weights[best]))


def with_blend(system: LanguageModelSystem, dataset: Dataset, seed: int) -> LanguageModelSystem:
    """Tune hybrid answers on the validation split: the blend weight, then the new-item boost.

    The boost is a fraction of the boost that gives new items exposure in proportion to the
    catalogue.
    """
    config = system.recipe.codes
    users = min(_BLENDED_USERS, _calibrated(system))
    cases = dataset.cases("valid").sample(users, np.random.default_rng(seed))
    if config is None or "hybrid" not in system.forms or not len(cases):
        return system
    request = replace(_main_request(system, dataset), n=_CUTOFF, form="hybrid")
    engine = Engine(TrainedModel("", system.recipe, dataset, system, [], seed))
    requests = [replace(request, history=history) for history in cases.histories]

    def best_of(blends: Sequence[Blend]) -> Blend:
        values = [ndcg_of_lists(lists, cases) for lists in engine.try_blends(requests, blends)]
        best = int(np.argmax(values))
        _logger.info("%s: validation NDCG@10 %.4f", blends[best], values[best])
        return blends[best]

    chosen = best_of([Blend(weight) for weight in config.blend_weights])
    if not system.features.has_id.all():
        most = _boost_to_share(system, request, cases.histories[:_USERS_WEIGHED])
        chosen = best_of([Blend(chosen.weight, share * most) for share in config.boost_fractions])
    return replace(system, blend=chosen)


def _boost_to_share(
    system: LanguageModelSystem, request: Request, histories: Sequence[History]
) -> float:
    """Return the boost that gives new items exposure in proportion to the catalogue.

    A model with item IDs prefers trained items, so that without a boost new items are hardly
    recommended; with a much larger boost they would fill the lists.
    """
    new = ~system.features.has_id
    scores = mask_scores(PromptRunner(system, request).score(histories), histories)

    def too_few(boost: float) -> bool:
        rows, _ = top_rows(np.where(new, scores + np.float32(boost), scores), _CUTOFF)
        shown = new[rows[rows >= 0]]
        return bool(shown.sum() < new.mean() * len(shown))

    # Bisection: the share of new items in the lists grows with the boost.
    low, high = 0.0, _LARGEST_BOOST
    while high - low > _BOOST_STEP and too_few(low):
        middle = (low + high) / 2
        low, high = (middle, high) if too_few(middle) else (low, middle)
    return low


def with_weights_of(
    system: LanguageModelSystem, found: LanguageModelSystem, dataset: Dataset, seed: int
) -> LanguageModelSystem:
    """Return ``system`` with the blend weights and calibrations of ``found``.

    The prior's baseline and the item biases are fitted again to the training part of ``dataset``,
    with the same settings.
    """

    def biased(prior: RatingPrior | None) -> RatingPrior | None:
        if prior is None:
            return None
        biases = fit_item_biases(dataset, penalty=prior.biases.penalty)
        return replace(prior, biases=biases)

    prior, config = found.prior, found.recipe.prior
    if prior is not None and config is not None:
        items = len(dataset.catalog)
        baseline = fit_baseline(config.baseline, dataset.sequences, items, Fitting(seed))
        prior = replace(prior, baseline=baseline)
    return replace(
        system,
        prior=prior,
        blend=found.blend,
        steering=found.steering,
        calibration=found.calibration,
        rating_prior=biased(found.rating_prior),
        like_prior=biased(found.like_prior),
    )


def with_calibration(
    system: LanguageModelSystem, dataset: Dataset, seed: int
) -> LanguageModelSystem:
    """Calibrate yes-or-no and rating probabilities on the validation split."""
    if not {YesNo.name, Rating.name}.intersection(system.tasks):
        return system
    answers = TextAnswers(PromptRunner(system), dataset)
    rng = np.random.default_rng(seed)
    events = held_out_events(dataset, "valid")
    chosen = [events[place] for place in rng.permutation(len(events))[: _calibrated(system)]]
    return _rating_by_biases(_saying_yes(system, answers, chosen, rng), answers, chosen, rng)


def _saying_yes(
    system: LanguageModelSystem,
    answers: TextAnswers,
    events: Sequence[HeldOut],
    rng: np.random.Generator,
) -> LanguageModelSystem:
    task = answers.tasks.get(YesNo.name)
    examples = [] if task is None else [e for _, e in held_out_examples(task, events, None, rng)]
    if not examples:
        return system
    labels = np.asarray([answer == YES for example in examples for answer in example.target_texts])
    like_probabilities = answers.like_probabilities(examples).astype(np.float64)
    if isinstance(task, YesNo) and task.threshold is not None:
        biases = fit_item_biases(answers.dataset)
        known, places = above_mean(biases, examples), labels.astype(np.int64)
        drawn = fit_levels(no_and_yes(like_probabilities), known, places)
        _logger.info("liking: slope %.3f, trust in biases %.3f", drawn.slope, drawn.trust)
        return replace(system, like_prior=RatingPrior(biases, drawn))
    found = fit_calibration(like_probabilities, labels, answers.log_odds(examples))
    _logger.info("calibration: slope %.3f, trust in scores %.3f", found.slope, found.trust)
    return replace(system, calibration=found)


def _rating_by_biases(
    system: LanguageModelSystem,
    answers: TextAnswers,
    events: Sequence[HeldOut],
    rng: np.random.Generator,
) -> LanguageModelSystem:
    task = answers.tasks.get(Rating.name)
    if not isinstance(task, Rating):
        return system
    examples = [e for _, e in held_out_examples(task, events, None, rng)]
    if not examples:
        return system
    biases, words = fit_item_biases(answers.dataset), [task.words_of(x) for x in task.levels]
    rated = answers.ratings(examples, calibrated=False)
    found = fit_levels(
        np.stack([one.chances for one in rated]),
        above_mean(biases, examples),
        np.asarray([words.index(example.target_texts[0]) for example in examples]),
    )
    _logger.info("rating calibration: slope %.3f, trust in biases %.3f", found.slope, found.trust)
    return replace(system, rating_prior=RatingPrior(biases, found))


def ndcg_of(
    scorers: Sequence[Callable[[Sequence[History]], Float[np.ndarray, "users items"]]],
    weights: Sequence[float],
    cases: Cases,
) -> list[float]:
    """Return mean NDCG@10 of the first target of each case, history masked; 0 without a case.

    The score is the first scorer plus ``weight`` times the second, if any; one value is returned
    per weight.
    """
    gains: list[list[float]] = [[] for _ in weights]
    for start in range(0, len(cases), 512):
        histories = cases.histories[start : start + 512]
        wanted = np.asarray([targets[0] for targets in cases.targets[start : start + 512]])
        main, *others = [scorer(histories) for scorer in scorers]
        for user, history in enumerate(histories):
            main[user, history.item_rows] = -np.inf
        for gain, weight in zip(gains, weights, strict=True):
            scores = main + np.float32(weight) * others[0] if others else main
            own = scores[np.arange(len(wanted)), wanted]
            # A target that is also in the history is masked and counts as a miss.
            places = np.where(own > -np.inf, (scores > own[:, None]).sum(axis=1), _CUTOFF)
            gain += _ndcg(places[:, None] == np.arange(_CUTOFF)).tolist()
    return [float(np.mean(gain)) if gain else 0.0 for gain in gains]


def ndcg_of_lists(lists: Sequence[Ranking], cases: Cases) -> float:
    """Return mean NDCG@10 of the first target of each case; 0 without a case."""
    if not lists:
        return 0.0
    rows = pad([ranking.item_rows[:_CUTOFF] for ranking in lists])
    firsts = np.asarray([targets[0] for targets in cases.targets])
    return float(_ndcg(rows == firsts[:, None]).mean())


def _ndcg(hits: Bool[np.ndarray, "users n"]) -> Float[np.ndarray, " users"]:
    """Return NDCG@10 of lists with one target each."""
    return ndcg(hits, np.ones(len(hits), dtype=np.int64), _CUTOFF)
