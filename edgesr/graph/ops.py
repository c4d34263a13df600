"""The operations of a graph as frozen values.

Every operation has a ``name`` (the layer as the author of the network knows it), the names of the
tensors that it reads (``inputs``) and of the one that it makes (``output``). Tensors are NHWC.
Weights are float32 in TFLite's layouts. The last group exists between capture and lowering only.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Activation = Literal["none", "relu", "relu6"]
Padding = Literal["same", "valid"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv2D:
    """Convolution with bias and fused activation.

    Attributes:
        weight: ``(out, kh, kw, in)``.
        bias: ``(out,)``.
        stride: vertical and horizontal step.
        padding: TFLite's rule; ``same`` pads zeros, bottom and right first.
        activation: applied to the sum.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    weight: Floats
    bias: Floats
    stride: tuple[int, int] = (1, 1)
    padding: Padding = "same"
    activation: Activation = "none"


@dataclass(frozen=True, kw_only=True, eq=False)
class DepthwiseConv2D:
    """Convolution of every channel with its own kernel.

    Attributes:
        weight: ``(1, kh, kw, channels)``.
        bias: ``(channels,)``.
        stride: vertical and horizontal step.
        padding: as for ``Conv2D``.
        activation: applied to the sum.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    weight: Floats
    bias: Floats
    stride: tuple[int, int] = (1, 1)
    padding: Padding = "same"
    activation: Activation = "none"


@dataclass(frozen=True, kw_only=True)
class Add:
    """Sum of two tensors of one shape, then an activation."""

    name: str
    inputs: tuple[str, ...]
    output: str
    activation: Activation = "none"


@dataclass(frozen=True, kw_only=True)
class Concatenation:
    """Tensors joined along the channels."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, kw_only=True)
class DepthToSpace:
    """Channels to pixels in TFLite's order: channel ``(i * block + j) * c_out + c`` (DCR)."""

    name: str
    inputs: tuple[str, ...]
    output: str
    block: int


@dataclass(frozen=True, kw_only=True)
class SpaceToDepth:
    """Pixels to channels in TFLite's order: channel ``(i * block + j) * c_in + c``."""

    name: str
    inputs: tuple[str, ...]
    output: str
    block: int


@dataclass(frozen=True, kw_only=True)
class Relu:
    """``max(x, 0)``."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, kw_only=True)
class Relu6:
    """``min(max(x, 0), 6)``."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, kw_only=True)
class Clip:
    """``min(max(x, low), high)``."""

    name: str
    inputs: tuple[str, ...]
    output: str
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ResizeNearest:
    """Nearest-neighbour enlargement by a whole factor."""

    name: str
    inputs: tuple[str, ...]
    output: str
    factor: int


@dataclass(frozen=True, kw_only=True)
class Pad:
    """Zeros round the image.

    Attributes:
        before: rows above and columns left.
        after: rows below and columns right.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    before: tuple[int, int]
    after: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class ChannelGather:
    """Channel ``i`` of the output is channel ``order[i]`` of the input; repeats are allowed."""

    name: str
    inputs: tuple[str, ...]
    output: str
    order: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class PixelShuffle:
    """Channels to pixels in torch's order: channel ``c * block**2 + i * block + j`` (CRD)."""

    name: str
    inputs: tuple[str, ...]
    output: str
    block: int


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelAffine:
    """``gain * x + shift`` per channel: batch norm in evaluation, mean shift, normalisation."""

    name: str
    inputs: tuple[str, ...]
    output: str
    gain: Floats
    shift: Floats


WeightedOp = Conv2D | DepthwiseConv2D
LoweredOp = (
    WeightedOp
    | Add
    | Concatenation
    | DepthToSpace
    | SpaceToDepth
    | Relu
    | Relu6
    | Clip
    | ResizeNearest
    | Pad
)
Op = LoweredOp | ChannelGather | PixelShuffle | ChannelAffine


def is_selection(op: Op) -> bool:
    """Tell whether ``op`` is a 1x1 convolution that only copies channels (a nearest convolution).

    Its weights are 0 and 1 with one 1 per output channel and its bias is 0, so that it is exact in
    int8 when input and output share their quantization.
    """
    if not isinstance(op, Conv2D) or op.weight.shape[1:3] != (1, 1) or op.stride != (1, 1):
        return False
    matrix = op.weight[:, 0, 0, :]
    binary = bool(np.isin(matrix, (0.0, 1.0)).all()) and bool((matrix.sum(axis=1) == 1.0).all())
    return binary and not op.bias.any() and op.activation == "none"
