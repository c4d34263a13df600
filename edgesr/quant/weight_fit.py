"""Fit integer weights alone, to activations that stay as good as exact (float32 or int16).

Layer after layer, weights are rounded so that the sums keep their values on what the layers before
really give, then each channel's bias takes out the mean error that is left.

Source: Frantar et al. 2022, "GPTQ", arXiv 2210.17323, and Nagel et al. 2019, arXiv 1906.04721,
section 4.2, as in ``layerwise``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgesr.errors import DataError
from edgesr.graph.execute import apply, convolve
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D, DepthwiseConv2D, WeightedOp, is_selection
from edgesr.quant.affine import quantize_weight, weight_scales
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.scheme import BITS, CODE_MAX
from edgesr.quant.weight_rounding import rounded_weights
from edgesr.quant.weights import channel_axis

_PIXELS = 2**16
_SHRINKS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Factors of a narrow weight's largest scale that are tried: few codes are better spent on the
many small weights than on the largest."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedWeight:
    """Integer weight of one layer with its float bias.

    Attributes:
        values: int8 in TFLite's layout, symmetric in ``bits`` bits.
        scales: float32, one per output channel.
        bias: float32, one per output channel, the mean error of the rounding taken out.
        bits: width of ``values``.
        correction: largest change of a channel's bias.
    """

    values: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    bits: int
    correction: float


@torch.no_grad()
def fit_weights(
    graph: Graph, batches: Sequence[CalibrationBatch], *, bits: Mapping[str, int] | None = None
) -> dict[str, FittedWeight]:
    """Return the integers of every layer of a lowered graph, by layer name.

    Channel copies (nearest convolutions) are exact: their weights are 0 and 1 with scale 1.

    Args:
        graph: network of images in [0, 255].
        batches: calibration images; those of the first one's size are used.
        bits: width of the weights by layer; None is 8 for all.

    Raises:
        DataError: there are no images.
    """
    images = _joined(batches).permute(0, 3, 1, 2)
    floats = {graph.inputs[0].name: images}
    found = dict(floats)
    fitted: dict[str, FittedWeight] = {}
    for op in graph.ops:
        rounded = op
        if isinstance(op, (Conv2D, DepthwiseConv2D)):
            source = op.inputs[0]
            width = BITS if bits is None else bits[op.name]
            fitted[op.name] = _fitted(op, floats[source], found[source], width)
            rounded = dequantized(op, fitted[op.name])
        floats[op.output] = apply(op, floats)
        found[op.output] = apply(rounded, found)
    return fitted


def dequantized(op: WeightedOp, fitted: FittedWeight) -> WeightedOp:
    """Return ``op`` with the weights that its integers stand for, and with their bias."""
    return replace(op, weight=_real(op, fitted.values, fitted.scales), bias=fitted.bias)


def _fitted(op: WeightedOp, floats: Tensor, found: Tensor, bits: int) -> FittedWeight:
    axis = channel_axis(op)
    if is_selection(op):
        ones = np.ones(op.weight.shape[axis], np.float32)
        values = op.weight.astype(np.int8)
        return FittedWeight(values=values, scales=ones, bias=op.bias, bits=bits, correction=0.0)
    free = np.zeros(op.weight.shape[axis])
    widest = weight_scales(op.weight, axis=axis, bias_steps=free, bits=bits)
    wanted = convolve(op, floats, torch.from_numpy(op.weight), None)
    least = np.full(op.weight.shape[axis], np.inf)
    values = np.zeros(op.weight.shape, np.int8)
    scales, shift = widest.copy(), np.zeros(op.weight.shape[axis])
    for shrink in _SHRINKS if bits < BITS else _SHRINKS[:1]:
        steps = (widest * np.float32(shrink)).astype(np.float32)
        codes = _rounded(op, steps, found, bits)
        error = wanted - convolve(op, found, torch.from_numpy(_real(op, codes, steps)), None)
        spread, mean = torch.var_mean(error.double(), dim=(0, 2, 3), correction=0)
        better = spread.numpy() < least
        least = np.where(better, spread.numpy(), least)
        values = np.where(_column(op, better), codes, values)
        scales, shift = np.where(better, steps, scales), np.where(better, mean.numpy(), shift)
    return FittedWeight(
        values=values,
        scales=scales,
        bias=(op.bias + shift).astype(np.float32),
        bits=bits,
        correction=float(np.abs(shift).max()),
    )


def _rounded(
    op: WeightedOp, scales: npt.NDArray[np.float32], found: Tensor, bits: int
) -> npt.NDArray[np.int8]:
    if isinstance(op, DepthwiseConv2D):
        return quantize_weight(op.weight, scales, axis=channel_axis(op), bits=bits)
    largest = float(found.abs().max()) or 1.0
    return rounded_weights(op, scales, found * (CODE_MAX / largest), bits=bits)


def _real(
    op: WeightedOp, values: npt.NDArray[np.int8], scales: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    real: npt.NDArray[np.float32] = values.astype(np.float32) * _column(op, scales)
    return real


def _column(op: WeightedOp, one_per_channel: npt.NDArray[Any]) -> npt.NDArray[Any]:
    shape = [1, 1, 1, 1]
    shape[channel_axis(op)] = -1
    return one_per_channel.reshape(shape)


def _joined(batches: Sequence[CalibrationBatch]) -> Tensor:
    """Join images of the first one's size, as many pixels as the statistics need."""
    if not batches:
        raise DataError("fitting weights got no image; name a folder with training images")
    size = batches[0].inputs.shape[1:]
    chosen = [one.inputs for one in batches if one.inputs.shape[1:] == size]
    count = max(1, _PIXELS // size[:2].numel())
    return torch.cat(chosen)[:count].float()
