"""Reals to int8 codes and back: pure functions."""

import numpy as np
import numpy.typing as npt

from edgesr.errors import GraphError
from edgesr.quant.scheme import BITS, QParams, weight_max

_SMALLEST_RANGE = 1e-6
_WEAKEST_CHANNEL = 1e-4
_SHRINKS = 1.0 - 0.01 * np.arange(71, dtype=np.float64)
_SMALLEST_SCALE = np.finfo(np.float32).tiny


def choose_qparams(low: float, high: float, *, bits: int = BITS) -> QParams:
    """Return the grid for reals in ``[low, high]``; the range is widened to hold 0 exactly.

    ``scale = float32((high - low) / 255)``, ``zero_point = round(-128 - low / scale)``, half to
    even, for 8 bits. A range narrower than 1e-6 is widened to that.

    Raises:
        GraphError: a bound is NaN or infinite, or ``low`` is above ``high``.
    """
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise GraphError(f"range is [{low}, {high}], want finite bounds in order")
    low, high = min(low, 0.0), max(high, 0.0)
    high = max(high, low + _SMALLEST_RANGE)
    smallest, largest = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    scale = np.float32((high - low) / (largest - smallest))
    zero_point = int(np.clip(np.rint(smallest - low / float(scale)), smallest, largest))
    return QParams(scale=scale, zero_point=zero_point, bits=bits)


def quantize(values: npt.ArrayLike, qparams: QParams) -> npt.NDArray[np.int8]:
    """Turn reals into codes: divide in float64, round half to even, saturate."""
    steps = np.rint(np.asarray(values, np.float64) / float(qparams.scale))
    return (steps + qparams.zero_point).clip(qparams.code_min, qparams.code_max).astype(np.int8)


def dequantize(codes: npt.NDArray[np.int8], qparams: QParams) -> npt.NDArray[np.float64]:
    """Turn codes into reals."""
    return (codes.astype(np.float64) - qparams.zero_point) * float(qparams.scale)


def weight_scales(
    weight: npt.NDArray[np.float32],
    *,
    axis: int,
    bias_steps: npt.NDArray[np.float64],
    bits: int = BITS,
) -> npt.NDArray[np.float32]:
    """Return the symmetric scale of every output channel of a weight.

    ``max|w| / 127`` for 8 bits, but not below 1e-4 of the largest channel's (a dead channel needs
    no finer grid) and not below ``bias_steps``, with which the bias still fits into 30 bits.

    Args:
        weight: float weight in TFLite's layout.
        axis: axis of the output channels.
        bias_steps: smallest scale per channel that the bias allows.
        bits: width of the codes.
    """
    others = tuple(one for one in range(weight.ndim) if one != axis)
    largest = np.abs(weight.astype(np.float64)).max(axis=others)
    if not largest.max() > 0:
        largest = np.ones_like(largest)
    scales = np.maximum(largest, _WEAKEST_CHANNEL * largest.max()) / weight_max(bits)
    floored: npt.NDArray[np.float32] = np.maximum(scales, bias_steps).astype(np.float32)
    return np.maximum(floored, _SMALLEST_SCALE)


def quantize_weight(
    weight: npt.NDArray[np.float32],
    scales: npt.NDArray[np.float32],
    *,
    axis: int,
    bits: int = BITS,
) -> npt.NDArray[np.int8]:
    """Turn a float weight into symmetric codes of ``bits`` bits, rounded half to even."""
    shape = [1] * weight.ndim
    shape[axis] = -1
    steps = np.rint(weight.astype(np.float64) / scales.astype(np.float64).reshape(shape))
    return steps.clip(-weight_max(bits), weight_max(bits)).astype(np.int8)


def least_error_scales(
    weight: npt.NDArray[np.float32],
    scales: npt.NDArray[np.float32],
    *,
    axis: int,
    bits: int,
) -> npt.NDArray[np.float32]:
    """Return ``scales``, each shrunk to where its channel's squared rounding error is least.

    With few codes the largest weight is worth clipping. Factors 1, 0.99, ... 0.3 are tried.

    Args:
        weight: float weight in TFLite's layout.
        scales: scale per output channel that clips nothing.
        axis: axis of the output channels.
        bits: width of the codes.
    """
    rows = np.moveaxis(weight.astype(np.float64), axis, 0).reshape(len(scales), -1)
    best, least = scales.astype(np.float64), np.full(len(scales), np.inf)
    for factor in _SHRINKS:
        tried = scales.astype(np.float64) * factor
        steps = np.rint(rows / tried[:, None]).clip(-weight_max(bits), weight_max(bits))
        errors = np.square(steps * tried[:, None] - rows).sum(axis=1)
        best = np.where(errors < least, tried, best)
        least = np.minimum(errors, least)
    return best.astype(np.float32)


def bias_scales(
    input_scale: np.float32, scales: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return the float32 grid of the int32 bias, as the file stores it."""
    product: npt.NDArray[np.float32] = np.float32(input_scale) * scales
    return product


def quantize_bias(
    bias: npt.NDArray[np.float32] | npt.NDArray[np.float64], steps: npt.NDArray[np.float32]
) -> npt.NDArray[np.int32]:
    """Turn a float bias into int32 on the grid ``steps``, saturating."""
    limits = np.iinfo(np.int32)
    numbers = np.rint(bias.astype(np.float64) / steps.astype(np.float64))
    return numbers.clip(limits.min, limits.max).astype(np.int32)
