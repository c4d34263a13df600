"""Grids hold zero, stay within half a step, and never break on odd numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesr.errors import GraphError
from edgesr.quant.affine import (
    bias_scales,
    choose_qparams,
    dequantize,
    quantize,
    quantize_bias,
    quantize_weight,
    weight_scales,
)
from edgesr.quant.scheme import GREY_LEVELS, QParams

reals = st.floats(-1e4, 1e4, allow_nan=False)


@given(reals, reals)
def test_zero_is_on_every_grid_and_the_range_is_covered(first: float, second: float) -> None:
    low, high = min(first, second), max(first, second)
    grid = choose_qparams(low, high)
    assert dequantize(quantize([0.0], grid), grid)[0] == 0.0
    assert grid.low <= min(low, 0.0) + grid.scale
    assert grid.high >= max(high, 0.0) - grid.scale


@given(reals, reals, st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_values_inside_the_grid_move_by_half_a_step_at_most(
    first: float, second: float, shares: list[float]
) -> None:
    grid = choose_qparams(min(first, second), max(first, second))
    values = np.array([grid.low + share * (grid.high - grid.low) for share in shares])
    error = np.abs(dequantize(quantize(values, grid), grid) - values)
    assert error.max() <= 0.5 * float(grid.scale) * (1 + 1e-6)


@given(st.integers(-128, 127))
def test_codes_survive_a_round_trip(code: int) -> None:
    grid = choose_qparams(-3.0, 7.0)
    codes = np.array([code], np.int8)
    assert quantize(dequantize(codes, grid), grid)[0] == code


def test_grey_levels_are_codes_shifted_by_128() -> None:
    levels = np.arange(256)
    assert np.array_equal(quantize(levels, GREY_LEVELS), (levels - 128).astype(np.int8))


@pytest.mark.parametrize("bounds", [(math.nan, 1.0), (0.0, math.inf), (2.0, 1.0)])
def test_impossible_ranges_are_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(GraphError, match="want finite bounds in order"):
        choose_qparams(*bounds)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_impossible_scales_are_refused(scale: float) -> None:
    with pytest.raises(GraphError, match="want a positive finite number"):
        QParams(scale=np.float32(scale), zero_point=0)


def test_a_dead_channel_gets_a_scale_that_kernels_take() -> None:
    weight = np.zeros((2, 1, 1, 3), np.float32)
    weight[0] = 1.0
    scales = weight_scales(weight, axis=0, bias_steps=np.zeros(2))
    assert scales[1] == pytest.approx(1e-4 * scales[0])
    assert not quantize_weight(weight, scales, axis=0)[1].any()
    assert (weight_scales(np.zeros_like(weight), axis=0, bias_steps=np.zeros(2)) > 0).all()


def test_a_large_bias_raises_the_weight_scale_until_it_fits() -> None:
    weight = np.full((1, 1, 1, 1), 1e-6, np.float32)
    bias = np.array([1e6], np.float32)
    scales = weight_scales(weight, axis=0, bias_steps=np.abs(bias.astype(np.float64)) / 2**30)
    codes = quantize_bias(bias, bias_scales(np.float32(1.0), scales))
    assert codes[0] * float(scales[0]) == pytest.approx(1e6, rel=1e-6)


@given(st.lists(st.floats(-5, 5, width=32), min_size=4, max_size=4))
def test_weights_stay_in_minus_127_to_127(numbers: list[float]) -> None:
    weight = np.array(numbers, np.float32).reshape(2, 1, 1, 2)
    scales = weight_scales(weight, axis=0, bias_steps=np.zeros(2))
    assert quantize_weight(weight, scales, axis=0).min() >= -127
