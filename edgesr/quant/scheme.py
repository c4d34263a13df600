"""What a quantized graph is: grids, integer weights and the name of the scheme.

Scheme names decode: ``wi8_ai8`` has 8-bit integer weights, one scale per output channel,
symmetric in [-127, 127], and 8-bit integer activations, one grid per tensor, codes in [-128, 127];
biases are 32-bit on the grid ``input scale * weight scale``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgesr.errors import GraphError
from edgesr.graph.graph import Graph

WI8_AI8 = "wi8_ai8"
CODE_MIN, CODE_MAX = -128, 127
WEIGHT_MAX = 127


@dataclass(frozen=True, kw_only=True)
class QParams:
    """The grid of an int8 tensor: ``real = scale * (code - zero_point)``.

    Attributes:
        scale: step, positive; float32, because the file stores it so and kernels compute with it.
        zero_point: the code of 0, in [-128, 127].
    """

    scale: np.float32
    zero_point: int

    def __post_init__(self) -> None:
        """Refuse a grid that no kernel takes.

        Raises:
            GraphError: the scale is not positive and finite, or the zero point is no code.
        """
        object.__setattr__(self, "scale", np.float32(self.scale))
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise GraphError(f"quantization scale is {self.scale}, want a positive finite number")
        if not CODE_MIN <= self.zero_point <= CODE_MAX:
            raise GraphError(f"zero point is {self.zero_point}, want {CODE_MIN} to {CODE_MAX}")

    @property
    def low(self) -> float:
        """Smallest real value on the grid."""
        return float(self.scale) * (CODE_MIN - self.zero_point)

    @property
    def high(self) -> float:
        """Largest real value on the grid."""
        return float(self.scale) * (CODE_MAX - self.zero_point)


GREY_LEVELS = QParams(scale=np.float32(1.0), zero_point=CODE_MIN)
"""The grid of images: grey levels 0 to 255 are exactly the codes -128 to 127."""


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedWeight:
    """Weight and bias of one layer.

    Attributes:
        values: int8 in [-127, 127], TFLite's layout.
        scales: float32, one per output channel.
        bias: int32, one per output channel, on the grid ``input scale * scales``.
    """

    values: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    bias: npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedGraph:
    """A lowered graph with a grid for every tensor and integers for every weight.

    Attributes:
        graph: structure; its float weights are those that were quantized.
        qparams: grid by tensor name.
        weights: integers by layer name.
        scheme: such as ``wi8_ai8``.
    """

    graph: Graph
    qparams: Mapping[str, QParams]
    weights: Mapping[str, QuantizedWeight]
    scheme: str = field(default=WI8_AI8)
