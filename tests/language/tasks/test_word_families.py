"""What each text task asks and what it wants to hear, known by reasoning.

The item of event ``k`` is item ``k`` of ``NUM_ITEMS``; its title is ``Item k``.
"""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.language.tasks import slots_of
from palate.language.tasks.asking import unseen_items
from palate.language.tasks.choice import Choice
from palate.language.tasks.explanation import Explanation
from palate.language.tasks.masked import MaskedBehaviour
from palate.language.tasks.material import plain_titles
from palate.language.tasks.next_behaviours import NextBehaviours
from palate.language.tasks.next_title import NextTitle
from palate.language.tasks.preference import Preference, preference_words
from palate.language.tasks.profile import Profile
from palate.language.tasks.rating import Rating, rating_levels
from palate.language.tasks.summary import Summary
from palate.language.tasks.task import Example, Task
from palate.language.tasks.title import Title
from palate.language.tasks.yes_no import NO, YES, YesNo
from palate.language.text.facts import Facts
from palate.language.text.reviews import Reviews, read_reviews
from palate.simulation.world import World
from palate.types import History

NUM_ITEMS = 60
TITLES = [f"Item {row}" for row in range(NUM_ITEMS)]
LEVELS = (1.0, 2.0, 3.0, 4.0, 5.0)
FACTS = Facts(
    [["All", f"c{row % 4}"] for row in range(NUM_ITEMS)],
    [f"b{row % 3}" if row % 5 else "" for row in range(NUM_ITEMS)],
)
SHOP = World(num_users=150, num_items=NUM_ITEMS, seed=2).dataset()
_found = read_reviews(SHOP)
assert _found is not None
REVIEWS: Reviews = _found


def _history(length: int, ratings: list[float] | None = None) -> History:
    given = None if ratings is None else np.asarray(ratings, dtype=np.float32)
    return History(item_rows=np.arange(length), ratings=given)


def _tasks(max_history: int) -> list[Task]:
    return [
        Rating(max_history, LEVELS),
        YesNo(max_history, NUM_ITEMS),
        YesNo(max_history, NUM_ITEMS, threshold=3.0),
        Choice(TITLES, max_history=max_history),
        Title(TITLES),
        NextTitle(max_history, TITLES),
        Profile(max_history, FACTS),
        Explanation(max_history, REVIEWS),
        Summary(REVIEWS),
        Preference(REVIEWS),
        MaskedBehaviour(max_history),
        NextBehaviours(max_history),
    ]


def _made(task: Task, history: History, rng: np.random.Generator, tries: int = 40) -> list[Example]:
    found = (task.example(history, task.slots(rng), rng) for _ in range(tries))
    return [example for example in found if example is not None]


def _same_prompt(one: Example, other: Example) -> bool:
    """Return whether all that a model reads of two examples with one prediction is equal."""
    asked = [[] if e.candidates is None else e.candidates[0].tolist() for e in (one, other)]
    seen = [e.history.item_rows[: e.prefix_lengths[0]].tolist() for e in (one, other)]
    return seen[0] == seen[1] and asked[0] == asked[1] and one.context == other.context


def _probe(example: Example, prediction: int) -> Example:
    """Return the example with one of its predictions, and the history that it sees."""
    cut = int(example.prefix_lengths[prediction])
    return Example(
        history=example.history.take(slice(0, cut)),
        prefix_lengths=example.prefix_lengths[prediction, None],
        targets=example.targets[prediction, None],
        context=example.context,
        candidates=None if example.candidates is None else example.candidates[prediction, None],
        target_texts=example.target_texts[prediction : prediction + 1],
    )


def test_rating_predicts_every_rated_event(rng: np.random.Generator) -> None:
    example = Rating(10, LEVELS).example(_history(4, [4, np.nan, 2, 5]), {}, rng)
    assert example is not None
    assert example.prefix_lengths.tolist() == [0, 2, 3]
    assert example.candidates is not None
    assert example.candidates.tolist() == [[0], [2], [3]]
    assert example.target_texts == ["4", "2", "5"]
    assert example.history.item_rows.tolist() == [0, 1, 2]
    assert Rating(10, LEVELS).example(_history(3), {}, rng) is None
    assert Rating(10, LEVELS).example(_history(2, [np.nan, np.nan]), {}, rng) is None


def test_a_rating_is_written_as_the_nearest_level() -> None:
    task = Rating(5, (0.5, 1.0, 4.5))
    assert [task.words_of(level) for level in task.levels] == ["0.5", "1", "4.5"]
    assert task.words_of(4.2) == "4.5"


