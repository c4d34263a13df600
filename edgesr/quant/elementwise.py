"""Integer arithmetic of element-wise operations on int8 codes, by kernel family.

Every function takes int64 codes and returns int8 codes. ``kernels`` is a key of
``simulate.KERNELS``; functions without it are the same in all families.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgesr.quant import builtin, xnnpack
from edgesr.quant.fixed_point import multiply, quantize_multiplier
from edgesr.quant.scheme import CODE_MAX, CODE_MIN, QParams

RELU6_MAX = np.float32(6.0)

_Q8_BITS = 8
_CODES_VECTOR = 16
_CODES = np.arange(CODE_MIN, CODE_MAX + 1)

Function = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]


def saturate(steps: Tensor, target: QParams, activation: str = "none") -> Tensor:
    """Add the zero point and clip to int8 and to a fused ``relu`` or ``relu6``."""
    low, high = target.code_min - target.zero_point, target.code_max - target.zero_point
    if activation != "none":
        low = max(low, 0)
    if activation == "relu6":
        high = min(high, int(np.rint(RELU6_MAX / target.scale)))
    return (steps.clamp(low, high) + target.zero_point).to(torch.int8)


def sub(  # noqa: PLR0913 - two operands and their grids
    first: Tensor,
    second: Tensor,
    a: QParams,
    b: QParams,
    target: QParams,
    *,
    activation: str,
    kernels: str,
) -> Tensor:
    """SUB: as ADD, but that all built-in kernels round the operands twice."""
    family = xnnpack.add if kernels == "xnnpack" else builtin.add
    return saturate(family(first, second, a, b, target, sign=-1), target, activation)


def mul(  # noqa: PLR0913 - two operands and their grids
    first: Tensor,
    second: Tensor,
    a: QParams,
    b: QParams,
    target: QParams,
    *,
    activation: str,
    kernels: str,
) -> Tensor:
    """MUL: the factor is float32 in XNNPACK; rounded there half to even."""
    product = (first - a.zero_point) * (second - b.zero_point)
    factor = np.float32(a.scale * b.scale) / target.scale
    if kernels == "xnnpack":
        steps = (product.float() * float(factor)).round()
    else:
        steps = multiply(product, quantize_multiplier(float(factor)), half="away")
    return saturate(steps, target, activation)


def requantize(codes: Tensor, source: QParams, target: QParams, *, kernels: str) -> Tensor:
    """QUANTIZE from int8 to int8.

    XNNPACK has an 8-bit factor, rounded half up. The optimized kernels round half up in vectors of
    sixteen, and away from zero in the rest.
    """
    shifted = codes - source.zero_point
    if kernels == "xnnpack":
        return saturate(_q8(shifted, np.float32(source.scale / target.scale)), target)
    factor = quantize_multiplier(float(source.scale) / float(target.scale))
    steps = multiply(shifted, factor, half="away")
    if kernels == "builtin":
        body = codes.numel() // _CODES_VECTOR * _CODES_VECTOR
        steps.view(-1)[:body] = multiply(shifted.view(-1)[:body], factor, half="up")
    return saturate(steps, target)


def quantize_floats(values: Tensor, target: QParams, *, kernels: str) -> Tensor:
    """QUANTIZE from float32.

    The reference kernels divide and round half away from zero, the others multiply and round half
    to even; the optimized ones do so in vectors of eight, and divide in float64 and round half away
    from zero in the rest.
    """
    if kernels == "reference":
        return saturate(_half_away(values / torch.tensor(target.scale)), target)
    product = values * float(np.float32(1.0) / target.scale)
    even = product.round().double()
    if kernels == "builtin":
        body = values.numel() // builtin.VECTOR * builtin.VECTOR
        rest = values.flatten()[body:].double() / float(target.scale)
        even.view(-1)[body:] = _half_away(rest)
    return saturate(even, target)


def leaky_relu(
    codes: Tensor, source: QParams, target: QParams, *, alpha: np.float32, kernels: str
) -> Tensor:
    """LEAKY_RELU with one factor for each sign; 8 bits in XNNPACK."""
    shifted = codes - source.zero_point
    ratio = np.float32(source.scale / target.scale)
    if kernels == "xnnpack":
        positive, negative = _q8(shifted, ratio), _q8(shifted, np.float32(ratio * alpha))
    else:
        first = float(source.scale) / float(target.scale)
        second = float(np.float32(source.scale * alpha)) / float(target.scale)
        positive = multiply(shifted, quantize_multiplier(first), half="away")
        negative = multiply(shifted, quantize_multiplier(second), half="away")
    return saturate(torch.where(shifted >= 0, positive, negative), target)


def prelu(
    codes: Tensor, slopes: Tensor, source: QParams, slope: QParams, target: QParams
) -> Tensor:
    """PRELU; ``slopes`` are codes on the grid ``slope``, one per channel; factors are float32."""
    shifted = codes - source.zero_point
    first = float(source.scale / target.scale)
    second = float(np.float32(source.scale * slope.scale) / target.scale)
    positive = multiply(shifted, quantize_multiplier(first), half="away")
    product = shifted * (slopes - slope.zero_point)
    negative = multiply(product, quantize_multiplier(second), half="away")
    return saturate(torch.where(shifted >= 0, positive, negative), target)


def look_up(codes: Tensor, function: Function, source: QParams, target: QParams) -> Tensor:
    """LOGISTIC, TANH, GELU: a table of 256 codes from float32 arithmetic, rounded half away."""
    reals = source.scale * (_CODES - source.zero_point).astype(np.float32)
    found = function(reals).astype(np.float32) * (np.float32(1.0) / target.scale)
    table = saturate(_half_away(torch.from_numpy(found)), target)
    return table[codes - CODE_MIN]


def logistic(reals: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """Logistic function in float32."""
    one = np.float32(1.0)
    return one / (one + np.exp(-reals.astype(np.float64)).astype(np.float32))


def tanh(reals: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """Hyperbolic tangent."""
    return np.tanh(reals.astype(np.float64))


def gelu(reals: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """GELU in its tanh form, in float32."""
    cubic = reals + np.float32(0.044715) * reals * reals * reals
    inner = np.float32(0.7978845608) * cubic
    return (
        np.float32(0.5)
        * reals
        * (np.float32(1.0) + np.tanh(inner.astype(np.float64)).astype(np.float32))
    )


def hard_swish(codes: Tensor, source: QParams, target: QParams) -> Tensor:
    """HARD_SWISH in 16-bit fixed point."""
    hires_scale = np.float32(np.float32(1.0 / 128.0) * source.scale)
    out_mantissa, out_exponent = _int16_multiplier(np.float32(hires_scale / target.scale))
    relu_mantissa, relu_exponent = _int16_multiplier(
        np.float32(hires_scale / np.float32(3.0 / 32768.0))
    )
    hires = (codes - source.zero_point) << 7
    preshift = _high_mul(hires, out_mantissa)
    reluish = hires
    if relu_exponent > 0:
        reluish = _int16(reluish << (relu_exponent - 1))
    reluish = _high_mul(reluish, relu_mantissa)
    if relu_exponent > 0:
        reluish = _int16(reluish << 1)
    elif relu_exponent < 0:
        reluish = _divide(reluish, -relu_exponent)
    reluish = (reluish + (1 << 15)) >> 1
    product = torch.div(reluish * preshift, 1 << 15, rounding_mode="trunc")
    return saturate(_divide(product, -out_exponent), target)


def _q8(shifted: Tensor, factor: np.float32) -> Tensor:
    multiplier = int(np.rint(np.float32(256.0) * factor))
    return (shifted * multiplier + (1 << (_Q8_BITS - 1))) >> _Q8_BITS


def _half_away(values: Tensor) -> Tensor:
    return torch.where(values >= 0, (values.double() + 0.5).floor(), (values.double() - 0.5).ceil())


def _int16_multiplier(factor: np.float32) -> tuple[int, int]:
    found = quantize_multiplier(float(factor))
    mantissa, exponent = int(found.mantissa), int(found.exponent)
    return min((mantissa + (1 << 15)) >> 16, (1 << 15) - 1), exponent


def _int16(values: Tensor) -> Tensor:
    return values.clamp(-(1 << 15), (1 << 15) - 1)


def _high_mul(values: Tensor, mantissa: int) -> Tensor:
    return (values * mantissa + (1 << 14)) >> 15


def _divide(values: Tensor, bits: int) -> Tensor:
    """Divide by ``2**bits``, half away from zero."""
    if bits <= 0:
        return values
    return (values + (1 << (bits - 1)) + (values >> 63)) >> bits
