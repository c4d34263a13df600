"""A convolution of one bit, with what published work puts round it.

``out = x + RPReLU(conv(sign(x + shift), factor * sign(weight)))`` with shifts and RPReLU of the
timestep's group; every part can be left out, see ``BinaryStyle``. Input and output have the same
channels, so that the identity always fits.

Source: Chen et al. 2024 (BI-DiffSR), arXiv 2406.05723, sections 3.2 and 3.3.
"""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesr.binary.sign import ANNEALED, find_slope, sign
from edgesr.binary.style import BinaryStyle
from edgesr.binary.weights import find_weight_binarizer
from edgesr.errors import DataError

_FIRST_SLOPE = 0.25
_FIRST_SHORTCUT = 0.3
"""Of BiDM's identity, as published for latent diffusion."""


def group_of(timestep: Tensor, style: BinaryStyle) -> Tensor:
    """Return each image's group ``floor(t K / T)``, at most ``K - 1``, int64 ``(n,)``.

    Args:
        timestep: int64 ``(n,)``, 0 to ``style.steps``: the states of a path are counted from 1.
        style: says ``K`` and ``T``.

    Raises:
        DataError: a timestep outside.
    """
    low, high = int(timestep.min()), int(timestep.max())
    if low < 0 or high > style.steps:
        wrong = low if low < 0 else high
        raise DataError(f"timestep {wrong} is outside 0 to {style.steps}; check the schedule")
    return (timestep * style.groups // style.steps).clamp_max(style.groups - 1).long()


def annealed_layers(network: nn.Module) -> "list[BinaryConv2d]":
    """Return the layers of a network whose gradient follows the progress of its training."""
    return [
        layer
        for layer in network.modules()
        if isinstance(layer, BinaryConv2d)
        and ANNEALED in (layer.style.slope, layer.style.weight_slope)
    ]


class Grouped(Protocol):
    """A layer with a style."""

    style: BinaryStyle


def whole_group(layer: Grouped, features: Tensor, group: Tensor | None) -> Tensor:
    """Return each image's group, zeros where the layer has only one.

    Args:
        layer: whose style says how many groups there are.
        features: ``(n, ...)``.
        group: int64 ``(n,)``, or None.

    Raises:
        DataError: it is None and there are several.
    """
    if group is not None:
        return group
    if layer.style.groups > 1:
        raise DataError(
            f"{type(layer).__name__}: has {layer.style.groups} groups of timesteps, want the group "
            "of each image (group_of)"
        )
    return torch.zeros(len(features), dtype=torch.int64, device=features.device)


class BinaryConv2d(nn.Module):
    """See the module.

    Its ``progress``, the share of the training that is done, is set by who trains it; only
    ``annealed`` gradients follow it.

    Args:
        channels: in and out.
        size: side of the kernel, odd.
        style: what stands round the convolution.
    """

    def __init__(self, channels: int, size: int = 3, *, style: BinaryStyle) -> None:
        super().__init__()
        self.style, self.channels, self.size = style, channels, size
        self.progress = 1.0
        for name in (style.slope, style.weight_slope):
            find_slope(name)  # an unknown one is refused here
        self._binarize = find_weight_binarizer(style.weights)
        self.weight = nn.Parameter(torch.empty(channels, channels, size, size))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        table = (style.groups, channels)
        self.shift = nn.Parameter(torch.zeros(table)) if style.shift else None
        if style.activation:
            self.before, self.after = (nn.Parameter(torch.zeros(table)) for _ in range(2))
            self.bend = nn.Parameter(torch.full(table, _FIRST_SLOPE))
        box = torch.full((1, 1, size, size), 1.0 / size**2)
        if style.gain == "learned":
            self.window = nn.Parameter(box)
            self.shortcut = nn.Parameter(torch.tensor(_FIRST_SHORTCUT))
        elif style.gain == "box":
            self.register_buffer("window", box, persistent=False)

    def forward(self, features: Tensor, group: Tensor | None = None) -> Tensor:
        """Map ``(n, channels, h, w)`` to the same shape.

        Args:
            features: float.
            group: int64 ``(n,)``, see ``group_of``; needless where the style has one.

        Raises:
            DataError: a group is wanted and missing.
        """
        group = whole_group(self, features, group)
        shifted = features if self.shift is None else features + _column(self.shift, group)
        slope = find_slope(self.style.slope, progress=self.progress)
        made = self.convolve(sign(shifted, slope, zero=self.style.zero))
        if self.style.gain != "none":
            made = made * self._gain(features)
        if self.style.activation:
            raised = made + _column(self.before, group)
            bent = torch.where(raised >= 0, raised, raised * _column(self.bend, group))
            made = bent + _column(self.after, group)
        if not self.style.identity:
            return made
        if self.style.gain == "learned":
            return made + self.shortcut.abs() * features
        return made + features

    def convolve(self, bits: Tensor) -> Tensor:
        """Convolve signs ``(n, channels, h, w)`` with the binarized weights."""
        edge = self.size // 2
        slope = find_slope(self.style.weight_slope, progress=self.progress)
        weight = self._binarize(self.weight, slope, zero=self.style.zero)
        if self.style.padding == "one":
            bits = functional.pad(bits, (edge,) * 4, value=1.0)
            return functional.conv2d(bits, weight)
        return functional.conv2d(bits, weight, padding=edge)

    def parts(self) -> tuple[Tensor, Tensor]:
        """Return the weights as signs ``(out, in, k, k)`` and factors ``(out,)``."""
        return self._binarize.parts(self.weight)

    def _gain(self, features: Tensor) -> Tensor:
        """Return each output pixel's factor ``(n, 1, h, w)``; Rastegari et al. 2016, eq. 11."""
        strength = features.abs().mean(dim=1, keepdim=True)
        return functional.conv2d(strength, self.window, padding=self.size // 2)


def _column(table: Tensor, group: Tensor) -> Tensor:
    return table[group][:, :, None, None]
