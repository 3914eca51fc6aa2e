"""A table of token vectors encodes by means, reads any such folder, and refuses what is none."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

import palate.items.static_text as static_text
from palate.errors import ArtifactError, ConfigError
from palate.items.static_text import StaticTextEncoder
from palate.items.text import TextEncoderConfig, fit_text_encoder, load_text_encoder

WORDS = ("[UNK]", "red", "blue", "shoe")
TABLE = np.array([[9, 9], [1, 0], [0, 1], [3, 4]], dtype=np.float16)


def _tokenizer() -> Tokenizer:
    words = {word: number for number, word in enumerate(WORDS)}
    made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens(["[UNK]"])
    return made


def _folder(
    folder: Path,
    *,
    tokenizer: str = "tokenizer.json",
    table: str = "model.safetensors",
    **tensors: np.ndarray,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    _tokenizer().save(str(folder / tokenizer))
    save_file(tensors or {"embeddings": TABLE}, folder / table)
    return folder


def test_a_text_is_the_mean_of_its_tokens_scaled_to_the_root_of_the_width(tmp_path: Path) -> None:
    encoder = StaticTextEncoder.open(_folder(tmp_path))
    found = encoder.encode(["red blue", "shoe", "red red blue", "", "unheard of"])
    assert found.present.tolist() == [True, True, True, False, False]
    expected = [[1, 1], [0.6 * 2**0.5, 0.8 * 2**0.5], np.array([2, 1]) * (2 / 5) ** 0.5]
    np.testing.assert_allclose(found.values[:3], expected, rtol=1e-6)
    assert not found.values[3:].any()


def test_what_is_unknown_says_nothing(tmp_path: Path) -> None:
    encoder = StaticTextEncoder.open(_folder(tmp_path))
    plain, with_more = encoder.encode(["red shoe", "red unheard shoe [UNK]"]).values
    np.testing.assert_array_equal(plain, with_more)


def test_tokens_count_by_their_weights(tmp_path: Path) -> None:
    weights = np.array([1, 0.5, 1.5, 0], dtype=np.float32)
    encoder = StaticTextEncoder.open(_folder(tmp_path, embeddings=TABLE, weights=weights))
    found = encoder.encode(["red blue shoe", "shoe"])
    np.testing.assert_allclose(found.values[0], np.array([1, 3]) / 5**0.5, rtol=1e-6)
    assert found.present.tolist() == [True, False]


def test_several_tokens_may_share_a_vector(tmp_path: Path) -> None:
    mapping = np.array([0, 1, 1, 2], dtype=np.int64)
    folder = _folder(tmp_path, embeddings=TABLE[:3].copy(), mapping=mapping)
    red, blue, shoe = StaticTextEncoder.open(folder).encode(["red", "blue", "shoe"]).values
    np.testing.assert_array_equal(red, blue)
    assert not np.allclose(red, shoe)
    mapping[3] = 3
    with pytest.raises(ConfigError, match="beyond the 3"):
        StaticTextEncoder.open(_folder(tmp_path, embeddings=TABLE[:3].copy(), mapping=mapping))


def test_files_of_other_names_are_found(tmp_path: Path) -> None:
    names = {"tokenizer": "l2_tokenizer_config.json", "table": "l2_256.safetensors"}
    other = StaticTextEncoder.open(_folder(tmp_path / "other", **names))
    usual = StaticTextEncoder.open(_folder(tmp_path / "usual"))
    assert other.fingerprint == usual.fingerprint


def test_one_text_equals_many_and_order_is_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS[1:], n)) for n in rng.integers(0, 12, 300)]
    encoder = StaticTextEncoder.open(_folder(tmp_path))
    seen: list[tuple[int, int]] = []
    together = encoder.encode(texts, progress=lambda done, total: seen.append((done, total)))
    alone = np.concatenate([encoder.encode([text]).values for text in texts])
    np.testing.assert_allclose(together.values, alone, atol=1e-6)
    assert seen == [(300, 300)]


def test_a_saved_encoder_needs_no_other_folder(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "given")
    config = TextEncoderConfig(kind="static", path=str(folder))
    encoder = fit_text_encoder(config, [], seed=0)
    encoder.save(tmp_path / "saved")
    for file in folder.iterdir():
        file.unlink()
    again = load_text_encoder(tmp_path / "saved")
    assert (again.dim, again.fingerprint) == (2, encoder.fingerprint)
    texts = ["red shoe", "blue"]
    np.testing.assert_array_equal(again.encode(texts).values, encoder.encode(texts).values)
    (tmp_path / "saved" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_text_encoder(tmp_path / "saved")


def test_a_text_is_read_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_text, "MAX_CHARACTERS", 8)
    encoder = StaticTextEncoder.open(_folder(tmp_path))
    cut, whole = encoder.encode(["red red blue blue blue", "red red"]).values
    np.testing.assert_array_equal(cut, whole)


def test_half_a_surrogate_pair_is_read_as_something_unknown(tmp_path: Path) -> None:
    encoder = StaticTextEncoder.open(_folder(tmp_path))
    broken, plain = encoder.encode(["red \ud83d", "red"]).values
    np.testing.assert_array_equal(broken, plain)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"a": TABLE, "b": TABLE}, "2 tables"),
        ({"a": TABLE[0].copy()}, "0 tables"),
        ({"a": TABLE.astype(np.int8)}, "type int8"),
        ({"a": TABLE[:2].copy()}, "4 tokens and the table 2 vectors"),
        ({"a": np.full_like(TABLE, np.nan)}, "not finite"),
    ],
)
def test_what_is_no_table_is_refused(
    tmp_path: Path, tensors: dict[str, np.ndarray], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        StaticTextEncoder.open(_folder(tmp_path, **tensors))


def test_a_folder_that_lacks_or_repeats_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        StaticTextEncoder.open(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="there is none"):
        StaticTextEncoder.open(tmp_path)
    folder = _folder(tmp_path / "two", table="a.safetensors")
    save_file({"embeddings": TABLE}, folder / "b.safetensors")
    with pytest.raises(ConfigError, match=r"a\.safetensors, b\.safetensors"):
        StaticTextEncoder.open(folder)
    Tokenizer(models.WordLevel({"red": 0}, unk_token="?")).save(str(folder / "tokenizer.json"))
    with pytest.raises(ConfigError, match="UNK"):
        StaticTextEncoder.open(folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match="tokenizer"):
        StaticTextEncoder.open(folder)
    with pytest.raises(ConfigError, match="'static' needs"):
        fit_text_encoder(TextEncoderConfig(kind="static"), [], seed=0)


def test_a_table_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static_text, "_MAX_TABLE", 10)
    with pytest.raises(ConfigError, match="are read at most"):
        StaticTextEncoder.open(_folder(tmp_path))
