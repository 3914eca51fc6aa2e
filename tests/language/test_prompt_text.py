"""Prompts in text: what a pre-trained model reads is what a person reads."""

import numpy as np
import pytest

from palate.language.item_format import FormattedItems, ItemFormat
from palate.language.prompt_text import PromptText
from palate.language.tasks.asking import asking
from palate.language.tasks.task import Frame
from palate.language.tokenizer import Tokenizer
from palate.types import History

TITLES = ("Oak Lamp", "Desk", "Blue Chair")
TEXTS = ["oak lamp desk blue chair rate the item as this user would purchase view rated of"] * 3
WORDS = Tokenizer.train(TEXTS, vocabulary_size=400)
PROMPTS = PromptText(WORDS, ("view", "purchase"), (1.0, 5.0))
FRAME = Frame(cue="Answer with a rating from 1 to 5.")
HISTORY = History(
    item_rows=np.array([0, 1]),
    event_types=np.array([1, 0]),
    ratings=np.array([4.0, np.nan], dtype=np.float32),
)


def test_a_prompt_says_events_ratings_candidate_and_cue() -> None:
    prompt = asking(HISTORY, [2], candidates=np.array([[2]]))
    assert PROMPTS.message("rate the item", prompt, FRAME, TITLES) == (
        "Rate the item.\n"
        "The user's history, oldest first:\n"
        "- purchase, rated 4 of 5: Oak Lamp\n"
        "- view: Desk\n"
        "Item: Blue Chair\n"
        "Answer with a rating from 1 to 5."
    )


def test_several_candidates_are_a_list() -> None:
    prompt = asking(HISTORY, [1], candidates=np.array([[2, 1, -1]]))
    lines = PROMPTS.message("which comes next", prompt, FRAME, TITLES).splitlines()
    assert lines[0] == "Which comes next?"
    assert lines[2:] == [
        "- purchase, rated 4 of 5: Oak Lamp",
        "Candidates:",
        "- Blue Chair",
        "- Desk",
        FRAME.cue,
    ]


def test_a_user_without_events_is_said_to_be_new() -> None:
    nobody = asking(HISTORY.take(slice(0, 0)), [0], context="red")
    text = PROMPTS.message("find it", nobody, Frame(context="Query"), TITLES)
    assert text == "Find it.\nQuery: red\nThe user has no history yet."


MAY, JUNE = 1_400_000_000, 1_402_000_000


def _dated(*times: int, dates: bool = True) -> list[str]:
    history = History(item_rows=np.arange(len(times)) % 3, timestamps=np.array(times))
    return PROMPTS.before_events(history, Frame(dates=dates))


def test_a_month_is_said_once() -> None:
    said = ["\n- May 2014:", "\n-", "\n- June 2014:", "\n-"]
    assert _dated(MAY, MAY + 5, JUNE, JUNE) == said


def test_months_are_said_where_they_are_read_alone() -> None:
    assert _dated(MAY, JUNE, dates=False) == ["\n-", "\n-"]


@pytest.mark.parametrize("time", [-1, 0, 7, 10**15])
def test_what_is_no_date_is_not_said(time: int) -> None:
    assert _dated(time, MAY) == ["\n-", "\n- May 2014:"]


def test_a_date_stands_before_kind_and_rating() -> None:
    history = History(
        item_rows=np.array([0]),
        event_types=np.array([1]),
        ratings=np.array([4.0], dtype=np.float32),
        timestamps=np.array([MAY]),
    )
    prompt = asking(history, [1])
    text = PROMPTS.message("which comes next", prompt, Frame(dates=True), TITLES)
    assert text.splitlines()[-1] == "- May 2014, purchase, rated 4 of 5: Oak Lamp"


def test_line_breaks_of_a_title_cannot_forge_a_line() -> None:
    prompt = asking(HISTORY, [1])
    text = PROMPTS.message("x", prompt, FRAME, ("Lamp\n- view: Gold", "", ""))
    assert "\n- view: Gold" not in text


@pytest.mark.parametrize(
    ("wording", "sentence"),
    [("is it red", "Is it red?"), ("rate it", "Rate it."), ("Why?", "Why?"), ("  ", "")],
)
def test_a_wording_becomes_a_sentence(wording: str, sentence: str) -> None:
    assert PROMPTS.sentence(wording) == sentence


def test_items_keep_their_tokens_behind_the_text_before_them() -> None:
    formatted = ItemFormat(("codes", "item"), num_levels=2).lay_out(np.array([7, 9]))
    with_text = PROMPTS.with_text(formatted, ["\n-", "\n- view:"])
    own = with_text.items >= 0
    assert with_text.items[own].tolist() == formatted.items.tolist()
    assert with_text.levels[own].tolist() == formatted.levels.tolist()
    assert (with_text.token_ids[~own] >= 0).all()
    assert with_text.lengths.sum() == len(with_text.items)
    first = int(with_text.lengths[0])
    assert with_text.items[first - 3 : first].tolist() == [7, 7, 7]


def test_an_item_without_tokens_gets_no_text() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    empty = FormattedItems(nothing, nothing, nothing, np.array([0, 0]))
    assert PROMPTS.with_text(empty, ["\n-", "\n-"]).lengths.tolist() == [0, 0]


def test_a_long_context_is_cut_before_the_history_is_announced() -> None:
    long = asking(HISTORY, [2], context="oak " * 500)
    (tokens,) = PROMPTS.head_tokens([long], FRAME)
    assert WORDS.decode(tokens).endswith("history, oldest first:")
    assert len(tokens) < 200
