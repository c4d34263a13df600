"""What the error of a denoiser's integers consists of: one part of the steps rounded, the rest not.

The parts are the two images that are rounded to grey levels, the weights with their biases, the
prediction's grid, and all tensors between. Their squared errors about add up to that of all.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from edgesr.debug.mixed import Changes, run_mixed
from edgesr.diffusion.integer_steps import IntegerNetwork
from edgesr.diffusion.prediction import Prediction
from edgesr.graph.ops import Conv2D, DepthwiseConv2D
from edgesr.models.conditioning import Conditioning
from edgesr.quant.grids import shared_grids
from edgesr.quant.scheme import QuantizedGraph
from edgesr.quant.stepwise import HALF_LEVEL, StepwiseModel, input_codes, input_reals

_RGB = 3


def _kept(quantized: QuantizedGraph, *, inner: bool, output: bool, weights: bool) -> Changes:
    """Return what stays in float; the input is on its grid or not as it is fed."""
    graph = quantized.graph
    groups = shared_grids(graph)
    inputs = {spec.name for spec in graph.inputs}
    images = {groups[name] for name in inputs}
    ends = {groups[name] for name in graph.outputs}
    rounded = {
        name
        for name, group in groups.items()
        if group not in images and (output if group in ends else inner)
    }
    floats = {*inputs, *groups} - rounded
    layers = {op.name for op in graph.ops if isinstance(op, (Conv2D, DepthwiseConv2D))}
    return Changes(
        floats=frozenset(floats), float_weights=frozenset() if weights else frozenset(layers)
    )


def _nothing(quantized: QuantizedGraph) -> Changes:
    return _kept(quantized, inner=False, output=False, weights=False)


PARTS: Mapping[str, Callable[[QuantizedGraph], Changes]] = MappingProxyType(
    {
        "noisy image": _nothing,
        "centre": _nothing,
        "weights": lambda one: _kept(one, inner=False, output=False, weights=True),
        "tensors between": lambda one: _kept(one, inner=True, output=False, weights=False),
        "prediction": lambda one: _kept(one, inner=False, output=True, weights=False),
    }
)
"""What can be rounded alone, by name."""


class PartlyRounded:
    """The steps of a denoiser with one part rounded, as what samplers call.

    Args:
        model: quantized steps that still hold their float weights, from ``quantize_denoiser``.
        part: a key of ``PARTS``.
    """

    def __init__(self, model: StepwiseModel, part: str) -> None:
        self._model, self._part = model, part
        self._join = Conditioning(model.scale, grid="lr", multiple=model.multiple)
        self._prediction = IntegerNetwork(model).prediction

    @property
    def prediction(self) -> Prediction:
        """What it returns."""
        return self._prediction

    @property
    def scale(self) -> int:
        """Upscaling factor."""
        return self._model.scale

    @torch.no_grad()
    def __call__(
        self, x_t: Tensor, timestep: Tensor, lr: Tensor, centre: Tensor | None = None, /
    ) -> Tensor:
        """Predict from ``(n, 3, s h, s w)``, ``(n,)`` and ``(n, 3, h, w)``, as ``x_t`` in shape.

        Raises:
            GraphError: a timestep that has no network.
        """
        quantized = self._model.at(int(timestep[0])).quantized
        joined = self._join(x_t, lr, centre)
        fed = (joined - HALF_LEVEL).permute(0, 2, 3, 1).contiguous()
        rounded = input_reals(input_codes(joined))
        image = _RGB * self.scale**2
        starts = {"noisy image": 0, "centre": image}
        if self._part in starts:
            here = slice(starts[self._part], starts[self._part] + image)
            fed[..., here] = rounded[..., here]
        output = quantized.graph.outputs[0]
        steps = run_mixed(quantized, fed, PARTS[self._part](quantized))[output]
        return self._join.crop(steps * float(quantized.qparams[output].scale), lr)
