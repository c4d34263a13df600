"""Train the integers of a denoiser's steps to predict what the float network predicts.

No image is needed but low-resolution ones: trajectories start from noise. At first the float
network walks and the integers learn at every state that it passes; then the integers walk on their
own and learn where they get to, which corrects what earlier steps did (exposure bias).

Source: He et al. 2024 (EfficientDM), arXiv 2310.03270: the loss, one step of
the optimizer at every denoising step; the second part is edgesr's own.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgesr.diffusion.centre import regression_of
from edgesr.diffusion.conditioned import ConditionedDenoiser
from edgesr.diffusion.integer_steps import QuantizedDenoiser
from edgesr.diffusion.noise import Noise
from edgesr.diffusion.path import Path as DiffusionPath
from edgesr.diffusion.prediction import Prediction
from edgesr.errors import DataError, GraphError
from edgesr.files import atomic_path
from edgesr.models.denoiser_files import LoadedDenoiser
from edgesr.quant.step_qat import StepRates, StepsQat
from edgesr.quant.stepwise import input_codes, input_reals

SAVE_EVERY = 50
"""Steps of the optimizer between two saved states."""
_DRAW = 2

Listen = Callable[[int, float], None]
"""Gets the number of optimizer steps done and the mean loss since the last call."""


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """How long and on what.

    Attributes:
        steps: of the optimizer; a trajectory takes one for every denoising step.
        own_share: share of them, the last ones, on trajectories of the integers themselves.
        batch: low-resolution windows a trajectory.
        side: of the windows, in low-resolution pixels; a multiple of what the network pads to.
        rank: of adapters instead of whole weights; None trains the weights.
        rates: learning rates at the start; they fall to 0 in a straight line.
        seed: of windows and noise.

    Raises:
        DataError: a number is out of range.
    """

    steps: int
    own_share: float = 0.2
    batch: int = 4
    side: int = 32
    rank: int | None = None
    rates: StepRates = field(default_factory=StepRates)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if min(self.steps, self.batch, self.side) < 1 or not 0.0 <= self.own_share <= 1.0:
            raise DataError(
                f"distillation of {self.steps} steps, batches of {self.batch}, windows of "
                f"{self.side} pixels, {self.own_share} on its own; want 1 or more, and 0 to 1"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Course:
    """What the integers learn from.

    Attributes:
        loaded: float denoiser, the teacher; its centre may be one of integers.
        whole: path that it was trained on.
        path: that is sampled.
        lrs: low-resolution images ``(n, 3, h, w)`` in [-1, 1].
        identity: what else a saved state must agree with, such as the weights' digest.
    """

    loaded: LoadedDenoiser
    whole: DiffusionPath
    path: DiffusionPath
    lrs: Sequence[Tensor]
    identity: str = ""


def distil(
    denoiser: QuantizedDenoiser,
    course: Course,
    settings: Distillation,
    *,
    state: Path | None = None,
    listen: Listen = lambda _step, _loss: None,
) -> QuantizedDenoiser:
    """Train the integers of ``denoiser`` and return them; the weights' bytes stay shared.

    Args:
        denoiser: where to start, from ``quantize_denoiser``.
        course: teacher and images.
        settings: how long.
        state: file that keeps the training every ``SAVE_EVERY`` steps and from which an
            interrupted one goes on.
        listen: told of the loss, a mean square in steps of the output's grid.

    Raises:
        DataError: ``state`` is damaged or of another training, or training diverged.
        GraphError: the steps do not share their weights.
    """
    result = denoiser.result
    pupil = StepsQat(result.quantized, result.grouping.groups, rank=settings.rank)
    groups = pupil.groups_of_parameters(settings.rates)
    train_steps(pupil, groups, course, settings, state=state, listen=listen)
    return with_trained(denoiser, pupil)


def with_trained(denoiser: QuantizedDenoiser, pupil: StepsQat) -> QuantizedDenoiser:
    """Return ``denoiser`` with the integers of ``pupil``, which was made from it.

    Raises:
        DataError: training diverged.
    """
    result = denoiser.result
    try:
        quantized = pupil.to_quantized()
    except GraphError as error:
        raise DataError(f"training diverged: {error}; train with lower rates") from error
    steps = tuple(
        replace(step, quantized=quantized[step.timesteps[0]]) for step in denoiser.model.steps
    )
    return replace(
        denoiser,
        model=replace(denoiser.model, steps=steps),
        result=replace(
            result,
            quantized=quantized,
            saturation={
                timestep: seen.saturation(quantized[timestep].qparams)
                for timestep, seen in result.calibrations.items()
            },
        ),
    )


def train_steps(  # noqa: PLR0913 - what is trained, on what, how
    pupil: StepsQat,
    groups: Sequence[dict[str, Any]],
    course: Course,
    settings: Distillation,
    *,
    state: Path | None = None,
    listen: Listen = lambda _step, _loss: None,
) -> None:
    """Train some parameters of ``pupil`` in place; ``groups`` are the optimizer's, with ``lr``."""
    lesson = _Lesson(pupil, torch.optim.Adam(list(groups)), course, settings)
    if state is not None:
        lesson.load(state)
    saved = told = lesson.done
    while lesson.done < settings.steps:
        lesson.walk()
        if lesson.done - told >= SAVE_EVERY or lesson.done == settings.steps:
            told = lesson.done
            listen(lesson.done, lesson.mean_loss())
        if state is not None and (
            lesson.done - saved >= SAVE_EVERY or lesson.done == settings.steps
        ):
            saved = lesson.done
            lesson.save(state)
    pupil.eval()


