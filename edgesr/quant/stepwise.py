"""A denoiser in integers: one quantized graph a timestep, the weights' bytes the same in all.

With its timestep folded in, a denoiser is a plain network. The timestep's positive scales become
part of the filters' scales and its shifts part of the int32 biases, so the int8 weights of all
steps are one set of bytes. Grids of activations may differ by step too, or be shared by
consecutive steps, which then form a *group*; biases differ by step in any case, so every timestep
has a graph of its own.

The joined input of a step (noisy image as the network is shown it, centre, low-resolution image)
lies in [-1, 1] and is rounded to grey levels: ``code = grey level - 128``. A code stands for
``2 / 255 * code``, which is half a level below the image's value, because 0 must be a code to pad
with. ``shift_input`` takes that half level into the bias of the layers that read the input.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgesr.errors import GraphError
from edgesr.graph.graph import Graph
from edgesr.graph.ops import Conv2D, Op
from edgesr.quant.scheme import CODE_MIN, QParams, QuantizedGraph
from edgesr.quant.simulate import simulate

_HALF_RANGE = 127.5
_PEAK = 255.0
HALF_LEVEL = 1.0 / 255.0
"""Half a grey level in [-1, 1]."""
INPUT_LEVELS = QParams(scale=np.float32(2.0 / 255.0), zero_point=0)
"""The grid of every step's input: grey levels 0 to 255 are exactly the codes -128 to 127."""


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What the host takes out of a step's prediction: ``(prediction - mean) / gain``.

    Attributes:
        mean: of the error by colour, in the prediction's units; float32 numbers, as hosts compute.
        gain: of integers over float, around 1; likewise.
    """

    mean: tuple[float, float, float]
    gain: float


NO_CORRECTION = Correction(mean=(0.0, 0.0, 0.0), gain=1.0)
"""Changes nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StepModel:
    """One signature of a deployed denoiser.

    Attributes:
        timesteps: original timesteps that use it; ``quantize_steps`` makes one each, since the
            bias depends on the timestep.
        quantized: the network with the timestep folded in. Input: the joined images on
            ``INPUT_LEVELS``; output: the prediction on its grid.
        group: number of the group of steps that shares its activation grids, from 0.
    """

    timesteps: tuple[int, ...]
    quantized: QuantizedGraph
    group: int = 0

    @property
    def output(self) -> QParams:
        """Grid of the prediction."""
        return self.quantized.qparams[self.quantized.graph.outputs[0]]


@dataclass(frozen=True, kw_only=True, eq=False)
class StepwiseModel:
    """All steps of a denoiser, and what a host must know to sample with them.

    Attributes:
        steps: in sampling order, the noisiest first.
        model: name of the denoiser.
        scale: upscaling factor.
        multiple: the sides of the low-resolution image are padded to a multiple of this, by
            reflection, at the bottom and right.
        prediction: what the output is: ``residual``, ``x0``, ``correction``...
        schedule: name of the path that the network was trained on.
        schedule_parameters: of that path, before any respacing.
        corrections: by timestep, what the sampler corrects; empty for nothing.
        centre: the network that makes the centre, grey levels in and out; None for bicubic.
    """

    steps: tuple[StepModel, ...]
    model: str
    scale: int
    multiple: int
    prediction: str
    schedule: str
    schedule_parameters: Mapping[str, Any]
    corrections: Mapping[int, Correction] = field(default_factory=lambda: MappingProxyType({}))
    centre: QuantizedGraph | None = None

    def __post_init__(self) -> None:
        """Refuse steps that cannot share one file.

        Raises:
            GraphError: no steps, a timestep twice, or graphs or weight bytes that differ.
        """
        if not self.steps:
            raise GraphError(f"{self.model}: has no step; sample with one at least")
        timesteps = self.timesteps
        if len(set(timesteps)) != len(timesteps):
            raise GraphError(f"{self.model}: timesteps {list(timesteps)}, want each once")
        check_shared({step.timesteps[0]: step.quantized for step in self.steps})

    @property
    def timesteps(self) -> tuple[int, ...]:
        """Original timesteps in sampling order, the noisiest first."""
        return tuple(timestep for step in self.steps for timestep in step.timesteps)

    @property
    def num_groups(self) -> int:
        """Number of different sets of activation grids."""
        return len({step.group for step in self.steps})

    def at(self, timestep: int) -> StepModel:
        """Return the step of a timestep.

        Raises:
            GraphError: there is none.
        """
        for step in self.steps:
            if timestep in step.timesteps:
                return step
        raise GraphError(
            f"{self.model}: timestep {timestep} has no network, want one of "
            f"{', '.join(map(str, self.timesteps))}; sample these steps, or quantize for others"
        )


