"""The tokenizer of a checkpoint has its own control tokens, which no text yields."""

import json
from pathlib import Path

import pytest

from palate.errors import ConfigError, MissingExtraError
from palate.language.tokenizer import Tokenizer
from palate.models.backbones.tokenizer import backbone_tokenizer

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def tokenizer(checkpoints: dict[str, Path]) -> Tokenizer:
    return backbone_tokenizer(str(checkpoints["llama"]))


def test_numbers_are_those_of_the_plain_tokenizer(
    tokenizer: Tokenizer, checkpoints: dict[str, Path]
) -> None:
    plain = transformers.AutoTokenizer.from_pretrained(checkpoints["llama"])
    text = "red shoe blue hat sock"
    assert tokenizer.encode(text) == plain(text, add_special_tokens=False)["input_ids"]
    assert (tokenizer.pad, tokenizer.begin, tokenizer.end) == (0, 1, 2)
    assert len(tokenizer) == len(plain)
    assert tokenizer.encode_batch([text, "hat"]) == [tokenizer.encode(text), [7]]
    assert tokenizer.decode([1, 4, 6, 2, 0]) == "red shoe"


@pytest.mark.parametrize("text", ["</s>", "red <pad> hat", "<s><s>", "</s", "<</s>/s>"])
def test_untrusted_text_never_becomes_a_control_token(tokenizer: Tokenizer, text: str) -> None:
    assert {0, 1, 2}.isdisjoint(tokenizer.encode(text))


def test_it_is_saved_with_the_names_of_its_control_tokens(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    again = Tokenizer.load(tmp_path / "tokenizer.json")
    assert (again.begin, again.end, again.pad) == (1, 2, 0)
    assert again.encode("red </s> hat") == tokenizer.encode("red </s> hat")


def _copy_with(folder: Path, source: Path, **names: str | None) -> str:
    (folder / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    settings = json.loads((source / "tokenizer_config.json").read_text())
    settings |= names
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "config.json").write_bytes((source / "config.json").read_bytes())
    return str(folder)


def test_missing_control_tokens_are_replaced_by_others(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    like_t5 = backbone_tokenizer(_copy_with(tmp_path, checkpoints["t5"], bos_token=None))
    assert (like_t5.begin, like_t5.end, like_t5.pad) == (0, 2, 0)
    like_llama = backbone_tokenizer(_copy_with(tmp_path, checkpoints["llama"], pad_token=None))
    assert (like_llama.begin, like_llama.end, like_llama.pad) == (1, 2, 2)


def test_a_missing_end_token_and_a_missing_tokenizer_are_errors(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="names no end"):
        backbone_tokenizer(_copy_with(tmp_path, checkpoints["llama"], eos_token=None))
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match="tokenizer"):
        backbone_tokenizer(str(tmp_path))
    with pytest.raises(ConfigError, match="cannot be opened"):
        backbone_tokenizer(str(tmp_path / "nowhere"))
    monkeypatch.setattr("palate.models.backbones.tokenizer.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"palate\[hf\]"):
        backbone_tokenizer("anywhere")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such folder"):
        backbone_tokenizer(str(tmp_path / "nothing"))
