"""Running sums over crops, from which the figures of a tensor and a layer are made."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgesr.debug.figures import LayerFigures, TensorFigures, decibels
from edgesr.graph.ops import WeightedOp
from edgesr.quant.scheme import QParams, QuantizedWeight
from edgesr.quant.weights import channel_axis


class TensorSums:
    """What was seen of one tensor.

    Args:
        grid: of the tensor.
    """

    def __init__(self, grid: QParams) -> None:
        self.grid = grid
        self.count = 0
        self.power = self.noise = self.clipped = self.accumulated = 0.0
        self.saturated = 0
        self.error: NDArray[np.float64] = np.zeros(0)
        self.bounds: list[Tensor] = []

    def update(self, wanted: Tensor, steps: Tensor) -> None:
        """Take in one crop.

        Args:
            wanted: values of the float network, ``(n, c, h, w)``.
            steps: the same tensor of the int8 network in steps of the grid.
        """
        grid, scale = self.grid, float(self.grid.scale)
        lowest, highest = grid.code_min - grid.zero_point, grid.code_max - grid.zero_point
        fine = wanted.double() / scale
        whole = fine.round()
        own = (whole.clamp(lowest, highest) - fine).square_()
        outside = (whole < lowest) | (whole > highest)
        real = steps.double() * scale
        difference = real - wanted
        self.count += wanted.numel()
        self.power += float(wanted.double().square().sum())
        self.noise += float(own.sum()) * scale**2
        self.clipped += float(own[outside].sum()) * scale**2
        self.saturated += int(outside.sum())
        self.accumulated += float(difference.square().sum())
        means = difference.sum(dim=(0, 2, 3)).numpy()
        self.error = self.error + means if self.error.size else means
        ends = [part.amin((0, 2, 3)) for part in (wanted.double(), -wanted.double(), real, -real)]
        self.bounds = list(map(torch.minimum, self.bounds, ends)) if self.bounds else ends

    @property
    def low(self) -> float:
        """Smallest float value."""
        return float(self.bounds[0].min())

    @property
    def high(self) -> float:
        """Largest float value."""
        return -float(self.bounds[1].min())

    def dead(self) -> tuple[int, int]:
        """Return the number of constant channels in int8 and in float."""
        low, minus_high, low_int8, minus_high_int8 = self.bounds
        return int((low_int8 == -minus_high_int8).sum()), int((low == -minus_high).sum())

    def figures(self, name: str, layer: str, group: str) -> TensorFigures:
        """Return what was found."""
        grid = self.grid
        inside = min(self.high, grid.high) - max(self.low, grid.low)
        channels = self.error.size
        return TensorFigures(
            name=name,
            layer=layer,
            group=group,
            bits=grid.bits,
            low=self.low,
            high=self.high,
            grid_low=grid.low,
            grid_high=grid.high,
            saturated=self.saturated / self.count,
            used=max(inside, 0.0) / (grid.high - grid.low),
            clipped=self.clipped / self.noise if self.noise else 0.0,
            sqnr_db=decibels(self.power, self.noise),
            sqnr_accumulated_db=decibels(self.power, self.accumulated),
            mean_error=tuple((self.error * channels / self.count).tolist()),
        )


class LayerSums:
    """Mean error of a layer before its activation, by channel."""

    def __init__(self) -> None:
        self.count = 0
        self.error: NDArray[np.float64] = np.zeros(0)

    def update(self, wanted: Tensor, found: Tensor) -> None:
        """Take in the sums of float and int8 network in real units, ``(n, c, h, w)``."""
        difference = (found.double() - wanted.double()).sum(dim=(0, 2, 3)).numpy()
        self.count += wanted.numel() // wanted.shape[1]
        self.error = self.error + difference if self.error.size else difference

    @property
    def mean_error(self) -> NDArray[np.float64]:
        """Mean of int8 minus float, by channel."""
        mean: NDArray[np.float64] = self.error / self.count
        return mean

    def figures(self, op: WeightedOp, weight: QuantizedWeight, made: TensorSums) -> LayerFigures:
        """Return what was found.

        Args:
            op: the layer.
            weight: its integers.
            made: sums of the layer's output.
        """
        dead, dead_float = made.dead()
        return LayerFigures(
            name=op.name,
            bits=weight.bits,
            sqnr_db=decibels(*weight_powers(op, weight)),
            mean_error=tuple(self.mean_error.tolist()),
            dead=dead,
            dead_float=dead_float,
        )


def weight_powers(op: WeightedOp, weight: QuantizedWeight) -> tuple[float, float]:
    """Return the power of a float weight and of its rounding error."""
    shape = [1] * op.weight.ndim
    shape[channel_axis(op)] = -1
    real = weight.values * weight.scales.astype(np.float64).reshape(shape)
    wanted = op.weight.astype(np.float64)
    return float(np.square(wanted).sum()), float(np.square(real - wanted).sum())
