"""Ranges and probabilities of the Real-ESRGAN degradation, with the published values as defaults.

Source: Wang, Xie, Dong, Shan 2021, arXiv 2107.10833, sections 3 and 4.1; the resize ranges and
probabilities, which the paper leaves out, are those of the training settings that its authors
released for x4 and x2.
"""

from dataclasses import dataclass
from typing import Literal

from edgesr.errors import ConfigError

Range = tuple[float, float]
KernelShape = Literal["gaussian", "generalized", "plateau", "sinc"]
GAUSSIAN_FAMILY: tuple[tuple[KernelShape, bool], ...] = (
    ("gaussian", True),
    ("gaussian", False),
    ("generalized", True),
    ("generalized", False),
    ("plateau", True),
    ("plateau", False),
)
"""Shape, and whether it is isotropic, in the order of ``StageSettings.kernel_probabilities``."""
_TOLERANCE = 1e-6
_LEAST_KERNEL = 3


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """One round of blur, resize, noise and JPEG; the defaults are those of the first round.

    Attributes:
        blur_probability: of any blur.
        kernel_sizes: odd sides in pixels, equally likely.
        sinc_probability: of a sinc kernel rather than one of ``GAUSSIAN_FAMILY``.
        kernel_probabilities: of the members of ``GAUSSIAN_FAMILY``; their sum is 1.
        blur_sigma: least and largest width in pixels.
        generalized_beta: range of the exponent of generalized Gaussian kernels.
        plateau_beta: range of the exponent of plateau kernels.
        resize_probabilities: of growing, of shrinking and of neither; their sum is 1.
        resize_factor: least factor of shrinking and largest of growing.
        gaussian_probability: of Gaussian rather than Poisson noise.
        noise_sigma: range of the Gaussian standard deviation in grey levels.
        poisson_scale: range of the factor on Poisson noise.
        grey_probability: of noise that is the same in all channels.
        jpeg_quality: least and largest quality.
    """

    blur_probability: float = 1.0
    kernel_sizes: tuple[int, ...] = (7, 9, 11, 13, 15, 17, 19, 21)
    sinc_probability: float = 0.1
    kernel_probabilities: tuple[float, ...] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    blur_sigma: Range = (0.2, 3.0)
    generalized_beta: Range = (0.5, 4.0)
    plateau_beta: Range = (1.0, 2.0)
    resize_probabilities: tuple[float, ...] = (0.2, 0.7, 0.1)
    resize_factor: Range = (0.15, 1.5)
    gaussian_probability: float = 0.5
    noise_sigma: Range = (1.0, 30.0)
    poisson_scale: Range = (0.05, 3.0)
    grey_probability: float = 0.4
    jpeg_quality: tuple[int, int] = (30, 95)

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ConfigError: names the setting, what came and what is wanted.
        """
        for name in ("blur", "sinc", "gaussian", "grey"):
            _check_probability(f"{name}_probability", getattr(self, f"{name}_probability"))
        _check_shares("kernel_probabilities", self.kernel_probabilities, len(GAUSSIAN_FAMILY))
        _check_shares("resize_probabilities", self.resize_probabilities, 3)
        sizes = self.kernel_sizes
        if not sizes or any(size < _LEAST_KERNEL or size % 2 == 0 for size in sizes):
            raise ConfigError(f"kernel_sizes = {sizes}: want odd numbers from {_LEAST_KERNEL} on")
        for name in ("blur_sigma", "generalized_beta", "plateau_beta", "resize_factor"):
            _check_range(name, getattr(self, name), above=0)
        for name in ("noise_sigma", "poisson_scale"):
            _check_range(name, getattr(self, name), least=0)
        _check_range("jpeg_quality", self.jpeg_quality, least=1, most=100)
        if not self.resize_factor[0] <= 1 <= self.resize_factor[1]:
            raise ConfigError(f"resize_factor = {self.resize_factor}: want a range that holds 1")


def _check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} = {value}: want a probability from 0 to 1")


def _check_shares(name: str, values: tuple[float, ...], count: int) -> None:
    bad = len(values) != count or any(not 0 <= value <= 1 for value in values)
    if bad or abs(sum(values) - 1) > _TOLERANCE:
        raise ConfigError(f"{name} = {values}: want {count} probabilities with the sum 1")


def _check_range(
    name: str,
    values: tuple[float, float],
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
) -> None:
    low, high = values
    inside = (
        (above is None or low > above)
        and (least is None or low >= least)
        and (most is None or high <= most)
    )
    if not (low <= high and inside):
        limits = [
            f"{word} {limit:g}"
            for word, limit in (("above", above), ("at least", least), ("at most", most))
            if limit is not None
        ]
        raise ConfigError(f"{name} = {values}: want least <= largest, {', '.join(limits)}")


@dataclass(frozen=True, kw_only=True)
class RealEsrganSettings:
    """The whole chain.

    Attributes:
        first: the round at the size of the high-resolution image.
        second: the round at the size of the low-resolution image.
        final_sinc_probability: of a sinc filter beside the last JPEG compression.
    """

    first: StageSettings = StageSettings()
    second: StageSettings = StageSettings(
        blur_probability=0.8,
        blur_sigma=(0.2, 1.5),
        resize_probabilities=(0.3, 0.4, 0.3),
        resize_factor=(0.3, 1.2),
        noise_sigma=(1.0, 25.0),
        poisson_scale=(0.05, 2.5),
    )
    final_sinc_probability: float = 0.8

    def __post_init__(self) -> None:
        """Check the probability.

        Raises:
            ConfigError: it is no probability.
        """
        _check_probability("final_sinc_probability", self.final_sinc_probability)