class _Lesson:
    """The network of a trajectory: it learns wherever it is asked."""

    def __init__(
        self,
        pupil: StepsQat,
        optimizer: torch.optim.Optimizer,
        course: Course,
        settings: Distillation,
    ) -> None:
        self.pupil, self.optimizer, self.settings = pupil, optimizer, settings
        self.course, self.teacher = course, course.loaded.module
        self.rates = [float(group["lr"]) for group in optimizer.param_groups]
        self.done = 0
        self._losses: list[float] = []
        self._own = False

    @property
    def prediction(self) -> Prediction:
        return self.teacher.prediction

    @property
    def scale(self) -> int:
        return self.teacher.scale

    def __call__(
        self, x_t: Tensor, timestep: Tensor, lr: Tensor, centre: Tensor | None = None, /
    ) -> Tensor:
        wanted: Tensor = self.teacher(x_t, timestep, lr, centre)
        number = int(timestep[0])
        codes = input_codes(self.teacher.conditioning(x_t, lr, centre))
        with torch.enable_grad():
            joined = input_reals(codes).permute(0, 3, 1, 2)
            made = self.teacher.conditioning.crop(self.pupil(joined, number), lr)
            if self.done < self.settings.steps:
                self._learn(made, wanted, number)
        return self.pupil.on_grid(made.detach(), number) if self._own else wanted

    def walk(self) -> None:
        """Take one trajectory; what it sees depends on the number of steps done alone."""
        settings, course = self.settings, self.course
        random = np.random.default_rng((settings.seed, _DRAW, self.done))
        self._own = self.done >= (1.0 - settings.own_share) * settings.steps
        self.pupil.train()
        lr = torch.stack(
            [_window(course.lrs, settings.side, random) for _ in range(settings.batch)]
        )
        noise = Noise(seed=int(random.integers(2**31)))
        regression = regression_of(course.loaded.centre)
        denoiser = ConditionedDenoiser(self, course.whole, regression=regression)
        denoiser.sample(lr, noise=noise, path=course.path)

    def mean_loss(self) -> float:
        """Return the mean loss since it was asked for last."""
        mean = float(np.mean(self._losses)) if self._losses else 0.0
        self._losses = []
        return mean

    def save(self, path: Path) -> None:
        content = {
            "facts": self._facts(),
            "done": self.done,
            "pupil": self.pupil.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        with atomic_path(path) as temporary:
            torch.save(content, temporary)

    def load(self, path: Path) -> None:
        """Go on from a saved state, if there is one.

        Raises:
            DataError: the file is damaged or of another training.
        """
        if not path.is_file():
            return
        try:
            content = torch.load(path, weights_only=True)
            facts, done = content["facts"], int(content["done"])
        except Exception as error:  # torch raises whatever unpickling does
            raise DataError(
                f"{path}: cannot be read ({error}); delete it to train from the start"
            ) from error
        if facts != self._facts():
            raise DataError(
                f"{path}: is of another training (other weights, images or settings); delete it, "
                "or name another output"
            )
        self.pupil.load_state_dict(content["pupil"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.done = done

    def _learn(self, made: Tensor, wanted: Tensor, number: int) -> None:
        network = self.pupil.at(number)
        unit = network.scale(network.quantized.graph.outputs[0])
        loss = ((made - wanted) / unit).square().mean()
        left = 1.0 - self.done / self.settings.steps
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * left
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self._losses.append(float(loss.detach()))
        self.done += 1

    def _facts(self) -> str:
        return repr((self.course.identity, asdict(self.settings), self.pupil.timesteps))


def _window(lrs: Sequence[Tensor], side: int, random: np.random.Generator) -> Tensor:
    """Cut a square window from a random image; one that is too small is refused."""
    images = lrs[int(random.integers(len(lrs)))]
    image = images[int(random.integers(len(images)))]
    height, width = image.shape[1:]
    if min(height, width) < side:
        raise DataError(
            f"a calibration image has {width}x{height} low-resolution pixels, want {side} a side "
            "at least; use larger images"
        )
    top, left = (int(random.integers(length - side + 1)) for length in (height, width))
    return image[:, top : top + side, left : left + side]
