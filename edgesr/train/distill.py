"""SinSR: teach a denoiser to reach in one evaluation what its teacher reaches in all steps.

The student starts as a copy of the teacher. With ``f(x, t)`` its clean image, ``x_T`` a start of
the teacher's path and ``x0_t`` what the teacher makes of it, deterministically, the losses are

- distill: ``f(x_T, T)`` against ``x0_t``;
- inverse: ``f(x0_t, 0)`` against ``x_T``: told that it is at the clean image, the same network
  learns the way back;
- truth: ``f(f(x0, 0), T)`` against the photograph ``x0``, where the inner call is held fixed.

A fourth, ``score``, is off by default. It is TAD-SR-like, an approximation of TAD-SR,
arXiv 2408.07476, whose code is not public, and without its adversarial part: the teacher looks at
``f(x_T, T)`` and at ``x0_t`` under the same little noise, and its two answers shall agree.

Source: Wang et al. 2023, arXiv 2311.14760 (SinSR); there all three are squared errors.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgesr.data.cache import DecodedImages
from edgesr.diffusion.conditioned import ConditionedDenoiser, enlarge, network_input
from edgesr.diffusion.first_order import ddim
from edgesr.diffusion.path import Path as DiffusionPath
from edgesr.diffusion.path import diffuse, respace
from edgesr.diffusion.prediction import to_x0
from edgesr.diffusion.ranges import from_grey_levels
from edgesr.diffusion.task import Task
from edgesr.errors import ConfigError
from edgesr.files import sha256_file
from edgesr.models.checkpoint import read_weights
from edgesr.models.denoiser_files import LoadedDenoiser, Schedule, load_denoiser, save_denoiser
from edgesr.models.denoisers import DENOISERS, build_denoiser
from edgesr.train.config import TrainConfig
from edgesr.train.diffusion import HALF_RANGE, generator_of, path_of, sampling_psnr, schedule_of
from edgesr.train.losses import loss_at
from edgesr.train.objective import Forward, groups_by_bias
from edgesr.train.validate import PSNR_KEY

_WEIGHTS = ("distill_weight", "inverse_weight", "truth_weight", "score_weight")
_TEACHER_KEY = "teacher_sha256"
_STREAM = 2
_LITTLE = 4
"""The score loss takes states of the cleanest quarter of the path."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Teacher:
    """What distillation starts from.

    Attributes:
        loaded: the trained denoiser, in evaluation mode.
        sha256: of its file.
    """

    loaded: LoadedDenoiser
    sha256: str


