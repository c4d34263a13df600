"""What every training of a denoiser shares: examples, the network as samplers call it, noise."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edgesr.diffusion.centre import RegressionCentre
from edgesr.diffusion.conditioned import ConditionedDenoiser
from edgesr.diffusion.dream import Example
from edgesr.diffusion.path import Path, State, diffuse
from edgesr.diffusion.prediction import Prediction, training_target
from edgesr.diffusion.ranges import from_grey_levels, to_grey_levels
from edgesr.models.denoiser import Denoiser
from edgesr.train.objective import Forward

HALF_RANGE = 127.5
"""Grey levels in one unit of an image in [-1, 1]."""

_VALIDATION_SEED = 0


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """The network as a step calls it, as ``StepNetwork`` of the samplers; predicts in float32."""

    forward: Forward
    scale: int
    prediction: Prediction

    def __call__(
        self, x_t: Tensor, timestep: Tensor, lr: Tensor, centre: Tensor | None = None, /
    ) -> Tensor:
        """Predict; see ``StepNetwork``."""
        inputs = (x_t, timestep, lr) if centre is None else (x_t, timestep, lr, centre)
        return self.forward(*inputs).float()


def example_of(  # noqa: PLR0913 - the arguments of the two that it joins
    path: Path,
    states: State,
    x0: Tensor,
    *,
    noise: Tensor,
    kind: Prediction,
    centre: Tensor | None,
) -> Example:
    """Return noisy images and what a network of this kind should predict for them.

    Both follow ``x0`` with its gradient; arguments and errors as ``diffuse``.
    """
    return Example(
        x=diffuse(path, states, x0, noise=noise, centre=centre),
        target=training_target(path, states, x0, noise=noise, kind=kind, centre=centre),
    )


def sampling(
    network: nn.Module, path: Path, taken: Path, *, regression: RegressionCentre | None = None
) -> Callable[[Tensor], Tensor]:
    """Return deterministic sampling from one fixed noise, grey levels to grey levels.

    Args:
        network: a ``Denoiser``.
        path: that it was trained on.
        taken: the same, or a respaced one.
        regression: makes the centre; None for the bicubic one.
    """
    assert isinstance(network, Denoiser)  # noqa: S101 - an objective's build() made it
    denoiser = ConditionedDenoiser(network, path, regression=regression)

    def enlarge(lr: Tensor) -> Tensor:
        sampled = denoiser.sample(from_grey_levels(lr), seed=_VALIDATION_SEED, path=taken)
        return to_grey_levels(sampled)

    return enlarge


def centre_picture(regression: RegressionCentre | None, lr: Tensor) -> dict[str, Tensor]:
    """Return the centre of ``lr`` ``(1, 3, h, w)``, both in [0, 255], where it is not bicubic."""
    if regression is None:
        return {}
    return {"centre": to_grey_levels(regression(from_grey_levels(lr)))}


def generator_of(seed: int, step: int, rank: int, stream: int) -> torch.Generator:
    """Return the generator of a step and process; each kind of training has its own stream."""
    mixed = np.random.SeedSequence((seed, step, rank, stream)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed >> np.uint64(1)))
