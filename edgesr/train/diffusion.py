"""Train a denoiser: predict a clean image's residual from its noisy states.

Source: Ho et al. 2020, arXiv 2006.11239, algorithm 1, on the path of Yue et al. 2023 (ResShift),
arXiv 2307.12348, eq. 8, with the loss unweighted.
"""

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgesr.data.cache import DecodedImages
from edgesr.diffusion.conditioned import ConditionedDenoiser, enlarge, network_input
from edgesr.diffusion.dream import dream
from edgesr.diffusion.path import Path as DiffusionPath
from edgesr.diffusion.path import diffuse, respace, spaced_timesteps
from edgesr.diffusion.prediction import training_target
from edgesr.diffusion.ranges import from_grey_levels, to_grey_levels
from edgesr.diffusion.schedules import find_schedule
from edgesr.errors import ConfigError
from edgesr.metrics import measure
from edgesr.models.denoiser import Denoiser
from edgesr.models.denoiser_files import Schedule, save_denoiser
from edgesr.models.denoisers import DENOISERS, build_denoiser
from edgesr.train.batches import to_float
from edgesr.train.config import TrainConfig
from edgesr.train.losses import loss_at
from edgesr.train.objective import Forward, groups_by_bias
from edgesr.train.validate import PSNR_KEY, VALIDATION_PROTOCOL

HALF_RANGE = 127.5
"""Grey levels in one unit of an image in [-1, 1]."""

_VALIDATION_SEED = 0
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

    States and noise of a step are functions of seed, step and process, as its patches are.
    """

    config: TrainConfig
    rank: int = 0
    is_exact: bool = False
    validates_start: bool = False
    path: DiffusionPath = field(init=False)

    def __post_init__(self) -> None:
        """Make the tables of the path."""
        object.__setattr__(self, "path", path_of(self.config))

    def build(self) -> nn.Module:
        """Return a fresh denoiser."""
        return build_denoiser(self.config.model, self.config.scale)

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Return biases and the rest."""
        return groups_by_bias(network, self.config.bias_rate_factor)

    def to(self, device: torch.device) -> None:
        """Move nothing."""

    def loss(self, forward: Forward, lr: Tensor, hr: Tensor, step: int) -> Tensor:
        """Return the loss of the prediction, scaled to grey levels (squared for ``l2``)."""
        lr, x0 = from_grey_levels(lr), from_grey_levels(hr)
        random = generator_of(self.config.seed, step, self.rank, _STREAM)
        states = torch.randint(1, self.path.num_steps + 1, (len(x0),), generator=random)
        noise = torch.randn(x0.shape, generator=random).to(x0.device)
        asked = _Asked(forward=forward, path=self.path, config=self.config)
        centre = enlarge(lr, self.config.scale) if self.path.centred else None
        kind = asked.prediction
        if self.config.dream:
            example = dream(asked, self.path, states, x0, noise=noise, condition=lr, centre=centre)
            x, target = example.x, example.target
        else:
            x = diffuse(self.path, states, x0, noise=noise, centre=centre)
            target = training_target(self.path, states, x0, noise=noise, kind=kind, centre=centre)
        predicted = asked(x, states.to(x.device), lr)
        return loss_at(self.config, step)(predicted.float() * HALF_RANGE, target * HALF_RANGE)

    def before_update(self, network: nn.Module, step: int) -> None:
        """Change nothing."""

    def after_update(self, network: nn.Module, averaged: nn.Module, step: int) -> None:
        """Change nothing."""

    @torch.no_grad()
    def validate(
        self, averaged: nn.Module, held_out: DecodedImages, device: torch.device
    ) -> dict[str, float]:
        """Return the PSNR of deterministic sampling from one fixed noise."""
        path = sampled_path(self.config)
        return {PSNR_KEY: sampling_psnr(averaged, self.path, held_out, device, sampled=path)}

    def check_progress(self, psnr: float, best: float, step: int) -> None:
        """Accept whatever comes."""

    def save(self, path: Path, averaged: nn.Module, metadata: dict[str, str]) -> None:
        """Write the denoiser with its path."""
        save_denoiser(
            path,
            averaged.state_dict(),
            model=self.config.model,
            scale=self.config.scale,
            schedule=schedule_of(self.config),
            prediction=DENOISERS[self.config.model].prediction,
            metadata=metadata,
        )


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """The network in training as ``Denoiser`` of the samplers: its input scaled."""

    forward: Forward
    path: DiffusionPath
    config: TrainConfig

    @property
    def prediction(self) -> Any:
        return DENOISERS[self.config.model].prediction

    def __call__(self, x: Tensor, timestep: Tensor, condition: Tensor, /) -> Tensor:
        centre = enlarge(condition, self.config.scale) if self.path.centred else None
        return self.forward(network_input(self.path, timestep, x, centre), timestep, condition)


@torch.no_grad()
def sampling_psnr(
    network: nn.Module,
    path: DiffusionPath,
    held_out: DecodedImages,
    device: torch.device,
    *,
    sampled: DiffusionPath | None = None,
) -> float:
    """Return the mean PSNR in dB of deterministic sampling from one fixed noise.

    Args:
        network: a ``Denoiser``.
        path: that it was trained on.
        held_out: pairs to judge by.
        device: of ``network``.
        sampled: respaced path; None takes all steps.
    """
    assert isinstance(network, Denoiser)  # noqa: S101 - an objective's build() made it
    sampler = ConditionedDenoiser(network, path)
    scores = []
    for lr, hr in zip(held_out.lr, held_out.hr, strict=True):
        batch = from_grey_levels(to_float(torch.from_numpy(np.array(lr))[None], device))
        sr = to_grey_levels(sampler.sample(batch, seed=_VALIDATION_SEED, path=sampled))[0]
        levels = sr.round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        found = measure(levels, np.asarray(hr), scale=held_out.scale, protocol=VALIDATION_PROTOCOL)
        scores.append(found.psnr)
    return float(np.mean(scores))


def generator_of(seed: int, step: int, rank: int, stream: int) -> torch.Generator:
    """Return the generator of a step and process; each kind of training has its own stream."""
    mixed = np.random.SeedSequence((seed, step, rank, stream)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed >> np.uint64(1)))
