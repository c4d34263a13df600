"""Integer arithmetic of layers that a graph has no form for, on NHWC int64 codes, by family."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edgesr.quant.elementwise import saturate
from edgesr.quant.scheme import CODE_MIN, QParams, QuantizedWeight
from edgesr.quant.simulate import KERNELS

_CODES = 256


def fully_connected(  # noqa: PLR0913 - what a layer is
    codes: Tensor,
    weight: QuantizedWeight,
    source: QParams,
    target: QParams,
    *,
    activation: str,
    kernels: str,
) -> Tensor:
    """FULLY_CONNECTED on ``(n, in)``; the reference kernel multiplies in float64."""
    matrix = torch.from_numpy(weight.values).double()
    sums = (codes - source.zero_point).double() @ matrix.T + torch.from_numpy(weight.bias)
    if kernels == "reference":
        factors = np.float64(source.scale) * weight.scales.astype(np.float64) / float(target.scale)
        real = sums * torch.from_numpy(factors)
        steps = torch.where(real >= 0, (real + 0.5).floor(), (real - 0.5).ceil())
        return saturate(steps, target, activation)
    found = KERNELS[kernels].requantize(sums[:, :, None, None], source, weight.scales, target)
    return saturate(found[:, :, 0, 0], target, activation)


def transpose_conv(  # noqa: PLR0913 - what a layer is
    codes: Tensor,
    weight: QuantizedWeight,
    source: QParams,
    target: QParams,
    *,
    stride: int,
    padding: Literal["same", "valid"],
    kernels: str,
) -> Tensor:
    """TRANSPOSE_CONV with weight ``(out, kh, kw, in)``; ``same`` gives ``stride`` times the size.

    The kernel is no smaller than the stride. The optimized kernel rounds as the depthwise one does.
    """
    inputs = (codes - source.zero_point).permute(0, 3, 1, 2).double()
    kernel = torch.from_numpy(weight.values).double().permute(3, 0, 1, 2)
    sums = functional.conv_transpose2d(
        inputs, kernel, torch.from_numpy(weight.bias).double(), stride=stride
    )
    if padding == "same":
        height, width = codes.shape[1] * stride, codes.shape[2] * stride
        top, left = (sums.shape[2] - height) // 2, (sums.shape[3] - width) // 2
        sums = sums[:, :, top : top + height, left : left + width]
    family = KERNELS[kernels]
    steps = family.requantize_depthwise(sums, source, weight.scales, target)
    return saturate(steps.permute(0, 2, 3, 1), target)


def average_pool(codes: Tensor, *, size: int, grid: QParams, activation: str) -> Tensor:
    """AVERAGE_POOL_2D without padding, stride ``size``: the mean of codes, half away from zero."""
    pooled = functional.avg_pool2d(
        codes.permute(0, 3, 1, 2).double(), size, divisor_override=1
    ).long()
    count = size * size
    sign = torch.where(pooled > 0, 1, -1)
    mean = torch.div(pooled + sign * (count // 2), count, rounding_mode="trunc")
    return saturate(mean.permute(0, 2, 3, 1) - grid.zero_point, grid, activation)


def softmax(codes: Tensor, source: QParams, target: QParams) -> Tensor:
    """SOFTMAX over the last axis from a table of float32 exponentials, summed in order."""
    scale = np.float32(-source.scale)
    exponents = (scale * np.arange(_CODES, dtype=np.float32)).astype(np.float64)
    table = np.exp(exponents).astype(np.float32)
    numbers = codes.numpy()
    values = table[numbers.max(axis=-1, keepdims=True) - numbers]
    total = np.zeros(values.shape[:-1], np.float32)
    for index in range(values.shape[-1]):
        total += values[..., index]
    inverse = np.float32(1.0) / (total * target.scale)
    steps = np.floor(values * inverse[..., None] + np.float32(0.5))
    return saturate(torch.from_numpy(steps), target)


def space_to_depth(codes: Tensor, *, block: int) -> Tensor:
    """SPACE_TO_DEPTH: channel ``(i * block + j) * c_in + c``."""
    count, height, width, channels = codes.shape
    split = codes.reshape(count, height // block, block, width // block, block, channels)
    joined = split.permute(0, 1, 3, 2, 4, 5)
    return joined.reshape(count, height // block, width // block, -1).to(torch.int8)


def resize_nearest(codes: Tensor, *, factor: int) -> Tensor:
    """RESIZE_NEAREST_NEIGHBOR by a whole factor."""
    larger = codes.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)
    return larger.to(torch.int8)


def shift_unsigned(codes: Tensor) -> Tensor:
    """QUANTIZE from uint8 to int8 on a grid that is 128 lower."""
    return (codes + CODE_MIN).to(torch.int8)