def test_levels_are_the_ratings_given() -> None:
    assert rating_levels(np.asarray([5, 1, np.nan, 4.5, 5], dtype=np.float32)) == (1.0, 4.5, 5.0)
    fine = rating_levels(np.linspace(-10, 10, 1000))
    assert (fine[0], fine[10], fine[-1], len(fine)) == (-10, 0, 10, 21)


def test_yes_no_is_about_the_next_item_and_an_unseen_one(rng: np.random.Generator) -> None:
    target_texts = []
    for example in _made(YesNo(30, NUM_ITEMS), _history(20), rng):
        assert example.candidates is not None
        assert example.prefix_lengths.tolist() == list(range(20))
        for cut, (row,), reply in zip(
            example.prefix_lengths, example.candidates, example.target_texts, strict=True
        ):
            assert row == cut if reply == YES else row >= 20
            target_texts.append(reply)
    assert set(target_texts) == {YES, NO}
    assert 0.4 < np.mean([reply == YES for reply in target_texts]) < 0.6


def test_yes_no_has_only_yes_if_there_is_no_unseen_item(rng: np.random.Generator) -> None:
    example = YesNo(5, 3).example(_history(3), {}, rng)
    assert example is not None
    assert set(example.target_texts) == {YES}


def test_yes_no_with_a_threshold_is_about_rated_items(rng: np.random.Generator) -> None:
    task = YesNo(10, NUM_ITEMS, threshold=3.0)
    example = task.example(_history(4, [4, np.nan, 3, 5]), {}, rng)
    assert example is not None
    assert example.candidates is not None
    assert example.candidates.tolist() == [[0], [2], [3]]
    assert example.target_texts == [YES, NO, YES]
    assert task.example(_history(3), {}, rng) is None


def test_choice_hides_the_next_item_among_unseen_ones(rng: np.random.Generator) -> None:
    places = set()
    for example in _made(Choice(TITLES), _history(12), rng):
        assert example.candidates is not None
        assert len(example.history) <= 10
        for cut, asked, reply in zip(
            example.prefix_lengths, example.candidates, example.target_texts, strict=True
        ):
            target = int(example.history.item_rows[0]) + int(cut)
            assert reply == f"Item {target}"
            assert len(set(asked.tolist())) == 20
            others = asked[asked != target]
            assert len(others) == 19
            assert (others >= 12).all(), "none that the user had, before or after"
            places.add(int(np.flatnonzero(asked == target)[0]))
    assert len(places) > 10, "the right one stands anywhere"


def test_candidates_of_a_choice_have_different_titles(rng: np.random.Generator) -> None:
    titles = ["Same"] * 30 + ["", ""] + ["A", "B"]
    for example in _made(Choice(titles), _history(3), rng):
        assert example.candidates is not None
        for asked in example.candidates:
            named = [titles[row] for row in asked if row >= 0]
            assert sorted(named) == ["A", "B", "Same"]
    assert not _made(Choice([""] * 30), _history(5), rng)
    assert not _made(Choice(["A", "B", "C"]), _history(3), rng), "there is no choice"


def test_title_names_any_item_of_the_catalogue(rng: np.random.Generator) -> None:
    examples = _made(Title(["", *TITLES[1:]]), _history(2), rng)
    rows = [int(row) for e in examples if e.candidates is not None for (row,) in e.candidates]
    assert [reply for e in examples for reply in e.target_texts] == [f"Item {row}" for row in rows]
    assert len(set(rows)) > 50
    assert 0 not in rows
    assert all(len(e.history) == 0 and not e.prefix_lengths.any() for e in examples)
    assert not _made(Title(["", ""]), _history(2), rng)


def test_next_title_is_the_title_of_what_follows(rng: np.random.Generator) -> None:
    example = NextTitle(10, ["", "B", "", "D"], max_predictions=9).example(_history(4), {}, rng)
    assert example is not None
    assert example.prefix_lengths.tolist() == [1, 3]
    assert example.target_texts == ["B", "D"]
    assert example.candidates is None
    assert all(
        len(e.prefix_lengths) == 3
        for e in _made(NextTitle(20, TITLES, max_predictions=3), _history(20), rng)
    )


def test_a_profile_states_facts_of_the_items_read(rng: np.random.Generator) -> None:
    for example in _made(Profile(8, FACTS), _history(20), rng):
        for cut, reply in zip(example.prefix_lengths, example.target_texts, strict=True):
            assert reply == FACTS.profile(example.history.item_rows[:cut])


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([0, 1], "likes Lamps, often from Oak"),
        ([0, 2, 1], "likes Lamps and Rugs, often from Oak"),
        ([2, 3], "likes Cups and Rugs"),
        ([4, 4], "often chooses Elm"),
        ([5], None),
        ([], None),
    ],
)
def test_profiles_are_short_and_name_the_most_distinctive_facts(
    rows: list[int], sentence: str | None
) -> None:
    categories = [["Home", "Lamps"], ["Home", "Lamps"], ["Home", "Rugs"], ["Cups"], [], []]
    facts = Facts(categories, ["Oak", "Oak", "", "", "Elm", "Yew"])
    assert facts.profile(np.asarray(rows, dtype=np.int64)) == sentence


