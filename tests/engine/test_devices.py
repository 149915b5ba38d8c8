import pytest
import torch

from napari_cyclegan3d.engine.devices import choose_device, choose_precision
from napari_cyclegan3d.engine.errors import InputError


def test_the_cpu_can_always_be_chosen() -> None:
    device, reason = choose_device("cpu")
    assert device == torch.device("cpu")
    assert reason == "cpu, as asked"


def test_the_automatic_choice_says_what_it_is_and_why() -> None:
    device, reason = choose_device("auto")
    assert reason.startswith(f"{device} (")


def test_a_gpu_that_is_not_there_is_refused_with_the_alternatives() -> None:
    absent = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(InputError, match=rf"device {absent}: .*'auto', 'cpu'"):
        choose_device(absent)


def test_the_number_format_that_was_asked_for_is_taken() -> None:
    cpu = torch.device("cpu")
    assert choose_precision("fp32", cpu) == torch.float32
    assert choose_precision("bf16", cpu) == torch.bfloat16


def test_an_apple_gpu_computes_in_fp32_by_default() -> None:
    assert choose_precision("auto", torch.device("mps")) == torch.float32
