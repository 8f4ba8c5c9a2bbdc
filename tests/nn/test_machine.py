import logging

import pytest
import torch

from polyscene.core.contracts import Run
from polyscene.core.errors import ConfigError
from polyscene.nn.machine import cpu_precision, device_of, paying_threads, settled


def test_threads_and_precision_are_put_back():
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    with settled(Run(threads=1)) as device:
        assert torch.get_num_threads() == 1
        assert torch.get_float32_matmul_precision() == cpu_precision()
        assert device.type == "cpu"
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == (threads, precision)


def test_they_are_put_back_after_a_failure():
    threads = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), settled(Run(threads=1)):
        raise ZeroDivisionError
    assert torch.get_num_threads() == threads


def test_chosen_precision_is_still_float32():
    chance = torch.Generator().manual_seed(1)
    left, right = torch.randn(256, 64, generator=chance), torch.randn(64, 1000, generator=chance)
    exact = left.double() @ right.double()
    with settled(Run()):
        error = (left @ right - exact).abs().max() / exact.abs().max()
    assert error < 5e-6


def test_zero_threads_are_those_that_pay():
    threads = torch.get_num_threads()
    paying_threads.cache_clear()
    assert paying_threads() in {1, threads}
    assert torch.get_num_threads() == threads
    with settled(Run(threads=0)):
        assert torch.get_num_threads() == paying_threads()


def test_unknown_device_names_the_known_ones():
    with pytest.raises(ConfigError, match="'abacus' is unknown to torch; use 'cpu' or 'cuda'"):
        device_of(Run(device="abacus"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_missing_gpu_says_so():
    with pytest.raises(ConfigError, match="torch sees no GPU here; use 'cpu'"):
        device_of(Run(device="cuda"))


def test_the_choice_is_logged(caplog):
    cpu_precision.cache_clear()
    paying_threads.cache_clear()
    with caplog.at_level(logging.INFO, "polyscene"), settled(Run()):
        pass
    assert "float32 matmul: " in caplog.text
    assert "threads: " in caplog.text
