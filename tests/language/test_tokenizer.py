"""Any text comes back from its tokens, and no text reaches the control tokens."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.language.tokenizer import BEGIN, END, PAD, SPECIAL, Tokenizer

TEXTS = ["Oak desk lamp", "oak chair", "lamp with a shade", "recommend the next item"] * 3

TOKENIZER = Tokenizer.train(TEXTS)

_ANY_LETTERS = st.text("abcXYZ 019éßñ漢字😀&-'\".,<>{}\n\t")
_MEAN = st.lists(
    st.sampled_from([*SPECIAL, *"<> ", "begin", "end", "pad", "\uff1cbegin\uff1e", "<BEGIN>"]),
    max_size=8,
).map("".join)


@given(_ANY_LETTERS)
def test_text_comes_back_in_lower_case(text: str) -> None:
    plain = unicodedata.normalize("NFKC", text).lower().strip()
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == plain


@given(st.text() | _MEAN)
def test_untrusted_text_never_becomes_a_control_token(text: str) -> None:
    control = {TOKENIZER.begin, TOKENIZER.end, TOKENIZER.pad}
    assert not control & set(TOKENIZER.encode(text))


@pytest.mark.parametrize("token", [BEGIN, END, PAD])
def test_control_tokens_in_a_text_are_read_as_words(token: str) -> None:
    found = TOKENIZER.decode(TOKENIZER.encode(f"oak {token} lamp"))
    assert found.replace(" ", "") == f"oak{token}lamp"


def test_control_tokens_are_three_and_left_out_of_the_text() -> None:
    assert len({TOKENIZER.begin, TOKENIZER.end, TOKENIZER.pad}) == 3
    tokens = [TOKENIZER.begin, *TOKENIZER.encode("oak lamp"), TOKENIZER.end, TOKENIZER.pad]
    assert TOKENIZER.decode(tokens) == "oak lamp"


def test_capitals_make_no_difference() -> None:
    assert TOKENIZER.encode("Oak LAMP") == TOKENIZER.encode("oak lamp")


def test_frequent_words_are_one_token() -> None:
    assert len(TOKENIZER.encode("oak lamp")) == 2


def test_a_batch_is_its_texts_one_by_one() -> None:
    texts = ["oak", "", "a <begin> lamp", "漢字"]
    assert TOKENIZER.encode_batch(texts) == [TOKENIZER.encode(text) for text in texts]


def test_vocabulary_holds_every_byte_and_is_bounded() -> None:
    assert 256 + len(SPECIAL) < len(TOKENIZER) <= 8192
    assert len(Tokenizer.train(TEXTS, vocabulary_size=265)) <= 265


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    TOKENIZER.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert len(loaded) == len(TOKENIZER)
    assert (loaded.begin, loaded.end, loaded.pad) == (
        TOKENIZER.begin,
        TOKENIZER.end,
        TOKENIZER.pad,
    )
    text = "An oak <end> lamp, déjà vu"
    assert loaded.encode(text) == TOKENIZER.encode(text)
