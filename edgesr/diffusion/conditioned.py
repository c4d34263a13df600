"""A trained network as samplers call it: its input scaled, its centre made from the condition."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from edgesr.diffusion.centre import RegressionCentre
from edgesr.diffusion.noise import Noise
from edgesr.diffusion.path import Path, State, level
from edgesr.diffusion.prediction import Prediction
from edgesr.diffusion.published import PUBLISHED
from edgesr.diffusion.samplers import find_sampler
from edgesr.diffusion.task import Step, Task, start_of
from edgesr.diffusion.tiles import StepNetwork
from edgesr.errors import DiffusionError
from edgesr.models.conditioning import BicubicCentre

_DEVIATIONS = 3.0
_RESIDUAL_POWER = 0.1**2
"""Of what bicubic enlargement of photographs lacks, images in [-1, 1]; .12**2 at x4."""


@lru_cache(maxsize=4)
def _bicubic(scale: int) -> BicubicCentre:
    return BicubicCentre(scale)


def enlarge(lr: Tensor, scale: int) -> Tensor:
    """Return the bicubic centre ``(n, 3, s h, s w)`` of ``lr`` ``(n, 3, h, w)``."""
    packed: Tensor = _bicubic(scale).to(lr.device)(lr)
    return torch.nn.functional.pixel_shuffle(packed, scale)


def network_input(path: Path, t: State, x: Tensor, centre: Tensor | None) -> Tensor:
    """Return what a network is shown of a noisy image.

    With a centre: the best linear guess of the clean image, ``c + w (x - c)`` with
    ``w = a v / (a^2 v + s^2)`` and ``v`` the residual's usual power. It lies in [-1, 1] but for
    little, whatever the state, and where there is nothing but noise it is the centre, so that a
    network need not learn to look away. Without one: ``x / (1 + 3 s)``.

    Args:
        path: with every state that the network was trained on, not respaced.
        t: original timestep, one or one for each image.
        x: noisy image, ``(n, c, h, w)``.
        centre: of the shape of ``x`` where the path has a centre, else None.

    Source: the preconditioning of Karras et al. 2022, arXiv 2206.00364, section 5, on a residual;
    without centre the rule for pixels in the code of Yue et al. 2023, arXiv 2307.12348.
    """
    noise = level(path, "noise", t, x)
    if centre is None:
        return x / (1.0 + _DEVIATIONS * noise)
    signal = level(path, "signal", t, x)
    guess = signal * _RESIDUAL_POWER / (signal**2 * _RESIDUAL_POWER + noise**2)
    return centre + guess * (x - centre)


class ConditionedDenoiser:
    """``edgesr.models``' denoiser for ``edgesr.diffusion``'s samplers; the condition is the image.

    Args:
        network: takes scaled noisy image, timestep, low-resolution image.
        path: that it was trained on.
        regression: makes the centre that it was trained with; None for the bicubic one.

    Raises:
        DiffusionError: the path is respaced or BI-DiffSR's own, which has another range of images
            and another loop, or the centre is of another scale.
    """

    def __init__(
        self, network: StepNetwork, path: Path, *, regression: RegressionCentre | None = None
    ) -> None:
        if path.name == PUBLISHED:
            raise DiffusionError(
                f"path {path.name}: is for its authors' loop alone (edgesr upscale, eval, bench); "
                "name a denoiser that edgesr trained"
            )
        if path.timesteps[-1] != path.num_steps:
            raise DiffusionError(
                f"path {path.name}: has {path.num_steps} of {path.timesteps[-1]} states; give the "
                "one that the network was trained on, and a respaced one to sample"
            )
        if regression is not None and regression.scale != network.scale:
            raise DiffusionError(
                f"the centre is enlarged by {regression.scale}, but the denoiser by "
                f"{network.scale}; want one scale"
            )
        self.network, self.path = network, path
        self._regression = regression

    def with_network(self, network: StepNetwork) -> "ConditionedDenoiser":
        """Return another network on the same path with the same centre."""
        return ConditionedDenoiser(network, self.path, regression=self._regression)

    @property
    def prediction(self) -> Prediction:
        """What the network returns."""
        return self.network.prediction

    def centre(self, lr: Tensor) -> Tensor | None:
        """Return the centre of the path for ``lr`` ``(n, 3, h, w)``; None where it has none."""
        return self._enlarged(lr) if self.path.centred else None

    def __call__(self, x: Tensor, timestep: Tensor, condition: Tensor, /) -> Tensor:
        """Predict; ``condition`` is the low-resolution image ``(n, 3, h, w)`` in [-1, 1].

        A ``timestep`` on the CPU costs no wait for the device.
        """
        shown = network_input(self.path, timestep, x, self.centre(condition))
        told = timestep.to(x.device)
        if self._regression is None:  # the network makes the bicubic one itself
            return self.network(shown, told, condition)
        return self.network(shown, told, condition, self._enlarged(condition))

    def sample(  # noqa: PLR0913 - one choice each
        self,
        lr: Tensor,
        *,
        seed: int = 0,
        noise: Noise | None = None,
        path: Path | None = None,
        sampler: str = "ddim",
        on_step: Callable[[Step], None] | None = None,
    ) -> Tensor:
        """Enlarge images.

        Args:
            lr: ``(n, 3, h, w)`` in [-1, 1].
            seed: of the start and of random steps.
            noise: instead of ``seed``: the window of a larger frame's noise.
            path: respaced path; None takes all steps.
            sampler: a name in ``SAMPLERS``.
            on_step: called after each step.

        Returns:
            ``(n, 3, s h, s w)``, around [-1, 1].

        Raises:
            DiffusionError: values that are not finite, or a path or sampler that does not fit.
        """
        chosen = path or self.path
        plane = noise or Noise(seed=seed)
        scale = self.network.scale
        count, channels, height, width = lr.shape
        like = lr.new_empty((count, channels, scale * height, scale * width))
        task = Task(
            denoiser=self,
            path=chosen,
            condition=lr,
            centre=self.centre(lr),
            on_step=on_step,
        )
        return find_sampler(sampler)(task, start_of(task, like, plane), plane)

    def _enlarged(self, lr: Tensor) -> Tensor:
        if self._regression is None:
            return enlarge(lr, self.network.scale)
        return self._regression(lr)
