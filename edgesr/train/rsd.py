"""RSD: teach a denoiser to make images on which a denoiser trained on them equals the teacher.

A fake starts as a copy of the teacher and is trained, as the teacher was, on what the student makes
in one evaluation. If it were perfect, ``|f - f*|^2`` between fake and teacher, over noisy versions
of the student's images, would be 0 only where student and teacher agree on the images of an LR
image. The fake is an argument of a minimum, which makes the distance

    |f*(x_t)|^2 - |f(x_t)|^2 + 2 <f(x_t) - f*(x_t), x0>  =  |f*(x_t) - x0|^2 - |f(x_t) - x0|^2

in the mean, with ``x0`` the student's image and ``x_t`` a noisy version of it. The gradient flows
through both: it is that of the teacher's loss on the student's images less the fake's own.

What differs from the paper: images are pixels and so there is no decoder; the student has no extra
noise channel (its start is noisy); no adversarial part; beside the distance stand a pixel loss and
Fourier amplitudes instead of LPIPS; all states weigh the same; the fake's updates share the
photographs of a step and draw their noise anew; the student may learn to start from several states,
as published with 4, or from the last alone, which is all that it is asked.

Source: Selikhanovych et al. 2025, arXiv 2503.13358 (RSD): the tractable form of its objective for
the student, the fake's ResShift loss, and five updates of the fake for one of the student.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from edgesr.diffusion.path import Path, diffuse, spaced_timesteps
from edgesr.diffusion.prediction import to_x0
from edgesr.diffusion.ranges import from_grey_levels
from edgesr.diffusion.task import Denoiser
from edgesr.models.denoiser import Denoiser as DenoiserNetwork
from edgesr.train.breakdown import Breakdown
from edgesr.train.config import TrainConfig
from edgesr.train.denoising import HALF_RANGE, TrainedNetwork, example_of, generator_of
from edgesr.train.losses import frequency_losses, loss_at, weighted_sum
from edgesr.train.objective import Forward, Kept, groups_by_bias
from edgesr.train.optimizer import make_optimizer
from edgesr.train.processes import average_gradients
from edgesr.train.schedules import learning_rate_at, set_rate
from edgesr.train.teacher import Teacher

_PARTS = ("distill", "fake", "truth", "frequency")
_STREAM = 3


def rsd_losses(  # noqa: PLR0913 - a state of the path and who looks at it
    teacher: Denoiser,
    fake: Denoiser,
    path: Path,
    states: Tensor,
    x0: Tensor,
    *,
    noise: Tensor,
    condition: Tensor,
    centre: Tensor | None,
) -> Tensor:
    """Return the teacher's squared error on images less the fake's, one mean for each image.

    Args:
        teacher: the denoiser of photographs.
        fake: the denoiser of images like ``x0``; predicts what the teacher does.
        path: of both.
        states: int64 ``(n,)``, from 1, on the CPU.
        x0: ``(n, c, h, w)``, the student's images; the gradient flows into them.
        noise: standard normal, of the shape of ``x0``.
        condition: handed to both.
        centre: of the shape of ``x0`` where the path has a centre, else None.
    """
    kind = teacher.prediction
    shown = example_of(path, states, x0, noise=noise, kind=kind, centre=centre)
    real, own = (
        (network(shown.x, states, condition) - shown.target).square().mean(dim=(1, 2, 3))
        for network in (teacher, fake)
    )
    return real - own


@dataclass(frozen=True, kw_only=True, eq=False)
class Rsd:
    """See ``Lesson``; the fake and its optimizer are kept with the state of the run."""

    config: TrainConfig
    teacher: Teacher
    rank: int
    fake: DenoiserNetwork = field(init=False)
    optimizer: torch.optim.Optimizer = field(init=False)
    parts: Breakdown = field(default_factory=lambda: Breakdown(_PARTS))

    def __post_init__(self) -> None:
        """Make the fake and its optimizer."""
        fake = self.teacher.copy()
        groups = groups_by_bias(fake, self.config.bias_rate_factor)
        object.__setattr__(self, "fake", fake)
        object.__setattr__(self, "optimizer", make_optimizer(self.config, groups))

    @property
    def kept(self) -> Mapping[str, Kept]:
        """The fake and its optimizer."""
        return {"fake": self.fake, "fake_optimizer": self.optimizer}

    def to(self, device: torch.device) -> None:
        """Move the teacher and the fake."""
        self.teacher.module.to(device)
        self.fake.to(device)

    def report(self) -> dict[str, Any]:
        """Return the means of the losses, unweighted."""
        return {"loss_parts": self.parts.report()}

    def loss(self, forward: Forward, lr: Tensor, hr: Tensor, step: int) -> Tensor:
        """Train the fake on the student's images; return the student's loss, in grey levels.

        The distance to the teacher is squared whatever ``loss`` says, as what it stands for is.
        """
        config, path = self.config, self.teacher.path
        lr, x0 = from_grey_levels(lr), from_grey_levels(hr)
        random = generator_of(config.seed, step, self.rank, _STREAM)
        set_rate(self.optimizer, learning_rate_at(config, step))
        for _ in range(config.fake_updates):
            with torch.no_grad():
                made = self._made(forward, x0, lr, random)
            self._train_fake(made, lr, random)
        made = self._made(forward, x0, lr, random)
        teacher, fake = map(self.teacher.conditioned, (self.teacher.module, self.fake))
        states, noise = self._drawn(made, random)
        self.fake.requires_grad_(requires_grad=False)
        distances = rsd_losses(
            teacher,
            fake,
            path,
            states,
            made,
            noise=noise,
            condition=lr,
            centre=teacher.centre(lr),
        )
        found = {"distill": distances.mean() * HALF_RANGE**2}
        if config.truth_weight:
            found["truth"] = loss_at(config, step)(made * HALF_RANGE, x0 * HALF_RANGE)
        if config.frequency_weight:
            found["frequency"] = frequency_losses(made * HALF_RANGE, x0 * HALF_RANGE).mean()
        self.parts.add([_PARTS.index(name) for name in found], torch.stack([*found.values()]))
        return weighted_sum(config, found)

    def _made(self, forward: Forward, x0: Tensor, lr: Tensor, random: torch.Generator) -> Tensor:
        """Return the student's images of one evaluation, from the states that it starts at."""
        path, kind = self.teacher.path, self.teacher.prediction
        trained = TrainedNetwork(forward=forward, scale=self.config.scale, prediction=kind)
        student = self.teacher.conditioned(trained)
        centre = student.centre(lr)
        starts = torch.tensor(spaced_timesteps(path, self.config.student_states))
        states = starts[torch.randint(len(starts), (len(x0),), generator=random)]
        noise = torch.randn(x0.shape, generator=random).to(x0.device)
        x = diffuse(path, states, x0, noise=noise, centre=centre)
        predicted = student(x, states, lr)
        return to_x0(path, states, x, predicted, kind=kind, centre=centre)

    def _train_fake(self, made: Tensor, lr: Tensor, random: torch.Generator) -> None:
        path, kind = self.teacher.path, self.teacher.prediction
        self.fake.requires_grad_(requires_grad=True)
        network = self.teacher.conditioned(self.fake)
        states, noise = self._drawn(made, random)
        centre = network.centre(lr)
        shown = example_of(path, states, made, noise=noise, kind=kind, centre=centre)
        error = network(shown.x, states, lr) - shown.target
        loss = error.square().mean() * HALF_RANGE**2
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(self.fake)
        if self.config.grad_clip:
            torch.nn.utils.clip_grad_norm_(self.fake.parameters(), self.config.grad_clip)
        self.optimizer.step()
        self.parts.add([_PARTS.index("fake")], loss[None])

    def _drawn(self, like: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        last = self.teacher.path.num_steps
        states = torch.randint(1, last + 1, (len(like),), generator=random)
        return states, torch.randn(like.shape, generator=random).to(like.device)
