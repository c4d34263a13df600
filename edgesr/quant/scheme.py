"""What a quantized graph is: grids, integer weights and the name of the scheme.

Scheme names decode: ``wi8_ai8`` has 8-bit integer weights, one scale per output channel,
symmetric in [-127, 127], and 8-bit integer activations, one grid per tensor, codes in [-128, 127];
biases are 32-bit on the grid ``input scale * weight scale``. ``wi4_ai8`` has weights in [-7, 7].
``wi8_ai16`` has int16 activations with zero point 0. Only these two with 8-bit weights have kernels
that compute as the simulation does; the narrower ones are simulated and never exported.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from edgesr.errors import GraphError
from edgesr.graph.graph import Graph

WI8_AI8 = "wi8_ai8"
WI8_AI16 = "wi8_ai16"
MIXED = "mixed"
"""Widths by layer; see ``mixed``."""
CODE_MIN, CODE_MAX = -128, 127
WEIGHT_MAX = 127
BITS = 8


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """Widths of a quantized network's integers.

    Images in and out have 8 bits in every scheme, and so has what is added to the output.

    Attributes:
        weight_bits: of the weights of all layers but the first and the last, which keep 8.
        activation_bits: of the tensors between the layers.
    """

    weight_bits: int
    activation_bits: int

    @property
    def name(self) -> str:
        """Such as ``wi4_ai8``."""
        return f"wi{self.weight_bits}_ai{self.activation_bits}"

    @property
    def simulated(self) -> bool:
        """Whether no kernel computes it: there is a simulation and no file."""
        return self.name not in {WI8_AI8, WI8_AI16}

    @property
    def label(self) -> str:
        """What tables print, such as ``W4A8 (simulated)``."""
        suffix = " (simulated)" if self.simulated else ""
        return f"W{self.weight_bits}A{self.activation_bits}{suffix}"


INT8 = Scheme(weight_bits=8, activation_bits=8)
SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        scheme.name: scheme
        for scheme in (
            INT8,
            Scheme(weight_bits=8, activation_bits=16),
            Scheme(weight_bits=4, activation_bits=8),
            Scheme(weight_bits=6, activation_bits=6),
            Scheme(weight_bits=4, activation_bits=4),
        )
    }
)


def scheme_label(name: str) -> str:
    """Return what tables print of a key of ``SCHEMES`` or of ``MIXED``."""
    return "mixed precision (simulated)" if name == MIXED else SCHEMES[name].label


def weight_max(bits: int) -> int:
    """Return the largest code of a symmetric weight, such as 127 of 8 bits."""
    return (1 << (bits - 1)) - 1


@dataclass(frozen=True, kw_only=True)
class QParams:
    """The grid of an integer tensor: ``real = scale * (code - zero_point)``.

    Attributes:
        scale: step, positive; float32, because the file stores it so and kernels compute with it.
        zero_point: the code of 0, in [-128, 127] for 8 bits.
        bits: width of the codes.
    """

    scale: np.float32
    zero_point: int
    bits: int = BITS

    def __post_init__(self) -> None:
        """Refuse a grid that no kernel takes.

        Raises:
            GraphError: the scale is not positive and finite, or the zero point is no code.
        """
        object.__setattr__(self, "scale", np.float32(self.scale))
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise GraphError(f"quantization scale is {self.scale}, want a positive finite number")
        if not self.code_min <= self.zero_point <= self.code_max:
            raise GraphError(
                f"zero point is {self.zero_point}, want {self.code_min} to {self.code_max}"
            )

    @property
    def code_min(self) -> int:
        """Smallest code."""
        return -(1 << (self.bits - 1))

    @property
    def code_max(self) -> int:
        """Largest code."""
        return (1 << (self.bits - 1)) - 1

    @property
    def low(self) -> float:
        """Smallest real value on the grid."""
        return float(self.scale) * (self.code_min - self.zero_point)

    @property
    def high(self) -> float:
        """Largest real value on the grid."""
        return float(self.scale) * (self.code_max - self.zero_point)


GREY_LEVELS = QParams(scale=np.float32(1.0), zero_point=CODE_MIN)
"""The grid of images: grey levels 0 to 255 are exactly the codes -128 to 127."""


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedWeight:
    """Weight and bias of one layer.

    Attributes:
        values: int8 in TFLite's layout; in [-127, 127], or narrower as ``bits`` says.
        scales: float32, one per output channel.
        bias: int32, one per output channel, on the grid ``input scale * scales``.
        bits: width of ``values``.
    """

    values: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    bias: npt.NDArray[np.int32]
    bits: int = BITS


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedGraph:
    """A lowered graph with a grid for every tensor and integers for every weight.

    Attributes:
        graph: structure; its float weights are those that were quantized.
        qparams: grid by tensor name.
        weights: integers by layer name.
        scheme: a key of ``SCHEMES``, or ``MIXED``.
    """

    graph: Graph
    qparams: Mapping[str, QParams]
    weights: Mapping[str, QuantizedWeight]
    scheme: str = field(default=WI8_AI8)
