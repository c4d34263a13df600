"""Train a denoiser: predict a clean image's residual from its noisy states.

Source: Ho et al. 2020, arXiv 2006.11239, algorithm 1, on the path of Yue et al. 2023 (ResShift),
arXiv 2307.12348, eq. 8, with the loss unweighted.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgesr.data.cache import DecodedImages
from edgesr.diffusion.centre import RegressionCentre
from edgesr.diffusion.conditioned import ConditionedDenoiser
from edgesr.diffusion.dream import dream
from edgesr.diffusion.path import Path as DiffusionPath
from edgesr.diffusion.path import respace, spaced_timesteps
from edgesr.diffusion.prediction import to_x0
from edgesr.diffusion.ranges import from_grey_levels
from edgesr.diffusion.schedules import find_schedule
from edgesr.errors import ConfigError
from edgesr.models.centre import CentreNetwork
from edgesr.models.denoiser_files import Schedule, save_denoiser
from edgesr.models.denoisers import DENOISERS, build_denoiser
from edgesr.train.breakdown import StateBreakdown
from edgesr.train.config import TrainConfig
from edgesr.train.denoising import (
    HALF_RANGE,
    TrainedNetwork,
    centre_picture,
    example_of,
    generator_of,
    sampling,
)
from edgesr.train.losses import frequency_losses, image_losses_at
from edgesr.train.objective import Forward, Kept, groups_by_bias
from edgesr.train.validate import LARGEST_FALL, PSNR_KEY, validation_psnr

_STREAM = 1


def check_diffusion(config: TrainConfig) -> None:
    """Refuse settings that the training of a denoiser cannot have.

    Raises:
        ConfigError: names the keys.
        DiffusionError: a parameter of the path is out of range.
    """
    if config.model not in DENOISERS:
        return
    if config.qat:
        raise ConfigError(
            f"qat = true: {config.model} is a denoiser, whose integers cannot be trained"
        )
    build_denoiser(config.model, config.scale)
    sampled_path(config)


def schedule_of(config: TrainConfig) -> Schedule:
    """Return the path's name and the parameters that it takes of ``config``."""
    known = inspect.signature(find_schedule(config.diffusion_path)).parameters
    given = {
        "num_steps": config.diffusion_steps,
        "kappa": config.kappa,
        "min_noise": config.min_noise,
        "power": config.shift_power,
    }
    return Schedule(
        name=config.diffusion_path,
        parameters={key: value for key, value in given.items() if key in known},
        sampling_steps=config.sampling_steps or None,
    )


def path_of(config: TrainConfig) -> DiffusionPath:
    """Return the path that ``config`` describes.

    Raises:
        DiffusionError: a parameter is out of range.
    """
    schedule = schedule_of(config)
    return find_schedule(schedule.name)(**schedule.parameters)


def sampled_path(config: TrainConfig) -> DiffusionPath:
    """Return the path that validation takes: all states, or ``config.sampling_steps`` of them.

    Raises:
        DiffusionError: more steps than the path has.
    """
    path = path_of(config)
    if not config.sampling_steps:
        return path
    return respace(path, spaced_timesteps(path, config.sampling_steps))


@dataclass(frozen=True, kw_only=True)
class Diffusion:
    """A denoiser against the residual of clean images; see ``Objective``.

    States and noise of a step are functions of seed, step and process, as its patches are. The
    ``centre`` is made by a network that is not trained, or, without one, by bicubic interpolation.
    """

    config: TrainConfig
    centre: CentreNetwork | None = None
    rank: int = 0
    is_exact: bool = False
    validates_start: bool = False
    largest_fall: float = LARGEST_FALL
    kept: Mapping[str, Kept] = field(default_factory=dict)
    path: DiffusionPath = field(init=False)
    regression: RegressionCentre | None = field(init=False)
    by_state: StateBreakdown = field(init=False)

    def __post_init__(self) -> None:
        """Make the tables of the path."""
        regression = None if self.centre is None else RegressionCentre(self.centre)
        object.__setattr__(self, "regression", regression)
        object.__setattr__(self, "path", path_of(self.config))
        object.__setattr__(self, "by_state", StateBreakdown(self.path.num_steps))

    def build(self) -> nn.Module:
        """Return a fresh denoiser."""
        return build_denoiser(self.config.model, self.config.scale)

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Return biases and the rest."""
        return groups_by_bias(network, self.config.bias_rate_factor)

    def to(self, device: torch.device) -> None:
        """Move nothing."""

    def loss(self, forward: Forward, lr: Tensor, hr: Tensor, step: int) -> Tensor:
        """Return the loss of the prediction, scaled to grey levels (squared for ``l2``).

        ``frequency_weight`` adds the distance of the clean image that it stands for.
        """
        config, path = self.config, self.path
        lr, x0 = from_grey_levels(lr), from_grey_levels(hr)
        random = generator_of(config.seed, step, self.rank, _STREAM)
        states = torch.randint(1, path.num_steps + 1, (len(x0),), generator=random)
        noise = torch.randn(x0.shape, generator=random).to(x0.device)
        kind = DENOISERS[config.model].prediction
        trained = TrainedNetwork(forward=forward, scale=config.scale, prediction=kind)
        network = ConditionedDenoiser(trained, path, regression=self.regression)
        centre = network.centre(lr)
        if config.dream:
            shown = dream(network, path, states, x0, noise=noise, condition=lr, centre=centre)
        else:
            shown = example_of(path, states, x0, noise=noise, kind=kind, centre=centre)
        predicted = network(shown.x, states, lr)
        measure = image_losses_at(config, step)
        losses = measure(predicted * HALF_RANGE, shown.target * HALF_RANGE)
        if config.frequency_weight:
            found = to_x0(path, states, shown.x, predicted, kind=kind, centre=centre)
            lack = frequency_losses(found * HALF_RANGE, x0 * HALF_RANGE)
            losses = losses + config.frequency_weight * lack
        self.by_state.add(states, losses)
        return losses.mean()

    def before_update(self, network: nn.Module, step: int) -> None:
        """Change nothing."""

    def after_update(self, network: nn.Module, averaged: nn.Module, step: int) -> None:
        """Change nothing."""

    def report(self) -> dict[str, Any]:
        """Return the mean loss of every state, or of bins of them."""
        return {"loss_by_timestep": self.by_state.report()}

    def pictures(self, averaged: nn.Module, lr: Tensor) -> dict[str, Tensor]:
        """Return the centre, where it is not bicubic, and the sampled image."""
        taken = sampled_path(self.config)
        name = f"sampled, {taken.num_steps} steps"
        made = sampling(averaged, self.path, taken, regression=self.regression)(lr)
        return {**centre_picture(self.regression, lr), name: made}

    def validate(
        self, averaged: nn.Module, held_out: DecodedImages, device: torch.device
    ) -> dict[str, float]:
        """Return the PSNR of deterministic sampling from one fixed noise."""
        taken = sampled_path(self.config)
        enlarge = sampling(averaged, self.path, taken, regression=self.regression)
        return {PSNR_KEY: validation_psnr(enlarge, held_out, device)}

    def save(self, path: Path, averaged: nn.Module, metadata: dict[str, str]) -> None:
        """Write the denoiser with its path."""
        save_denoiser(
            path,
            averaged.state_dict(),
            model=self.config.model,
            scale=self.config.scale,
            schedule=schedule_of(self.config),
            prediction=DENOISERS[self.config.model].prediction,
            centre=self.centre,
            metadata=metadata,
        )
