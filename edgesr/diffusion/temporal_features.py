"""How far each way to deploy a timestep disturbs what it says to the layers.

What depends on the timestep alone ends in a scale and a shift per channel (FiLM). Three ways bring
them to a device, and this module measures the error of each, per layer and step:

- *folded*, what edgesr does: into filter scales (float32) and biases (int32);
- *quantized*: the embedding and its linear layers in 8 bits, one grid a tensor for all steps; and
  *reconstructed*, the same with grids of each step and weights rounded to fit the embeddings;
- *cached*: scale and shift computed before and stored in 8 bits, one grid a layer and step.

Source: Huang et al. 2024 (TFMQ-DM), arXiv 2311.16503, section 3, for reconstruction, with weights
rounded one after the other (GPTQ) instead of AdaRound; Huang et al. 2024, arXiv 2407.19547, for the
cache and the choice between both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesr.diffusion.integer_steps import QuantizedDenoiser
from edgesr.errors import DiffusionError
from edgesr.graph.ops import Conv2D
from edgesr.models.denoiser import Denoiser
from edgesr.models.time_embedding import FiLM, TimedConv2d, TimeEmbedding, sinusoidal
from edgesr.quant.affine import (
    bias_scales,
    choose_qparams,
    dequantize,
    quantize,
    quantize_weight,
    weight_scales,
)
from edgesr.quant.step_weights import channel_gains
from edgesr.quant.weight_rounding import rounded_weights

Ways = dict[str, float]
Features = dict[str, tuple[Tensor, Tensor]]
"""Layer -> scale and shift, each ``(steps, channels)``."""


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """Relative errors ``|found - exact| / |exact|`` of a layer's scale and shift at one step.

    Attributes:
        layer: name of the layer.
        timestep: original number.
        gain: error of the scale by way: folded, quantized, reconstructed, cached.
        shift: of the shift; where it is folded, of the bias that it is part of.
    """

    layer: str
    timestep: int
    gain: Ways
    shift: Ways

    @property
    def chosen(self) -> str:
        """Of the two ways of the literature, the one with the smaller error in all."""
        return min(("reconstructed", "cached"), key=lambda way: self.gain[way] + self.shift[way])


@torch.no_grad()
def disturbances(module: Denoiser, denoiser: QuantizedDenoiser) -> list[Disturbance]:
    """Measure every layer with scale and shift at every step.

    Args:
        module: float denoiser.
        denoiser: the same, quantized.

    Raises:
        DiffusionError: its timestep is embedded in another way than by ``TimeEmbedding``.
    """
    timesteps = denoiser.model.timesteps
    exact = _features(module, timesteps, _Exact())
    ways = {
        "quantized": _features(module, timesteps, _Eight(by_step=False)),
        "reconstructed": _features(module, timesteps, _Eight(by_step=True)),
        "cached": {
            layer: (_rows_on_grids(gain), _rows_on_grids(shift))
            for layer, (gain, shift) in exact.items()
        },
    }
    found: list[Disturbance] = []
    for number, timestep in enumerate(timesteps):
        for layer, (gain, shift) in exact.items():
            folded = _folded(denoiser, f"{layer}.conv", timestep)
            others = {
                way: [
                    _relative(one[number], real[number])
                    for one, real in zip(features[layer], (gain, shift), strict=True)
                ]
                for way, features in ways.items()
            }
            found.append(
                Disturbance(
                    layer=layer,
                    timestep=timestep,
                    gain={"folded": folded[0], **{way: one[0] for way, one in others.items()}},
                    shift={"folded": folded[1], **{way: one[1] for way, one in others.items()}},
                )
            )
    return found


class _Exact:
    """Float32: what the deployed ways are measured against."""

    def linear(self, layer: nn.Linear, inputs: Tensor) -> Tensor:
        made: Tensor = layer(inputs)
        return made

    def grid(self, values: Tensor) -> Tensor:
        return values


class _Eight:
    """8-bit weights and values.

    Args:
        by_step: a grid for every step, and weights rounded to fit what the steps give.
    """

    def __init__(self, *, by_step: bool) -> None:
        self.by_step = by_step

    def linear(self, layer: nn.Linear, inputs: Tensor) -> Tensor:
        weight = layer.weight.numpy()
        scales = weight_scales(weight, axis=0, bias_steps=np.zeros(len(weight)))
        codes = quantize_weight(weight, scales, axis=0)
        if self.by_step:
            op = Conv2D(
                name="linear",
                inputs=("in",),
                output="out",
                weight=weight[:, None, None, :],
                bias=layer.bias.numpy(),
            )
            unit = inputs.abs().max().clamp(min=1e-6) / 127.0
            codes = rounded_weights(op, scales, (inputs / unit)[:, :, None, None])[:, 0, 0, :]
        made = codes.astype(np.float32) * scales[:, None]
        return self.grid(functional.linear(inputs, torch.from_numpy(made), layer.bias))

    def grid(self, values: Tensor) -> Tensor:
        return _rows_on_grids(values) if self.by_step else _on_grid(values)


def _features(module: Denoiser, timesteps: Sequence[int], numbers: _Exact | _Eight) -> Features:
    """Run the embedding and all FiLM layers for all steps in the given numbers."""
    time = module.time
    if not isinstance(time, TimeEmbedding):
        raise DiffusionError(
            f"the timestep is embedded by {type(time).__name__}, and only of a TimeEmbedding is "
            "it known what 8 bits make of it; leave this report out"
        )
    code = numbers.grid(sinusoidal(torch.tensor([float(one) for one in timesteps]), time.code))
    hidden = numbers.grid(functional.silu(numbers.linear(time.first, code)))
    embedding = numbers.linear(time.second, hidden)
    return {
        name: _factors(layer.film, embedding, numbers.linear)
        for name, layer in module.core.named_modules()
        if isinstance(layer, TimedConv2d) and layer.film is not None
    }


def _factors(
    film: FiLM, embedding: Tensor, linear: Callable[[nn.Linear, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    gain, shift = film.split(linear(film.project, embedding))
    return torch.ones_like(shift) if gain is None else gain, shift


def _folded(denoiser: QuantizedDenoiser, layer: str, timestep: int) -> tuple[float, float]:
    """Return the relative errors of a filter's scales and of its bias after rounding."""
    timesteps = denoiser.model.timesteps
    first, here = (denoiser.result.quantized[one] for one in (timesteps[0], timestep))
    old, op = (
        next(op for op in one.graph.ops if op.name == layer and isinstance(op, Conv2D))
        for one in (first, here)
    )
    assert isinstance(old, Conv2D)  # noqa: S101 - chosen so
    assert isinstance(op, Conv2D)  # noqa: S101
    weight = here.weights[layer]
    exact = first.weights[layer].scales * channel_gains(old, op, timestep=timestep)
    steps = bias_scales(here.qparams[op.inputs[0]].scale, weight.scales).astype(np.float64)
    bias = torch.from_numpy(op.bias.astype(np.float64))
    rounded = torch.from_numpy(np.rint(op.bias / steps) * steps)
    return (
        _relative(torch.from_numpy(weight.scales.astype(np.float64)), torch.from_numpy(exact)),
        _relative(rounded, bias),
    )


def _on_grid(values: Tensor) -> Tensor:
    grid = choose_qparams(float(values.min()), float(values.max()))
    return torch.from_numpy(dequantize(quantize(values.numpy(), grid), grid)).float()


def _rows_on_grids(values: Tensor) -> Tensor:
    return torch.stack([_on_grid(row) for row in values])


def _relative(found: Tensor, exact: Tensor) -> float:
    size = float(exact.double().norm())
    error = float((found.double() - exact.double()).norm())
    return error / size if size > 0 else error
