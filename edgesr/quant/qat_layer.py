"""The trained weight of one convolution, as the integers that will be in the file."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from edgesr.errors import GraphError
from edgesr.graph.ops import WeightedOp, is_selection
from edgesr.quant.fake_quant import lsq_factor, scale_gradient, to_steps
from edgesr.quant.scheme import QuantizedWeight, weight_max
from edgesr.quant.weights import channel_axis

WeightScales = Literal["lsq", "max"]
_INSIDE_CELL = 0.49


class QatLayer(nn.Module):
    """Float weight and bias behind the integers of one layer, and its scales.

    Scales are ``start * exp(gain)``: they stay positive, and a learning rate is a relative change.
    The float weight starts inside the rounding cell of the integers that it is given, so that
    training begins with exactly these integers.

    Args:
        op: the layer with its float weight in TFLite's layout.
        start: its integers.
        weight_scales: ``lsq`` learns the scales; ``max`` takes ``max|w| / 127`` of every step.

    Attributes:
        fixed: the layer only copies channels and is not trained.

    Raises:
        GraphError: a scale is not positive and finite.
    """

    start: Tensor

    def __init__(
        self, op: WeightedOp, start: QuantizedWeight, *, weight_scales: WeightScales = "lsq"
    ) -> None:
        super().__init__()
        bad = start.scales[~(np.isfinite(start.scales) & (start.scales > 0))]
        if len(bad):
            raise GraphError(
                f"layer {op.name}: weight scale is {bad[0]}, want positive finite ones; quantize "
                "the float network again"
            )
        self.axis = channel_axis(op)
        self.largest = weight_max(start.bits)
        self.fixed = is_selection(op)
        self.learns_scales = weight_scales == "lsq" and not self.fixed
        self.shape = tuple(-1 if axis == self.axis else 1 for axis in range(op.weight.ndim))
        self.register_buffer("start", torch.from_numpy(start.scales.copy()))
        codes = torch.from_numpy(start.values).double()
        steps = self.start.double().view(self.shape)
        near = torch.from_numpy(op.weight).double() / steps
        cell = torch.clamp(near, codes - _INSIDE_CELL, codes + _INSIDE_CELL)
        trained = not self.fixed
        self.weight = nn.Parameter((cell * steps).float(), requires_grad=trained)
        # in steps of 1 here; set_bias knows the scale of the input
        self.bias = nn.Parameter(torch.from_numpy(start.bias).float(), requires_grad=trained)
        self.gain = nn.Parameter(torch.zeros(len(start.scales)), requires_grad=self.learns_scales)

    @torch.no_grad()
    def set_bias(self, source_scale: float, bias: Tensor) -> None:
        """Set the float bias from int32 ``bias`` on the grid of an input of ``source_scale``."""
        _set_bias(self.bias, self.start, source_scale, bias)

    def scales(self) -> Tensor:
        """Return the scale of every output channel, ``(c,)``."""
        scales = self.start * self.gain.exp()
        if not self.learns_scales:
            return scales
        return scale_gradient(scales, lsq_factor(self.weight.numel() // len(scales), self.largest))

    def integers(self, source_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return weight, bias and scales as they will be in the file, with gradients.

        Args:
            source_scale: scale of the layer's input.

        Returns:
            Whole numbers in TFLite's layout, whole numbers ``(c,)``, reals ``(c,)``.
        """
        scales = self.scales()
        return self.codes(scales), _integer_bias(self.bias, source_scale * scales), scales

    def codes(self, scales: Tensor) -> Tensor:
        """Return the weight in whole steps of ``scales``, with gradients."""
        steps = self.weight / scales.view(self.shape)
        return to_steps(steps, low=-self.largest, high=self.largest)

    @torch.no_grad()
    def follow_maximum(self) -> None:
        """Set the scales to ``max|w| / 127``; a channel without weights keeps what it has."""
        others = [axis for axis in range(self.weight.ndim) if axis != self.axis]
        wanted = self.weight.abs().amax(dim=others) / self.largest
        gain = (wanted / self.start).log()
        self.gain.copy_(torch.where(gain > _SMALLEST_GAIN, gain, self.gain))


class SharedLayer(nn.Module):
    """A layer with the codes of another network's layer, and scales and a bias of its own.

    The scales are fixed multiples of the other's: they move together.

    Args:
        owner: the layer whose weight is trained.
        start: integers of the same codes.

    Attributes:
        fixed: False; what only copies channels has nothing to share.
        learns_scales: False; the owner's are learned.
    """

    start: Tensor

    def __init__(self, owner: QatLayer, start: QuantizedWeight) -> None:
        super().__init__()
        self.fixed = self.learns_scales = False
        self._owner = (owner,)  # in a tuple: it is no part of this module
        self.register_buffer("start", torch.from_numpy(start.scales.copy()))
        self.bias = nn.Parameter(torch.from_numpy(start.bias).float())

    @property
    def owner(self) -> QatLayer:
        """The layer whose codes these are."""
        return self._owner[0]

    @property
    def weight(self) -> Tensor:
        """Float weight in TFLite's layout: the owner's, channel by channel on these scales."""
        return self.owner.weight * (self.start / self.owner.start).view(self.owner.shape)

    @property
    def gain(self) -> nn.Parameter:
        """Logarithm of what the scales were multiplied by; the owner's."""
        return self.owner.gain

    @torch.no_grad()
    def set_bias(self, source_scale: float, bias: Tensor) -> None:
        """Do what ``QatLayer.set_bias`` does."""
        _set_bias(self.bias, self.start, source_scale, bias)

    def scales(self) -> Tensor:
        """Return the scale of every output channel, ``(c,)``."""
        return self.start * (self.owner.scales() / self.owner.start)

    def integers(self, source_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return weight, bias and scales as ``QatLayer.integers`` does."""
        scales = self.scales()
        codes = self.owner.codes(self.owner.scales())
        return codes, _integer_bias(self.bias, source_scale * scales), scales

    def follow_maximum(self) -> None:
        """Do nothing: the owner's scales follow."""


def _integer_bias(bias: Tensor, steps: Tensor) -> Tensor:
    return to_steps(bias / steps, low=-(2.0**31), high=2.0**31 - 2**7)


def _set_bias(parameter: Tensor, start: Tensor, source_scale: float, bias: Tensor) -> None:
    steps = np.float32(source_scale) * start.numpy()
    parameter.copy_(bias.double() * torch.from_numpy(steps).double())


_SMALLEST_GAIN = -6.0
