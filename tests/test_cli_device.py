"""Device and precision on the command line: refused before any work, else obeyed by each verb."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from palate import Dataset, Recommender, cli
from palate.inference.request import Request
from palate.serving import mcp, server
from palate.serving.app import ServeSettings
from palate.serving.service import Service
from palate.serving.startup import open_service

Verb = Callable[..., tuple[int, str, str]]

PLAIN = ("--device", "cpu", "--precision", "float32")
TRAIN = (
    *("--recipe", "urm-small", "--set", "items.text.dim=16", "--set", "model.decoder.width=16"),
    *("--set", "model.decoder.layers=1", "--set", "training.epochs=1"),
    *("--set", "training.tokens_per_batch=2048"),
)
VERBS = {
    "train": ("DATASET", "OUT", *TRAIN),
    "evaluate": ("MODEL",),
    "compare": ("MODEL", "OTHER"),
    "report": ("MODEL", "--out", "OUT"),
    "recommend": ("MODEL", "--user", "u1"),
    "search": ("MODEL", "lamp"),
    "rate": ("MODEL", "--item", "i", "--user", "u1"),
    "explain": ("MODEL", "--item", "i", "--user", "u1"),
    "summarise": ("MODEL", "--text", "good"),
    "rank": ("MODEL", "--items", "i", "--user", "u1"),
    "sensitivity": ("MODEL",),
    "serve": ("MODEL",),
    "mcp": ("MODEL",),
}


@pytest.fixture
def palate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Verb:
    """The function that runs a command line in an empty folder, as the shell would."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["palate", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return (int(stopped.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def shop(live_shop: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder."""
    folder = tmp_path_factory.mktemp("shop") / "shop"
    live_shop.save(folder)
    return folder


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA offers one GPU, too old for bfloat16."""
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))


# What cannot be: nothing is read before, so that the folders named need not exist.


@pytest.mark.parametrize("verb", VERBS)
def test_a_device_that_is_none_is_refused_first(verb: str, palate: Verb, tmp_path: Path) -> None:
    code, out, err = palate(verb, *VERBS[verb], "--device", "gpu")
    assert (code, out) == (2, "")
    assert err == (
        "error: There is no device 'gpu'.\nhint: Give auto, cpu, cuda or cuda:N, such as cuda:1.\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["train", "evaluate", "recommend", "serve"])
def test_a_gpu_that_torch_cannot_use_is_refused_first(
    verb: str, palate: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for built, told in ((False, "this torch is built without CUDA"), (True, "it offers none")):
        monkeypatch.setattr(torch.backends.cuda, "is_built", lambda built=built: built)
        code, out, err = palate(verb, *VERBS[verb], "--device", "cuda")
        assert (code, out) == (2, "")
        assert f"error: The device 'cuda' was requested, and CUDA does not offer it: {told}." in err
        assert "hint: Give --device cpu, or auto" in err


@pytest.mark.usefixtures("one_gpu")
@pytest.mark.parametrize("verb", ["train", "evaluate", "recommend", "serve"])
def test_a_gpu_beyond_the_last_is_refused_first(verb: str, palate: Verb) -> None:
    code, out, err = palate(verb, *VERBS[verb], "--device", "cuda:7")
    assert (code, out) == (2, "")
    assert "The device 'cuda:7' was requested, and CUDA does not offer it: it offers 1." in err
    assert "hint: Give --device cuda:0, or auto" in err


@pytest.mark.usefixtures("one_gpu")
@pytest.mark.parametrize("verb", ["train", "evaluate", "recommend", "serve"])
@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:0"])
def test_bfloat16_on_a_gpu_without_it_is_refused_first(
    verb: str, device: str, palate: Verb
) -> None:
    code, out, err = palate(verb, *VERBS[verb], "--device", device, "--precision", "bfloat16")
    assert (code, out) == (2, "")
    assert "error: The precision bfloat16 was requested, and the device 'cuda:0' does not" in err
    assert "hint: Give --precision float32" in err


@pytest.mark.parametrize("verb", ["train", "evaluate", "recommend", "serve"])
def test_a_precision_that_is_none_is_refused_first(verb: str, palate: Verb) -> None:
    code, out, err = palate(verb, *VERBS[verb], "--precision", "float16")
    assert (code, out) == (2, "")
    assert "bfloat16" in err


# The processor, which is what there is without the options too.


def test_train_says_device_and_precision_and_learns_the_same(
    shop: Path, palate: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    for name, options in (("plain", PLAIN), ("usual", ())):
        code, out, err = palate("train", shop, tmp_path / name, *TRAIN, *options)
        assert code == 0, err
        assert out.count("Training on cpu in float32.\n") == 1
    one, other = (tmp_path / name / "weights.safetensors" for name in ("plain", "usual"))
    assert one.read_bytes() == other.read_bytes()


def test_train_says_that_bfloat16_does_not_pay(
    shop: Path, palate: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    code, out, err = palate(
        "train", shop, tmp_path / "model", "--recipe", "popularity", "--precision", "bfloat16"
    )
    assert code == 0, err
    assert "Training on cpu in bfloat16, which is slower than float32 here.\n" in out


@pytest.mark.parametrize("model", ["urm", "itemknn"])
def test_evaluate_and_recommend_answer_the_same(
    model: str, palate: Verb, model_folders: Path, live_shop: Dataset
) -> None:
    user = live_shop.users["user_id"][0]
    found = []
    for options in (PLAIN, ()):
        asked = ("recommend", model_folders / model, "--user", user, "--json", *options)
        code, listed, err = palate(*asked)
        assert code == 0, err
        code, _, err = palate("evaluate", model_folders / model, "--json", "x.json", *options)
        assert code == 0, err
        figures = json.loads(Path("x.json").read_text())
        found.append((json.loads(listed), figures["masked"], figures["unmasked"]))
    assert found[0] == found[1]


def test_serve_and_mcp_hand_the_device_to_every_model_that_is_ever_loaded(
    palate: Verb, model_folders: Path, live_shop: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[ServeSettings] = []
    monkeypatch.setattr(server, "serve", told.append)
    for options in ((*PLAIN[:2], "--precision", "bfloat16"), PLAIN, ()):
        assert not palate("serve", model_folders / "urm", *options)[0]
    answers = []
    for number, settings in enumerate(told):
        service = open_service(settings.models, f"sqlite:///{number}.db", device=settings.device)
        answers.append(_scores(service, live_shop))
        (first,) = _products(service)
        service.pool.swap(model_folders / "itemknn")
        service.pool.swap(model_folders / "urm")
        assert _products(service) == [first] == [number == 0]
        service.store.close()
    assert answers[1] == answers[2] != answers[0]
    handed: list[object] = []
    monkeypatch.setattr(mcp, "run_mcp", lambda *words: handed.extend(words))
    assert not palate("mcp", model_folders / "urm", *PLAIN)[0]
    assert handed[-1] == told[1].device


def _products(service: Service) -> list[bool]:
    """Return of every language model in service whether it multiplies in bfloat16."""
    systems = [served.engine.trained.system for served in service.models]
    return [system.model.answers_in_bfloat16 for system in systems if hasattr(system, "model")]


def _scores(service: Service, shop: Dataset) -> list[float]:
    (answer,) = service.main.answer([Request(shop.interactions.history(0), 5)])
    return [float(score) for score in answer.scores]


# A GPU, where there is one.


@pytest.mark.gpu
def test_train_on_a_gpu(shop: Path, palate: Verb, tmp_path: Path) -> None:
    code, out, err = palate("train", shop, tmp_path / "model", *TRAIN, "--device", "cuda")
    assert code == 0, err
    assert "Training on cuda:0 in " in out
    there, here = (Recommender.load(tmp_path / "model", device=on) for on in ("cuda", "cpu"))
    user = there.dataset.users["user_id"][0]
    assert _ids(there, user) == _ids(here, user)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_evaluate_on_a_gpu(precision: str, palate: Verb, model_folders: Path) -> None:
    found = []
    for options in (("--device", "cuda", "--precision", precision), PLAIN):
        code, _, err = palate("evaluate", model_folders / "urm", "--json", "x.json", *options)
        assert code == 0, err
        found.append(json.loads(Path("x.json").read_text())["unmasked"]["ndcg@10"])
    assert found[0] == pytest.approx(found[1], abs=0.02)


@pytest.mark.gpu
def test_recommend_on_a_gpu(palate: Verb, model_folders: Path, live_shop: Dataset) -> None:
    user, found = live_shop.users["user_id"][0], []
    for options in (("--device", "cuda"), PLAIN):
        asked = ("recommend", model_folders / "urm", "--user", user, "--json", *options)
        code, listed, err = palate(*asked)
        assert code == 0, err
        found.append([item["item_id"] for item in json.loads(listed)])
    assert found[0] == found[1]


@pytest.mark.gpu
def test_serve_on_a_gpu(
    palate: Verb, model_folders: Path, live_shop: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[ServeSettings] = []
    monkeypatch.setattr(server, "serve", told.append)
    found = []
    for name, options in (("far", ("--device", "cuda")), ("near", PLAIN)):
        assert not palate("serve", model_folders / "urm", *options)[0]
        service = open_service(told[-1].models, f"sqlite:///{name}.db", device=told[-1].device)
        found.append(_scores(service, live_shop))
        service.store.close()
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def _ids(model: Recommender, user: str) -> list[str]:
    return [item.item_id for item in model.recommend(user, 5)]
