"""Integer weights that all steps of a denoiser share.

A folded timestep multiplies the output channels of some layers by positive numbers. These go into
the scale of the channel's weight; the codes are made once.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgesr.errors import GraphError
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D, DepthwiseConv2D, WeightedOp, is_selection
from edgesr.quant.affine import bias_scales, quantize_bias
from edgesr.quant.scheme import QParams, QuantizedWeight
from edgesr.quant.weights import channel_axis

_TOLERANCE = 1e-4
"""Of what a scale does not explain, relative to the largest weight of the layer."""


def share_weights(
    weights: Mapping[str, QuantizedWeight],
    first: Graph,
    graph: Graph,
    qparams: Mapping[str, QParams],
    *,
    timestep: int,
) -> dict[str, QuantizedWeight]:
    """Return the weights of another step: the same codes, its own scales and biases.

    Args:
        weights: integers of ``first``, by layer.
        first: graph of the step that the codes were made from.
        graph: that of the other step.
        qparams: the other step's grids.
        timestep: of the other step, for messages.

    Raises:
        GraphError: a layer's weights are no positive multiples, channel by channel, of those of
            ``first``.
    """
    made: dict[str, QuantizedWeight] = {}
    for old, op in zip(first.ops, graph.ops, strict=True):
        if not isinstance(op, (Conv2D, DepthwiseConv2D)):
            continue
        assert isinstance(old, (Conv2D, DepthwiseConv2D))  # noqa: S101 - graphs of one structure
        source = weights[op.name]
        if is_selection(op):
            made[op.name] = source
            continue
        scales = (source.scales * channel_gains(old, op, timestep=timestep)).astype(np.float32)
        steps = bias_scales(qparams[op.inputs[0]].scale, scales)
        made[op.name] = replace(source, scales=scales, bias=quantize_bias(op.bias, steps))
    return made


def channel_gains(old: WeightedOp, new: WeightedOp, *, timestep: int) -> npt.NDArray[np.float64]:
    """Return what the output channels of ``old`` were multiplied by to give ``new``.

    Channels without weight have gain 1.

    Raises:
        GraphError: a gain is not positive, or the weights differ otherwise.
    """
    axis = channel_axis(new)
    before, after = (
        np.moveaxis(op.weight.astype(np.float64), axis, 0).reshape(op.weight.shape[axis], -1)
        for op in (old, new)
    )
    power = np.square(before).sum(axis=1)
    gains = np.where(power > 0, (before * after).sum(axis=1) / np.maximum(power, 1e-300), 1.0)
    if (gains <= 0).any():
        channel = int((gains <= 0).argmax())
        raise GraphError(
            f"layer {new.name}: timestep {timestep} scales channel {channel} by "
            f"{gains[channel]:.4g}, want a positive number, since all steps share the weights' "
            "bytes; make the scale an exponential, as edgesr.models.time_embedding.FiLM does, and "
            "train again"
        )
    left = np.abs(after - gains[:, None] * before).max()
    if left > _TOLERANCE * np.abs(after).max():
        raise GraphError(
            f"layer {new.name}: its weights at timestep {timestep} are no multiples, channel by "
            "channel, of those at the other timesteps, so their bytes cannot be shared; let the "
            "timestep scale and shift what comes out of a layer (FiLM)"
        )
    return gains
