"""Fixed-point multiplication against exact fractions, and the two ways to round a half."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgesr.quant import builtin, xnnpack
from edgesr.quant.fixed_point import Half, multiply, quantize_multiplier
from edgesr.quant.scheme import QParams


def rounded(value: Fraction, half: Half) -> int:
    if half == "up" or value >= 0:
        return math.floor(value + Fraction(1, 2))
    return math.ceil(value - Fraction(1, 2))


@given(
    st.integers(-(2**26), 2**26),
    st.floats(2.0**-12, 4.0),
    st.sampled_from(["up", "away"]),
)
def test_a_product_is_rounded_up_to_31_bits_and_then_as_named(
    number: int, factor: float, half: Half
) -> None:
    by = quantize_multiplier(factor)
    mantissa, exponent = int(by.mantissa), int(by.exponent)
    high = rounded(Fraction(number * mantissa * 2 ** max(exponent, 0), 2**31), "up")
    wanted = rounded(Fraction(high, 2 ** max(-exponent, 0)), half)
    assert int(multiply(torch.tensor([number]), by, half=half)) == wanted


@given(st.floats(1e-9, 100.0))
def test_a_multiplier_is_within_half_a_bit_of_its_factor(factor: float) -> None:
    by = quantize_multiplier(factor)
    assert 2**30 <= int(by.mantissa) < 2**31
    real = int(by.mantissa) * 2.0 ** (int(by.exponent) - 31)
    assert real == pytest.approx(factor, rel=2.0**-30)


def test_zero_and_tiny_factors_become_zero() -> None:
    for factor in (0.0, 2.0**-40):
        assert int(multiply(torch.tensor([2**30]), quantize_multiplier(factor), half="up")) == 0


def test_halves_go_up_in_vectors_of_eight_and_away_from_zero_in_the_rest() -> None:
    grid = QParams(scale=np.float32(1.0), zero_point=0)
    sums = torch.full((1, 11, 1, 1), -6.0)
    scales = np.full(11, 0.25, np.float32)
    found = builtin.requantize_vectors(sums, grid, scales, grid).flatten().tolist()
    assert found == [-1.0] * 8 + [-2.0] * 3
    assert set(builtin.requantize_optimized(sums, grid, scales, grid).flatten().tolist()) == {-1.0}
    assert set(builtin.requantize_reference(sums, grid, scales, grid).flatten().tolist()) == {-2.0}
    assert set(xnnpack.requantize(sums, grid, scales, grid).flatten().tolist()) == {-2.0}


def test_xnnpack_leaves_extreme_scales_to_the_built_in_kernels() -> None:
    fine, coarse = (QParams(scale=np.float32(s), zero_point=0) for s in (1e-4, 1.0))
    codes = torch.arange(-128.0, 128.0).view(1, 1, 16, 16)
    found = xnnpack.add(codes, codes, fine, coarse, coarse)
    assert torch.equal(found, builtin.add_optimized(codes, codes, fine, coarse, coarse))
