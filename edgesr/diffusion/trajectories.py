"""Calibration sets from full-precision trajectories: what a denoiser is fed, step by step.

Every batch is kept with the timestep that the network was told for it. (The published code of
PTQ4DM counts denoising steps from the noise and compares that count with the timestep drawn, so
that its images and timesteps are paired in reverse; not repeated here.)

Inputs are stored as the int8 codes that the integer network would be fed, rounded to grey levels;
the trajectory itself runs in float32 and unrounded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgesr.diffusion.centre import RegressionCentre
from edgesr.diffusion.conditioned import ConditionedDenoiser
from edgesr.diffusion.integer_steps import sampled_timesteps
from edgesr.diffusion.noise import Noise
from edgesr.diffusion.path import Path
from edgesr.diffusion.prediction import Prediction
from edgesr.errors import DataError
from edgesr.models.denoiser import Denoiser
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.stepwise import input_codes, input_reals

Kind = Literal["all", "uniform", "ndtc", "tdac"]

NDTC_MEAN, NDTC_DEVIATION = 0.4, 0.4
"""Of the timesteps that PTQ4DM draws, over the number of steps."""
TDAC_DIVERSITY = 1.0
"""Weight of diversity against density."""
_NEVER = 1e-12


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Which images of a set are kept at which timestep.

    Attributes:
        by_timestep: numbers of images, rising, for every timestep of the path, noisiest first.
    """

    by_timestep: Mapping[int, tuple[int, ...]]

    @property
    def count(self) -> int:
        """Number of pairs of image and timestep."""
        return sum(map(len, self.by_timestep.values()))


@dataclass(frozen=True, kw_only=True)
class Fed:
    """What the network was fed at one step of one batch of images.

    Attributes:
        timestep: that it was told.
        codes: int8 ``(n, h, w, c)``, joined images on ``INPUT_LEVELS``.
        middle: float32 ``(n, c, h, w)``: what comes out of the network's deepest level, where it
            was asked for.
    """

    timestep: int
    codes: Tensor
    middle: Tensor | None


class _Draw(Protocol):
    """Numbers of samples by step, noisiest first."""

    def __call__(
        self, steps: int, count: int, features: Sequence[Tensor] | None, seed: int
    ) -> npt.NDArray[np.int64]: ...


def choose_samples(  # noqa: PLR0913 - one choice each
    kind: Kind,
    path: Path,
    images: int,
    *,
    count: int | None = None,
    features: Sequence[Tensor] | None = None,
    seed: int = 0,
) -> Samples:
    """Choose which images are kept at which timestep.

    Args:
        kind: ``all``, every image at every step; ``uniform``, as many of every step (Q-Diffusion);
            ``ndtc``, steps drawn from a normal distribution (PTQ4DM); ``tdac``, more of steps
            whose features are like many others' and yet diverse (EDA-DM).
        path: that is sampled.
        images: number of images in the set.
        count: number of pairs of image and step, where ``kind`` is not ``all``; None is one an
            image.
        features: for ``tdac``: the network's features at every step, noisiest first, of equal
            shape.
        seed: of the draw of steps and images; every kind draws images of its own.

    Raises:
        DataError: no images or pairs, or features that are missing.

    Source: Li et al. 2023 (Q-Diffusion), arXiv 2302.04304, section 3.2; Shang et al. 2023 (PTQ4DM),
    arXiv 2211.15736, section 3.3, with mean and deviation of its code; Liu et al. 2024 (EDA-DM),
    arXiv 2401.04585, section 3.2.
    """
    timesteps = sampled_timesteps(path)
    wanted = images if count is None else count
    if images < 1 or wanted < 1:
        raise DataError(f"calibration of {wanted} samples of {images} images, want 1 or more")
    if kind == "all":
        return Samples(by_timestep=dict.fromkeys(timesteps, tuple(range(images))))
    numbers = _DRAWS[kind](len(timesteps), wanted, features, seed)
    random = np.random.default_rng((seed, 1 + get_args(Kind).index(kind)))
    taken: list[int] = []
    while len(taken) < wanted:
        taken += random.permutation(images).tolist()
    ends = np.cumsum(numbers)
    chosen = {
        timestep: tuple(sorted(set(taken[end - number : end])))
        for timestep, number, end in zip(timesteps, numbers, ends, strict=True)
    }
    return Samples(by_timestep=chosen)


