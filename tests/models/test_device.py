"""The device is chosen in one place, and an absent one is refused with a hint."""

import pytest
import torch

from palate.errors import ConfigError
from palate.models.device import autocast, choose_device


def test_auto_takes_a_gpu_only_where_there_is_one() -> None:
    assert choose_device().where.type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    "name",
    ["gpu", "cpu:1", "cuda:x", "cuda:-1", "", "CUDA", "cuda:", "cuda:\u0663", "auto:0", "meta"],
)
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="There is no device") as caught:
        choose_device(name)
    assert "auto, cpu, cuda or cuda:N" in str(caught.value.hint)


def test_a_gpu_that_is_not_there_is_refused_before_any_work() -> None:
    with pytest.raises(ConfigError, match="CUDA does not offer it") as caught:
        choose_device("cuda:97")
    assert "--device cpu" in str(caught.value.hint)


def test_precision_decides_training_and_answers_apart() -> None:
    plain, asked = choose_device("cpu", "float32"), choose_device("cpu", "bfloat16")
    assert not plain.trains_in_bfloat16
    assert asked.trains_in_bfloat16
    assert asked.answers_in_bfloat16
    assert not choose_device("cpu").answers_in_bfloat16


def test_matrix_products_have_the_requested_precision() -> None:
    matrix = torch.ones(2, 2)
    for enabled, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        with autocast(torch.device("cpu"), enabled=enabled):
            assert (matrix @ matrix).dtype == dtype


def _offer(monkeypatch: pytest.MonkeyPatch, *capabilities: tuple[int, int]) -> None:
    """Let CUDA offer GPUs of these capabilities."""
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(capabilities))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(capabilities))
    monkeypatch.setattr(
        torch.cuda, "get_device_capability", lambda device: capabilities[device.index]
    )


def test_each_gpu_has_its_own_number_and_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, (7, 5), (9, 0))
    assert choose_device().where == choose_device("cuda").where == torch.device("cuda:0")
    assert choose_device().training == "cuda:0 in float32"
    assert choose_device("cuda:1").training == "cuda:1 in bfloat16"
    assert choose_device("cuda:1", "float32").training == "cuda:1 in float32"
    assert not choose_device("cuda:1", "bfloat16").is_slowed_by_bfloat16
    with pytest.raises(ConfigError, match="'cuda:0' does not multiply"):
        choose_device("auto", "bfloat16")
    with pytest.raises(ConfigError, match="it offers 2") as caught:
        choose_device("cuda:2")
    assert "cuda:0 to cuda:1" in str(caught.value.hint)


def test_without_a_gpu_the_error_says_which_of_two_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _offer(monkeypatch)
    with pytest.raises(ConfigError, match="it offers none"):
        choose_device("cuda")
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    with pytest.raises(ConfigError, match="built without CUDA"):
        choose_device("cuda")
