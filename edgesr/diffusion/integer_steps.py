"""Quantize a trained denoiser for the steps that are sampled, and sample with the integers.

The sampler's arithmetic stays in float32 on the host; only the network is in integers, as on a
phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from edgesr.diffusion.path import Path
from edgesr.diffusion.prediction import Prediction
from edgesr.errors import DataError, DiffusionError, GraphError
from edgesr.graph.capture import capture
from edgesr.graph.execute import execute
from edgesr.graph.graph import Graph
from edgesr.graph.passes import lower
from edgesr.models.conditioning import Conditioning
from edgesr.models.denoiser import Denoiser
from edgesr.models.denoiser_files import LoadedDenoiser
from edgesr.models.fold_timestep import fold_timestep
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.recipe import OURS, PtqRecipe
from edgesr.quant.scheme import QuantizedGraph
from edgesr.quant.step_ptq import StepsResult, quantize_steps
from edgesr.quant.stepwise import (
    Correction,
    StepModel,
    StepwiseModel,
    codes_of_reals,
    input_codes,
    run_step,
    shift_input,
)

MAX_STEPS = 8
"""Every timestep has a network of its own; a path of more steps is for training."""


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedDenoiser:
    """A denoiser in integers and how it came about.

    Attributes:
        model: all steps.
        graphs: float network by timestep that was quantized, as ``quantize_steps`` got it.
        result: what ``quantize_steps`` found.
    """

    model: StepwiseModel
    graphs: Mapping[int, Graph]
    result: StepsResult


def sampled_timesteps(path: Path) -> tuple[int, ...]:
    """Return the timesteps that a path's steps tell the network, the noisiest first.

    Raises:
        DiffusionError: more than 8, each of which would want a network of its own.
    """
    if path.num_steps > MAX_STEPS:
        raise DiffusionError(
            f"path {path.name}: {path.num_steps} steps, and every one has a network of its own, "
            f"want at most {MAX_STEPS}; sample fewer (--steps)"
        )
    return tuple(int(path.timesteps[state]) for state in range(path.num_steps, 0, -1))


def step_graphs(module: Denoiser, name: str, timesteps: Sequence[int]) -> dict[int, Graph]:
    """Return the lowered float network of every timestep, ready for ``quantize_steps``.

    Args:
        module: denoiser on grid ``lr``.
        name: of it, for messages.
        timesteps: original numbers, in sampling order.

    Raises:
        GraphError: the network holds an operation without integers.
    """
    graphs: dict[int, Graph] = {}
    for timestep in timesteps:
        folded = fold_timestep(module, timestep)
        channels = folded.conditioning.channels
        graphs[timestep] = shift_input(lower(capture(folded.core, name=name, channels=channels)))
    return graphs


def quantize_denoiser(
    loaded: LoadedDenoiser,
    path: Path,
    batches: Sequence[CalibrationBatch],
    recipe: PtqRecipe = OURS,
    *,
    groups: int | None = None,
) -> QuantizedDenoiser:
    """Quantize a denoiser for the steps of ``path``.

    Args:
        loaded: denoiser and its schedule.
        path: that it will be sampled on, respaced.
        batches: what the network was fed on this path, see ``edgesr.diffusion.trajectories``.
        recipe: how.
        groups: of steps that share activation grids; None takes the least that costs nothing.

    Raises:
        DiffusionError: too many steps.
        GraphError: the network has no integer form.
        DataError: calibration does not fit the steps.
    """
    graphs = step_graphs(loaded.module, loaded.descriptor.name, sampled_timesteps(path))
    return of_result(loaded, graphs, quantize_steps(graphs, batches, recipe, groups=groups))


def of_result(
    loaded: LoadedDenoiser, graphs: Mapping[int, Graph], result: StepsResult
) -> QuantizedDenoiser:
    """Return quantized steps as a denoiser.

    Args:
        loaded: what was quantized.
        graphs: its float networks by timestep.
        result: what ``quantize_steps`` made of them.
    """
    model = stepwise_model(loaded, result.quantized, result.grouping.groups)
    return QuantizedDenoiser(model=model, graphs=graphs, result=result)


def stepwise_model(
    loaded: LoadedDenoiser, quantized: Mapping[int, QuantizedGraph], groups: Sequence[int]
) -> StepwiseModel:
    """Return quantized steps as what a sampler runs.

    Args:
        loaded: what was quantized.
        quantized: by timestep, in sampling order.
        groups: number of the group of every step.
    """
    found = zip(quantized.items(), groups, strict=True)
    return StepwiseModel(
        steps=tuple(
            StepModel(timesteps=(timestep,), quantized=step, group=group)
            for (timestep, step), group in found
        ),
        model=loaded.descriptor.name,
        scale=loaded.scale,
        multiple=loaded.module.conditioning.multiple,
        prediction=loaded.prediction,
        schedule=loaded.schedule.name,
        schedule_parameters=dict(loaded.schedule.parameters),
    )


class IntegerNetwork:
    """All steps as one network for ``ConditionedDenoiser``, in integers as the phone computes.

    Args:
        model: quantized steps.
        kernels: kernel family, see ``edgesr.quant.simulate``.
    """

    def __init__(self, model: StepwiseModel, *, kernels: str = "xnnpack") -> None:
        self.model = model
        self._kernels = kernels
        self._join = Conditioning(model.scale, grid="lr", multiple=model.multiple)
        self._prediction = _prediction(model)

    @property
    def prediction(self) -> Prediction:
        """What it returns."""
        return self._prediction

    @property
    def scale(self) -> int:
        """Upscaling factor."""
        return self.model.scale

    def __call__(
        self, x_t: Tensor, timestep: Tensor, lr: Tensor, centre: Tensor | None = None, /
    ) -> Tensor:
        """Predict from ``(n, 3, s h, s w)``, ``(n,)`` and ``(n, 3, h, w)``, as ``x_t`` in shape.

        Raises:
            DiffusionError: a timestep that has no network, or several in one batch.
        """
        told = set(timestep.tolist())
        if len(told) != 1:
            raise DiffusionError(
                f"{self.model.model}: one batch of timesteps {sorted(told)}, want one timestep"
            )
        number = int(told.pop())
        try:
            step = self.model.at(number)
        except GraphError as error:
            raise DiffusionError(str(error)) from error
        found = run_step(step, input_codes(self._join(x_t, lr, centre)), kernels=self._kernels)
        return corrected(self._join.crop(found, lr), self.model.corrections.get(number))


def corrected(prediction: Tensor, correction: Correction | None) -> Tensor:
    """Return ``(n, 3, h, w)`` without the mean and gain error that was measured; None is none."""
    if correction is None:
        return prediction
    mean = torch.tensor(correction.mean, dtype=prediction.dtype).view(1, -1, 1, 1)
    return (prediction - mean) / correction.gain


def measure_corrections(
    denoiser: QuantizedDenoiser, batches: Sequence[CalibrationBatch]
) -> dict[int, Correction]:
    """Measure what integers make of the prediction, by timestep: a gain and a mean by colour.

    Integers are fitted as ``gain * float + mean`` by least squares, so that the sampler can take
    both out at no cost on the device. What is left is not correlated with the prediction; a
    sampler without noise of its own has no use for its variance.

    Args:
        denoiser: quantized, uncorrected.
        batches: what the network was fed.

    Raises:
        DataError: the integers give the opposite of what the float network does.

    Source: He et al. 2023 (PTQD), arXiv 2305.10657, its correction of correlated noise (the
    gain) and of the uncorrelated noise's mean; it changes the sampler's variances as well.
    """
    sums: dict[int, Tensor] = {}
    for batch in batches:
        if batch.timestep is None:
            continue
        real = execute(denoiser.graphs[batch.timestep], batch.inputs).permute(0, 3, 1, 2)
        step = denoiser.model.at(batch.timestep)
        found = run_step(step, codes_of_reals(batch.inputs))
        parts = [real, found, real * real, real * found, torch.ones_like(real)]
        added = torch.stack([part.double().sum(dim=(0, 2, 3)) for part in parts])
        sums[batch.timestep] = sums.get(batch.timestep, torch.zeros_like(added)) + added
    corrections = {timestep: _fitted(total) for timestep, total in sums.items()}
    for timestep, one in corrections.items():
        if one.gain <= 0:
            raise DataError(
                f"{denoiser.model.model}: at timestep {timestep} integers are {one.gain:.3g} times "
                "the float prediction, which no sampler can correct; quantize with more bits"
            )
    return corrections


def with_corrections(model: StepwiseModel, corrections: Mapping[int, Correction]) -> StepwiseModel:
    """Return ``model`` with what its sampler shall correct."""
    return replace(model, corrections=dict(corrections))


def _fitted(sums: Tensor) -> Correction:
    """Fit one gain and a mean by colour; ``sums`` holds x, y, x x, x y, 1 by colour."""
    real, found, squares, products, count = sums
    spread = (squares - real * real / count).sum()
    gain = float((products - real * found / count).sum() / spread) if spread > 0 else 1.0
    red, green, blue = ((found - gain * real) / count).float().tolist()
    return Correction(mean=(red, green, blue), gain=float(np.float32(gain)))


def _prediction(model: StepwiseModel) -> Prediction:
    for kind in get_args(Prediction):
        if kind == model.prediction:
            known: Prediction = kind
            return known
    raise DiffusionError(
        f"{model.model}: predicts {model.prediction!r}, want one of "
        f"{', '.join(get_args(Prediction))}"
    )
