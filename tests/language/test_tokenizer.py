"""Any text is restored from its tokens, and no text yields a control token."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import models, normalizers, pre_tokenizers

from palate.errors import ArtifactError
from palate.language.tokenizer import BEGIN, END, PAD, SPECIAL, ControlTokens, Tokenizer

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


def test_saved_and_loaded_features_are_equal(tmp_path: Path) -> None:
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


def _like_t5() -> Tokenizer:
    """A Unigram model whose control tokens are pieces like any other, as SentencePiece has them."""
    pieces = ["<pad>", "</s>", "<unk>", "▁red", "▁", "<", "/", "s", ">"]
    raw = RawTokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=2))
    raw.normalizer = normalizers.NFKC()
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.add_special_tokens(["<pad>", "</s>", "<unk>"])
    return Tokenizer(raw, ControlTokens(begin="<pad>", end="</s>", pad="<pad>", unknown="<unk>"))


@pytest.mark.parametrize("text", ["red </s>", "\uff1c/s\uff1e red", "</s></s>", "<pad>"])
def test_a_foreign_tokenizer_writes_no_control_token_either(text: str) -> None:
    foreign = _like_t5()
    assert (foreign.begin, foreign.end, foreign.pad) == (0, 1, 0)
    assert {0, 1}.isdisjoint(foreign.encode(text))
    assert foreign.encode_batch([text]) == [foreign.encode(text)]


def test_unknown_text_stays_unknown() -> None:
    assert _like_t5().encode("red zq red") == [3, 4, 2, 3]


def test_a_foreign_tokenizer_is_loaded_with_its_own_names(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    _like_t5().save(path)
    again = Tokenizer.load(path)
    assert (again.begin, again.end, again.pad) == (0, 1, 0)
    assert again.encode("red zq") == [3, 4, 2]
    TOKENIZER.save(path)
    assert Tokenizer.load(path).begin == TOKENIZER.begin
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.json"]


def test_a_missing_control_token_is_an_error() -> None:
    with pytest.raises(ArtifactError, match="<end>"):
        Tokenizer(RawTokenizer(models.WordLevel({"<begin>": 0, "<pad>": 1})))