def check_distill(config: TrainConfig) -> None:
    """Refuse settings that distillation cannot have.

    Raises:
        ConfigError: names the keys.
        DiffusionError: a parameter of the path is out of range.
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
    if config.dream:
        raise ConfigError("dream = true: is for the training of the teacher; drop --dream")
    if not any(getattr(config, key) for key in _WEIGHTS):
        raise ConfigError(f"{where}: {', '.join(_WEIGHTS)} are all 0; want one above 0")
    if not path_of(config).centred:
        raise ConfigError(
            f"diffusion_path = {config.diffusion_path}: {where} starts at the enlarged image, but "
            "this path ends in noise alone; want a teacher on resshift, irsde or rddm"
        )


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
            another path than ``config`` says, or is another one than the resumed run had.
        DiffusionError: its path cannot be made.
    """
    if config.distill == "none" or config.start_from is None:
        return None
    loaded = load_denoiser(Path(config.start_from), model=config.model, scale=config.scale)
    if loaded.schedule.is_distilled:
        raise ConfigError(f"{loaded.path}: is distilled already; name its own teacher with --from")
    if loaded.prediction not in ("x0", "residual"):
        raise ConfigError(
            f"{loaded.path}: predicts {loaded.prediction}, from which the way back (timestep 0) "
            "cannot be learned; want a teacher that predicts x0 or residual"
        )
    _check_path(config, loaded)
    teacher = Teacher(loaded=loaded, sha256=sha256_file(loaded.path))
    if resume is not None:
        _check_same(resume, teacher)
    return teacher


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
    path: DiffusionPath = field(init=False)

    def __post_init__(self) -> None:
        """Make the tables of the path and stop the teacher's gradients."""
        object.__setattr__(self, "path", path_of(self.config))
        self.teacher.loaded.module.requires_grad_(requires_grad=False)

    def build(self) -> nn.Module:
        """Return a copy of the teacher."""
        student = build_denoiser(self.config.model, self.config.scale)
        student.load_state_dict(self.teacher.loaded.module.state_dict())
        student.prediction = self.teacher.loaded.prediction
        return student

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Return biases and the rest."""
        return groups_by_bias(network, self.config.bias_rate_factor)

    def to(self, device: torch.device) -> None:
        """Move the teacher."""
        self.teacher.loaded.module.to(device)

    def loss(self, forward: Forward, lr: Tensor, hr: Tensor, step: int) -> Tensor:
        """Return the weighted sum of the losses, in grey levels (squared for ``l2``).

        All of them share one call of ``forward`` with gradient; one of weight 0 is not computed.
        """
        config, last = self.config, self.path.num_steps
        lr, x0 = from_grey_levels(lr), from_grey_levels(hr)
        centre = enlarge(lr, config.scale)
        random = generator_of(config.seed, step, self.rank, _STREAM)
        noise = torch.randn(x0.shape, generator=random).to(x0.device)
        start = taught = centre + float(self.path.noise[last]) * noise
        parts: list[tuple[float, Tensor, int, Tensor]] = []  # weight, input, state, target
        if config.distill_weight or config.inverse_weight or config.score_weight:
            guide = ConditionedDenoiser(self.teacher.loaded.module, self.path)
            task = Task(denoiser=guide, path=self.path, condition=lr, centre=centre)
            taught = ddim(task, start)
        if config.distill_weight or config.score_weight:  # first, where the score looks for it
            parts.append((config.distill_weight, start, last, taught))
        if config.inverse_weight:
            parts.append((config.inverse_weight, taught, 0, start))
        if config.truth_weight:
            with torch.no_grad():
                found = self._clean(forward, x0, torch.zeros(len(x0), dtype=torch.int64), lr)
            parts.append((config.truth_weight, found, last, x0))
        count = len(parts)
        states = torch.tensor([part[2] for part in parts]).repeat_interleave(len(x0))
        inputs = torch.cat([part[1] for part in parts])
        made = self._clean(forward, inputs, states, lr.repeat(count, 1, 1, 1)).chunk(count)
        measure = loss_at(config, step)
        losses = [
            weight * measure(one * HALF_RANGE, target * HALF_RANGE)
            for one, (weight, _, _, target) in zip(made, parts, strict=True)
        ]
        if config.score_weight:
            states = torch.randint(1, max(1, last // _LITTLE) + 1, (len(x0),), generator=random)
            little = torch.randn(x0.shape, generator=random).to(x0.device)
            seen = self._seen(made[0], states, lr, little)
            with torch.no_grad():
                wanted = self._seen(taught, states, lr, little)
            losses.append(config.score_weight * measure(seen * HALF_RANGE, wanted * HALF_RANGE))
        return torch.stack(losses).sum()

    def before_update(self, network: nn.Module, step: int) -> None:
        """Change nothing."""

    def after_update(self, network: nn.Module, averaged: nn.Module, step: int) -> None:
        """Change nothing."""

    @torch.no_grad()
    def validate(
        self, averaged: nn.Module, held_out: DecodedImages, device: torch.device
    ) -> dict[str, float]:
        """Return the PSNR of the one evaluation, from one fixed noise."""
        one_step = respace(self.path, [self.path.num_steps])
        psnr = sampling_psnr(averaged, self.path, held_out, device, sampled=one_step)
        return {PSNR_KEY: psnr}

    def check_progress(self, psnr: float, best: float, step: int) -> None:
        """Accept whatever comes."""

    def save(self, path: Path, averaged: nn.Module, metadata: dict[str, str]) -> None:
        """Write the student with the teacher's path, and that it takes one step of it."""
        schedule = schedule_of(self.config)
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
            prediction=self.teacher.loaded.prediction,
            metadata={
                **metadata,
                "distilled_by": self.config.distill,
                _TEACHER_KEY: self.teacher.sha256,
            },
        )

    def _clean(self, forward: Forward, x: Tensor, states: Tensor, lr: Tensor) -> Tensor:
        centre = enlarge(lr, self.config.scale)
        shown = network_input(self.path, states, x, centre)
        predicted = forward(shown, states.to(x.device), lr).float()
        kind = self.teacher.loaded.prediction
        return to_x0(self.path, states, x, predicted, kind=kind, centre=centre)

    def _seen(self, x0: Tensor, states: Tensor, lr: Tensor, noise: Tensor) -> Tensor:
        """Return the clean image that the teacher finds in ``x0`` with noise."""
        centre = enlarge(lr, self.config.scale)
        x = diffuse(self.path, states, x0, noise=noise, centre=centre)
        return self._clean(self.teacher.loaded.module, x, states, lr)


def _check_path(config: TrainConfig, loaded: LoadedDenoiser) -> None:
    asked, found = schedule_of(config), loaded.schedule
    if (asked.name, dict(asked.parameters)) != (found.name, dict(found.parameters)):
        raise ConfigError(
            f"{loaded.path}: was trained on {found.name} with {dict(found.parameters)}, but "
            f"{asked.name} with {dict(asked.parameters)} was asked for; set diffusion_path, "
            "diffusion_steps, kappa, min_noise and shift_power to the teacher's"
        )


def _check_same(folder: Path, teacher: Teacher) -> None:
    path = folder / "last.safetensors"
    if not path.is_file():
        return
    had = read_weights(path)[1].get(_TEACHER_KEY)
    if had != teacher.sha256:
        raise ConfigError(
            f"{path}: was distilled from a teacher with sha256 {had}, but {teacher.loaded.path} "
            f"has {teacher.sha256}; put the teacher's file back, or start a new run"
        )