def test_facts_of_a_catalogue_are_plain() -> None:
    facts = Facts.of(SHOP.catalog)
    assert len(facts.categories) == len(facts.brands) == len(SHOP.catalog)
    assert list(facts.categories[0]) == SHOP.catalog.table["categories"].to_list()[0]
    assert "" in facts.brands, "some items have no brand"


def _reviewed(task: Task, rng: np.random.Generator) -> list[tuple[History, Example]]:
    made = [(history, task.example(history, {}, rng)) for history in SHOP.sequences]
    return [(history, example) for history, example in made if example is not None]


def test_an_explanation_is_a_sentence_of_the_users_own_review(rng: np.random.Generator) -> None:
    found = _reviewed(Explanation(5, REVIEWS), rng)
    assert len(found) > 50
    for history, example in found:
        (sentence,) = example.target_texts
        assert example.candidates is not None
        row = int(example.candidates[0, 0])
        own = [int(p) for p, i in zip(history.places, history.item_rows, strict=True) if i == row]  # type: ignore[arg-type]
        texts = [review.text for place in own if (review := REVIEWS.of(place)) is not None]
        assert any(sentence in text for text in texts)
        assert example.context in ("", REVIEWS.aspects.of(sentence))
        assert row not in example.history.item_rows, "the event itself is not shown"
        assert len(example.history) <= 5
    hinted = np.mean([bool(example.context) for _, example in found])
    assert 0.3 < hinted < 0.7


def test_summary_is_the_title_of_the_review_shown(rng: np.random.Generator) -> None:
    pairs = {(REVIEWS.texts[k], REVIEWS.titles[k]) for k in range(len(REVIEWS))}
    found = _reviewed(Summary(REVIEWS), rng)
    assert len(found) > 50
    for _, example in found:
        assert (example.context, example.target_texts[0]) in pairs
        assert len(example.history) == 0
        assert example.candidates is None


def test_preference_goes_with_the_rating(rng: np.random.Generator) -> None:
    liked = set()
    for _, example in _reviewed(Preference(REVIEWS), rng):
        verb, _, aspect = example.target_texts[0].split(maxsplit=2)
        liked.add(verb)
        assert all(one in REVIEWS.aspects.words for one in aspect.split(" and the "))
        same_words = REVIEWS.ratings[(REVIEWS.texts == example.context).to_numpy()]
        assert ((same_words > REVIEWS.neutral) == (verb == "likes")).any()
    assert liked == {"likes", "dislikes"}
    assert preference_words(False, ["price"]) == "dislikes the price"


def test_tasks_on_reviews_need_the_indices_of_events(rng: np.random.Generator) -> None:
    for task in (Explanation(5, REVIEWS), Summary(REVIEWS), Preference(REVIEWS)):
        assert not _made(task, _history(5), rng, 5)


def test_masked_predicts_the_removed_event(rng: np.random.Generator) -> None:
    missing = set()
    for example in _made(MaskedBehaviour(10), _history(4), rng):
        ((target,),) = example.targets
        rows = example.history.item_rows.tolist()
        assert sorted([*rows, int(target)]) == [0, 1, 2, 3]
        assert rows == sorted(rows)
        assert example.prefix_lengths.tolist() == [3]
        assert example.context == f"after event {target} of 3"
        missing.add(int(target))
    assert missing == {0, 1, 2, 3}
    assert not _made(MaskedBehaviour(10), _history(1), rng)


def test_next_behaviours_are_the_following_ones(rng: np.random.Generator) -> None:
    example = NextBehaviours(10, num_targets=3).example(_history(5), {}, rng)
    assert example is not None
    assert example.history.item_rows.tolist() == [0, 1, 2, 3]
    assert example.prefix_lengths.tolist() == [1, 2, 3, 4]
    assert example.targets.tolist() == [[1, 2, 3], [2, 3, 4], [3, 4, -1], [4, -1, -1]]
    for longer in _made(NextBehaviours(2, num_targets=3), _history(9), rng):
        assert (longer.targets - longer.history.item_rows[:, None] == [1, 2, 3]).all()


