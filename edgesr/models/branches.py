"""Linear branches of a convolution, and the one kernel that each of them is."""

from functools import reduce
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesr.errors import GraphError

Kernel = tuple[Tensor, Tensor]
"""Weight ``(out, in, k, k)`` and bias ``(out,)`` of a convolution."""

SOBEL_X = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))
SOBEL_Y = ((1.0, 2.0, 1.0), (0.0, 0.0, 0.0), (-1.0, -2.0, -1.0))
LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
_FILTER_SPREAD = 1e-3


@runtime_checkable
class HasKernel(Protocol):
    """A branch that knows its own kernel."""

    def kernel(self) -> Kernel:
        """Return weight and bias."""


class Copy(nn.Module):
    """The branch that copies channels: output ``i`` is input ``sources[i]``, or 0 where negative.

    Args:
        before: channels in.
        sources: for every output its input channel.
        gain: what copies are multiplied by.
    """

    weight: Tensor

    def __init__(self, before: int, sources: tuple[int, ...], gain: float = 1.0) -> None:
        super().__init__()
        weight = torch.zeros(len(sources), before, 1, 1)
        for after, source in enumerate(sources):
            if source >= 0:
                weight[after, source] = gain
        self.register_buffer("weight", weight, persistent=False)

    def kernel(self) -> Kernel:
        """Return the constant 1x1 kernel."""
        return self.weight, self.weight.new_zeros(len(self.weight))

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(n, before, h, w)`` to ``(n, after, h, w)``."""
        return functional.conv2d(features, self.weight)


class Filtered(nn.Module):
    """A 1x1 convolution and then one fixed 3x3 filter with a learned gain and bias per channel.

    Args:
        before: channels in.
        after: channels out.
        mask: rows of the filter.

    Source: Zhang, Zeng, Zhang 2021, "Edge-oriented Convolution Block for Real-time Super
    Resolution on Mobile Devices", ACM Multimedia, section 3.2.
    """

    mask: Tensor

    def __init__(self, before: int, after: int, mask: tuple[tuple[float, ...], ...]) -> None:
        super().__init__()
        self.mix = nn.Conv2d(before, after, 1)
        self.gain = nn.Parameter(_FILTER_SPREAD * torch.randn(after))
        self.bias = nn.Parameter(_FILTER_SPREAD * torch.randn(after))
        self.register_buffer("mask", torch.tensor(mask), persistent=False)

    def kernel(self) -> Kernel:
        """Return the 3x3 kernel."""
        weight, bias = kernel_of(self.mix, "mix")
        gains = self.gain[:, None, None, None]
        return weight * gains * self.mask, bias * self.gain * self.mask.sum() + self.bias

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(n, before, h + 2, w + 2)`` to ``(n, after, h, w)``."""
        filters = self.gain[:, None, None, None] * self.mask
        groups = len(self.gain)
        return functional.conv2d(self.mix(features), filters, self.bias, groups=groups)


def kernel_of(branch: nn.Module, where: str) -> Kernel:
    """Return the one kernel that a branch is.

    Args:
        branch: a ``Conv2d`` without padding, a ``Sequential`` of branches, or what has a
            ``kernel``.
        where: names the branch in messages.

    Raises:
        GraphError: it is something else: with an activation, a stride or a padding of its own.
    """
    if isinstance(branch, nn.Conv2d):
        return _of_conv(branch, where)
    if isinstance(branch, nn.Sequential) and len(branch):
        parts = [kernel_of(part, f"{where}.{name}") for name, part in branch.named_children()]
        return reduce(_composed, parts)
    if isinstance(branch, HasKernel):
        return branch.kernel()
    raise GraphError(
        f"{where}: {type(branch).__name__} cannot be folded into a convolution; want Conv2d layers "
        "without padding and with nothing between them, put activations behind the sum"
    )


def grown(kernel: Kernel, size: int, where: str) -> Kernel:
    """Return ``kernel`` with zeros round it up to ``size`` x ``size``.

    Raises:
        GraphError: it is larger, not square, or of the other parity.
    """
    weight, bias = kernel
    height, width = weight.shape[2:]
    if height != width or height > size or (size - height) % 2:
        raise GraphError(
            f"{where}: a {height}x{width} kernel cannot be folded into a {size}x{size} one; want "
            f"odd square kernels of {size} or less"
        )
    return functional.pad(weight, ((size - height) // 2,) * 4), bias


def _of_conv(conv: nn.Conv2d, where: str) -> Kernel:
    found = {
        "stride": conv.stride != (1, 1),
        "dilation": conv.dilation != (1, 1),
        "padding": conv.padding not in {(0, 0), "valid"},
        "groups": conv.groups != 1,
    }
    for name, wrong in found.items():
        if wrong:
            raise GraphError(
                f"{where}: Conv2d with {name} {getattr(conv, name)} cannot be folded; want stride "
                "1, dilation 1, padding 0 (the sum is padded once) and 1 group"
            )
    bias = conv.bias if conv.bias is not None else conv.weight.new_zeros(conv.out_channels)
    return conv.weight, bias


def _composed(first: Kernel, second: Kernel) -> Kernel:
    """Return the kernel of ``second`` after ``first``."""
    (inner, shift), (outer, offset) = first, second
    reach = outer.shape[2] - 1
    swapped = functional.conv2d(inner.transpose(0, 1), outer.flip(2, 3), padding=reach)
    return swapped.transpose(0, 1), outer.sum((2, 3)) @ shift + offset
