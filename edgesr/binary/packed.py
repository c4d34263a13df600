"""A ``BinaryConv2d`` that counts bits: for inference, on the CPU."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edgesr.binary.conv import BinaryConv2d, whole_group
from edgesr.binary.packed_kernel import Tables, find_kernel, packed_convolve, packed_sums
from edgesr.binary.packed_weights import PackedWeights, arrange
from edgesr.binary.style import BinaryStyle
from edgesr.errors import DataError

TABLES = ("shift", "before", "bend", "after", "window", "shortcut")
"""Parameters of a ``BinaryConv2d`` that stay float; a style has some of them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BinaryParts:
    """What a binary convolution is made of, without floats for its weights.

    Attributes:
        style: what stands round the convolution.
        minus: ``(channels, channels, k, k)``, where the weight is -1.
        factor: ``(channels,)`` float32.
        tables: those of ``TABLES`` that the style has, float32, in the shapes that the float layer
            has.
    """

    style: BinaryStyle
    minus: NDArray[np.bool_]
    factor: NDArray[np.float32]
    tables: Mapping[str, NDArray[np.float32]]


def parts_of(conv: BinaryConv2d) -> BinaryParts:
    """Take a trained layer apart; a weight of exactly 0 becomes +1, whatever the style."""
    signs, factor = conv.parts()
    tables = {
        key: getattr(conv, key).detach().float().numpy()
        for key in TABLES
        if isinstance(getattr(conv, key, None), Tensor)
    }
    return BinaryParts(
        style=conv.style,
        minus=(signs < 0).numpy(),
        factor=factor.detach().float().numpy(),
        tables=tables,
    )


class PackedConv2d(nn.Module):
    """The same function as the ``BinaryConv2d`` that its parts are of, without gradient.

    Sums are equal to the float layer's; what stands behind them is rounded in another order. The
    sign of 0 is +1, whatever the style: an activation of exactly 0 has no place in a bit.

    Args:
        parts: of the layer.
        kernel: see ``find_kernel``; None takes the best.

    Raises:
        GraphError: a kernel that is neither 1x1 nor 3x3.
        UsageError, MissingDependencyError: as ``find_kernel``.
    """

    def __init__(self, parts: BinaryParts, *, kernel: str | None = None) -> None:
        super().__init__()
        self.style, self.channels = parts.style, int(parts.minus.shape[0])
        outside = parts.style.padding == "zero"
        self.weights = arrange(parts.minus, find_kernel(kernel), zero_outside=outside)
        self.tables = tuple(_tables(parts, self.weights, g) for g in range(parts.style.groups))
        window = parts.tables.get("window")
        self._window = None if window is None else torch.from_numpy(window.copy())

    def forward(self, features: Tensor, group: Tensor | None = None) -> Tensor:
        """Map ``(n, channels, h, w)`` to the same shape, in ``channels_last`` order.

        Args:
            features: float32, on the CPU.
            group: int64 ``(n,)``, see ``group_of``; needless where the style has one.

        Raises:
            DataError: a group is wanted and missing or outside; another type or device.
        """
        found = whole_group(self, features, group)
        self._check(features, found)
        images = features.detach().permute(0, 2, 3, 1).contiguous().numpy()
        gains = self._gains(features)
        threads = torch.get_num_threads()
        made = [
            packed_convolve(self.weights, image, self.tables[index], gain=gain, threads=threads)
            for image, gain, index in zip(images, gains, found.tolist(), strict=True)
        ]
        joined = made[0][None] if len(made) == 1 else np.stack(made)
        return torch.from_numpy(joined).permute(0, 3, 1, 2)

    def sums(self, features: Tensor, group: int = 0) -> Tensor:
        """Return the sums of products of signs, int32 ``(n, channels, h, w)``."""
        images = features.detach().permute(0, 2, 3, 1).contiguous().numpy()
        made = [packed_sums(self.weights, image, self.tables[group]) for image in images]
        return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2)

    def _gains(self, features: Tensor) -> list[NDArray[np.float32] | None]:
        if self._window is None:
            return [None] * len(features)
        strength = features.detach().abs().mean(dim=1, keepdim=True)
        gain = functional.conv2d(strength, self._window, padding=self.weights.side // 2)
        return list(gain[:, 0].contiguous().numpy())

    def _check(self, features: Tensor, group: Tensor) -> None:
        if features.device.type != "cpu" or features.dtype != torch.float32:
            raise DataError(
                f"packed layers compute on the CPU in float32, but were given {features.dtype} on "
                f"{features.device}; move it there"
            )
        if torch.is_grad_enabled() and features.requires_grad:
            raise DataError("packed layers have no gradient; call them under torch.no_grad()")
        low, high = int(group.min()), int(group.max())
        if low < 0 or high >= len(self.tables):
            raise DataError(f"group {low if low < 0 else high}: want 0 to {len(self.tables) - 1}")


def _tables(parts: BinaryParts, weights: PackedWeights, group: int) -> Tables:
    def padded(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.pad(values.astype(np.float32), (0, weights.padded - weights.outputs))

    def row(name: str, other: float) -> NDArray[np.float32]:
        table = parts.tables.get(name)
        return np.full(weights.outputs, other, np.float32) if table is None else table[group]

    shortcut = float(parts.style.identity)
    if shortcut and "shortcut" in parts.tables:
        shortcut = abs(float(parts.tables["shortcut"]))
    return Tables(
        shift=np.ascontiguousarray(row("shift", 0.0), np.float32),
        factor=padded(parts.factor),
        before=padded(row("before", 0.0)),
        bend=padded(row("bend", 1.0)),
        after=padded(row("after", 0.0)),
        shortcut=shortcut,
    )