ASKING: list[tuple[Task, Callable[[Example], Example]]] = [
    (Rating(6, LEVELS), lambda e: Rating(6, LEVELS).ask(e.history, e.candidates[0])),  # type: ignore[index]
    (YesNo(6, 60), lambda e: YesNo(6, 60).ask(e.history, e.candidates[0])),  # type: ignore[index]
    (Choice(TITLES), lambda e: Choice(TITLES).ask(e.history, e.candidates[0])),  # type: ignore[index]
    (Title(TITLES), lambda e: Title(TITLES).ask(e.candidates[0])),  # type: ignore[index]
    (NextTitle(6, TITLES), lambda e: NextTitle(6, TITLES).ask(e.history)),
    (Profile(6, FACTS), lambda e: Profile(6, FACTS).ask(e.history)),
    (
        Explanation(6, REVIEWS),
        lambda e: Explanation(6, REVIEWS).ask(e.history, int(e.candidates[0, 0]), e.context),  # type: ignore[index]
    ),
    (Summary(REVIEWS), lambda e: Summary(REVIEWS).ask(e.context)),
    (Preference(REVIEWS), lambda e: Preference(REVIEWS).ask(e.context)),
    (NextBehaviours(6), lambda e: NextBehaviours(6).ask(e.history)),
]


@pytest.mark.parametrize(("task", "ask"), ASKING, ids=[task.name for task, _ in ASKING])
def test_training_and_inference_use_the_same_prompt(
    task: Task, ask: Callable[[Example], Example], rng: np.random.Generator
) -> None:
    found = _reviewed(task, rng)
    assert len(found) > 20
    for _, example in found[:20]:
        for prediction in range(len(example.prefix_lengths)):
            trained = _probe(example, prediction)
            asked = ask(trained)
            assert _same_prompt(trained, asked)
            assert not asked.target_texts
            assert asked.targets.shape == (1, 0)


def test_a_prompt_about_many_items_is_one_example() -> None:
    for task in (Rating(3, LEVELS), YesNo(3, NUM_ITEMS)):
        example = task.ask(_history(5), np.asarray([7, 8]))
        assert example.history.item_rows.tolist() == [2, 3, 4]
        assert example.prefix_lengths.tolist() == [3, 3]
        assert example.candidates is not None
        assert example.candidates.tolist() == [[7], [8]]
    assert MaskedBehaviour(3).ask(_history(5), 4).context == "after event 2 of 3"


@given(length=st.integers(0, 30), max_history=st.integers(1, 12), seed=st.integers(0, 1_000))
def test_every_example_is_well_formed(length: int, max_history: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ratings = rng.choice([np.nan, 1.0, 3.0, 5.0], length).tolist()
    for history in (_history(length, ratings), SHOP.sequences[seed % len(SHOP.sequences)]):
        for task in _tasks(max_history):
            for example in _made(task, history, rng, 2):
                _check_form(task, example)


def _check_form(task: Task, example: Example) -> None:
    assert len(example.history) <= task.max_history, task.name
    assert len(example.prefix_lengths) == len(example.targets) > 0
    assert 0 <= example.prefix_lengths.min() <= example.prefix_lengths.max() <= len(example.history)
    if example.target_texts:
        assert len(example.target_texts) == len(example.prefix_lengths)
        assert all(reply and reply.isprintable() for reply in example.target_texts)
        assert example.targets.shape[1] == 0
    else:
        assert (example.targets[:, 0] >= 0).all()
    if example.candidates is not None:
        assert len(example.candidates) == len(example.prefix_lengths)
        assert ((example.candidates >= -1) & (example.candidates < NUM_ITEMS)).all()


@given(seed=st.integers(0, 1_000))
def test_equal_generators_make_equal_examples(seed: int) -> None:
    history = SHOP.sequences[seed % len(SHOP.sequences)]
    for task in _tasks(6):
        one, two = (_made(task, history, np.random.default_rng(seed), 1) for _ in range(2))
        assert [
            (e.target_texts, e.context, e.prefix_lengths.tolist(), e.targets.tolist()) for e in one
        ] == [
            (e.target_texts, e.context, e.prefix_lengths.tolist(), e.targets.tolist()) for e in two
        ]


def test_every_text_task_has_a_family_of_prompts(rng: np.random.Generator) -> None:
    for task in _tasks(5):
        assert isinstance(task, Task)
        assert set(task.slots(rng)) == slots_of(task.name)


@given(
    seen=st.lists(st.integers(0, 19), max_size=30),
    n=st.integers(0, 30),
    seed=st.integers(0, 99),
)
def test_unseen_items_are_new_and_different(seen: list[int], n: int, seed: int) -> None:
    history = History(item_rows=np.asarray(seen, dtype=np.int64))
    drawn = unseen_items(history, n, 20, np.random.default_rng(seed)).tolist()
    assert len(drawn) == len(set(drawn)) == min(n, 20 - len(set(seen)))
    assert not set(drawn) & set(seen)


def test_titles_are_plain_lines() -> None:
    titles = plain_titles(SHOP.catalog)
    assert titles == SHOP.catalog.titles()