def density_and_diversity(features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return for every step how many others are near, and how far its direction is from theirs.

    Both are brought to [0, 1]; 1 throughout where all steps are alike. Near means a mean squared
    difference of at most the median over all pairs, since a fixed radius would depend on the
    network's scale.

    Args:
        features: one tensor a step, of equal shape.
    """
    rows = torch.stack([one.flatten().double() for one in features])
    far = torch.stack([(rows - row).square().mean(dim=1) for row in rows])
    pairs = ~torch.eye(len(rows), dtype=torch.bool)
    radius = far[pairs].median() if len(rows) > 1 else far.new_zeros(())
    density = ((far <= radius) & pairs).sum(dim=1).double()
    units = rows / rows.norm(dim=1, keepdim=True).clamp(min=_NEVER)
    diversity = (1.0 - units @ units.T).sum(dim=1)
    return _spread(density), _spread(diversity)


def trajectories(  # noqa: PLR0913 - one choice each
    module: Denoiser,
    whole: Path,
    path: Path,
    batches: Sequence[Tensor],
    *,
    seed: int = 0,
    features: bool = False,
    regression: RegressionCentre | None = None,
) -> Iterator[tuple[int, Fed]]:
    """Sample batches with the float network (``ddim``) and yield what it was fed, step by step.

    Args:
        module: float denoiser on grid ``lr``.
        whole: path that it was trained on.
        path: that is sampled.
        batches: low-resolution images, ``(n, 3, h, w)`` in [-1, 1].
        seed: of the noise; batch ``k`` has ``seed + k``.
        features: look at the network's deepest level as well.
        regression: makes the centre; None for the bicubic one.

    Yields:
        Number of the batch and what the network was fed.
    """
    for number, lr in enumerate(batches):
        watched = _Watched(module, features=features)
        denoiser = ConditionedDenoiser(watched, whole, regression=regression)
        denoiser.sample(lr, noise=Noise(seed=seed + number), path=path)
        yield from ((number, fed) for fed in watched.fed)


def all_steps(  # noqa: PLR0913 - as for trajectories
    module: Denoiser,
    whole: Path,
    path: Path,
    batches: Sequence[Tensor],
    *,
    seed: int = 0,
    regression: RegressionCentre | None = None,
) -> list[CalibrationBatch]:
    """Return what the network is fed for every image at every step, kept in memory.

    Arguments as for ``trajectories``; ``edgesr.diffusion.calibration_files`` keeps sets on disk.
    """
    walked = trajectories(module, whole, path, batches, seed=seed, regression=regression)
    return [
        CalibrationBatch(inputs=input_reals(fed.codes), timestep=fed.timestep) for _, fed in walked
    ]


class _Watched:
    """A network that keeps what it is fed."""

    def __init__(self, module: Denoiser, *, features: bool) -> None:
        self.module, self.features = module, features
        self.fed: list[Fed] = []

    @property
    def prediction(self) -> Prediction:
        return self.module.prediction

    @property
    def scale(self) -> int:
        return self.module.scale

    def __call__(
        self, x_t: Tensor, timestep: Tensor, lr: Tensor, centre: Tensor | None = None, /
    ) -> Tensor:
        deepest = _Deepest()
        hooks = [
            layer.register_forward_hook(deepest)
            for layer in self.module.core.modules()
            if self.features and not list(layer.children())
        ]
        try:
            predicted: Tensor = self.module(x_t, timestep, lr, centre)
        finally:
            for hook in hooks:
                hook.remove()
        self.fed.append(
            Fed(
                timestep=int(timestep[0]),
                codes=input_codes(self.module.conditioning(x_t, lr, centre)),
                middle=deepest.features,
            )
        )
        return predicted


class _Deepest:
    """Keeps the last feature map of the fewest pixels that layers give."""

    def __init__(self) -> None:
        self.features: Tensor | None = None

    def __call__(self, _layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        maps = len("nchw")
        if output.ndim == maps and (
            self.features is None or output.shape[-2:].numel() <= self.features.shape[-2:].numel()
        ):
            self.features = output.detach().clone()


def _uniform(
    steps: int, count: int, features: Sequence[Tensor] | None, seed: int
) -> npt.NDArray[np.int64]:
    del features, seed
    return _rounded(np.ones(steps), count)


def _ndtc(
    steps: int, count: int, features: Sequence[Tensor] | None, seed: int
) -> npt.NDArray[np.int64]:
    del features
    random = np.random.default_rng((seed, 0))
    drawn = random.normal(NDTC_MEAN * steps, NDTC_DEVIATION * steps, count)
    # 0 is the cleanest step, as in the paper; the result has the noisiest first
    numbers = np.rint(drawn).clip(0, steps - 1).astype(np.int64)
    found: npt.NDArray[np.int64] = np.bincount(numbers, minlength=steps)[::-1].copy()
    return found


def _tdac(
    steps: int, count: int, features: Sequence[Tensor] | None, seed: int
) -> npt.NDArray[np.int64]:
    del seed
    if features is None or len(features) != steps:
        raise DataError(
            f"tdac: features of {0 if features is None else len(features)} steps, want {steps}; "
            "run a few images through the network first (features=True)"
        )
    density, diversity = density_and_diversity(features)
    return _rounded((density + TDAC_DIVERSITY * diversity).numpy(), count)


def _rounded(weights: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    """Share ``count`` out by weight, in whole numbers whose sum is exact."""
    if not weights.sum() > 0:
        weights = np.ones_like(weights)
    shares = count * weights / weights.sum()
    numbers: npt.NDArray[np.int64] = np.floor(shares).astype(np.int64)
    order = np.argsort(numbers - shares, kind="stable")
    numbers[order[: count - int(numbers.sum())]] += 1
    return numbers


def _spread(values: Tensor) -> Tensor:
    low, high = values.min(), values.max()
    # steps that are all alike differ by rounding alone
    if high - low <= _NEVER * high.abs().clamp(min=1.0):
        return torch.ones_like(values)
    return (values - low) / (high - low)


_DRAWS: Mapping[str, _Draw] = MappingProxyType({"uniform": _uniform, "ndtc": _ndtc, "tdac": _tdac})
