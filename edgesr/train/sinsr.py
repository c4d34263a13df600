"""SinSR: teach a denoiser to reach in one evaluation what its teacher reaches in all its steps.

With ``f(x, t)`` the student's clean image, ``x_T`` a start of the teacher's path and ``x0_t`` what
the teacher makes of it, deterministically and in the steps that it samples in, the losses are

- distill: ``f(x_T, T)`` against ``x0_t``;
- inverse: ``f(x0_t, 0)`` against ``x_T``: told that it is at the clean image, the same network
  learns the way back;
- truth: ``f(f(x0, 0), T)`` against the photograph ``x0``, where the inner call is held fixed.

A fourth, ``score``, is off by default. It is TAD-SR-like, an approximation of TAD-SR,
arXiv 2408.07476, whose code is not public, and without its adversarial part: the teacher looks at
``f(x_T, T)`` and at ``x0_t`` under the same little noise, and its two answers shall agree. A fifth,
``frequency``, off as well, compares the amplitudes of ``f(x_T, T)`` and ``x0``.

Source: Wang et al. 2023, arXiv 2311.14760 (SinSR); there all three are squared errors. Its code has
no number for the clean image: on the way back the network is told the number of state 1 and shown
the image scaled as a start is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from edgesr.diffusion.conditioned import ConditionedDenoiser
from edgesr.diffusion.first_order import ddim
from edgesr.diffusion.path import diffuse
from edgesr.diffusion.prediction import to_x0
from edgesr.diffusion.ranges import from_grey_levels
from edgesr.diffusion.task import Task
from edgesr.train.breakdown import Breakdown
from edgesr.train.config import TrainConfig
from edgesr.train.denoising import HALF_RANGE, TrainedNetwork, generator_of
from edgesr.train.losses import frequency_losses, loss_at, weighted_sum
from edgesr.train.objective import Forward, Kept
from edgesr.train.teacher import Teacher

_PARTS = ("distill", "inverse", "truth", "score", "frequency")
_STREAM = 2
_LITTLE = 4
"""The score loss takes states of the cleanest quarter of the path."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sinsr:
    """See ``Lesson``."""

    config: TrainConfig
    teacher: Teacher
    rank: int
    kept: Mapping[str, Kept] = field(default_factory=dict)
    parts: Breakdown = field(default_factory=lambda: Breakdown(_PARTS))

    def to(self, device: torch.device) -> None:
        """Move the teacher."""
        self.teacher.module.to(device)

    def report(self) -> dict[str, Any]:
        """Return the means of the losses, unweighted."""
        return {"loss_parts": self.parts.report()}

    def loss(self, forward: Forward, lr: Tensor, hr: Tensor, step: int) -> Tensor:
        """Return the weighted sum of the losses, in grey levels (squared for ``l2``).

        Three of them share one call of ``forward`` with gradient; one of weight 0 is not computed.
        """
        config, path = self.config, self.teacher.path
        last = path.num_steps
        lr, x0 = from_grey_levels(lr), from_grey_levels(hr)
        student = self._conditioned(forward)
        guide = self.teacher.conditioned(self.teacher.module)
        centre = guide.centre(lr)
        assert centre is not None  # noqa: S101 - check_distill wants a path with one
        random = generator_of(config.seed, step, self.rank, _STREAM)
        noise = torch.randn(x0.shape, generator=random).to(x0.device)
        start = taught = centre + float(path.noise[last]) * noise
        asked: dict[str, tuple[Tensor, int, Tensor]] = {}  # input, state, target
        if config.distill_weight or config.inverse_weight or config.score_weight:
            steps = self.teacher.sampled
            taught = ddim(Task(denoiser=guide, path=steps, condition=lr, centre=centre), start)
        if config.distill_weight or config.score_weight or config.frequency_weight:
            asked["distill"] = (start, last, taught)
        if config.inverse_weight:
            asked["inverse"] = (taught, 0, start)
        if config.truth_weight:
            with torch.no_grad():
                clean = torch.zeros(len(x0), dtype=torch.int64)
                asked["truth"] = (self._clean(student, x0, clean, lr), last, x0)
        states = torch.tensor([state for _, state, _ in asked.values()])
        made = self._clean(
            student,
            torch.cat([x for x, _, _ in asked.values()]),
            states.repeat_interleave(len(x0)),
            lr.repeat(len(asked), 1, 1, 1),
        ).chunk(len(asked))
        images = dict(zip(asked, made, strict=True))
        measure = loss_at(config, step)
        found = {
            name: measure(images[name] * HALF_RANGE, target * HALF_RANGE)
            for name, (_, _, target) in asked.items()
        }
        if config.score_weight:
            states = torch.randint(1, max(1, last // _LITTLE) + 1, (len(x0),), generator=random)
            little = torch.randn(x0.shape, generator=random).to(x0.device)
            seen = self._seen(guide, images["distill"], states, lr, little)
            with torch.no_grad():
                wanted = self._seen(guide, taught, states, lr, little)
            found["score"] = measure(seen * HALF_RANGE, wanted * HALF_RANGE)
        if config.frequency_weight:
            lack = frequency_losses(images["distill"] * HALF_RANGE, x0 * HALF_RANGE)
            found["frequency"] = lack.mean()
        self.parts.add([_PARTS.index(name) for name in found], torch.stack([*found.values()]))
        return weighted_sum(config, found)

    def _conditioned(self, forward: Forward) -> ConditionedDenoiser:
        network = TrainedNetwork(
            forward=forward, scale=self.config.scale, prediction=self.teacher.prediction
        )
        return self.teacher.conditioned(network)

    def _clean(self, network: ConditionedDenoiser, x: Tensor, states: Tensor, lr: Tensor) -> Tensor:
        predicted = network(x, states, lr)
        kind, centre = network.prediction, network.centre(lr)
        return to_x0(network.path, states, x, predicted, kind=kind, centre=centre)

    def _seen(
        self, guide: ConditionedDenoiser, x0: Tensor, states: Tensor, lr: Tensor, noise: Tensor
    ) -> Tensor:
        """Return the clean image that the teacher finds in ``x0`` with noise."""
        x = diffuse(guide.path, states, x0, noise=noise, centre=guide.centre(lr))
        return self._clean(guide, x, states, lr)
