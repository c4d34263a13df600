"""What a sampler is given: a denoiser on a path, and the images that it works from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from edgesr.diffusion.noise import Noise
from edgesr.diffusion.path import Path, centre_of
from edgesr.diffusion.prediction import Prediction, to_residual
from edgesr.errors import DiffusionError


class Denoiser(Protocol):
    """A network that looks at a noisy image; an ``nn.Module`` with ``prediction`` will do."""

    @property
    def prediction(self) -> Prediction:
        """What it returns."""

    def __call__(self, x: Tensor, timestep: Tensor, condition: Tensor, /) -> Tensor:
        """Predict.

        Args:
            x: ``(n, c, h, w)``, noisy image around [-1, 1].
            timestep: int64 ``(n,)``, original number of the state of ``x``.
            condition: what the task holds, such as the upsampled image.

        Returns:
            Of the shape of ``x``.
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """What a progress callback sees after each step.

    Attributes:
        number: of the step, from 1.
        total: number of steps.
        timestep: what the denoiser was told.
        x: ``(n, c, h, w)``, image at the state that was reached.
        x0: ``(n, c, h, w)``, clean image as the denoiser saw it before the step.
    """

    number: int
    total: int
    timestep: int
    x: Tensor
    x0: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """One sampling run, whichever the sampler. No gradient flows through it.

    Attributes:
        denoiser: the network.
        path: that it was trained on, or a respaced one.
        condition: handed to the denoiser as it is.
        centre: upsampled image, ``(n, c, h, w)`` in [-1, 1], where the path has a centre, else
            None.
        clip: whether predicted images are clipped to [-1, 1] before they are used.
        on_step: called after each step.
    """

    denoiser: Denoiser
    path: Path
    condition: Tensor
    centre: Tensor | None = None
    clip: bool = True
    on_step: Callable[[Step], None] | None = None

    def offset(self, x: Tensor) -> Tensor | float:
        """Return the centre, 0.0 where the path has none."""
        return centre_of(self.path, self.centre, x)

    def begin(self, start: Tensor) -> Tensor:
        """Return the start after a look at it.

        Raises:
            DiffusionError: a shape or centre that does not fit, or values that are not finite.
        """
        self.offset(start)
        if not start.is_floating_point():
            raise DiffusionError(f"sampling: start is {start.dtype}, want floating point")
        _check_finite(start, "sampling: the start")
        return start.detach()

    def residual(self, x: Tensor, t: int) -> Tensor:
        """Ask the denoiser for ``x0 - c`` at state ``t``; the result has the type of ``x``.

        Raises:
            DiffusionError: a prediction of the wrong shape, or that is not finite.
        """
        timestep = int(self.path.timesteps[t])
        timesteps = torch.full((x.shape[0],), timestep, dtype=torch.int64, device=x.device)
        with torch.no_grad():
            predicted = self.denoiser(x, timesteps, self.condition).to(x.dtype)
        if predicted.shape != x.shape:
            raise DiffusionError(
                f"{self._where(t)}: the denoiser returned shape {tuple(predicted.shape)}, want "
                f"{tuple(x.shape)}; check its scale against the size of the start"
            )
        _check_finite(predicted, f"{self._where(t)}: the prediction")
        kind = self.denoiser.prediction
        residual = to_residual(self.path, t, x, predicted, kind=kind, centre=self.centre)
        if not self.clip:
            return residual
        offset = self.offset(x)
        return (residual + offset).clamp(-1.0, 1.0) - offset

    def arrive(self, x: Tensor, t: int, residual: Tensor) -> Tensor:
        """Return ``x``, reached by a step from state ``t``, after a look at it and the callback.

        Raises:
            DiffusionError: values that are not finite.
        """
        _check_finite(x, f"{self._where(t)}: the image")
        if self.on_step is not None:
            self.on_step(
                Step(
                    number=self.path.num_steps - t + 1,
                    total=self.path.num_steps,
                    timestep=int(self.path.timesteps[t]),
                    x=x,
                    x0=residual + self.offset(x),
                )
            )
        return x

    def _where(self, t: int) -> str:
        number = self.path.num_steps - t + 1
        timestep = int(self.path.timesteps[t])
        return f"sampling step {number} of {self.path.num_steps} (timestep {timestep})"


def start_of(task: Task, like: Tensor, noise: Noise | None) -> Tensor:
    """Return a start: the centre and the noise of the path's last state.

    Args:
        task: whose path it is for.
        like: ``(n, c, h, w)``: the start has its shape, dtype and device.
        noise: where the noise comes from; None starts at the centre itself.

    Raises:
        DiffusionError: a centre that does not fit.
    """
    last = task.path.num_steps
    plane = torch.zeros_like(like) if noise is None else noise.draw(like, state=last)
    return task.offset(like) + float(task.path.noise[last]) * plane


def draw(noise: Noise | None, like: Tensor, *, state: int, sampler: str) -> Tensor:
    """Return the noise of a step.

    Raises:
        DiffusionError: there is no source of noise.
    """
    if noise is None:
        raise DiffusionError(f"{sampler}: its steps are random, want noise=Noise(seed=...)")
    return noise.draw(like, state=state)


def _check_finite(x: Tensor, where: str) -> None:
    bad = int((~torch.isfinite(x)).sum())
    if bad:
        raise DiffusionError(
            f"{where} has {bad} of {x.numel()} values that are not finite; check the weights and "
            "the range of the inputs, or compute in float32"
        )
