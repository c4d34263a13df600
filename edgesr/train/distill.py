"""Distillation: a copy of a denoiser learns to sample in one evaluation.

What it learns from is a lesson, one of ``LESSONS``; how it starts, is judged and is saved is the
same for all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from edgesr.data.cache import DecodedImages
from edgesr.diffusion.path import respace, spaced_timesteps
from edgesr.errors import ConfigError
from edgesr.models.denoiser_files import Schedule, save_denoiser
from edgesr.models.denoisers import DENOISERS
from edgesr.train.config import TrainConfig
from edgesr.train.denoiser_config import path_of
from edgesr.train.denoising import centre_picture, sampling
from edgesr.train.objective import Forward, Kept, groups_by_bias
from edgesr.train.rsd import Rsd
from edgesr.train.sinsr import Sinsr
from edgesr.train.teacher import TEACHER_KEY, Teacher
from edgesr.train.validate import LARGEST_FALL, PSNR_KEY, validation_psnr

_DEFAULTS = TrainConfig()
_SINSR_WEIGHTS = ("distill_weight", "inverse_weight", "truth_weight", "score_weight")


class Lesson(Protocol):
    """What a student learns from; members as in ``Objective``."""

    @property
    def kept(self) -> Mapping[str, Kept]:
        """What is trained beside the student."""

    def to(self, device: torch.device) -> None:
        """Move the teacher and what is trained beside the student."""

    def loss(self, forward: Forward, lr: Tensor, hr: Tensor, step: int) -> Tensor:
        """Return the loss of one batch, in grey levels."""

    def report(self) -> dict[str, Any]:
        """Return what the steps since the last report add to the log."""


LESSONS: Mapping[str, Callable[[TrainConfig, Teacher, int], Lesson]] = MappingProxyType(
    {
        "sinsr": lambda config, teacher, rank: Sinsr(config=config, teacher=teacher, rank=rank),
        "rsd": lambda config, teacher, rank: Rsd(config=config, teacher=teacher, rank=rank),
    }
)


def check_distill(config: TrainConfig) -> None:
    """Refuse settings that distillation cannot have.

    Raises:
        ConfigError: names the keys.
        DiffusionError: a parameter of the path is out of range, or it has too few states.
    """
    if config.distill == "none":
        return
    where = f"distill = {config.distill}"
    if config.model not in DENOISERS:
        raise ConfigError(
            f"{where}: {config.model} enlarges in one pass already; want a denoiser, one of "
            f"{', '.join(DENOISERS)}"
        )
    if config.start_from is None:
        raise ConfigError(f"{where}: there is no teacher; name a trained denoiser with --from RUN")
    for key in ("binary_style", "binary_groups", "spd_weight"):
        if getattr(config, key) != getattr(_DEFAULTS, key):
            raise ConfigError(
                f"{key} = {getattr(config, key)}: the student is a copy of its teacher; drop "
                f"--{key.replace('_', '-')}"
            )
    if config.dream:
        raise ConfigError("dream = true: is for the training of the teacher; drop --dream")
    if config.distill == "rsd":
        _check_rsd(config)
    elif not any(getattr(config, key) for key in _SINSR_WEIGHTS):
        raise ConfigError(f"{where}: {', '.join(_SINSR_WEIGHTS)} are all 0; want one above 0")
    if not path_of(config).centred:
        raise ConfigError(
            f"diffusion_path = {config.diffusion_path}: {where} starts at the enlarged image, but "
            "this path ends in noise alone; want a teacher on resshift, irsde or rddm"
        )


def _check_rsd(config: TrainConfig) -> None:
    if not config.distill_weight:
        raise ConfigError("distill_weight = 0: distill = rsd learns nothing; want above 0")
    if config.score_weight:
        raise ConfigError(
            f"score_weight = {config.score_weight}: is for distill = sinsr; drop --score-weight"
        )
    spaced_timesteps(path_of(config), config.student_states)


@dataclass(frozen=True, kw_only=True, eq=False)
class OneStep:
    """A denoiser that learns to sample in one evaluation; see ``Objective``.

    The noise of a step is a function of seed, step and process, as its patches are.
    """

    config: TrainConfig
    teacher: Teacher
    rank: int = 0
    is_exact: bool = False
    validates_start: bool = False  # undistilled, it would win by PSNR: one step gives a mean
    largest_fall: float = LARGEST_FALL
    lesson: Lesson = field(init=False)

    def __post_init__(self) -> None:
        """Make the lesson."""
        make = LESSONS[self.config.distill]
        object.__setattr__(self, "lesson", make(self.config, self.teacher, self.rank))

    @property
    def kept(self) -> Mapping[str, Kept]:
        """What the lesson trains."""
        return self.lesson.kept

    def build(self) -> nn.Module:
        """Return a copy of the teacher."""
        return self.teacher.copy()

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Return biases and the rest."""
        return groups_by_bias(network, self.config.bias_rate_factor)

    def to(self, device: torch.device) -> None:
        """Move the teacher and what the lesson trains."""
        self.lesson.to(device)

    def loss(self, forward: Forward, lr: Tensor, hr: Tensor, step: int) -> Tensor:
        """Return the loss of the lesson."""
        return self.lesson.loss(forward, lr, hr, step)

    def before_update(self, network: nn.Module, step: int) -> None:
        """Change nothing."""

    def after_update(self, network: nn.Module, averaged: nn.Module, step: int) -> None:
        """Change nothing."""

    def report(self) -> dict[str, Any]:
        """Return the parts of the loss."""
        return self.lesson.report()

    def pictures(self, averaged: nn.Module, lr: Tensor) -> dict[str, Tensor]:
        """Return the centre, where it is not bicubic, and what teacher and student make of it.

        The teacher takes its steps, the student one.
        """
        teacher = self.teacher
        taught = sampling(
            teacher.module, teacher.path, teacher.sampled, regression=teacher.regression
        )
        return {
            **centre_picture(teacher.regression, lr),
            f"teacher, {teacher.sampled.num_steps} steps": taught(lr),
            "student": self._enlarge(averaged)(lr),
        }

    def validate(
        self, averaged: nn.Module, held_out: DecodedImages, device: torch.device
    ) -> dict[str, float]:
        """Return the PSNR of the one evaluation, from one fixed noise."""
        return {PSNR_KEY: validation_psnr(self._enlarge(averaged), held_out, device)}

    def save(self, path: Path, averaged: nn.Module, metadata: dict[str, str]) -> None:
        """Write the student with the teacher's path, and that it takes one step of it."""
        schedule = self.teacher.loaded.schedule
        save_denoiser(
            path,
            averaged.state_dict(),
            model=self.config.model,
            scale=self.config.scale,
            schedule=Schedule(
                name=schedule.name,
                parameters=schedule.parameters,
                sampling_steps=1,
                is_distilled=True,
            ),
            prediction=self.teacher.prediction,
            centre=self.teacher.loaded.centre,
            style=self.teacher.loaded.style,
            metadata={
                **metadata,
                "distilled_by": self.config.distill,
                TEACHER_KEY: self.teacher.sha256,
            },
        )

    def _enlarge(self, network: nn.Module) -> Callable[[Tensor], Tensor]:
        path = self.teacher.path
        taken = respace(path, [path.num_steps])
        return sampling(network, path, taken, regression=self.teacher.regression)
