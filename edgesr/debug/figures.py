"""What the debugger measures, as values.

Decibels are infinite where an error is 0. ``gain_db`` is
``10 log10(squared error of the int8 picture / the same after one change)``, both against the
picture of the float network, pooled over all crops.
"""

import math
from dataclasses import dataclass
from typing import Literal

from edgesr.debug.banding import Banding

Kind = Literal["tensor", "weights"]


@dataclass(frozen=True, kw_only=True)
class TensorFigures:
    """One tensor of the int8 network beside the same tensor of the float network.

    Attributes:
        name: of the tensor.
        layer: operation that makes it; the name itself for the input.
        group: representative of the tensors that share its grid.
        bits: width of its codes.
        low: smallest float value seen.
        high: largest float value seen.
        grid_low: smallest value on the grid.
        grid_high: largest value on the grid.
        saturated: share of float values, 0 to 1, more than half a step outside the grid.
        used: share of the grid's range, 0 to 1, between ``low`` and ``high``.
        clipped: share of the local squared error, 0 to 1, that comes from values outside the grid.
        sqnr_db: power of the float values over that of their own rounding error.
        sqnr_accumulated_db: the same over the error of the int8 network at this tensor.
        mean_error: mean of int8 minus float per channel, real units.
    """

    name: str
    layer: str
    group: str
    bits: int
    low: float
    high: float
    grid_low: float
    grid_high: float
    saturated: float
    used: float
    clipped: float
    sqnr_db: float
    sqnr_accumulated_db: float
    mean_error: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class LayerFigures:
    """The weights of one layer.

    Attributes:
        name: of the layer.
        bits: width of the weight's codes.
        sqnr_db: power of the float weight over that of its rounding error.
        mean_error: mean of int8 minus float before the activation, per channel, real units; what
            earlier layers did is in it.
        dead: output channels that are constant on all crops in int8.
        dead_float: the same in float.
    """

    name: str
    bits: int
    sqnr_db: float
    mean_error: tuple[float, ...]
    dead: int
    dead_float: int


@dataclass(frozen=True, kw_only=True)
class RangeTrial:
    """The range with the least squared local error on the crops, and what it gains.

    Attributes:
        low: smallest value.
        high: largest value.
        gain_db: with that range instead of the grid in use, same width.
    """

    low: float
    high: float
    gain_db: float


@dataclass(frozen=True, kw_only=True)
class BiasTrial:
    """A bias that takes the mean error of every channel away, and what it gains.

    Attributes:
        largest: correction of a channel in real units.
        gain_db: with the corrected bias.
    """

    largest: float
    gain_db: float


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """Something that was rounded and can be kept in float alone.

    Attributes:
        kind: a tensor with those that share its grid, or the weights and bias of a layer.
        name: representative tensor, or layer.
        layers: layers that compute the tensors, or the layer.
        tensors: all tensors of the grid; none for weights.
        fixed: the grid is that of 8-bit images and cannot be another one.
        bits: width of the codes.
        gain_db: PSNR gained if it alone is kept in float.
        sqnr_db: of its own rounding.
        clipped: share of the local squared error from values outside the grid; 0 for weights.
        low: smallest value of the grid in use; 0 for weights.
        high: largest value of the grid in use; 0 for weights.
        range_trial: of a tensor whose gain is worth a trial.
        bias_trial: of weights whose gain is worth a trial.
    """

    kind: Kind
    name: str
    layers: tuple[str, ...]
    tensors: tuple[str, ...]
    fixed: bool
    bits: int
    gain_db: float
    sqnr_db: float
    clipped: float = 0.0
    low: float = 0.0
    high: float = 0.0
    range_trial: RangeTrial | None = None
    bias_trial: BiasTrial | None = None


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The int8 picture beside the float picture, over all crops.

    Attributes:
        values: number of values compared.
        squared_error: mean, in squared grey levels.
        ceiling: mean squared error that rounding the float picture to 8 bits leaves.
        max_error: largest difference in grey levels.
        colour_bias: mean of int8 minus float for red, green and blue in grey levels.
        banding: contours in smooth areas.
    """

    values: int
    squared_error: float
    ceiling: float
    max_error: float
    colour_bias: tuple[float, float, float]
    banding: Banding

    @property
    def psnr(self) -> float:
        """Of the int8 picture against the float picture, which is not rounded, in dB."""
        return decibels(255.0**2, self.squared_error)

    @property
    def psnr_ceiling(self) -> float:
        """The same for the float picture rounded to 8 bits: no int8 network can do better."""
        return decibels(255.0**2, self.ceiling)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """All figures of a network; ``suspects`` are ranked by gain, fixed ones last."""

    totals: Totals
    tensors: tuple[TensorFigures, ...]
    layers: tuple[LayerFigures, ...]
    suspects: tuple[Suspect, ...]


def decibels(power: float, noise: float) -> float:
    """Return ``10 log10(power / noise)``: infinite without noise, minus infinite without power."""
    if noise <= 0.0:
        return math.inf
    return 10.0 * math.log10(power / noise) if power > 0.0 else -math.inf


def gain(before: float, after: float) -> float:
    """Return by how many dB PSNR rises when the squared error goes from ``before`` to ``after``."""
    return 0.0 if before == after else decibels(before, after)