def check_shared(quantized: Mapping[int, QuantizedGraph]) -> None:
    """Check that the graphs of all timesteps are one network with one set of weight bytes.

    Args:
        quantized: by timestep.

    Raises:
        GraphError: names the first layer and timestep that differ.
    """
    (first_step, first), *others = quantized.items()
    for timestep, other in others:
        if _structure(other.graph) != _structure(first.graph) or other.scheme != first.scheme:
            raise GraphError(
                f"{first.graph.name}: timesteps {first_step} and {timestep} have different "
                "networks; fold both into one denoiser"
            )
        for name, weight in first.weights.items():
            if not np.array_equal(weight.values, other.weights[name].values):
                raise GraphError(
                    f"layer {name}: integer weights differ between timesteps {first_step} and "
                    f"{timestep}, want the same bytes; quantize all steps in one call"
                )


def input_codes(joined: Tensor) -> Tensor:
    """Return what a step is fed: int8 NHWC codes of joined images ``(n, c, h, w)`` in [-1, 1].

    Rounded half to even to grey levels; what lies outside saturates.
    """
    levels = ((joined + 1.0) * _HALF_RANGE).round().clamp(0.0, _PEAK) + CODE_MIN
    return levels.to(torch.int8).permute(0, 2, 3, 1).contiguous()


def input_reals(codes: Tensor) -> Tensor:
    """Return the float32 values that codes of an input stand for, of the same shape."""
    return codes.float() * float(INPUT_LEVELS.scale)


def codes_of_reals(reals: Tensor) -> Tensor:
    """Return the int8 codes that ``input_reals`` came from, of the same shape."""
    codes = (reals / float(INPUT_LEVELS.scale)).round()
    return codes.clamp(INPUT_LEVELS.code_min, INPUT_LEVELS.code_max).to(torch.int8)


def shift_input(graph: Graph) -> Graph:
    """Return ``graph`` for an input that lies half a grey level below the images' values.

    Equal inside. The zeros that pad the border stand for a value half a level higher than before.

    Raises:
        GraphError: the input is read by anything but convolutions.
    """
    (spec,) = graph.inputs
    ops: list[Op] = []
    for op in graph.ops:
        if spec.name not in op.inputs:
            ops.append(op)
            continue
        if not isinstance(op, Conv2D):
            raise GraphError(
                f"layer {op.name}: {type(op).__name__} reads the joined images, want a "
                "convolution; begin the network with a Conv2d"
            )
        added = op.weight.astype(np.float64).sum(axis=(1, 2, 3)) * HALF_LEVEL
        ops.append(replace(op, bias=(op.bias + added).astype(np.float32)))
    return replace(graph, ops=tuple(ops))


def run_step(step: StepModel, codes: Tensor, *, kernels: str = "xnnpack") -> Tensor:
    """Return the prediction of one step, uncorrected: float32 ``(n, 3, s h, s w)``.

    Args:
        step: the step.
        codes: what ``input_codes`` gave.
        kernels: kernel family, see ``simulate``.
    """
    found = simulate(step.quantized, codes, kernels=kernels).permute(0, 3, 1, 2)
    return (found.float() - step.output.zero_point) * float(step.output.scale)


def _structure(graph: Graph) -> list[tuple[str, str, tuple[str, ...], str]]:
    return [(type(op).__name__, op.name, op.inputs, op.output) for op in graph.ops]
