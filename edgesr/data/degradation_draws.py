"""What chance decides in the Real-ESRGAN degradation, as values that can be looked at."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgesr.data.blur_kernels import (
    Kernel,
    gaussian_kernel,
    generalized_gaussian_kernel,
    plateau_kernel,
    sinc_kernel,
)
from edgesr.data.degradation_settings import (
    GAUSSIAN_FAMILY,
    KernelShape,
    Range,
    RealEsrganSettings,
    StageSettings,
)
from edgesr.data.resample import RESAMPLINGS, Resampling

_LARGE_KERNEL = 13


@dataclass(frozen=True, kw_only=True)
class KernelDraw:
    """A blur kernel by its parameters.

    Attributes:
        shape: of the kernel.
        size: odd side in pixels.
        sigma_x: width in pixels along ``angle``; unused by ``sinc``.
        sigma_y: width in pixels across it.
        angle: radians.
        beta: exponent of ``generalized`` and ``plateau``.
        cutoff: of ``sinc``, radians a pixel.
    """

    shape: KernelShape
    size: int
    sigma_x: float = 1.0
    sigma_y: float = 1.0
    angle: float = 0.0
    beta: float = 1.0
    cutoff: float = math.pi

    def make(self) -> Kernel:
        """Return the kernel, ``(size, size)``."""
        widths = (self.size, self.sigma_x, self.sigma_y, self.angle)
        if self.shape == "sinc":
            return sinc_kernel(self.size, self.cutoff)
        if self.shape == "generalized":
            return generalized_gaussian_kernel(*widths, beta=self.beta)
        if self.shape == "plateau":
            return plateau_kernel(*widths, beta=self.beta)
        return gaussian_kernel(*widths)


@dataclass(frozen=True, kw_only=True)
class StageDraw:
    """One round of blur, resize, noise and JPEG.

    Attributes:
        kernel: of the blur; None blurs nothing.
        resize_factor: size over the size that the round starts from.
        resampling: how it is resized.
        noise: kind of noise.
        noise_strength: standard deviation in grey levels, or factor on Poisson noise.
        grey_noise: the same noise in all channels.
        jpeg_quality: of the compression that ends the round.
    """

    kernel: KernelDraw | None
    resize_factor: float
    resampling: Resampling
    noise: Literal["gaussian", "poisson"]
    noise_strength: float
    grey_noise: bool
    jpeg_quality: int


@dataclass(frozen=True, kw_only=True)
class ChainDraw:
    """Everything that was drawn for one image but the noise itself.

    Attributes:
        first: first round.
        second: second round; its JPEG compression is the chain's last.
        final_resampling: how the image comes to its final size.
        final_sinc: filter at the final size; None filters nothing.
        jpeg_last: JPEG after the final resize and filter rather than before them.
    """

    first: StageDraw
    second: StageDraw
    final_resampling: Resampling
    final_sinc: KernelDraw | None
    jpeg_last: bool


def draw_chain(random: np.random.Generator, settings: RealEsrganSettings) -> ChainDraw:
    """Draw one chain from ``settings``."""
    first = _draw_stage(random, settings.first)
    second = _draw_stage(random, settings.second)
    sinc = None
    if random.random() < settings.final_sinc_probability:
        size = int(random.choice(settings.second.kernel_sizes))
        cutoff = float(random.uniform(math.pi / 3, math.pi))
        sinc = KernelDraw(shape="sinc", size=size, cutoff=cutoff)
    return ChainDraw(
        first=first,
        second=second,
        final_resampling=_draw_resampling(random),
        final_sinc=sinc,
        jpeg_last=bool(random.random() < 0.5),  # noqa: PLR2004 - a coin
    )


def _draw_stage(random: np.random.Generator, settings: StageSettings) -> StageDraw:
    blurs = random.random() < settings.blur_probability
    kernel = _draw_kernel(random, settings) if blurs else None
    factor = _draw_factor(random, settings)
    resampling = _draw_resampling(random)
    gaussian = random.random() < settings.gaussian_probability
    strength = settings.noise_sigma if gaussian else settings.poisson_scale
    return StageDraw(
        kernel=kernel,
        resize_factor=factor,
        resampling=resampling,
        noise="gaussian" if gaussian else "poisson",
        noise_strength=float(random.uniform(*strength)),
        grey_noise=bool(random.random() < settings.grey_probability),
        jpeg_quality=int(random.integers(*settings.jpeg_quality, endpoint=True)),
    )


def _draw_kernel(random: np.random.Generator, settings: StageSettings) -> KernelDraw:
    size = int(random.choice(settings.kernel_sizes))
    if random.random() < settings.sinc_probability:
        # A low cutoff needs a long kernel; the two limits are those of the released settings.
        least = math.pi / 5 if size >= _LARGE_KERNEL else math.pi / 3
        return KernelDraw(shape="sinc", size=size, cutoff=float(random.uniform(least, math.pi)))
    shape, isotropic = GAUSSIAN_FAMILY[_pick(random, settings.kernel_probabilities)]
    sigma_x = float(random.uniform(*settings.blur_sigma))
    sigma_y = sigma_x if isotropic else float(random.uniform(*settings.blur_sigma))
    angle = 0.0 if isotropic else float(random.uniform(-math.pi, math.pi))
    beta = 1.0
    if shape != "gaussian":
        of_shape = settings.generalized_beta if shape == "generalized" else settings.plateau_beta
        beta = _draw_beta(random, of_shape)
    return KernelDraw(
        shape=shape, size=size, sigma_x=sigma_x, sigma_y=sigma_y, angle=angle, beta=beta
    )


def _draw_beta(random: np.random.Generator, values: Range) -> float:
    """Draw below or above 1, each as often: a uniform draw would hardly ever be below."""
    low, high = values
    if low <= 1 <= high:
        low, high = (low, 1.0) if random.random() < 0.5 else (1.0, high)  # noqa: PLR2004 - a coin
    return float(random.uniform(low, high))


def _draw_factor(random: np.random.Generator, settings: StageSettings) -> float:
    least, largest = settings.resize_factor
    choice = _pick(random, settings.resize_probabilities)
    low, high = ((1.0, largest), (least, 1.0), (1.0, 1.0))[choice]
    return float(random.uniform(low, high))


def _draw_resampling(random: np.random.Generator) -> Resampling:
    return RESAMPLINGS[int(random.integers(len(RESAMPLINGS)))]


def _pick(random: np.random.Generator, shares: tuple[float, ...]) -> int:
    total = np.asarray(shares, dtype=np.float64)
    return int(random.choice(len(shares), p=total / total.sum()))
