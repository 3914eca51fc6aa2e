"""Blank filling: the hidden part at each level, and the layout of the visible part."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.data.catalog import Catalog
from palate.data.vocabulary import Vocabulary
from palate.language.batch import MAX_BLANK_TOKENS, Batch, BatchBuilder
from palate.language.blank_layout import corrupted, hidden_words
from palate.language.item_format import FormattedItems, ItemFormat, title_words
from palate.language.prompts import render
from palate.language.tasks.blanks import LEVELS, BlankFilling, Level
from palate.language.tasks.task import MAX_CONTEXT_TOKENS, Example
from palate.language.text.reviews import Reviews, read_reviews
from palate.language.tokenizer import Tokenizer
from palate.simulation.world import World
from palate.types import History

TITLES = [f"oak {word}" for word in ("lamp", "chair", "table", "shelf", "door", "bed")]
TOKENIZER = Tokenizer.train([*TITLES, "it is good . we like it a lot"] * 3)
SPELLING = ItemFormat(
    ("title", "item"), titles=title_words(TITLES, TOKENIZER), entity_positions=True
)
WRITER = BatchBuilder(TOKENIZER, None, SPELLING, (1.0, 2.0))
OAK, LAMP, CHAIR, TABLE = TOKENIZER.encode("oak lamp chair table")
MASK, END = TOKENIZER.pad, TOKENIZER.end
SHOP = World(num_users=150, num_items=60, seed=2).dataset()
_found = read_reviews(SHOP)
assert _found is not None
REVIEWS: Reviews = _found


def _history(length: int) -> History:
    rows = np.arange(length) % len(TITLES)
    return History(rows, event_types=np.zeros(length, np.int64), ratings=np.ones(length))


def _hiding(rows: Sequence[int], hidden: Sequence[int]) -> Example:
    history = replace(_history(len(rows)), item_rows=np.asarray(rows))
    nothing = np.zeros((1, 0), dtype=np.int64)
    return Example(history, np.asarray([len(rows)]), nothing, hidden=np.asarray(hidden))


def _batch(*examples: Example) -> Batch:
    return WRITER.batch("x", examples)


def _made(task: BlankFilling, history: History, seed: int) -> Example:
    example = task.example(history, {}, np.random.default_rng(seed))
    assert example is not None
    return example


def test_a_hidden_item_is_one_mark_and_its_words_are_the_answer() -> None:
    batch = _batch(_hiding([0, 1, 2], [-1, 0, -1]))
    assert batch.token_ids.tolist() == [[OAK, LAMP, -1, MASK, OAK, TABLE, -1]]
    assert batch.items.tolist() == [[-1, -1, 0, -1, -1, -1, 2]]
    assert batch.inner is not None
    assert batch.inner.tolist() == [[1, 2, 3, 0, 1, 2, 3]]
    assert batch.prefix_lengths.tolist() == [[7]]
    assert batch.target_ids is not None
    assert batch.target_ids.tolist() == [[[OAK, CHAIR, END]]]
    assert batch.masks is not None
    assert batch.masks.tolist() == [[[3]]]


def test_type_and_rating_of_a_hidden_event_are_hidden() -> None:
    batch = _batch(_hiding([0, 1], [-1, 0]))
    assert batch.events.tolist() == [[0, 0, 0, -1]]
    assert batch.ratings is not None
    assert batch.ratings.tolist() == [[0, 0, 0, -1]]
    assert 1 not in batch.items


def test_blanks_are_answered_in_order_and_a_run_is_one_blank() -> None:
    batch = _batch(_hiding([0, 1, 2, 0], [0, -1, 1, 1]), _hiding([2, 1], [0, -1]))
    assert batch.token_ids[0].tolist() == [MASK, OAK, CHAIR, -1, MASK]
    assert batch.target_ids is not None
    said = [OAK, LAMP, END, OAK, TABLE, OAK, LAMP, END]
    assert batch.target_ids.tolist() == [[said], [[OAK, TABLE, END, *[-1] * 5]]]
    assert batch.masks is not None
    assert batch.masks.tolist() == [[[0, 4]], [[0, 0]]]


def test_a_sentence_is_hidden_where_the_gap_is() -> None:
    text = "it is good. a lot"
    example = Example(
        History(item_rows=np.zeros(0, np.int64)),
        np.asarray([0]),
        np.zeros((1, 0), np.int64),
        context=text,
        gap=12,
        target_texts=["we like it."],
    )
    batch = _batch(example, _hiding([0], [0]))
    before, after = TOKENIZER.encode(text[:12]), TOKENIZER.encode(text[12:])
    assert batch.token_ids[0].tolist() == [*before, MASK, *after]
    assert batch.target_ids is not None
    wanted = [*TOKENIZER.encode("we like it."), END]
    assert batch.target_ids[0, 0, : len(wanted)].tolist() == wanted
    assert batch.masks is not None
    assert batch.masks.tolist() == [[[len(before)]], [[0]]]


def test_the_mark_in_a_long_text_is_never_cut_off() -> None:
    example = _hiding([0], [0])
    long = replace(
        example, context="good " * 400, gap=1500, hidden=None, target_texts=["it " * 300]
    )
    batch = _batch(replace(long, history=_history(0), prefix_lengths=np.asarray([0])))
    assert batch.token_ids.shape[1] == MAX_CONTEXT_TOKENS
    assert batch.token_ids[0, -1] == MASK
    assert batch.target_ids is not None
    assert batch.target_ids.shape[2] == MAX_BLANK_TOKENS


def test_items_are_hidden_one_by_one_about_one_in_seven() -> None:
    task = BlankFilling(20, levels=("entity",))
    hidden = np.stack([_made(task, _history(20), seed).hidden for seed in range(200)])
    assert ((hidden >= 0).sum(axis=1) == 3).all()
    assert [sorted(row[row >= 0].tolist()) for row in hidden] == [[0, 1, 2]] * 200
    assert (hidden >= 0).any(axis=0).all(), "any event may be hidden"
    assert (_made(task, _history(2), 0).hidden >= 0).sum() == 1, "one at least"


def test_a_document_is_hidden_from_somewhere_in_its_first_half_on() -> None:
    task = BlankFilling(20, levels=("document",))
    counts = []
    for seed in range(200):
        hidden = _made(task, _history(12), seed).hidden
        counts.append(int((hidden == 0).sum()))
        assert (hidden[-counts[-1] :] == 0).all()
    assert (min(counts), max(counts)) in {(6, 12), (7, 12)}


def test_without_a_review_a_run_of_events_is_hidden_in_place_of_a_sentence() -> None:
    task = BlankFilling(20, levels=("sentence",))
    for seed in range(100):
        places = np.flatnonzero(_made(task, _history(9), seed).hidden == 0)
        assert 1 <= len(places) <= 3
        assert np.ptp(places) == len(places) - 1


@pytest.mark.parametrize("level", ["sentence", "document"])
def test_the_hidden_text_completes_the_review(level: Level) -> None:
    task = BlankFilling(20, REVIEWS, levels=(level,))
    texts = 0
    for number, history in enumerate(SHOP.sequences):
        example = task.example(history, {}, np.random.default_rng(number))
        if example is None or example.gap is None:
            continue
        texts += 1
        said = example.target_texts[0]
        whole = example.context[: example.gap] + said + example.context[example.gap :]
        own = [REVIEWS.of(int(place)) for place in REVIEWS.among(history.places)]
        written = ["".join(review.text.split()) for review in own if review]
        assert any(text.startswith("".join(whole.split())) for text in written)
        assert said
        if level == "document":
            assert example.gap == len(example.context)
            assert len(said.split()) >= len(example.context.split())
    assert texts > 20


@given(st.integers(0, 1000), st.integers(2, 30), st.sampled_from(LEVELS))
def test_the_visible_and_the_hidden_part_make_up_the_window(
    seed: int, length: int, level: Level
) -> None:
    example = _made(BlankFilling(12, levels=(level,)), _history(length), seed)
    assert example.hidden is not None
    assert len(example.history) == len(example.hidden) <= 12
    assert (example.hidden >= 0).any()
    formatted = SPELLING.lay_out(example.history.item_rows)
    left = corrupted(formatted, example.hidden, MASK)
    blanks = hidden_words(formatted, example.hidden)
    assert (left.token_ids == MASK).sum() == len(blanks)
    assert left.lengths.sum() == len(left.token_ids)
    whole = _filled(left, blanks)
    assert whole == formatted.token_ids[formatted.token_ids >= 0].tolist()


def _filled(left: FormattedItems, blanks: Sequence[Sequence[int]]) -> list[int]:
    following = iter(blanks)
    words: list[int] = []
    for word in left.token_ids[left.token_ids >= 0].tolist():
        words += next(following) if word == MASK else [word]
    return words


@given(st.integers(0, 1000), st.integers(0, 1))
def test_an_item_is_hidden_whole_or_not_at_all(seed: int, level: int) -> None:
    example = _made(BlankFilling(12, levels=(LEVELS[level],)), _history(10), seed)
    batch = _batch(example)
    shown = batch.token_ids[0][(batch.token_ids[0] >= 0) & (batch.token_ids[0] != MASK)].tolist()
    assert shown.count(OAK) == len(shown) / 2, "every title left is of two words"


def test_the_held_out_event_is_the_blank() -> None:
    example = BlankFilling(3).ask_last(_history(5))
    assert example.hidden is not None
    assert example.hidden.tolist() == [-1, -1, 0]
    assert example.history.item_rows.tolist() == [2, 3, 4]


def test_a_user_with_one_event_and_no_review_has_no_example() -> None:
    assert BlankFilling(5).example(_history(1), {}, np.random.default_rng(0)) is None


def test_an_example_can_be_cut_to_one_of_its_points() -> None:
    example = Example(
        _history(4),
        np.asarray([1, 3, 3]),
        np.asarray([[7], [8], [9]]),
        candidates=np.asarray([[1], [2], [3]]),
        target_texts=["a", "b", "c"],
    )
    made = [example.with_one_prefix(np.random.default_rng(seed)) for seed in range(20)]
    kinds = {(len(e.history), *e.prefix_lengths.tolist(), *e.target_texts) for e in made}
    assert kinds == {(1, 1, "a"), (3, 3, 3, "b", "c")}
    late = next(e for e in made if len(e.history) == 3)
    assert late.targets.tolist() == [[8], [9]]
    assert late.candidates is not None
    assert late.candidates.tolist() == [[2], [3]]


def test_a_rendered_prompt_shows_the_blanks_and_their_text() -> None:
    ids = [f"i{row}" for row in range(len(TITLES))]
    catalog = Catalog(Vocabulary(ids), pl.DataFrame({"item_id": ids, "title": TITLES}))
    of_events = _hiding([0, 1, 2], [-1, 0, 0])
    lines = ["fill in", "1. oak lamp (1)", "2. ____", "3. ____", "answer: oak chair | oak table"]
    assert render("fill in", {}, of_events, catalog).splitlines() == lines
    of_text = Example(
        History(item_rows=np.zeros(0, np.int64)),
        np.asarray([0]),
        np.zeros((1, 0), np.int64),
        context="a lot",
        gap=0,
        target_texts=["it is good."],
    )
    shown = render("fill in", {}, of_text, catalog).splitlines()
    assert shown == ["fill in", "words: ____ a lot", "answer: it is good."]
