"""How well the tasks that words answer are done, on held-out events, beside classical baselines.

Baselines are fitted on the training part alone. What is drawn at random (candidates, negatives) is
drawn alike for every model, so that results of different models can be compared.
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
from palate.recommender.recommender import Recommender, ScoresByRows
from palate.studies.answer_sheet import SEED, Sheet, sheet_of
from palate.types import History

Figures = dict[str, dict[str, float]]
"""Metrics by system."""

Judged = tuple[Figures, list[str]]
"""The figures, and what the model said to each prompt."""

_MODEL = "model"
_SAMPLES = 5
_USERS_AT_ONCE = 512
_MOST_SENTENCES = 400
"""Sentences of an item's reviews that the most relevant one is looked for among."""


def evaluate_task(
    recommender: Recommender,
    family: str,
    part: PartName = "test",
    *,
    wording: str | None = None,
    most: int | None = None,
) -> TaskResult:
    """Judge a model by the answers to one family of prompts on a part that was held out.

    Args:
        recommender: the model.
        family: what is asked, of those that held-out events can judge.
        part: ``valid`` or ``test``.
        wording: how it is asked; None is the first wording the model was trained on.
        most: events to ask about, drawn from the part; None asks about all.

    Raises:
        NotTrainedError: when the model was not trained on the family.
        DataError: when the part holds nothing to judge it by.
        ConfigError: when there is no such family, or the model learned from the part.
    """
    checked_family(family, judged_families())
    sheet = sheet_of(recommender, family, part, wording, most)
    figures, said = _judged(sheet)
    wanted = [example.target_texts[0] for example in sheet.examples]
    return TaskResult(
        family=family,
        title=sheet.task.title,
        dataset=recommender.dataset.name,
        part=part,
        num_answers=sum(len(example.prefix_lengths) for example in sheet.examples),
        wording=sheet.wording,
        figures=figures,
        samples=[Sample(*pair) for pair in zip(said[:_SAMPLES], wanted, strict=False)],
        fit=recommender.trained.fit,
    )


def _judged(sheet: Sheet) -> Judged:
    """Return the figures, and what the model said to each prompt."""
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
    labels = np.asarray([reply == YES for reply in sheet.target_texts])
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
    """Return what can be said of scores that are no probabilities."""
    return {"auc": auc(scores, labels), "uauc": user_auc(scores, labels, users)}


def _popularity(sheet: Sheet) -> list[Float[np.ndarray, " candidates"]]:
    return [sheet.dataset.train_counts[rows].astype(np.float64) for rows in sheet.candidates]


def _item_scores(sheet: Sheet) -> list[Float[np.ndarray, " candidates"]] | None:
    """Return what the model scores the items by that it recommends; None where it has no score."""
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
    said, titles = sheet.written(), sheet.titles
    choices = sheet.answers.choices(sheet.unanswered, sheet.wording)
    chosen = {
        f"{_MODEL}, in free words": said,
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
    return figures, said


def _judged_titles(sheet: Sheet) -> Judged:
    said, names = sheet.written(), sheet.titles
    order = np.argsort(-sheet.dataset.train_counts, kind="stable")
    titled = [int(row) for row in order if names[row]]
    popular = [_first_unseen(titled, event.before) for event in sheet.events]
    systems = {_MODEL: said, "most popular": [names[row] for row in popular]}
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
    return figures, said


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
    said = sheet.answers.explanations(sheet.unanswered, sheet.wording)
    on_aspect = sheet.answers.explanations(hinted, sheet.wording)
    systems = {
        _MODEL: [one.text for one in said],
        f"{_MODEL}, not checked": [one.written for one in said],
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
    mended = {_MODEL: said, f"{_MODEL}, told the aspect": on_aspect}
    for name, explained in mended.items():
        figures[name]["mended"] = float(np.mean([one.was_mended for one in explained]))
    return figures, systems[_MODEL]


def _aspect(sheet: Sheet, event: HeldOut) -> str:
    assert sheet.reviews is not None
    remark = sheet.reviews.explanation_of(event.place)
    return "" if remark is None else remark.aspect


def _relevant(sheet: Sheet, event: HeldOut) -> str:
    """Return the sentence of the item's reviews that is nearest to the user's own words."""
    known, places = sheet.answers.reviews, event.before.places
    if known is None or places is None:
        return ""
    own = [known.of(int(place)) for place in known.among(places)]
    sentences = known.sentences_about(event.item_row)[:_MOST_SENTENCES]
    return most_relevant_sentence(sentences, [review.text for review in own if review])


def _judged_texts(sheet: Sheet) -> Judged:
    task, said = sheet.task, sheet.written()
    plain = task.plain_answers(sheet.answers.material, sheet.events, sheet.examples)
    systems = {_MODEL: said, **plain}
    figures = _of_texts(sheet, systems)
    wanted = _by_part(task, sheet.target_texts)
    for name, texts in systems.items():
        parts = _by_part(task, texts)
        figures[name] |= {part: _share_equal(parts[part], wanted[part]) for part in wanted}
    return figures, said


def _by_part(task: Task, texts: Sequence[str]) -> dict[str, list[str]]:
    """Return what of each text is compared with the truth, by the name of the figure."""
    parts = [task.judged_parts(text) for text in texts]
    return {name: [each[name] for each in parts] for name in (parts[0] if parts else ())}


def _of_texts(
    sheet: Sheet, systems: Mapping[str, Sequence[str]], aspects: Sequence[str] | None = None
) -> Figures:
    """Return every metric of texts for each system, with how near the meaning is."""
    target_texts = sheet.target_texts
    figures = {
        name: score_texts(texts, target_texts, aspects=aspects) for name, texts in systems.items()
    }
    wanted = sheet.answers.parts.encoders.query_vectors(target_texts)
    if wanted is not None:
        for name, texts in systems.items():
            vectors = sheet.answers.parts.encoders.query_vectors(texts)
            assert vectors is not None
            figures[name]["embedding_similarity"] = embedding_similarity(vectors, wanted)
    return figures


def _share_equal(said: Sequence[str], wanted: Sequence[str]) -> float:
    pairs = zip(said, wanted, strict=True)
    return float(np.mean([one.strip().lower() == two.strip().lower() for one, two in pairs]))


_JUDGES: Mapping[Judging, Callable[[Sheet], Judged]] = {
    "rating": _judged_ratings,
    "yes-no": _judged_yes_no,
    "choice": _judged_choices,
    "title": _judged_titles,
    "explanation": _judged_explanations,
    "text": _judged_texts,
}
