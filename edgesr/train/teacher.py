"""The denoiser that a student is distilled from."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from edgesr.diffusion.centre import RegressionCentre
from edgesr.diffusion.conditioned import ConditionedDenoiser
from edgesr.diffusion.path import Path as DiffusionPath
from edgesr.diffusion.tiles import StepNetwork
from edgesr.errors import ConfigError
from edgesr.files import sha256_file
from edgesr.models.checkpoint import read_weights
from edgesr.models.denoiser import Denoiser, Prediction
from edgesr.models.denoiser_files import LoadedDenoiser, load_denoiser
from edgesr.models.denoisers import build_denoiser
from edgesr.train.config import TrainConfig
from edgesr.train.denoiser_config import path_of, schedule_of
from edgesr.upscalers.diffusion import path_of as path_of_file
from edgesr.upscalers.diffusion import sampling_path

TEACHER_KEY = "teacher_sha256"
"""In the metadata of a student: which teacher it had."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Teacher:
    """What distillation starts from.

    Attributes:
        loaded: the trained denoiser, in evaluation mode, its weights held fixed.
        sha256: of its file.
        path: that it was trained on.
        sampled: the path that it takes to sample.
    """

    loaded: LoadedDenoiser
    sha256: str
    path: DiffusionPath
    sampled: DiffusionPath

    @property
    def module(self) -> Denoiser:
        """The network."""
        return self.loaded.module

    @property
    def prediction(self) -> Prediction:
        """What it returns."""
        return self.loaded.prediction

    @cached_property
    def regression(self) -> RegressionCentre | None:
        """What makes its centre, which is the student's too; None for the bicubic one."""
        centre = self.loaded.centre
        return None if centre is None else RegressionCentre(centre)

    def conditioned(self, network: StepNetwork) -> ConditionedDenoiser:
        """Return a network that walks the teacher's path with the teacher's centre."""
        return ConditionedDenoiser(network, self.path, regression=self.regression)

    def copy(self) -> Denoiser:
        """Return a network of its own with the teacher's weights, to be trained."""
        loaded = self.loaded
        made = build_denoiser(loaded.descriptor.name, loaded.scale, loaded.style)
        made.load_state_dict(self.module.state_dict())
        made.prediction = self.prediction
        return made


def load_teacher(config: TrainConfig, *, resume: Path | None = None) -> Teacher | None:
    """Load the denoiser that ``config`` distils, and check that it can be a teacher.

    Args:
        config: settings, already checked by ``check_distill``.
        resume: run folder that is gone on with; its teacher must be the same file.

    Returns:
        None for a run that distils nothing.

    Raises:
        CheckpointError: the file is missing, damaged, no denoiser, of another model or scale.
        ConfigError: it predicts what has no one-step form, is distilled already, was trained on
            another path or samples in other steps than ``config`` says, or is another one than
            the resumed run had.
        DiffusionError: its path cannot be made.
    """
    if config.distill == "none" or config.start_from is None:
        return None
    loaded = load_denoiser(Path(config.start_from), model=config.model, scale=config.scale)
    if loaded.schedule.is_distilled:
        raise ConfigError(f"{loaded.path}: is distilled already; name its own teacher with --from")
    if loaded.prediction not in ("x0", "residual"):
        raise ConfigError(
            f"{loaded.path}: predicts {loaded.prediction}, which does not tell the clean image "
            "everywhere on the path; want a teacher that predicts x0 or residual"
        )
    loaded.module.requires_grad_(requires_grad=False)
    teacher = Teacher(
        loaded=loaded,
        sha256=sha256_file(loaded.path),
        path=path_of_file(loaded.schedule, loaded.path),
        sampled=sampling_path(loaded, None),
    )
    check_path(config, loaded, teacher.path)
    if config.sampling_steps not in (0, teacher.sampled.num_steps):
        raise ConfigError(
            f"{loaded.path}: samples in {teacher.sampled.num_steps} steps, but sampling_steps = "
            f"{config.sampling_steps} was asked for; drop it or set it to the teacher's"
        )
    if resume is not None:
        check_same(resume, loaded.path, teacher.sha256)
    return teacher


def check_path(config: TrainConfig, loaded: LoadedDenoiser, found: DiffusionPath) -> None:
    """Refuse a teacher that was trained on another path than ``config`` says.

    Args:
        config: settings.
        loaded: the teacher.
        found: its path.

    Raises:
        ConfigError: the paths differ.
    """
    asked = path_of(config)
    fits = asked.name == found.name and asked.num_steps == found.num_steps
    where, schedule = loaded.path, loaded.schedule
    if not (
        fits
        and np.array_equal(asked.signal, found.signal)
        and np.array_equal(asked.noise, found.noise)
    ):
        wanted = schedule_of(config)
        raise ConfigError(
            f"{where}: was trained on {schedule.name} with {dict(schedule.parameters)}, but "
            f"{wanted.name} with {dict(wanted.parameters)} was asked for; set diffusion_path, "
            "diffusion_steps, kappa, min_noise and shift_power to the teacher's"
        )


def check_same(folder: Path, teacher: Path, sha256: str, *, key: str = TEACHER_KEY) -> None:
    """Refuse to go on with the run in ``folder`` with another teacher or start than it had.

    Args:
        folder: of the run.
        teacher: its file.
        sha256: of that file.
        key: in the metadata of the run's weights.

    Raises:
        ConfigError: the files differ.
    """
    path = folder / "last.safetensors"
    if not path.is_file():
        return
    had = read_weights(path)[1].get(key)
    if had != sha256:
        raise ConfigError(
            f"{path}: began with a file with sha256 {had}, but {teacher} has {sha256}; put the "
            "first file back, or start a new run"
        )
