"""Evaluation of text tasks on held-out events, compared with classical baselines.

Baselines are fitted on the training part alone. Random candidates and negatives are the same for
every model, so that results of different models are comparable.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from palate.data.split import PartName
from palate.evaluation.answer_metrics import auc, mae, rmse, score_choices, score_yes_no, user_auc
from palate.evaluation.rating_baselines import rating_baselines
from palate.evaluation.task_result import Sample, TaskResult
from palate.evaluation.text_baselines import most_relevant_sentence
from palate.evaluation.text_metrics import embedding_similarity, score_texts
from palate.language.tasks import checked_family, judged_families
from palate.language.tasks.task import HeldOut, Judging, Task
from palate.language.tasks.yes_no import YES
from palate.recommender.by_rows import ScoresByRows
from palate.recommender.recommender import Recommender
from palate.studies.answer_sheet import SEED, Sheet, sheet_of
from palate.types import History

Figures = dict[str, dict[str, float]]
"""Metrics by system."""

Judged = tuple[Figures, list[str]]
"""The metrics, and the answer of the model to each prompt."""

_MODEL = "model"
_SAMPLES = 5
_USERS_AT_ONCE = 512
_MOST_SENTENCES = 400
"""Maximum number of review sentences of an item among which the most relevant is chosen."""


def evaluate_task(
    recommender: Recommender,
    family: str,
    part: PartName = "test",
    *,
    wording: str | None = None,
    most: int | None = None,
) -> TaskResult:
    """Evaluate the answers of a model to one family of prompts on a held-out part.

    Args:
        recommender: the model.
        family: a family that can be evaluated on held-out events.
        part: ``valid`` or ``test``.
        wording: wording of the prompts; None means the first one of the model's training.
        most: number of events sampled from the part; None uses all.

    Raises:
        NotTrainedError: when the model was not trained on the family.
        DataError: when the part has no events for this family.
        ConfigError: when there is no such family, or the model learned from the part.
    """
    checked_family(family, judged_families())
    sheet = sheet_of(recommender, family, part, wording, most)
    figures, generated = _judged(sheet)
    wanted = [example.target_texts[0] for example in sheet.examples]
    return TaskResult(
        family=family,
        title=sheet.task.title,
        dataset=recommender.dataset.name,
        part=part,
        num_answers=sum(len(example.prefix_lengths) for example in sheet.examples),
        wording=sheet.wording,
        figures=figures,
        samples=[Sample(*pair) for pair in zip(generated[:_SAMPLES], wanted, strict=False)],
        fit=recommender.trained.fit,
    )


def _judged(sheet: Sheet) -> Judged:
    """Return the metrics, and the answer of the model to each prompt."""
    judged_by = sheet.task.judged_by
    assert judged_by is not None, sheet.task.name
    return _JUDGES[judged_by](sheet)


# --- Ratings


def _judged_ratings(sheet: Sheet) -> Judged:
    rated = sheet.answers.ratings(sheet.unanswered, sheet.wording)
    alone = sheet.answers.ratings(sheet.unanswered, sheet.wording, calibrated=False)
    actual = np.asarray([event.rating for event in sheet.events], dtype=np.float64)
    users = np.asarray([event.event.user_row for event in sheet.events], dtype=np.int64)
    items = np.asarray([event.item_row for event in sheet.events], dtype=np.int64)
    predicted = {
        _MODEL: np.asarray([one.value for one in rated]),
        f"{_MODEL}, likeliest level": np.asarray([one.likeliest for one in rated]),
        f"{_MODEL}, not calibrated": np.asarray([one.value for one in alone]),
    }
    baselines = rating_baselines(sheet.dataset, np.random.default_rng(SEED))
    predicted |= {name: known.predict(users, items) for name, known in baselines.items()}
    figures = {
        name: {"rmse": rmse(values, actual), "mae": mae(values, actual)}
        for name, values in predicted.items()
    }
    return figures, [f"{one.value:.2f} (likeliest {one.words})" for one in rated]


# --- Yes or no


def _judged_yes_no(sheet: Sheet) -> Judged:
    chances = sheet.answers.like_probabilities(sheet.unanswered, sheet.wording).astype(np.float64)
    calibrated = sheet.answers.calibrated_like_probabilities(sheet.unanswered, sheet.wording)
    labels = np.asarray([answer == YES for answer in sheet.target_texts])
    counts = [len(rows) for rows in sheet.candidates]
    users = np.repeat([event.event.user_row for event in sheet.events], counts).astype(np.int64)
    figures: Figures = {
        _MODEL: score_yes_no(calibrated, labels, users),
        f"{_MODEL}, not calibrated": score_yes_no(chances, labels, users),
    }
    others = {"popularity": _popularity(sheet), "the model's item scores": _item_scores(sheet)}
    for name, scores in others.items():
        if scores is not None:
            figures[name] = _order_alone(np.concatenate(scores), labels, users)
    firsts = np.cumsum(counts) - counts
    return figures, [f"yes: {calibrated[first]:.3f}" for first in firsts]


def _order_alone(
    scores: Float[np.ndarray, " N"], labels: Bool[np.ndarray, " N"], users: Int[np.ndarray, " N"]
) -> dict[str, float]:
    """Return the ranking metrics, for scores that are not probabilities."""
    return {"auc": auc(scores, labels), "uauc": user_auc(scores, labels, users)}


def _popularity(sheet: Sheet) -> list[Float[np.ndarray, " candidates"]]:
    return [sheet.dataset.train_counts[rows].astype(np.float64) for rows in sheet.candidates]


def _item_scores(sheet: Sheet) -> list[Float[np.ndarray, " candidates"]] | None:
    """Return the recommendation scores of the candidates; None if the model has none."""
    if not sheet.recommender.recommends:
        return None
    by_rows = sheet.recommender.by_rows
    if not isinstance(by_rows, ScoresByRows):
        return None
    found: list[Float[np.ndarray, " candidates"]] = []
    for start in range(0, len(sheet.events), _USERS_AT_ONCE):
        histories = [event.before for event in sheet.events[start : start + _USERS_AT_ONCE]]
        scores = by_rows.score(histories)
        candidates = sheet.candidates[start : start + _USERS_AT_ONCE]
        found += [
            own[rows].astype(np.float64) for own, rows in zip(scores, candidates, strict=True)
        ]
    return found


# --- Choice among candidates


def _judged_choices(sheet: Sheet) -> Judged:
    generated, titles = sheet.generate(), sheet.titles
    choices = sheet.answers.choices(sheet.unanswered, sheet.wording)
    chosen = {
        f"{_MODEL}, in free words": generated,
        f"{_MODEL}, one of them": [titles[int(pick.item_rows[0])] for pick in choices],
    }
    others = {"popularity": _popularity(sheet), "the model's item scores": _item_scores(sheet)}
    for name, scores in others.items():
        if scores is not None:
            best = [rows[own.argmax()] for rows, own in zip(sheet.candidates, scores, strict=True)]
            chosen[name] = [titles[int(row)] for row in best]
    candidates = [[titles[row] for row in rows.tolist()] for rows in sheet.candidates]
    figures = {
        name: score_choices(picked, candidates, sheet.target_texts)
        for name, picked in chosen.items()
    }
    return figures, generated


def _judged_titles(sheet: Sheet) -> Judged:
    generated, names = sheet.generate(), sheet.titles
    order = np.argsort(-sheet.dataset.train_counts, kind="stable")
    titled = [int(row) for row in order if names[row]]
    popular = [_first_unseen(titled, event.before) for event in sheet.events]
    systems = {_MODEL: generated, "most popular": [names[row] for row in popular]}
    if sheet.recommender.recommends:
        best = _recommended(sheet, titled)
        systems["title of the recommended item"] = [names[row] for row in best]
    known = {title.lower() for title in names if title}
    figures = _of_texts(sheet, systems)
    for name, titles in systems.items():
        figures[name] |= {
            "hit_ratio_1": _share_equal(titles, sheet.target_texts),
            "valid_ratio": float(np.mean([title.lower() in known for title in titles])),
        }
    return figures, generated


def _first_unseen(rows: Sequence[int], history: History) -> int:
    seen = set(history.item_rows.tolist())
    return next((row for row in rows if row not in seen), rows[0])


def _recommended(sheet: Sheet, titled: Sequence[int]) -> list[int]:
    candidates = np.asarray(titled)
    lists = sheet.recommender.by_rows.recommend(
        [event.before for event in sheet.events], 1, candidates=candidates
    )
    return [int(found.item_rows[0]) if len(found) else titled[0] for found in lists]


# --- Texts


def _judged_explanations(sheet: Sheet) -> Judged:
    aspects = [_aspect(sheet, event) for event in sheet.events]
    hinted = [
        replace(example, context=aspect)
        for example, aspect in zip(sheet.unanswered, aspects, strict=True)
    ]
    generated = sheet.answers.explanations(sheet.unanswered, sheet.wording)
    on_aspect = sheet.answers.explanations(hinted, sheet.wording)
    systems = {
        _MODEL: [one.text for one in generated],
        f"{_MODEL}, not checked": [one.generated for one in generated],
        f"{_MODEL}, told the aspect": [one.text for one in on_aspect],
        "most relevant sentence": [_relevant(sheet, event) for event in sheet.events],
    }
    figures = _of_texts(sheet, systems, aspects)
    rows = [event.item_row for event in sheet.events]
    histories = [example.history.item_rows.tolist() for example in sheet.examples]
    for name, texts in systems.items():
        grounded = sheet.answers.grounds.groundedness(texts, rows, histories)
        figures[name] |= {
            "grounded": grounded.rate,
            "claims": float(grounded.num_claims),
            "invented": float(grounded.num_invented),
        }
    edited = {_MODEL: generated, f"{_MODEL}, told the aspect": on_aspect}
    for name, explained in edited.items():
        figures[name]["mended"] = float(np.mean([one.was_edited for one in explained]))
    return figures, systems[_MODEL]


def _aspect(sheet: Sheet, event: HeldOut) -> str:
    assert sheet.reviews is not None
    remark = sheet.reviews.explanation_of(event.place)
    return "" if remark is None else remark.aspect


def _relevant(sheet: Sheet, event: HeldOut) -> str:
    """Return the sentence of the item's reviews that is most similar to the user's reviews."""
    known, places = sheet.answers.reviews, event.before.places
    if known is None or places is None:
        return ""
    own = [known.of(int(place)) for place in known.among(places)]
    sentences = known.sentences_about(event.item_row)[:_MOST_SENTENCES]
    return most_relevant_sentence(sentences, [review.text for review in own if review])


def _judged_texts(sheet: Sheet) -> Judged:
    task, generated = sheet.task, sheet.generate()
    plain = task.plain_answers(sheet.answers.material, sheet.events, sheet.examples)
    systems = {_MODEL: generated, **plain}
    figures = _of_texts(sheet, systems)
    wanted = _by_part(task, sheet.target_texts)
    for name, texts in systems.items():
        parts = _by_part(task, texts)
        figures[name] |= {part: _share_equal(parts[part], wanted[part]) for part in wanted}
    return figures, generated


def _by_part(task: Task, texts: Sequence[str]) -> dict[str, list[str]]:
    """Return the compared parts of each text, by metric name."""
    parts = [task.judged_parts(text) for text in texts]
    return {name: [each[name] for each in parts] for name in (parts[0] if parts else ())}


def _of_texts(
    sheet: Sheet, systems: Mapping[str, Sequence[str]], aspects: Sequence[str] | None = None
) -> Figures:
    """Return all text metrics of each system, including embedding similarity."""
    target_texts = sheet.target_texts
    figures = {
        name: score_texts(texts, target_texts, aspects=aspects) for name, texts in systems.items()
    }
    wanted = sheet.answers.system.encoders.query_vectors(target_texts)
    if wanted is not None:
        for name, texts in systems.items():
            vectors = sheet.answers.system.encoders.query_vectors(texts)
            assert vectors is not None
            figures[name]["embedding_similarity"] = embedding_similarity(vectors, wanted)
    return figures


def _share_equal(generated: Sequence[str], wanted: Sequence[str]) -> float:
    pairs = zip(generated, wanted, strict=True)
    return float(np.mean([one.strip().lower() == two.strip().lower() for one, two in pairs]))


_JUDGES: Mapping[Judging, Callable[[Sheet], Judged]] = {
    "rating": _judged_ratings,
    "yes-no": _judged_yes_no,
    "choice": _judged_choices,
    "title": _judged_titles,
    "explanation": _judged_explanations,
    "text": _judged_texts,
}
