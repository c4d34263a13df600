"""Learn, in two passes, how channels share ranges and where ranges end; weights are not trained.

First the factors between the channels of a tensor are learned and folded into the float network;
then the network is quantized anew and both ends of every activation's range are learned.

Source: Zhu et al. 2025 (PassionSR), arXiv 2411.17106, section 3.4 (distributed quantization
calibration): the order of its passes and its loss, the float network's prediction. Differences:
boundaries of activations alone, since weights have a scale a channel; no offsets (see
``edgesr.quant.step_transform``); all layers at once.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgesr.diffusion.integer_steps import (
    QuantizedDenoiser,
    of_result,
    sampled_timesteps,
    step_graphs,
)
from edgesr.diffusion.step_distillation import (
    Course,
    Distillation,
    Listen,
    train_steps,
    with_trained,
)
from edgesr.errors import DataError
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.recipe import PtqRecipe
from edgesr.quant.step_ptq import quantize_steps
from edgesr.quant.step_qat import StepsQat
from edgesr.quant.step_transform import LearnedTransform, start_transform

FACTOR_RATE = 3e-3
"""Of the logarithms of factors."""
SCALE_RATE = 1e-3
"""Of the logarithms of scales."""
ZERO_POINT_RATE = 2e-2
"""In codes."""


def two_pass(  # noqa: PLR0913 - what is learned, from what, how
    course: Course,
    batches: Sequence[CalibrationBatch],
    recipe: PtqRecipe,
    settings: Distillation,
    *,
    groups: int | None = None,
    state: Path | None = None,
    listen: Listen = lambda _step, _loss: None,
) -> QuantizedDenoiser:
    """Quantize a denoiser with learned factors and boundaries.

    Args:
        course: denoiser, paths and images.
        batches: calibration at every step of the path.
        recipe: of everything else; it must not equalize.
        settings: of each pass; rates of weights are not read.
        groups: of steps that share grids; None takes the least that costs nothing.
        state: file of an interrupted training to go on from, one a pass beside it.
        listen: told of the loss.

    Raises:
        DataError: the recipe equalizes, a step was not calibrated, or training diverged.
        GraphError: the network has no integer form.
    """
    if recipe.equalize:
        raise DataError("two_pass learns what equalization computes; take equalize=False")
    loaded = course.loaded
    timesteps = sampled_timesteps(course.path)
    graphs = step_graphs(loaded.module, loaded.descriptor.name, timesteps)
    fed = [[one for one in batches if one.timestep == timestep] for timestep in timesteps]
    started = dict(zip(timesteps, start_transform(list(graphs.values()), fed), strict=True))
    first = quantize_steps(started, batches, recipe, groups=groups)
    pupil = StepsQat(first.quantized, first.grouping.groups)
    transform = LearnedTransform(pupil)
    factors = [{"params": [*transform.logs.values()], "lr": FACTOR_RATE}]
    train_steps(
        pupil, factors, _named(course, "transform"), settings, state=_of(state, 1), listen=listen
    )
    folded = transform.apply(started)
    denoiser = of_result(loaded, graphs, quantize_steps(folded, batches, recipe, groups=groups))
    pupil = StepsQat(denoiser.result.quantized, denoiser.result.grouping.groups)
    scales, zeros = pupil.learn_boundaries()
    ends = [{"params": scales, "lr": SCALE_RATE}, {"params": zeros, "lr": ZERO_POINT_RATE}]
    train_steps(
        pupil,
        [one for one in ends if one["params"]],
        _named(course, "boundaries"),
        settings,
        state=_of(state, 2),
        listen=listen,
    )
    return with_trained(denoiser, pupil)


def _named(course: Course, what: str) -> Course:
    return replace(course, identity=f"{course.identity} {what}")


def _of(state: Path | None, number: int) -> Path | None:
    return None if state is None else state.with_name(f"{state.name}.pass{number}")
