"""Give a denoiser's network the images themselves as inputs instead of one joined tensor.

Pixels move into channels by SPACE_TO_DEPTH, whose order differs from torch's ``pixel_unshuffle``;
the layers that read the joined tensor take the permutation into their weights, so it costs nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgesr.errors import GraphError
from edgesr.graph.channel_order import crd_of_dcr
from edgesr.graph.graph import Graph, TensorSpec
from edgesr.graph.ops import Concatenation, Conv2D, Op, SpaceToDepth

INPUTS = ("x", "centre", "lr")
"""Names of the images in the order in which they are joined; the first two are enlarged."""
PREDICTION = "prediction"
"""Name of the output."""
JOINED = "joined"
"""Name of the joined tensor."""

_RGB = 3
_PACKED = {name: f"{name}/packed" for name in INPUTS[:2]}

Reorder = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


def with_image_inputs(graph: Graph, scale: int) -> Graph:
    """Return ``graph`` with inputs ``x``, ``centre`` (``scale`` times larger) and ``lr``.

    Args:
        graph: lowered network with one input: noisy image and centre with their blocks of pixels
            in channels as torch orders them, then the low-resolution image.
        scale: upscaling factor.

    Raises:
        GraphError: the network has other inputs, or reads the joined images with something else
            than convolutions.
    """
    (spec,) = graph.inputs
    wanted = _RGB * (2 * scale**2 + 1)
    if spec.channels != wanted:
        raise GraphError(
            f"{graph.name}: its input has {spec.channels} channels, want {wanted}: two images of "
            f"{scale} times the size in blocks, and one of the size itself"
        )
    names = {spec.name: JOINED, graph.outputs[0]: PREDICTION}
    reorder = input_order(scale)
    packing: list[Op] = [
        SpaceToDepth(name=packed, inputs=(name,), output=packed, block=scale)
        for name, packed in _PACKED.items()
    ]
    parts = (*_PACKED.values(), INPUTS[2])
    joining = Concatenation(name=JOINED, inputs=parts, output=JOINED)
    body: list[Op] = []
    for op in graph.ops:
        moved = replace(
            op,
            inputs=tuple(names.get(name, name) for name in op.inputs),
            output=names.get(op.output, op.output),
        )
        if JOINED in moved.inputs:
            if not isinstance(moved, Conv2D):
                raise GraphError(
                    f"layer {op.name}: {type(op).__name__} reads the joined images, want a "
                    "convolution; begin the network with a Conv2d"
                )
            moved = replace(moved, weight=reorder(moved.weight))
        body.append(moved)
    specs = [
        TensorSpec(name=name, channels=_RGB, enlarged=scale if name in _PACKED else 1)
        for name in INPUTS
    ]
    return Graph(
        name=graph.name,
        inputs=tuple(specs),
        outputs=(PREDICTION,),
        ops=(*packing, joining, *body),
    )


def input_order(scale: int) -> Reorder:
    """Return what reorders the last axis of a weight from torch's channel order to TFLite's."""
    block = np.asarray(crd_of_dcr(_RGB, scale))
    count = len(block)
    order = np.concatenate([block, count + block, 2 * count + np.arange(_RGB)])
    return lambda weight: np.ascontiguousarray(weight[..., order])
