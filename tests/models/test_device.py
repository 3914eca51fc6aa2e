"""The device is chosen in one place, and an absent one is refused with a hint."""

import pytest
import torch

from palate.errors import ConfigError
from palate.models.device import autocast, choose_device


def test_auto_takes_a_gpu_only_where_there_is_one() -> None:
    assert choose_device().where.type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "cpu:1", "cuda:x", "cuda:-1", ""])
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
