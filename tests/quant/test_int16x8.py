"""The arithmetic of int16 activations, by hand; LiteRT is the oracle in tests/export."""

import numpy as np
import pytest
import torch

from edgesr.graph.capture import capture
from edgesr.graph.passes import lower
from edgesr.models import build_model
from edgesr.quant.builtin import add
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.int16_ptq import quantize_graph_int16
from edgesr.quant.int16x8 import WIDE_GREY_LEVELS, narrowed, requantize, simulate_int16
from edgesr.quant.scheme import GREY_LEVELS, QParams


def grid(scale: float) -> QParams:
    return QParams(scale=np.float32(scale), zero_point=0, bits=16)


def test_grey_levels_go_to_int16_and_back_unchanged() -> None:
    codes = torch.arange(256).float().view(1, 1, 16, 16)
    found = narrowed(codes * 128, WIDE_GREY_LEVELS, GREY_LEVELS)
    assert torch.equal(found, codes - 128)


@pytest.mark.parametrize(("code", "wanted"), [(62, 0), (63, 1), (64, 1), (190, 1), (191, 2)])
def test_quantize_rounds_twice(code: int, wanted: int) -> None:
    found = narrowed(torch.tensor([float(code)]), WIDE_GREY_LEVELS, GREY_LEVELS)
    assert found.item() + 128 == wanted


def test_a_power_of_two_factor_rounds_half_up_once() -> None:
    sums = torch.tensor([-6.0, -5.0, -2.0, 2.0, 3.0, 6.0], dtype=torch.float64).view(1, 1, 1, -1)
    steps = requantize(sums, grid(0.25), np.ones(1, np.float32), grid(1.0))
    assert steps.flatten().tolist() == [-1.0, -1.0, 0.0, 1.0, 1.0, 2.0]


def test_the_factor_has_16_bits() -> None:
    sums = torch.full((1, 1, 1, 1), 2.0**31, dtype=torch.float64)
    third = np.float32(1 / 3)
    found = requantize(sums, grid(float(third)), np.ones(1, np.float32), grid(2.0**10)).item()
    factor = round(float(third) * 2**16) / 2**16
    assert found == round(2**31 * factor / 2**10)
    assert found != round(2**31 * float(third) / 2**10)


def test_adding_on_one_grid_is_exact_in_vectors_and_in_what_is_left() -> None:
    random = np.random.default_rng(0)
    a, b = (torch.from_numpy(random.integers(-9000, 9000, (2, 3, 5, 3))).float() for _ in "ab")
    one = grid(1 / 128)
    for vectors in (True, False):
        assert torch.equal(add(a, b, one, one, one, bits=15, vectors=vectors), a + b)


def test_images_with_twice_the_range_of_calibration_do_not_clip() -> None:
    torch.manual_seed(0)
    graph = lower(capture(build_model("ncnet", 2).eval(), name="ncnet"))
    dark = torch.randint(0, 100, (2, 24, 24, 3))
    result = quantize_graph_int16(graph, [CalibrationBatch(inputs=dark.float())])
    assert max(result.saturation.values()) == 0.0
    low = simulate_int16(result.quantized, (dark - 128).to(torch.int8))
    high = simulate_int16(result.quantized, (dark * 2 - 128).to(torch.int8))
    double = (low.double() + 128) * 2 - (high.double() + 128)
    assert double.abs().mean() < 1.0
